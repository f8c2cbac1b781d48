//! Relays that come and go: how long one must be well before it is used like the others again.
//!
//! A relay that fails and comes back again and again moves the whole fleet's listeners each time,
//! and breaks the streams of those who were sent to it. So each time makes it prove itself for
//! longer. Meanwhile it is used when no other relay has room, and so a station with one relay
//! notices nothing of this.

use std::time::Duration;

use super::Moment;

/// How often a relay has gone down lately.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flaps {
    falls: u32,
    last: Moment,
}

/// A relay that has not gone down for so long begins again.
const FORGOTTEN: Duration = Duration::from_secs(3_600);

impl Flaps {
    /// Takes note that the relay has gone down.
    pub(super) fn fell(&mut self, now: Moment) {
        if now.saturating_sub(self.last) >= FORGOTTEN {
            self.falls = 0;
        }
        self.falls = self.falls.saturating_add(1);
        self.last = now;
    }

    /// How long the relay must answer well before it is sure again. Nothing twice an hour, so that
    /// a restart and its repetition cost nothing; then so much that no hour sees it come back more
    /// than six times.
    pub(super) fn probation(&self, now: Moment) -> Duration {
        if now.saturating_sub(self.last) >= FORGOTTEN {
            return Duration::ZERO;
        }
        Duration::from_secs(match self.falls {
            0..=2 => 0,
            3 => 60,
            4 => 300,
            _ => 1_200,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn two_falls_an_hour_cost_nothing_and_each_further_one_costs_more() {
        let mut flaps = Flaps::default();
        let costs = (0..7).map(|minute| {
            flaps.fell(MINUTE * minute);
            flaps.probation(MINUTE * minute).as_secs() / 60
        });
        assert_eq!(costs.collect::<Vec<_>>(), [0, 0, 1, 5, 20, 20, 20]);
    }

    #[test]
    fn a_quiet_hour_makes_good_for_everything() {
        let mut flaps = Flaps::default();
        for _ in 0..5 {
            flaps.fell(MINUTE);
        }
        assert_eq!(flaps.probation(MINUTE * 60), MINUTE * 20);
        assert_eq!(flaps.probation(MINUTE * 61), Duration::ZERO);
        flaps.fell(MINUTE * 61);
        assert_eq!(flaps.probation(MINUTE * 61), Duration::ZERO);
    }
}
