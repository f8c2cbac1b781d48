//! One task per server that looks at it again and again: bounded, isolated, never two at a time.
//!
//! A look costs a relay a seventh of a millisecond, so a relay that is being sent listeners is
//! asked often and an idle one seldom. A relay that hangs holds up its own task and nobody else's.

mod exchange;
mod eye;
mod feed;
mod fetch;
mod hold;
mod lag;
mod once;
mod probe;
mod resolve;
mod spread;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};
use url::Url;

use crate::clock::unix_now;
use crate::counters::PollResult;
use crate::discovery::Discovery;
use crate::fleet::{Poll, Server, ServerState};
use crate::icecast::{Activity, Limit, Report};
use crate::slots::{
    Evidence, Health, Listed, Moment, Rules, ServerSlots, begin_look, record, record_heard,
    wants_look,
};
use crate::state::{Snapshot, State};
use crate::waiting;

use eye::{AsConfigured, Eye};
use feed::Feed;
use fetch::{Failure, Seen};

pub use once::{Glance, Sight, Trouble, families, glance, knock};

/// Our timers being late by more, in sum, a look that fails says nothing of its relay.
const OUR_DELAY: Duration = Duration::from_secs(1);

/// How often snapshots are dropped that were replaced.
const SWEEP: Duration = Duration::from_secs(1);

/// Polls every server of whatever snapshot is in force, until `stop`.
pub async fn run(state: Arc<State>, stop: CancellationToken) {
    run_with(state, stop, |_| AsConfigured::default()).await;
}

/// The same, with an eye for each server, which is named.
async fn run_with<E: Eye + 'static>(
    state: Arc<State>,
    stop: CancellationToken,
    eye: impl Fn(&str) -> E,
) {
    let mut replacements = state.replacements();
    let mut tasks: HashMap<usize, Task> = HashMap::new();
    let mut running = JoinSet::new();
    let discovery = Arc::new(Discovery::default());
    let discovering = Arc::clone(&discovery).run(Arc::clone(&state));
    tokio::pin!(discovering);
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        let wanted = polled(&state.load());
        // A relay whose address changes gets a new ledger, and so a new task.
        tasks.retain(|ledger, _| wanted.contains_key(ledger));
        for (ledger, (name, slots)) in wanted {
            if tasks.contains_key(&ledger) {
                continue;
            }
            let stop = stop.child_token();
            let eye = eye(&name);
            let (state, discovery) = (Arc::clone(&state), Arc::clone(&discovery));
            let watching =
                watch_server(state, discovery, name, Arc::clone(&slots), eye, stop.clone());
            running.spawn(watching);
            tasks.insert(ledger, Task { _slots: slots, _stop: stop.drop_guard() });
        }
        tokio::select! {
            () = stop.cancelled() => break,
            changed = replacements.changed() => if changed.is_err() { break },
            () = &mut discovering => {}
            _ = sweep.tick() => drop_aside(state.sweep()),
            // What it says of a panic may quote a password; that it happened is in the log.
            Some(Err(_error)) = running.join_next() => {
                warn!("a poll task broke; all begin again");
                tasks.clear();
            }
        }
    }
    running.shutdown().await;
}

/// Drops what may take a while to drop, and has nobody wait for it.
fn drop_aside(old: Vec<Arc<Snapshot>>) {
    if !old.is_empty() {
        drop(tokio::task::spawn_blocking(move || drop(old)));
    }
}

/// A server that is being polled, for as long as this exists.
struct Task {
    /// Its ledger, kept so that no other is where it is.
    _slots: Arc<ServerSlots>,
    _stop: DropGuard,
}

/// The servers that are to be polled, by where their ledgers are.
fn polled(snapshot: &Snapshot) -> HashMap<usize, (String, Arc<ServerSlots>)> {
    let servers = snapshot.fleet.servers.iter().enumerate();
    let polled = servers.filter(|(_, server)| server.state != ServerState::Disabled);
    let ledgers = polled.filter_map(|(id, server)| {
        let slots = Arc::clone(snapshot.server(id)?);
        Some((Arc::as_ptr(&slots).addr(), (server.name.clone(), slots)))
    });
    ledgers.collect()
}

