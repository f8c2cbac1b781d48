//! The evening that every policy is put through: a talk begins, a relay dies, another one is
//! drained, a second talk begins, the dead relay comes back, latecomers.

use std::time::Duration;

use tokio::runtime::Runtime;

use crate::crowd::Crowd;
use crate::door::Policy;
use crate::station::Station;
use crate::story::{Closure, Story};
use crate::support::lab::Lab;

/// When everything happens, in milliseconds since the doors opened.
const FIRST_TALK: (u64, u64) = (0, 4_000);
const KILL: u64 = 5_000;
const DRAIN: u64 = 6_000;
const SECOND_TALK: (u64, u64) = (7_500, 10_500);
const BACK: u64 = 11_000;
const LATECOMERS: (u64, u64) = (15_000, 17_000);
const END: u64 = 18_000;

/// The relays, by place, that are killed and drained.
pub(crate) const KILLED: usize = 2;
pub(crate) const DRAINED: usize = 5;

/// How many come when.
pub(crate) struct Scenario {
    /// Listeners as a share of the slots that there are for them.
    pub(crate) demand: f64,
    first: u64,
    second: u64,
    late: u64,
}

impl Scenario {
    /// The first talk fills half of all slots. `demand` is what holds after the second one, for the
    /// relays that are left, and for half of the slots on the relay that comes back: it was dead
    /// a moment ago, and need not be trusted with everybody at once.
    pub(crate) fn new(station: &Station, demand: f64) -> Self {
        let first = station.slots() / 2;
        let on_each = first / station.relays() as u64;
        let left = (station.relays() as u64 - 2) * station.slots_each + on_each;
        Self {
            demand,
            first,
            second: share(left, demand).saturating_sub(first),
            late: share(station.slots_each / 2, demand),
        }
    }

    /// How many people there are; those whose relay dies come twice.
    pub(crate) fn people(&self) -> u64 {
        self.first + self.second + self.late
    }

    /// Puts `policy` through it, and tells what happened.
    pub(crate) fn play(
        &self,
        lab: &Lab,
        runtime: &Runtime,
        station: &mut Station,
        policy: &Policy,
    ) -> Story {
        station.wait_until_empty();
        let door = policy.open(lab, runtime, station);
        let mut crowd = Crowd::new(door.entrance(), station.addresses());
        crowd.expect(runtime, rise(self.first, FIRST_TALK));
        crowd.expect(runtime, rise(self.second, SECOND_TALK));
        crowd.expect(runtime, rise(self.late, LATECOMERS));

        crowd.wait_until(millis(KILL));
        station.relay(KILLED).kill();
        crowd.wait_until(millis(DRAIN));
        door.drain(DRAINED);
        crowd.wait_until(millis(BACK));
        station.relay(KILLED).come_back();
        crowd.wait_until(millis(END));

        let closures = vec![
            Closure { relay: KILLED, from: millis(KILL), until: millis(BACK) },
            Closure { relay: DRAINED, from: millis(DRAIN), until: millis(END) },
        ];
        Story {
            relays: station.relays(),
            slots_each: station.slots_each,
            risen: millis(KILL),
            end: millis(END),
            closures,
            events: crowd.disperse(runtime),
        }
    }
}

/// The moments at which `people` come between two moments, in milliseconds: few at first, most in
/// the middle, then fewer again. Two thirds come in the middle half.
pub(crate) fn rise(people: u64, (from, until): (u64, u64)) -> impl Iterator<Item = Duration> {
    let span = millis(until - from);
    (0..people).map(move |person| {
        let share = (person as f64 + 0.5) / people as f64;
        // The inverse of the smooth step 3x² − 2x³.
        let at = 0.5 - ((1.0 - 2.0 * share).asin() / 3.0).sin();
        millis(from) + span.mul_f64(at)
    })
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few hundred people, never less than none"
)]
fn share(of: u64, demand: f64) -> u64 {
    (of as f64 * demand) as u64
}
