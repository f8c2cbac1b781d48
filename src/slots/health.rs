//! Whether a relay is well: a small state machine over how looks at it ended.
//!
//! A listener is worth more than a statistics page: a relay whose statistics fail for a moment
//! (`Doubtful`) may still serve, while one that refuses connections would refuse listeners too
//! (`hard`) and gets none from the first refusal on.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::flaps::Flaps;
use super::{Moment, lock};

/// How a relay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// No look has ended yet.
    Unknown,
    /// The last look was good.
    Up,
    /// `bad` looks in a row failed, fewer than make it down.
    Doubtful {
        /// Failed looks in a row.
        bad: u32,
        /// The last one failed in a way that fails listeners too.
        hard: bool,
    },
    /// Too many looks in a row failed.
    Down {
        /// Good looks in a row since.
        good: u32,
        /// It failed in a way that fails listeners too.
        hard: bool,
    },
    /// Was down, answers well again, but has come and gone too often: used when no sure relay has
    /// room.
    Probation {
        /// When it came back.
        since: Moment,
    },
    /// Was down, is well again, and is being filled gradually.
    Recovering {
        /// When it came back.
        since: Moment,
    },
}

/// What one look says of a relay's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// It answered well.
    Good,
    /// It is so full that it refuses even statistics: well, without a slot.
    Full,
    /// A listener would fail too: connection refused, bad certificate.
    Hard,
    /// Its statistics failed, its streams may be fine: time-out, odd answer.
    Soft,
    /// The fault is our own (no file descriptors, no route): says nothing of the relay.
    Own,
}

/// The numbers of the configuration that health depends on.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Good looks until a relay that was down is up.
    pub rise: u32,
    /// Bad looks in a row until it is down.
    pub fall: u32,
    /// How long a recovered relay is filled gradually.
    pub slow_start: Duration,
    /// Our own network is taken to be at fault: what may come from there takes no relay down.
    pub hold: bool,
}

/// A [`Health`] that requests read while its server's look replaces it.
#[derive(Debug, Default)]
pub(super) struct Cell {
    packed: AtomicU64,
    flaps: Mutex<Flaps>,
}

impl Health {
    /// The health after one more look. A relay that comes back is on probation for so long.
    #[must_use]
    pub fn after(self, evidence: Evidence, now: Moment, rules: Rules, probation: Duration) -> Self {
        let back =
            if rules.slow_start.is_zero() { Self::Up } else { Self::Recovering { since: now } };
        let hard = evidence == Evidence::Hard;
        match (evidence, self) {
            (Evidence::Own, health) => health,
            (Evidence::Soft, Self::Doubtful { .. }) if rules.hold => self,
            (Evidence::Soft, Self::Recovering { .. } | Self::Probation { .. }) if rules.hold => {
                Self::Doubtful { bad: 1, hard }
            }
            (Evidence::Good | Evidence::Full, Self::Down { good, hard }) => {
                match good.saturating_add(1) {
                    good if good < rules.rise => Self::Down { good, hard },
                    _ if !probation.is_zero() => Self::Probation { since: now },
                    _ => back,
                }
            }
            (Evidence::Good | Evidence::Full, Self::Probation { since }) => {
                if now.saturating_sub(since) < probation { self } else { back }
            }
            (Evidence::Good | Evidence::Full, Self::Recovering { since })
                if now.saturating_sub(since) < rules.slow_start =>
            {
                Self::Recovering { since }
            }
            (Evidence::Good | Evidence::Full, _) => Self::Up,
            (
                Evidence::Hard | Evidence::Soft,
                Self::Down { .. } | Self::Probation { .. } | Self::Recovering { .. },
            ) => Self::Down { good: 0, hard },
            (Evidence::Hard | Evidence::Soft, Self::Doubtful { bad, .. }) => {
                Self::failed(bad.saturating_add(1), hard, rules)
            }
            (Evidence::Hard | Evidence::Soft, Self::Unknown | Self::Up) => {
                Self::failed(1, hard, rules)
            }
        }
    }

    /// Whether it counts as up: listeners may be sent without doubt.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Up | Self::Recovering { .. })
    }

    /// How much of its slots a relay may use now: all, unless it is recovering; then a tenth at
    /// once, rising to all within `slow_start`.
    pub fn allowance(self, now: Moment, slow_start: Duration) -> f64 {
        match self {
            Self::Recovering { since } if !slow_start.is_zero() => {
                let elapsed = now.saturating_sub(since).as_secs_f64();
                (elapsed / slow_start.as_secs_f64()).clamp(0.1, 1.0)
            }
            _ => 1.0,
        }
    }

    /// Its name in the status and in logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Doubtful { .. } => "doubtful",
            Self::Down { .. } => "down",
            Self::Probation { .. } => "probation",
            Self::Recovering { .. } => "recovering",
        }
    }

    fn failed(bad: u32, hard: bool, rules: Rules) -> Self {
        if bad >= rules.fall { Self::Down { good: 0, hard } } else { Self::Doubtful { bad, hard } }
    }
}

