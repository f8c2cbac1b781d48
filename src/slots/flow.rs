//! What shows only over time: a stream that stands still, listeners who never arrive.
//!
//! Neither is proof of anything, so neither takes a relay out of service: such a mount comes after
//! its siblings, such a relay gets half as many.

use std::collections::VecDeque;
use std::time::Duration;

use super::Moment;

/// Watches the bytes that a mount's source has sent.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// The count, and the look that saw it for the first time.
    last: Option<(u64, Moment)>,
}

/// Watches whether those arrive who are sent.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Listeners sent and seen to arrive up to past moments, oldest first.
    history: VecDeque<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Moment,
    sent: u64,
    arrived: u64,
}

/// Icecast counts bytes up about every five seconds; thrice that is no coincidence.
const STILL: Duration = Duration::from_secs(15);

/// How far back arrivals are compared with redirects.
const WINDOW: Duration = Duration::from_secs(600);

/// How far apart samples lie.
const STEP: Duration = Duration::from_secs(10);

/// Who was sent this long ago has arrived by now, or never will.
const ON_THEIR_WAY: Duration = Duration::from_secs(20);

/// Fewer say nothing.
const ENOUGH: u64 = 20;

impl Flow {
    /// Learns what a look saw; returns whether the stream stands still. Where nothing is told,
    /// nothing is held against it.
    pub(super) fn stands_still(&mut self, bytes: Option<u64>, now: Moment) -> bool {
        match (bytes, self.last) {
            (Some(bytes), Some((last, since))) if bytes == last => {
                now.saturating_sub(since) >= STILL
            }
            (bytes, _) => {
                self.last = bytes.map(|bytes| (bytes, now));
                false
            }
        }
    }
}

impl Arrivals {
    /// Learns the counts so far; returns whether fewer than a fifth of those arrived who were sent.
    /// Others arrive as well, without being sent, so this errs in the relay's favour.
    pub(super) fn are_missing(&mut self, sent: u64, arrived: u64, now: Moment) -> bool {
        while self.history.front().is_some_and(|old| now.saturating_sub(old.at) > WINDOW) {
            self.history.pop_front();
        }
        if self.history.back().is_none_or(|last| now.saturating_sub(last.at) >= STEP) {
            self.history.push_back(Sample { at: now, sent, arrived });
        }
        let settled = |sample: &&Sample| now.saturating_sub(sample.at) >= ON_THEIR_WAY;
        let (Some(first), Some(last)) =
            (self.history.front(), self.history.iter().rev().find(settled))
        else {
            return false;
        };
        let sent = last.sent.saturating_sub(first.sent);
        let arrived = arrived.saturating_sub(first.arrived);
        sent >= ENOUGH && arrived.saturating_mul(5) < sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: u64) -> Moment {
        Duration::from_secs(second)
    }

    #[test]
    fn a_stream_whose_bytes_do_not_rise_stands_still_after_a_while() {
        let mut flow = Flow::default();
        let seen = [0, 5, 10, 14, 15, 20].map(|at| flow.stands_still(Some(100), second(at)));
        assert_eq!(seen, [false, false, false, false, true, true]);
        assert!(!flow.stands_still(Some(101), second(21)));
    }

    #[test]
    fn a_stream_that_tells_nothing_is_not_held_to_stand_still() {
        let mut flow = Flow::default();
        assert!((0..100).all(|at| !flow.stands_still(None, second(at))));
    }

    /// Sends one a second, of whom these arrive.
    fn story(gets_there: impl Fn(u64) -> bool, seconds: u64) -> bool {
        let (mut arrivals, mut arrived, mut missing) = (Arrivals::default(), 0, false);
        for at in 0..seconds {
            arrived += u64::from(gets_there(at));
            missing = arrivals.are_missing(at, arrived, second(at));
        }
        missing
    }

    #[test]
    fn a_relay_at_which_nobody_arrives_is_noticed() {
        assert!(story(|_| false, 60));
        assert!(story(|at| at % 10 == 0, 600));
    }

    #[test]
    fn a_relay_at_which_a_quarter_arrives_is_not() {
        assert!(!story(|at| at % 4 == 0, 600));
    }

    #[test]
    fn those_who_are_on_their_way_are_not_missing() {
        assert!(!story(|_| false, 20));
        let mut crowd = Arrivals::default();
        assert!((0..20).all(|at| !crowd.are_missing(at * 100, 0, second(at))));
        assert!(crowd.are_missing(3_000, 0, second(30)));
    }

    #[test]
    fn a_relay_that_is_looked_at_seldom_is_noticed_too() {
        let mut arrivals = Arrivals::default();
        let missing: Vec<_> =
            (0..4).map(|turn| arrivals.are_missing(turn * 50, 0, second(turn * 15))).collect();
        assert_eq!(missing, [false, false, false, true]);
    }

    #[test]
    fn a_fifth_is_enough() {
        let missing = |arrived| {
            let mut arrivals = Arrivals::default();
            arrivals.are_missing(0, 0, second(0));
            arrivals.are_missing(100, 0, second(10));
            arrivals.are_missing(100, arrived, second(30))
        };
        assert!(missing(19));
        assert!(!missing(20));
    }

    #[test]
    fn a_few_say_nothing() {
        let mut arrivals = Arrivals::default();
        assert!((0..600).all(|at| !arrivals.are_missing((at / 40).min(19), 0, second(at))));
    }

    #[test]
    fn what_was_long_ago_is_forgiven() {
        let mut arrivals = Arrivals::default();
        for at in 0..60 {
            arrivals.are_missing(at, 0, second(at));
        }
        assert!(!arrivals.are_missing(60, 0, second(700)));
    }

    #[test]
    fn what_was_ten_minutes_ago_still_counts() {
        let missing_at = |at| {
            let mut arrivals = Arrivals::default();
            arrivals.are_missing(0, 0, second(0));
            arrivals.are_missing(30, 0, second(10));
            arrivals.are_missing(30, 0, second(at))
        };
        assert!(missing_at(600));
        assert!(!missing_at(601));
    }
}