/// Looks at one server until `stop`.
async fn watch_server(
    state: Arc<State>,
    discovery: Arc<Discovery>,
    name: String,
    slots: Arc<ServerSlots>,
    mut eye: impl Eye,
    stop: CancellationToken,
) {
    let feed = Feed::new(&name);
    let mut told_no_limit = false;
    let watching = async {
        let mut replacements = state.replacements();
        let mut all_at_once = true;
        loop {
            if all_at_once {
                tokio::time::sleep(turn(&state, &name)).await;
                replacements.mark_unchanged();
                all_at_once = false;
            }
            let snapshot = state.load_full();
            let Some(id) = snapshot.fleet.server_named(&name) else { return };
            let Some(server) = snapshot.fleet.servers.get(id) else { return };
            let began = Instant::now();
            let (evidence, report) =
                look(&state, &discovery, &snapshot, id, &slots, &mut eye, &feed).await;
            if let Some(report) = report
                && !told_no_limit
            {
                told_no_limit = tell_missing_limits(server, &snapshot, id, &report);
            }
            let poll = &snapshot.fleet.poll;
            if evidence == Evidence::Own {
                // Nothing was learned, so that the look is still due.
                tokio::time::sleep(poll.fast_interval.mul_f64(spread::jitter())).await;
                continue;
            }
            let mounts = snapshot.listed(id);
            tokio::select! {
                () = until_due(poll, &slots, &mounts, || state.now()) => {}
                () = feed.rung(began, poll.fast_interval) => {}
                // A new configuration may have new mounts here: they are looked up at once.
                changed = replacements.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    all_at_once = true;
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = watching => {}
        () = feed.follow(&state, &slots) => {}
    }
}

/// How long the server of that name waits for its turn when all are to be looked at.
fn turn(state: &State, name: &str) -> Duration {
    let snapshot = state.load();
    let place = snapshot.fleet.server_named(name).unwrap_or_default();
    spread::turn(place, snapshot.fleet.servers.len())
}

/// Waits until the next look is due: an interval, or less from the moment that it would tell
/// something that matters. To see that moment costs nothing, so it is looked for all the time.
async fn until_due(
    poll: &Poll,
    slots: &ServerSlots,
    mounts: &[Listed<'_>],
    now: impl Fn() -> Moment,
) {
    let ended = now();
    let jitter = spread::jitter();
    let interval = poll.interval.mul_f64(jitter);
    let step = poll.fast_interval.mul_f64(jitter);
    let at_last = ended + interval;
    let mut due = ended;
    loop {
        due = at_last.min(due + step);
        let now = now();
        tokio::time::sleep(spread::together(due.max(now)).saturating_sub(now)).await;
        if due == at_last || wants_look(slots, mounts) {
            return;
        }
    }
}

/// One look, entered in the ledger. Returns what it says of the relay's health, and what it saw, if
/// it was good.
async fn look(
    state: &State,
    discovery: &Discovery,
    snapshot: &Arc<Snapshot>,
    id: usize,
    slots: &ServerSlots,
    eye: &mut impl Eye,
    feed: &Feed,
) -> (Evidence, Option<Report>) {
    let Some(server) = snapshot.fleet.servers.get(id) else { return (Evidence::Own, None) };
    let poll = &snapshot.fleet.poll;
    let mounts = snapshot.listed(id);
    let began = state.now();
    let look = begin_look(slots, &mounts, began);
    let seen = lag::within(poll.timeout, eye.look(server, &mounts, poll.timeout)).await;
    let seen = fairly(seen, &server.stats.url);
    let now = state.now();

    slots.poll_duration.record(now.saturating_sub(began));
    let (result, evidence) = match &seen {
        Ok(Seen::Report { .. }) => (PollResult::Ok, Evidence::Good),
        Ok(Seen::Full) => (PollResult::HttpStatus, Evidence::Full),
        // A crowd that a full relay refuses, one in 0.4 s, holds up the looks in its midst.
        Err(failure)
            if failure.result == PollResult::Timeout
                && (feed.vouches(now) || slots.refused_lately(now)) =>
        {
            (failure.result, Evidence::Full)
        }
        Err(failure) => (failure.result, failure.evidence),
    };
    slots.polls.of(result).increment();
    if matches!(seen, Ok(Seen::Full)) {
        slots.refuse(now);
    }
    let rules = Rules {
        rise: poll.rise,
        fall: poll.fall,
        slow_start: poll.slow_start,
        hold: hold::judge(state, snapshot, slots, evidence, now),
    };
    let mut is_heard = false;
    match (&seen, evidence) {
        (Ok(Seen::Report { report, .. }), _) => {
            record(slots, &mounts, look, report, snapshot.fleet.balance.settle);
            feed.looked(began);
            discovery.look(snapshot, id, began, report);
            // Whoever was asked once counts as known: then its streams must be.
            if !slots.was_asked() {
                discovery.settled(&server.name).await;
            }
        }
        (_, Evidence::Full) => {
            if let Some(heard) = feed.heard_while_full() {
                record_heard(slots, &mounts, &heard);
                is_heard = true;
            }
        }
        (_, Evidence::Own) => {}
        (_, _) => feed.failed(),
    }
    let (before, after) = slots.judge(evidence, now, rules);
    tell_change(server, before, after, seen.as_ref().err());
    let remark = eye.remark(server);
    let report = match seen {
        Ok(Seen::Report { report, source }) => {
            waiting::usher(state, now);
            slots.note(|notes| {
                notes.source = Some(source);
                notes.trouble = remark;
                notes.last_success_unix = Some(unix_now());
            });
            Some(report)
        }
        Err(failure) if evidence != Evidence::Full => {
            let trouble = [Some(failure.to_string()), remark].into_iter().flatten();
            let trouble = trouble.collect::<Vec<_>>().join("; ");
            slots.note(|notes| notes.trouble = Some(trouble));
            None
        }
        Ok(Seen::Full) | Err(_) => {
            let trouble = if is_heard {
                "full to its last client: the counts are those of its feed"
            } else {
                "full to its last client: it refuses statistics as well"
            };
            slots.note(|notes| notes.trouble = Some(trouble.to_owned()));
            None
        }
    };
    (evidence, report)
}

/// What a look saw. One that failed while we ourselves did not run says nothing of its relay.
fn fairly(look: lag::Timed<Result<Seen, Failure>>, url: &Url) -> Result<Seen, Failure> {
    let no_end = || Err(Failure::late(url));
    let seen = look.done.unwrap_or_else(no_end);
    match seen {
        Err(failure) if look.late > OUR_DELAY => Err(failure.our_own(look.late)),
        seen => seen,
    }
}

fn tell_change(server: &Server, before: Health, after: Health, failure: Option<&Failure>) {
    if before.label() == after.label() {
        return;
    }
    let (name, before, now) = (&server.name, before.label(), after.label());
    if let Some(failure) = failure {
        warn!(server = %name, before, now, "{failure}");
    } else {
        info!(server = %name, before, now, "relay answers");
    }
}

/// Says once where no limit is known, since "unlimited" is seldom what is meant. Returns whether
/// it was said.
fn tell_missing_limits(server: &Server, snapshot: &Snapshot, id: usize, report: &Report) -> bool {
    if server.max_listeners.or(server.max_bandwidth).is_some() {
        return false;
    }
    let ours = |name: &str| snapshot.mount_at(id, name);
    let unknown = report.mounts.iter().find(|mount| {
        matches!(mount.activity, Activity::Active | Activity::Answers)
            && mount.limit == Limit::Unknown
            && ours(&mount.name).is_some_and(|slots| slots.seats.limit().is_none())
    });
    if let Some(mount) = unknown {
        let remedy = if server.stats.counts_listeners() {
            "install slots.xsl on the relay, or set max_listeners"
        } else {
            "set max_listeners or max_bandwidth"
        };
        warn!(
            server = %server.name, mount = %mount.name,
            "no listener limit is known, so listeners are sent without bound: {remedy}"
        );
    }
    unknown.is_some()
}

#[cfg(test)]
mod tests;
