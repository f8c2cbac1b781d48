//! A number over time.

use serde::{Serialize, Serializer};

/// As many parts as are drawn.
const PARTS: usize = 320;

/// As many parts as stand beside a name in a terminal, each of several of those that are drawn.
const COARSE: usize = 40;

/// The largest of a number in each of some equal parts of the time. What happens comes in order.
#[derive(Debug, Clone)]
pub struct Series {
    parts: Vec<u64>,
    /// The part that was told of last.
    at: usize,
    /// The number since then.
    level: u64,
}

impl Default for Series {
    fn default() -> Self {
        Self { parts: vec![0; PARTS], at: 0, level: 0 }
    }
}

impl Series {
    /// The number is so large when this share of the time is over, and until told otherwise.
    pub(super) fn reach(&mut self, share: f64, value: u64) {
        let now = part(share);
        // Parts up to `at` are past; those up to now are begun anew.
        for part in self.parts.iter_mut().skip(self.at + 1).take(now.saturating_sub(self.at)) {
            *part = self.level;
        }
        if let Some(part) = self.parts.get_mut(now) {
            *part = (*part).max(value);
        }
        self.at = now.max(self.at);
        self.level = value;
    }

    /// One more in this part, and not in the next.
    pub(super) fn count(&mut self, share: f64) {
        if let Some(part) = self.parts.get_mut(part(share)) {
            *part += 1;
        }
    }

    /// All parts in their order.
    pub(super) fn parts(&self) -> impl Iterator<Item = u64> {
        // Nothing was told of those behind the last.
        let known = self.parts.iter().enumerate();
        known.map(|(at, part)| if at > self.at { (*part).max(self.level) } else { *part })
    }

    /// As a line of blocks, of which the highest stands for `most`.
    pub(super) fn blocks(&self, most: u64) -> String {
        const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let block = |value: u64| {
            let step = value.saturating_mul(8).div_ceil(most.max(1)).min(8);
            usize::try_from(step).ok().and_then(|step| BLOCKS.get(step)).copied().unwrap_or('█')
        };
        self.coarse().into_iter().map(block).collect()
    }

    fn coarse(&self) -> Vec<u64> {
        let parts: Vec<u64> = self.parts().collect();
        parts.chunks(PARTS / COARSE).map(|some| some.iter().copied().max().unwrap_or(0)).collect()
    }
}

/// For programs, as it is shown in a terminal.
impl Serialize for Series {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.coarse().serialize(serializer)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a small number"
)]
fn part(share: f64) -> usize {
    ((share * PARTS as f64) as usize).min(PARTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_the_most_that_there_was_in_it_and_a_number_lasts() {
        let mut series = Series::default();
        series.reach(0.0, 3);
        series.reach(0.001, 1);
        series.reach(0.5, 8);
        series.reach(0.51, 2);
        let parts: Vec<_> = series.parts().collect();
        assert_eq!((parts[0], parts[1], parts[159], parts[160]), (3, 1, 1, 8));
        assert_eq!((parts[163], parts[164], parts[319]), (8, 2, 2));
        assert_eq!(series.coarse().len(), COARSE);
        assert_eq!((series.coarse()[19], series.coarse()[20], series.coarse()[39]), (1, 8, 2));
    }

    #[test]
    fn what_is_counted_does_not_last() {
        let mut series = Series::default();
        series.count(0.25);
        series.count(0.25);
        series.count(1.0);
        let parts: Vec<_> = series.parts().collect();
        assert_eq!((parts[80], parts[319], parts.iter().sum::<u64>()), (2, 1, 3));
    }
}
