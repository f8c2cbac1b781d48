//! What the balancer knows, told to people: all of it as JSON, and in few lines as a page.
//!
//! [`Status`] is everything, [`Overview`] a line for each stream and each server, with what is wrong.
//! Of the former somebody may want a part ([`Wanted`]), and of many mounts nobody gets all without asking.
//! Both ask `select` and the ledger as a redirect does, so they cannot disagree.

mod board;
mod cluster;
mod overview;
pub mod page;
mod trouble;
mod wanted;

use serde::Serialize;

use crate::fleet::patterns::Pattern;
use crate::fleet::{Server, Stream, StreamId};
use crate::player::Client;
use crate::select::{Proof, Trust, Verdict, sums, verdicts};
use crate::slots::Moment;
use crate::state::{MountView, Snapshot, State, Tally};

pub use board::{Board, Broken};
pub use cluster::{ClusterStatus, EngineStatus, MemberStatus};
pub use overview::{Condition, FoundLine, Overview, StreamLine, Totals};
pub use trouble::{Kind, Severity, Trouble};
pub use wanted::{Unknown, Wanted};

use wanted::Scope;

/// Everything an operator may want to see, as of one moment.
#[derive(Debug, Serialize)]
pub struct Status {
    /// This program's version.
    pub version: &'static str,
    /// Seconds since it was started.
    pub uptime_seconds: f64,
    /// The configuration in force.
    pub config: ConfigStatus,
    /// The balancers that share the relays; absent: this one is alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterStatus>,
    /// The streams, in the configuration's order.
    pub streams: Vec<StreamStatus>,
    /// The servers, in the configuration's order.
    pub servers: Vec<ServerStatus>,
}

/// The configuration in force, and one that was refused.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigStatus {
    /// The file or directory that it is read from.
    pub file: String,
    /// SHA-256 of its text, in hexadecimal.
    pub sha256: String,
    /// When it was put in force, in seconds since 1970.
    pub loaded_unix: f64,
    /// The diagnostics of the configuration on disk, if it was refused.
    pub refused: Option<String>,
    /// When that was refused, in seconds since 1970.
    pub refused_unix: Option<f64>,
    /// Keys that were changed and take effect only after a restart.
    pub restart_required: Vec<&'static str>,
    /// Whether changes are noticed at once.
    pub watching: bool,
    /// What works, but deserves a word.
    pub warnings: Vec<String>,
}

/// One stream.
#[derive(Debug, Serialize)]
pub struct StreamStatus {
    /// What players ask for.
    pub path: String,
    /// Whether a player who asks now would be sent to a relay.
    pub up: bool,
    /// Slots that can be given away, in sum; absent: unlimited.
    pub free: Option<u64>,
    /// `reject`, `wait`, `overflow` or `fallback`: what becomes of players when it is full.
    pub when_full: &'static str,
    /// Players held until a slot frees.
    pub waiting: usize,
    /// Players sent to its fallback since the start.
    pub fallbacks: u64,
    /// Its mounts, in the configuration's order; of a pattern none.
    pub mounts: Vec<MountStatus>,
    /// How many of them are left out, being too many or not wanted; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mounts_left_out: Option<usize>,
    /// Of a pattern: what was found under it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<PatternStatus>,
}

/// What was found under a pattern.
#[derive(Debug, Serialize)]
pub struct PatternStatus {
    /// The most streams it may have.
    pub max_streams: usize,
    /// How many it has.
    pub found: usize,
    /// Mounts that servers list beyond that.
    pub left_out: u64,
    /// Its streams, by name.
    pub streams: Vec<StreamStatus>,
}

