//! Whether so many relays fail at once that the fault must be our own network's.
//!
//! Relays at different places do not fail in the same second; a cable here does that. While most
//! of them fail in a way that may have its cause here, none is taken down for it: players are sent
//! on by what was known before.

use tracing::warn;

use crate::fleet::ServerState;
use crate::slots::{Evidence, Health, Moment, ServerSlots};
use crate::state::{Snapshot, State};

/// Fewer relays may well fail together by chance.
const FEWEST: usize = 3;

/// Judges anew, now that a look at the relay of `slots` ended with `evidence`; returns whether
/// relays are held.
pub(super) fn judge(
    state: &State,
    snapshot: &Snapshot,
    slots: &ServerSlots,
    evidence: Evidence,
    now: Moment,
) -> bool {
    // Counting takes time for each relay, and this is asked at each look at any. One that is well makes
    // no others fail.
    if evidence != Evidence::Soft && !state.network_hold() {
        return false;
    }
    let mut polled = 0;
    let mut failing = 0;
    for (server, known) in snapshot.servers() {
        if server.state == ServerState::Disabled {
            continue;
        }
        polled += 1;
        let this_one = std::ptr::eq(known, slots);
        let fails = if this_one { evidence == Evidence::Soft } else { fails_softly(known) };
        failing += usize::from(fails && was_well_lately(known, now));
    }
    let hold = polled >= FEWEST && failing * 2 > polled;
    if state.hold_network(hold) {
        if hold {
            warn!(
                failing,
                polled,
                "most relays fail at once: our own network is taken to be at fault, and no relay for down"
            );
        } else {
            warn!(failing, polled, "relays are judged one by one again");
        }
    }
    hold
}

fn fails_softly(slots: &ServerSlots) -> bool {
    matches!(slots.health(), Health::Doubtful { hard: false, .. })
}

/// After five minutes what was known before is worth no more than a guess.
fn was_well_lately(slots: &ServerSlots, now: Moment) -> bool {
    let five_minutes = Moment::from_secs(300);
    slots.last_good().is_some_and(|at| now.saturating_sub(at) < five_minutes)
}
