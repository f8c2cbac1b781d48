//! One task per server that looks at it again and again: bounded, isolated, never two at a time.
//!
//! A look costs a relay a seventh of a millisecond, so a relay that is being sent listeners is
//! asked often and an idle one seldom. A relay that hangs holds up its own task and nobody else's.

mod feed;
mod fetch;
mod hold;
mod resolve;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use crate::clock::unix_now;
use crate::counters::PollResult;
use crate::fleet::{Poll, Server, ServerState};
use crate::icecast::{Activity, Limit, Report};
use crate::slots::{
    Account, Evidence, Health, Listed, Rules, ServerSlots, begin_look, record, record_heard,
};
use crate::state::{Snapshot, State};
use crate::waiting;

use feed::Feed;
use fetch::{Failure, Fetcher, Seen};

/// Polls every server of whatever snapshot is in force, until `stop`.
pub async fn run(state: Arc<State>, stop: CancellationToken) {
    let mut replacements = state.replacements();
    let mut tasks: Vec<Task> = Vec::new();
    let mut running = JoinSet::new();
    loop {
        let wanted = polled(&state.load());
        // A relay whose address changes gets a new ledger, and so a new task.
        tasks.retain(|task| wanted.iter().any(|(_, slots)| Arc::ptr_eq(slots, &task.slots)));
        for (name, slots) in wanted {
            if tasks.iter().any(|task| Arc::ptr_eq(&slots, &task.slots)) {
                continue;
            }
            let stop = stop.child_token();
            let watching = watch_server(Arc::clone(&state), name, Arc::clone(&slots), stop.clone());
            running.spawn(watching);
            tasks.push(Task { slots, _stop: stop.drop_guard() });
        }
        tokio::select! {
            () = stop.cancelled() => break,
            changed = replacements.changed() => if changed.is_err() { break },
            // What it says of a panic may quote a password; that it happened is in the log.
            Some(Err(_error)) = running.join_next() => {
                warn!("a poll task broke; all begin again");
                tasks.clear();
            }
        }
    }
    running.shutdown().await;
}

/// A server that is being polled, for as long as this exists.
struct Task {
    slots: Arc<ServerSlots>,
    _stop: DropGuard,
}

/// The servers that are to be polled.
fn polled(snapshot: &Snapshot) -> Vec<(String, Arc<ServerSlots>)> {
    let servers = snapshot.fleet.servers.iter().enumerate();
    servers
        .filter(|(_, server)| server.state != ServerState::Disabled)
        .filter_map(|(id, server)| Some((server.name.clone(), Arc::clone(snapshot.server(id)?))))
        .collect()
}

/// Looks at one server until `stop`.
async fn watch_server(
    state: Arc<State>,
    name: String,
    slots: Arc<ServerSlots>,
    stop: CancellationToken,
) {
    let mut fetcher = Fetcher::default();
    let feed = Feed::new(&name);
    let mut told_no_limit = false;
    let watching = async {
        let mut replacements = state.replacements();
        loop {
            let snapshot = state.load_full();
            let Some(id) = snapshot.fleet.server_named(&name) else { return };
            let Some(server) = snapshot.fleet.servers.get(id) else { return };
            let began = Instant::now();
            let report = look(&state, &snapshot, id, server, &slots, &mut fetcher, &feed).await;
            if let Some(report) = report
                && !told_no_limit
            {
                told_no_limit = tell_missing_limits(server, &snapshot, id, &report);
            }
            let mounts = snapshot.listed(id);
            tokio::select! {
                () = until_due(&snapshot.fleet.poll, &slots, &mounts) => {}
                () = feed.rung(began, snapshot.fleet.poll.fast_interval) => {}
                // A new configuration may have new mounts here: they are looked up at once.
                changed = replacements.changed() => if changed.is_err() { return },
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = watching => {}
        () = feed.follow(&state, &slots) => {}
    }
}

/// Waits until the next look is due: an interval, or less from the moment that it would tell
/// something that matters. To see that moment costs nothing, so it is looked for all the time.
async fn until_due(poll: &Poll, slots: &ServerSlots, mounts: &[Listed<'_>]) {
    let ended = Instant::now();
    // Spread by a tenth, so that the looks at many relays do not fall together.
    let spread = 0.9 + 0.2 * fastrand::f64();
    let interval = poll.interval.mul_f64(spread);
    loop {
        tokio::time::sleep(poll.fast_interval.mul_f64(spread)).await;
        if ended.elapsed() >= interval || matters(slots, mounts) {
            return;
        }
    }
}

/// One look, entered in the ledger. Returns what it saw, if it was good.
async fn look(
    state: &State,
    snapshot: &Snapshot,
    id: usize,
    server: &Server,
    slots: &ServerSlots,
    fetcher: &mut Fetcher,
    feed: &Feed,
) -> Option<Report> {
    let poll = &snapshot.fleet.poll;
    let mounts = snapshot.listed(id);
    let began = state.now();
    let look = begin_look(slots, &mounts, began);
    let seen = fetcher.fetch(server, poll.timeout).await;
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
    match seen {
        Ok(Seen::Report { report, source }) => {
            waiting::usher(state, now);
            slots.note(|notes| {
                notes.source = Some(source);
                notes.trouble = None;
                notes.last_success_unix = Some(unix_now());
            });
            Some(report)
        }
        Err(failure) if evidence != Evidence::Full => {
            slots.note(|notes| notes.trouble = Some(failure.to_string()));
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
    }
}

/// Whether a look now would tell something that matters: whether those who were sent have arrived,
/// whether somebody left a relay that is nearly full, whether one in doubt is well.
fn matters(slots: &ServerSlots, mounts: &[Listed<'_>]) -> bool {
    let mut accounts = mounts.iter().map(|mount| &mount.slots.seats).chain([&slots.seats]);
    let in_doubt = match slots.health() {
        Health::Unknown | Health::Doubtful { .. } => true,
        Health::Down { good, .. } => good > 0,
        Health::Up | Health::Recovering { .. } => false,
    };
    in_doubt || accounts.any(|account| account.reserved() > 0 || nearly_full(account))
}

/// Under a tenth is free: a leaver's slot will be wanted.
fn nearly_full(account: &Account) -> bool {
    match (account.free(), account.room()) {
        (Some(free), Some(room)) => free < room.div_ceil(10),
        // Without a limit that is known, and shut: its relay refuses even looks.
        (Some(free), None) => free == 0,
        (None, _) => false,
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
    if server.max_listeners.is_some() {
        return false;
    }
    let ours = snapshot.listed(id);
    let unknown = report.mounts.iter().find(|mount| {
        mount.activity == Activity::Active
            && mount.limit == Limit::Unknown
            && ours
                .iter()
                .any(|listed| listed.path == mount.name && listed.slots.seats.limit().is_none())
    });
    if let Some(mount) = unknown {
        warn!(
            server = %server.name, mount = %mount.name,
            "no listener limit is known, so listeners are sent without bound: install slots.xsl \
             on the relay, or set max_listeners"
        );
    }
    unknown.is_some()
}

#[cfg(test)]
mod tests;