/// One mount of a stream.
#[derive(Debug, Serialize)]
pub struct MountStatus {
    /// The name of its server.
    pub server: String,
    /// Its path there.
    pub mount: String,
    /// `active`, `idle`, `absent` or `unknown`.
    pub presence: &'static str,
    /// Listeners at the last good look, or by the feed of a relay that is full; absent: nobody tells.
    pub listeners: Option<u64>,
    /// The most it accepts; absent: unlimited.
    pub max_listeners: Option<u64>,
    /// Redirects that no look can have seen yet.
    pub reserved: u64,
    /// Slots that can be given away; absent: unlimited.
    pub free: Option<u64>,
    /// Slots that are lent to other balancers, and may lie unspent there.
    #[serde(skip_serializing_if = "is_nil")]
    pub lent: u64,
    /// Of the free slots, those that other balancers have lent.
    #[serde(skip_serializing_if = "is_nil")]
    pub borrowed: u64,
    /// Players sent to it for this stream since the start.
    pub redirects: u64,
    /// How many of them beyond its limit.
    pub overflows: u64,
    /// Its configured tier.
    pub tier: u32,
    /// Its configured weight.
    pub weight: u32,
    /// Whether it could take a player now.
    pub candidate: bool,
    /// Why it is passed over, or comes after others; absent: neither.
    pub reason: Option<String>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServerStatus {
    /// Its name.
    pub name: String,
    /// Where players are sent.
    pub url: String,
    /// `active`, `draining` or `disabled`, as configured.
    pub state: &'static str,
    /// `up`, `doubtful`, `down`, `probation`, `recovering` or `unknown`.
    pub health: &'static str,
    /// Whether its numbers are believed.
    pub up: bool,
    /// The statistics document in use, `+ feed` if the relay's feed is heard as well.
    pub source: Option<String>,
    /// Whether the relay's feed is connected; absent where none is configured.
    pub live: Option<bool>,
    /// Seconds since its last good look.
    pub age_seconds: Option<f64>,
    /// Clients of all kinds at the last good look, or by the feed of a relay that is full; absent:
    /// nobody tells.
    pub clients: Option<u64>,
    /// Redirects that no look can have seen yet.
    pub reserved: u64,
    /// The most clients it accepts; absent: unlimited.
    pub max_listeners: Option<u64>,
    /// Clients it can still take; absent: unlimited.
    pub free: Option<u64>,
    /// Of its `max_listeners`, those that are lent to other balancers, and may lie unspent there.
    #[serde(skip_serializing_if = "is_nil")]
    pub lent: u64,
    /// Of `free`, those that other balancers have lent.
    #[serde(skip_serializing_if = "is_nil")]
    pub borrowed: u64,
    /// Listeners sent to it since the start.
    pub redirected: u64,
    /// Listeners seen to arrive on its mounts, sent by us or not; absent: nobody tells.
    pub arrived: Option<u64>,
    /// Why its last look failed, or what is odd about one that did not.
    pub trouble: Option<String>,
}

impl Status {
    /// What is wanted of the status as of `now`.
    pub fn of(state: &State, now: Moment, wanted: &Wanted) -> Result<Self, Unknown> {
        let snapshot = state.load();
        let scope = wanted.scope(&snapshot)?;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: now.as_secs_f64(),
            config: ConfigStatus::of(state, &snapshot),
            cluster: ClusterStatus::of(state, &snapshot, now),
            streams: streams(&snapshot, now, &scope),
            servers: servers(&snapshot, now, &scope),
        })
    }
}

impl ConfigStatus {
    fn of(state: &State, snapshot: &Snapshot) -> Self {
        let reloads = state.reloads();
        Self {
            file: reloads.file,
            sha256: snapshot.digest.clone(),
            loaded_unix: reloads.last_success_unix,
            refused: reloads.refused,
            refused_unix: reloads.refused_unix,
            restart_required: reloads.restart_required,
            watching: reloads.watching,
            warnings: snapshot.fleet.warnings.clone(),
        }
    }
}

fn streams(snapshot: &Snapshot, now: Moment, scope: &Scope) -> Vec<StreamStatus> {
    let told = snapshot.streams().filter(|(id, stream, _)| scope.has_stream(*id, stream));
    let streams = told.map(|(id, stream, _)| match snapshot.fleet.pattern_of(stream) {
        Some(pattern) if pattern.stream == id => {
            StreamStatus::of_pattern(snapshot, stream, pattern, now, scope)
        }
        _ => StreamStatus::within(scope, snapshot, id, stream, now),
    });
    streams.collect()
}

impl StreamStatus {
    fn of(snapshot: &Snapshot, id: StreamId, stream: &Stream, now: Moment) -> Self {
        Self::within(&Scope::ALL, snapshot, id, stream, now)
    }

    fn within(
        scope: &Scope,
        snapshot: &Snapshot,
        id: StreamId,
        stream: &Stream,
        now: Moment,
    ) -> Self {
        let verdicts: Vec<Verdict> = verdicts(snapshot, id, Client::ANY, now).collect();
        let candidates = verdicts.iter().filter_map(Verdict::candidate);
        let free = candidates.clone().map(|candidate| candidate.free);
        let mounts = snapshot.mounts(id).zip(&verdicts);
        let told = mounts
            .filter(|(mount, _)| scope.tells_mounts() && scope.has_server(mount.config.server))
            .map(|(mount, verdict)| MountStatus::of(&mount, verdict, now))
            .collect::<Vec<_>>();
        let left_out = stream.mounts.len().saturating_sub(told.len());
        Self {
            path: stream.path.clone(),
            up: candidates.count() > 0,
            free: free.sum::<Option<u64>>(),
            when_full: stream.when_full.label(),
            waiting: snapshot.queue(id).map_or(0, |queue| queue.waiting()),
            fallbacks: snapshot.fallbacks(id).map_or(0, Tally::get),
            mounts: told,
            mounts_left_out: (left_out > 0).then_some(left_out),
            pattern: None,
        }
    }