// Packed as: 3 bits of kind, 1 bit `hard`, 60 bits of a count or of milliseconds.
const KIND_BITS: u32 = 61;
const HARD: u64 = 1 << 60;
const VALUE: u64 = HARD - 1;

impl Cell {
    pub(super) fn load(&self) -> Health {
        let packed = self.packed.load(Relaxed);
        let hard = packed & HARD != 0;
        let value = packed & VALUE;
        let count = u32::try_from(value).unwrap_or(u32::MAX);
        match packed >> KIND_BITS {
            1 => Health::Up,
            2 => Health::Doubtful { bad: count, hard },
            3 => Health::Down { good: count, hard },
            4 => Health::Recovering { since: Duration::from_millis(value) },
            5 => Health::Probation { since: Duration::from_millis(value) },
            _ => Health::Unknown,
        }
    }

    #[cfg(test)]
    pub(super) fn forget_falls(&self) {
        *lock(&self.flaps) = Flaps::default();
    }

    pub(super) fn probation_left(&self, now: Moment) -> Duration {
        let Health::Probation { since } = self.load() else { return Duration::ZERO };
        lock(&self.flaps).probation(now).saturating_sub(now.saturating_sub(since))
    }

    /// Replaces the health by the one after `evidence`; returns both. Only a server's own look
    /// calls this, so there is nothing to race with.
    pub(super) fn advance(
        &self,
        evidence: Evidence,
        now: Moment,
        rules: Rules,
    ) -> (Health, Health) {
        let before = self.load();
        let mut flaps = lock(&self.flaps);
        let after = before.after(evidence, now, rules, flaps.probation(now));
        if matches!(after, Health::Down { .. }) && !matches!(before, Health::Down { .. }) {
            flaps.fell(now);
        }
        let (kind, hard, value) = match after {
            Health::Unknown => (0, false, 0),
            Health::Up => (1, false, 0),
            Health::Doubtful { bad, hard } => (2, hard, u64::from(bad)),
            Health::Down { good, hard } => (3, hard, u64::from(good)),
            Health::Recovering { since } => (4, false, super::millis(since) & VALUE),
            Health::Probation { since } => (5, false, super::millis(since) & VALUE),
        };
        self.packed.store((kind << KIND_BITS) | if hard { HARD } else { 0 } | value, Relaxed);
        (before, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules =
        Rules { rise: 2, fall: 3, slow_start: Duration::from_secs(30), hold: false };

    fn history(start: Health, looks: &[Evidence]) -> Health {
        looks.iter().fold(start, |health, look| {
            health.after(*look, Duration::from_secs(9), RULES, Duration::ZERO)
        })
    }

    #[test]
    fn one_good_look_brings_an_unknown_relay_up_at_once() {
        assert_eq!(history(Health::Unknown, &[Evidence::Good]), Health::Up);
    }

    #[test]
    fn the_third_bad_look_in_a_row_takes_it_down() {
        let twice = history(Health::Up, &[Evidence::Soft; 2]);
        assert_eq!(twice, Health::Doubtful { bad: 2, hard: false });
        assert_eq!(
            twice.after(Evidence::Soft, Duration::ZERO, RULES, Duration::ZERO),
            Health::Down { good: 0, hard: false }
        );
    }

    #[test]
    fn a_good_look_between_bad_ones_starts_the_count_again() {
        use Evidence::{Good, Soft};
        let health = history(Health::Up, &[Soft, Soft, Good, Soft, Soft]);
        assert_eq!(health, Health::Doubtful { bad: 2, hard: false });
    }

    #[test]
    fn the_second_good_look_brings_a_down_relay_back_gradually() {
        let down = Health::Down { good: 0, hard: true };
        let once = down.after(Evidence::Good, Duration::ZERO, RULES, Duration::ZERO);
        assert_eq!(once, Health::Down { good: 1, hard: true });
        assert_eq!(
            history(once, &[Evidence::Good]),
            Health::Recovering { since: Duration::from_secs(9) }
        );
    }

    #[test]
    fn a_recovering_relay_that_fails_is_down_again() {
        let recovering = Health::Recovering { since: Duration::ZERO };
        assert_eq!(history(recovering, &[Evidence::Soft]), Health::Down { good: 0, hard: false });
    }

    #[test]
    fn a_recovering_relay_is_up_when_slow_start_is_over() {
        let recovering = Health::Recovering { since: Duration::ZERO };
        let after = |seconds| {
            recovering.after(Evidence::Good, Duration::from_secs(seconds), RULES, Duration::ZERO)
        };
        assert_eq!(after(29), recovering);
        assert_eq!(after(30), Health::Up);
    }

    #[test]
    fn a_relay_that_came_and_went_too_often_is_on_probation_until_that_is_over() {
        let (at, probation) = (Duration::from_secs, Duration::from_secs(60));
        let down = Health::Down { good: 1, hard: false };
        let health = down.after(Evidence::Good, at(9), RULES, probation);
        assert_eq!(health, Health::Probation { since: at(9) });
        for (second, expected) in [
            (10, health),
            (68, health),
            (69, Health::Recovering { since: at(69) }),
            (70, Health::Recovering { since: at(70) }),
        ] {
            assert_eq!(health.after(Evidence::Good, at(second), RULES, probation), expected);
        }
    }

    #[test]
    fn while_our_network_is_at_fault_nobody_goes_down_but_who_refuses() {
        let held = Rules { hold: true, ..RULES };
        let mut health = Health::Up;
        for _ in 0..10 {
            health = health.after(Evidence::Soft, Duration::ZERO, held, Duration::ZERO);
        }
        assert_eq!(health, Health::Doubtful { bad: 1, hard: false });
        let since = Duration::ZERO;
        for back in [Health::Recovering { since }, Health::Probation { since }] {
            assert_eq!(back.after(Evidence::Soft, Duration::ZERO, held, Duration::ZERO), health);
        }
        for _ in 0..2 {
            health = health.after(Evidence::Hard, Duration::ZERO, held, Duration::ZERO);
        }
        assert_eq!(health, Health::Down { good: 0, hard: true });
    }

    #[test]
    fn a_full_relay_is_well() {
        assert_eq!(history(Health::Up, &[Evidence::Full; 10]), Health::Up);
    }

    #[test]
    fn our_own_faults_say_nothing_of_a_relay() {
        for health in [Health::Unknown, Health::Up, Health::Doubtful { bad: 2, hard: false }] {
            assert_eq!(history(health, &[Evidence::Own; 10]), health);
        }
    }

    #[test]
    fn the_allowance_rises_from_a_tenth_to_all() {
        let health = Health::Recovering { since: Duration::from_secs(100) };
        let at = |seconds| health.allowance(Duration::from_secs(seconds), RULES.slow_start);
        assert!((at(100) - 0.1).abs() < 1e-9);
        assert!((at(115) - 0.5).abs() < 1e-9);
        assert!((at(200) - 1.0).abs() < 1e-9);
        assert!((health.allowance(Duration::from_secs(100), Duration::ZERO) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn each_health_has_a_name_of_its_own() {
        let since = Duration::ZERO;
        let all = [
            (Health::Unknown, "unknown"),
            (Health::Up, "up"),
            (Health::Doubtful { bad: 1, hard: true }, "doubtful"),
            (Health::Down { good: 0, hard: true }, "down"),
            (Health::Probation { since }, "probation"),
            (Health::Recovering { since }, "recovering"),
        ];
        assert_eq!(all.map(|(health, _)| health.label()), all.map(|(_, name)| name));
    }

    #[test]
    fn a_cell_gives_back_what_was_put_in() {
        use Evidence::{Good, Hard, Soft};
        let cell = Cell::default();
        let mut expected = Health::Unknown;
        let looks = [Good, Soft, Hard, Soft, Good, Good, Good, Hard, Good, Good, Soft];
        for (second, look) in looks.into_iter().enumerate() {
            let now = Duration::from_secs(second as u64);
            assert_eq!(cell.load(), expected);
            expected = expected.after(look, now, RULES, Duration::ZERO);
            assert_eq!(cell.advance(look, now, RULES).1, expected);
        }
    }

    #[test]
    fn a_cell_counts_falls_and_not_the_looks_of_one() {
        use Evidence::{Good, Hard};
        let (cell, mut second) = (Cell::default(), 0);
        let mut look = |evidence| {
            second += 1;
            let now = Duration::from_secs(second);
            cell.advance(evidence, now, RULES);
            (cell.load(), now)
        };
        for fall in 1..=3 {
            for _ in 0..10 {
                look(Hard);
            }
            look(Good);
            let (health, since) = look(Good);
            let recovering = Health::Recovering { since };
            let expected = if fall < 3 { recovering } else { Health::Probation { since } };
            assert_eq!(health, expected, "after {fall} falls");
        }
    }
}
