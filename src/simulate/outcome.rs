//! What came of a play, for people and for programs.

use std::fmt;

use serde::Serialize;

use crate::fleet::{Fleet, ServerId, StreamId};
use crate::player::Refusal;
use crate::slots::Moment;

use super::AFTERWARDS;
use super::plan::{Event, Plan, Start};
use super::series::Series;

/// What came of a play.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The relays, in the configuration's order.
    pub servers: Vec<RelayOutcome>,
    /// The streams, in the configuration's order.
    pub streams: Vec<StreamOutcome>,
    /// When the first listener was refused.
    pub first_refusal: Option<String>,
    /// Those who still waited for a slot when the play ended.
    pub waiting_at_the_end: u64,
    /// Those who were not served, over time; for the picture.
    #[serde(skip)]
    pub(super) unserved_over_time: Series,
    /// What happened to relays; for the picture.
    #[serde(skip)]
    pub(super) events: Vec<Event>,
    #[serde(skip)]
    pub(super) start: Start,
    #[serde(skip)]
    pub(super) length: Moment,
}

/// What came to a relay.
#[derive(Debug, Clone, Serialize)]
pub struct RelayOutcome {
    /// Its name.
    pub name: String,
    /// The most listeners it may have by the configuration; absent: unlimited.
    pub limit: Option<u64>,
    /// The most that it had.
    pub peak: u64,
    /// When it first had them.
    pub peak_at: String,
    /// The most that it had, over time.
    pub load: Series,
    /// Listeners that it refused: its limit was reached when they came.
    pub refused: u64,
    /// Listeners who found it dead.
    pub found_dead: u64,
    /// Listeners whom it threw out when it died.
    pub thrown_out: u64,
}

/// What came of those who asked for a stream. Those who come back count again.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StreamOutcome {
    /// Its path.
    pub path: String,
    /// Who asked.
    pub arrived: u64,
    /// Who listened.
    pub played: u64,
    /// Who was sent to a fallback outside.
    pub elsewhere: u64,
    /// Who was told that it is full.
    pub full: u64,
    /// Who was told that it is offline.
    pub offline: u64,
    /// Who was told that no relay answers.
    pub unreachable: u64,
    /// Who was sent to a relay that refused, or was dead.
    pub lost: u64,
}

impl Outcome {
    pub(super) fn of(fleet: &Fleet, plan: &Plan) -> Self {
        let start = plan.start.show(Moment::ZERO);
        let server = |server: &crate::fleet::Server| RelayOutcome {
            name: server.name.clone(),
            limit: server.max_listeners,
            peak: 0,
            peak_at: start.clone(),
            load: Series::default(),
            refused: 0,
            found_dead: 0,
            thrown_out: 0,
        };
        let stream = |stream: &crate::fleet::Stream| StreamOutcome {
            path: stream.path.clone(),
            ..StreamOutcome::default()
        };
        let mut outcome = Self {
            servers: fleet.servers.iter().map(server).collect(),
            streams: fleet.streams.iter().map(|it| stream(it)).collect(),
            first_refusal: None,
            waiting_at_the_end: 0,
            unserved_over_time: Series::default(),
            events: plan.events.clone(),
            start: plan.start,
            length: plan.end() + AFTERWARDS,
        };
        // Where the relay as a whole has no limit, its mounts may have one each.
        for (id, server) in outcome.servers.iter_mut().enumerate() {
            let mounts = fleet.streams.iter().flat_map(|stream| &stream.mounts);
            let limits = mounts.filter(|mount| mount.server == id).map(|mount| mount.max_listeners);
            let by_mounts = limits.sum::<Option<u64>>();
            server.limit = server.limit.into_iter().chain(by_mounts).min();
        }
        outcome
    }

    /// Listeners who were refused or lost, or waited in vain.
    pub fn unserved(&self) -> u64 {
        let streams = self.streams.iter();
        let refused = streams.map(|it| it.full + it.offline + it.unreachable + it.lost);
        refused.sum::<u64>() + self.waiting_at_the_end
    }

    pub(super) fn arrived(&mut self, stream: StreamId) {
        self.count(stream, |stream| &mut stream.arrived);
    }

    pub(super) fn plays(&mut self, stream: StreamId) {
        self.count(stream, |stream| &mut stream.played);
    }

    pub(super) fn sent_elsewhere(&mut self, stream: StreamId) {
        self.count(stream, |stream| &mut stream.elsewhere);
    }