    fn of_pattern(
        snapshot: &Snapshot,
        entry: &Stream,
        pattern: &Pattern,
        now: Moment,
        scope: &Scope,
    ) -> Self {
        let sums = sums(snapshot, pattern, now);
        let queues = pattern.streams().filter_map(|id| snapshot.queue(id));
        let streams = pattern.streams();
        let streams = streams.filter_map(|id| Some((id, snapshot.fleet.streams.get(id)?)));
        let streams = streams.filter(|(_, stream)| scope.has_mounts_of(stream));
        Self {
            path: entry.path.clone(),
            up: sums.iter().any(|sum| sum.best.is_some()),
            // Its streams share what their servers have left.
            free: sums.iter().map(|sum| sum.free).sum(),
            when_full: entry.when_full.label(),
            waiting: queues.map(|queue| queue.waiting()).sum(),
            fallbacks: snapshot.fallbacks(pattern.stream).map_or(0, Tally::get),
            mounts: Vec::new(),
            mounts_left_out: None,
            pattern: Some(PatternStatus {
                max_streams: pattern.max_streams,
                found: pattern.streams().len(),
                left_out: if pattern.is_full() { snapshot.left_out(pattern) } else { 0 },
                streams: streams
                    .map(|(id, stream)| Self::within(scope, snapshot, id, stream, now))
                    .collect(),
            }),
        }
    }
}

fn servers(snapshot: &Snapshot, now: Moment, scope: &Scope) -> Vec<ServerStatus> {
    let servers = snapshot.servers().enumerate().filter(|(id, _)| scope.has_server(*id));
    let servers = servers.map(|(_, (server, slots))| {
        let notes = slots.notes();
        ServerStatus {
            name: server.name.clone(),
            url: server.url.to_string(),
            state: server.state.label(),
            health: slots.health().label(),
            up: slots.is_up(now, snapshot.fleet.poll.stale_after),
            source: notes.source.map(|source| {
                if notes.live { format!("{source} + feed") } else { source.to_owned() }
            }),
            live: server.stats.is_live().then_some(notes.live),
            age_seconds: slots.last_good().map(|at| now.saturating_sub(at).as_secs_f64()),
            clients: slots.seats.told(),
            reserved: slots.seats.reserved(),
            max_listeners: slots.seats.limit(),
            free: slots.seats.free(),
            lent: slots.seats.away(now),
            borrowed: slots.seats.borrowed(),
            redirected: slots.redirected.get(),
            arrived: slots.counts_listeners().then(|| slots.arrived.get()),
            trouble: notes.trouble,
        }
    });
    servers.collect()
}

impl MountStatus {
    fn of(mount: &MountView<'_>, verdict: &Verdict, now: Moment) -> Self {
        let seats = &mount.slots.seats;
        Self {
            server: mount.server.name.clone(),
            mount: mount.config.path.clone(),
            presence: mount.slots.presence().label(),
            listeners: seats.told(),
            max_listeners: seats.limit(),
            reserved: seats.reserved(),
            free: verdict.free(mount),
            lent: seats.away(now),
            borrowed: seats.borrowed(),
            redirects: mount.redirects.get(),
            overflows: mount.overflows.get(),
            tier: mount.config.tier,
            weight: mount.config.weight,
            candidate: verdict.candidate().is_some(),
            reason: reason(mount, verdict),
        }
    }
}

/// What is nothing need not be told.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_nil(count: &u64) -> bool {
    *count == 0
}

/// Why a mount is passed over or comes after others.
fn reason(mount: &MountView<'_>, verdict: &Verdict) -> Option<String> {
    let candidate = match verdict {
        Verdict::Passed(reason) => return Some(reason.to_string()),
        Verdict::Candidate(candidate) => candidate,
    };
    if candidate.rank.beyond_limit {
        let so_far = mount.overflows.get();
        return Some(format!("full: gets listeners beyond its limit, {so_far} so far"));
    }
    let remark = match (candidate.rank.trust, candidate.rank.proof) {
        _ if mount.slots.stands_still() => "its stream stands still: used when no other is left",
        (Trust::Doubtful, _) => "in doubt: used when no other is sure",
        (Trust::Guess, _) => "nothing is known: used when no other is left",
        (Trust::Sure, Proof::Asleep | Proof::Waking) => "waits for its first listener",
        (Trust::Sure, Proof::Flows) if mount.server_slots.misses_arrivals() => {
            "listeners who are sent there do not arrive: half the weight"
        }
        (Trust::Sure, Proof::Flows) => return restriction(mount.server),
    };
    Some(remark.to_owned())
}

/// Whom a server takes that does not take everybody.
fn restriction(server: &Server) -> Option<String> {
    if let Some(family) = server.ip {
        return Some(format!("for players that come by {family} only"));
    }
    let only = server.clients.as_ref().is_some_and(|clients| clients.only);
    only.then(|| "for players from its countries and networks only".to_owned())
}
