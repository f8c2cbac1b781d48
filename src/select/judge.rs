//! One mount and one listener: whether it could take the listener now, how it stands, and if it
//! could not, why.

use crate::fleet::{Panic, ServerState, WhenFull};
use crate::player::Client;
use crate::slots::{Account, Health, Moment, Presence};
use crate::state::{MountView, Snapshot};

use super::preference::{Preference, preference};
use super::{Candidate, Doubt, Proof, Rank, Reason, Trust, Verdict, affinity};

/// Says whether one mount could take a listener now, whatever becomes of the others; `when_full` is
/// that of the stream that was asked for.
pub(super) fn judge(
    snapshot: &Snapshot,
    at: usize,
    mount: &MountView<'_>,
    client: Client,
    when_full: WhenFull,
    now: Moment,
) -> Verdict {
    let poll = &snapshot.fleet.poll;
    // First, so that nobody is told to wait for what is not for them.
    let preference = match preference(mount.server, client) {
        Ok(preference) => preference,
        Err(reason) => return Verdict::Passed(reason),
    };
    match mount.server.state {
        ServerState::Active => {}
        ServerState::Draining => return Verdict::Passed(Reason::Draining),
        ServerState::Disabled => return Verdict::Passed(Reason::Disabled),
    }
    if mount.slots.presence() == Presence::Absent {
        return Verdict::Passed(Reason::Absent);
    }
    let health = mount.server_slots.health();
    let (trust, doubt) = match trust(snapshot, mount, health, now) {
        Ok(known) => known,
        Err(reason) => return Verdict::Passed(reason),
    };

    if is_beyond_knowing(snapshot, mount, now) {
        return Verdict::Passed(Reason::Unshared);
    }

    let allowance = health.allowance(now, poll.slow_start);
    let mut standing = Standing { allowance, ..Standing::default() };
    standing.weigh(&mount.slots.seats, 1);
    standing.weigh(&mount.server_slots.seats, 1);
    standing.weigh(&mount.server_slots.bandwidth, mount.config.bitrate);
    let beyond_limit = standing.free.is_some_and(|free| free < client.connections);
    if beyond_limit && !(when_full == WhenFull::Overflow && bears_more(mount, trust)) {
        return Verdict::Passed(Reason::Full);
    }
    // One by one, as long as nobody knows who is there already.
    let server = mount.server_slots;
    if server.is_guess() && !server.trickle.allows(mount.room(), now) {
        return Verdict::Passed(Reason::Guessed);
    }
    let (trust, doubt) = match trust {
        Trust::Sure if mount.slots.stands_still() => (Trust::Doubtful, Some(Doubt::StandsStill)),
        Trust::Sure if standing.had_its_fill => (Trust::Doubtful, Some(Doubt::HadItsFill)),
        _ => (trust, doubt),
    };
    let in_doubt = trust != Trust::Sure || mount.server_slots.misses_arrivals();
    let certainty = if in_doubt { 0.5 } else { 1.0 };
    Verdict::Candidate(Candidate {
        at,
        rank: Rank {
            beyond_limit,
            leaves_tls: client.https && !mount.server.speaks_tls(),
            trust,
            // When all are full, the higher tiers are in use as well, and servers that are for others.
            tier: if beyond_limit { 0 } else { mount.config.tier },
            preference: if beyond_limit { Preference::Neutral } else { preference },
            proof: proof(mount),
            came_from: client.came_from == Some(mount.config.server)
                && (in_doubt || !affinity::is_wanted(snapshot)),
        },
        weight: f64::from(mount.config.weight) * allowance * certainty,
        load: mount.slots.seats.load(),
        free: standing.free,
        share: standing.share,
        had_its_share: false,
        doubt,
    })
}

/// Whether other replicas may have given away by now what a share was drawn from. They count on our
/// going by no look that is older than `stale_after`, and on our keeping nothing they lent us for longer
/// than agreed (which we only do if this program could not run for a while). Where nothing is limited, nothing is shared; but
/// before the first look has ended, nobody knows that.
fn is_beyond_knowing(snapshot: &Snapshot, mount: &MountView<'_>, now: Moment) -> bool {
    let server = mount.server_slots;
    let is_stale = || {
        server.is_stale(now, snapshot.fleet.poll.stale_after)
            && (mount.room().is_some() || !server.was_asked())
    };
    snapshot.fleet.replicas > 1 && (mount.is_overdue(now) || is_stale())
}

/// Whether a full mount can be given listeners beyond its limit: not where the last look failed,
/// which may be for want of strength, nor where the relay itself refuses everybody.
fn bears_more(mount: &MountView<'_>, trust: Trust) -> bool {
    trust == Trust::Sure && !mount.server_slots.seats.is_shut()
}

fn proof(mount: &MountView<'_>) -> Proof {
    match (mount.slots.presence(), mount.slots.seats.load()) {
        (Presence::Idle, 0) => Proof::Asleep,
        (Presence::Idle, _) => Proof::Waking,
        _ => Proof::Flows,
    }
}

/// How much is known, and what is in doubt.
fn trust(
    snapshot: &Snapshot,
    mount: &MountView<'_>,
    health: Health,
    now: Moment,
) -> Result<(Trust, Option<Doubt>), Reason> {
    let stale = mount.server_slots.is_stale(now, snapshot.fleet.poll.stale_after);
    let unseen = mount.server_slots.last_good().is_none();
    let guess = |doubt| match snapshot.fleet.balance.panic {
        Panic::Open => Ok((Trust::Guess, Some(doubt))),
        Panic::Closed => Err(Reason::Down),
    };
    let doubtful = |doubt| Ok((Trust::Doubtful, Some(doubt)));
    match health {
        Health::Doubtful { hard: true, .. } | Health::Down { hard: true, .. } => {
            Err(Reason::Refusing)
        }
        Health::Down { hard: false, .. } => guess(Doubt::Down),
        Health::Unknown => guess(Doubt::Unseen),
        // A mount that a reload has just added to a relay that is well: the next look tells.
        _ if unseen || mount.slots.presence() == Presence::Unknown => guess(Doubt::Unseen),
        Health::Doubtful { hard: false, .. } => doubtful(Doubt::Failed),
        Health::Probation { .. } => doubtful(Doubt::Probation),
        Health::Up | Health::Recovering { .. } if stale => doubtful(Doubt::Stale),
        Health::Up | Health::Recovering { .. } => Ok((Trust::Sure, None)),
    }
}

/// A mount's standing over all the accounts that a listener occupies.
#[derive(Default)]
struct Standing {
    allowance: f64,
    free: Option<u64>,
    share: Option<f64>,
    had_its_fill: bool,
}

impl Standing {
    /// Adds one account, of which a listener takes `units`.
    fn weigh(&mut self, account: &Account, units: u64) {
        let Some(free) = account.free().and_then(|free| free.checked_div(units)) else { return };
        self.free = Some(self.free.map_or(free, |least| least.min(free)));
        // One without a limit has nothing free either while its relay refuses everybody.
        let Some(room) = account.room() else { return };
        let room = (room as f64 * self.allowance).max(1.0);
        let share = account.load() as f64 / room;
        self.share = Some(self.share.map_or(share, |most| most.max(share)));
        self.had_its_fill |= self.allowance < 1.0 && share >= 1.0;
    }
}