    pub(super) fn refused(&mut self, stream: StreamId, refusal: Refusal, now: Moment) {
        let start = self.start;
        self.first_refusal.get_or_insert_with(|| start.show(now));
        self.unserved_over_time.count(self.share(now));
        self.count(stream, |stream| match refusal {
            Refusal::Full => &mut stream.full,
            Refusal::Offline => &mut stream.offline,
            Refusal::Unreachable | Refusal::Insecure | Refusal::ForOthers | Refusal::OnlyBy(_) => {
                &mut stream.unreachable
            }
        });
    }

    pub(super) fn refused_by_relay(&mut self, stream: StreamId, server: ServerId, now: Moment) {
        self.unserved_over_time.count(self.share(now));
        self.count(stream, |stream| &mut stream.lost);
        if let Some(server) = self.servers.get_mut(server) {
            server.refused += 1;
        }
    }

    pub(super) fn lost(&mut self, stream: StreamId, server: ServerId, now: Moment) {
        self.unserved_over_time.count(self.share(now));
        self.count(stream, |stream| &mut stream.lost);
        if let Some(server) = self.servers.get_mut(server) {
            server.found_dead += 1;
        }
    }

    pub(super) fn thrown_out(&mut self, server: ServerId, listeners: u64) {
        if let Some(server) = self.servers.get_mut(server) {
            server.thrown_out += listeners;
        }
    }

    pub(super) fn load(&mut self, server: ServerId, listeners: u64, now: Moment) {
        let (start, share) = (self.start, self.share(now));
        let Some(server) = self.servers.get_mut(server) else { return };
        server.load.reach(share, listeners);
        if listeners > server.peak {
            server.peak = listeners;
            server.peak_at = start.show(now);
        }
    }

    /// How much of the time is over.
    pub(super) fn share(&self, now: Moment) -> f64 {
        now.as_secs_f64() / self.length.as_secs_f64().max(1e-9)
    }

    fn count(&mut self, stream: StreamId, of: impl FnOnce(&mut StreamOutcome) -> &mut u64) {
        if let Some(stream) = self.streams.get_mut(stream) {
            *of(stream) += 1;
        }
    }
}

/// Tables for a terminal.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.start.show(self.length);
        writeln!(f, "from {} to {end}\n", self.start.show(Moment::ZERO))?;
        let name = |names: &mut dyn Iterator<Item = usize>| names.max().unwrap_or(0).max(8);
        let wide = name(&mut self.servers.iter().map(|server| server.name.chars().count()));
        writeln!(f, "{:wide$}  {:>8}  {:>8}  {:>5}  at", "relay", "peak", "of", "")?;
        let most = self.servers.iter().map(|server| server.peak).max().unwrap_or(0);
        for server in &self.servers {
            let limit = server.limit.map_or_else(|| "-".to_owned(), |limit| limit.to_string());
            let share = match server.limit {
                Some(limit) if limit > 0 => format!("{} %", server.peak * 100 / limit),
                _ => String::new(),
            };
            write!(
                f,
                "{:wide$}  {:>8}  {:>8}  {:>5}  {:<8}  |{}|",
                server.name,
                server.peak,
                limit,
                share,
                server.peak_at,
                server.load.blocks(server.limit.unwrap_or(most)),
            )?;
            for (count, what) in [
                (server.refused, "refused by it"),
                (server.found_dead, "found it dead"),
                (server.thrown_out, "thrown out when it died"),
            ] {
                if count > 0 {
                    write!(f, "  {count} {what}")?;
                }
            }
            writeln!(f)?;
        }
        let wide = name(&mut self.streams.iter().map(|stream| stream.path.chars().count()));
        writeln!(
            f,
            "\n{:wide$}  {:>8}  {:>8}  {:>8}  {:>8}  {:>11}  {:>8}  {:>9}",
            "stream", "asked", "played", "full", "offline", "unreachable", "lost", "elsewhere"
        )?;
        for it in &self.streams {
            writeln!(
                f,
                "{:wide$}  {:>8}  {:>8}  {:>8}  {:>8}  {:>11}  {:>8}  {:>9}",
                it.path,
                it.arrived,
                it.played,
                it.full,
                it.offline,
                it.unreachable,
                it.lost,
                it.elsewhere
            )?;
        }
        if self.waiting_at_the_end > 0 {
            writeln!(f, "\n{} still waited for a slot at the end", self.waiting_at_the_end)?;
        }
        match (&self.first_refusal, self.unserved()) {
            (_, 0) => writeln!(f, "\nnobody was refused"),
            (Some(at), count) => {
                writeln!(f, "\n{count} listeners were not served, the first at {at}")
            }
            (None, count) => writeln!(f, "\n{count} listeners were not served"),
        }
    }
}
