//! What time it is at the engine, as far as anybody can know who asks from afar.
//!
//! What is lent ends at a moment of the engine's clock, since that is the only one that lender and
//! borrower both see. It was somewhere between a beat's question and its answer that the engine
//! looked at it; so a lender takes the earliest, and a borrower counts from the question.

use std::time::Duration;

use crate::slots::Moment;

/// The engine's clock at one beat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pulse {
    time: u64,
    sent: Moment,
    received: Moment,
}

/// The engine's clock was set, and what ends by it does not end when it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Jumped;

/// Clocks may run apart by so much from one beat to the next.
const TOLERANCE: u64 = 200;

/// What is lent ends so much earlier than agreed between the replicas, so that tolerance is harmless.
pub(super) const SLACK: Duration = Duration::from_millis(300);

impl Pulse {
    /// The engine said `time` between two moments here.
    pub(super) fn new(time: u64, sent: Moment, received: Moment) -> Self {
        Self { time, sent, received }
    }

    /// Whether the engine's clock went on from one beat to the next as ours did.
    pub(super) fn follows(self, before: Self) -> Result<(), Jumped> {
        let least = millis(self.sent.saturating_sub(before.received));
        let most = millis(self.received.saturating_sub(before.sent));
        let earliest = before.time.saturating_add(least).saturating_sub(TOLERANCE);
        let latest = before.time.saturating_add(most).saturating_add(TOLERANCE);
        (earliest..=latest).contains(&self.time).then_some(()).ok_or(Jumped)
    }

    /// The engine's time at a moment here after the beat, or somewhat earlier.
    pub(super) fn at(self, now: Moment) -> u64 {
        self.time.saturating_add(millis(now.saturating_sub(self.received)))
    }

    /// The moment here at which it is `time` at the engine, or somewhat earlier; `None` if that is
    /// past, or so far away that nobody can have meant it.
    pub(super) fn moment_of(self, time: u64, furthest: Duration) -> Option<Moment> {
        let left = Duration::from_millis(time.checked_sub(self.time)?);
        (left <= furthest).then(|| self.sent.saturating_add(left))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    #[test]
    fn a_lender_takes_the_earliest_and_a_borrower_counts_from_the_question() {
        let pulse = Pulse::new(1_000_000, at(500), at(600));
        assert_eq!(pulse.at(at(700)), 1_000_100);
        assert_eq!(pulse.moment_of(1_000_300, at(3_000)), Some(at(800)));
        assert_eq!(pulse.moment_of(999_999, at(3_000)), None);
        assert_eq!(pulse.moment_of(1_003_001, at(3_000)), None);
    }

    #[test]
    fn a_clock_that_was_set_is_noticed() {
        let before = Pulse::new(1_000_000, at(500), at(510));
        let next = |time| Pulse::new(time, at(560), at(570)).follows(before);
        assert_eq!(next(1_000_060), Ok(()));
        assert_eq!(next(1_000_260), Ok(()));
        assert_eq!(next(1_000_271), Err(Jumped));
        assert_eq!(next(999_851), Ok(()));
        assert_eq!(next(999_849), Err(Jumped));
        // A slow answer says less.
        let slow = Pulse::new(1_000_400, at(560), at(900));
        assert_eq!(slow.follows(before), Ok(()));
    }
}
