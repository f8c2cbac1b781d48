//! How many listeners a relay gets of which nothing is known for certain: few, and one by one.
//!
//! Such a relay may be well while its statistics fail, so that to send nobody would be wrong; or it
//! may be dead, or full of listeners whom nobody has counted. At this rate a relay takes a minute
//! to be filled, in which most of what is unknown becomes known.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Moment;
use super::pace::nanos;

/// When all that was sent is worked off at the rate, in nanoseconds since the start.
#[derive(Debug, Default)]
pub struct Trickle(AtomicU64);

/// A relay is filled within this, in nanoseconds.
const MINUTE: u64 = 60_000_000_000;

/// A relay whose limit nobody knows gets as many as one with this limit: ten a second.
const UNKNOWN_ROOM: u64 = 600;

/// So many may come at once.
const AT_ONCE: u64 = 5;

impl Trickle {
    /// Whether one more may be sent now to a relay that has `room`; `None`: unlimited.
    pub fn allows(&self, room: Option<u64>, now: Moment) -> bool {
        next(self.0.load(Relaxed), room, now).is_some()
    }

    /// Sends one, if one may be sent.
    pub fn take(&self, room: Option<u64>, now: Moment) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |until| next(until, room, now)).is_ok()
    }
}

/// The mark after one more; `None` if it would be too many.
fn next(until: u64, room: Option<u64>, now: Moment) -> Option<u64> {
    let step = MINUTE / room.unwrap_or(UNKNOWN_ROOM).clamp(1, MINUTE);
    let now = nanos(now);
    let next = until.max(now).saturating_add(step);
    (next - now <= step.saturating_mul(AT_ONCE)).then_some(next)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// How many of a crowd that never ends are sent within a time.
    fn sent(room: Option<u64>, millis: u64) -> usize {
        let trickle = Trickle::default();
        let moments = (0..millis).map(Duration::from_millis);
        moments.filter(|now| trickle.allows(room, *now) && trickle.take(room, *now)).count()
    }

    #[test]
    fn a_relay_is_filled_within_a_minute() {
        assert_eq!(sent(Some(60), 60_000), 60 + 4);
        assert_eq!(sent(Some(1_000), 60_000), 1_000 + 4);
    }

    #[test]
    fn without_a_limit_ten_come_in_a_second() {
        assert_eq!(sent(None, 1_000), 10 + 4);
    }

    #[test]
    fn nothing_is_saved_up_while_nobody_comes() {
        let trickle = Trickle::default();
        let later = Duration::from_secs(3_600);
        assert_eq!((0..100).filter(|_| trickle.take(Some(60), later)).count(), 5);
        assert!(!trickle.allows(Some(60), later), "what cannot be taken is not promised");
    }

    #[test]
    fn a_relay_without_room_or_with_absurdly_much_breaks_nothing() {
        assert_eq!(sent(Some(0), 1_000), 5);
        assert_eq!(sent(Some(u64::MAX), 1_000), 1_000);
    }
}
