//! Where a policy gets its chance from: one throw for who is sent, every throw for who asks how
//! likely.

/// A source of chance.
pub(super) trait Dice {
    /// Draws a place in proportion to `weights`; `None` if all of them are zero.
    fn draw(&mut self, weights: impl Iterator<Item = f64> + Clone) -> Option<usize>;
}

/// One throw.
impl Dice for fastrand::Rng {
    fn draw(&mut self, weights: impl Iterator<Item = f64> + Clone) -> Option<usize> {
        let total: f64 = weights.clone().sum();
        let mut point = self.f64() * total;
        let mut last = None;
        for (at, weight) in weights.enumerate() {
            if weight > 0.0 {
                last = Some(at);
                if point < weight {
                    break;
                }
            }
            point -= weight;
        }
        last
    }
}

/// Every way in which the dice can fall, one after the other.
#[derive(Debug)]
pub(super) struct Ways {
    /// The draws of this way, first to last.
    draws: Vec<Draw>,
    /// How many of them were made so far.
    made: usize,
    /// How likely what was drawn so far is.
    chance: f64,
}

/// One draw of a way.
#[derive(Debug)]
struct Draw {
    /// How likely each place is that can be drawn.
    places: Vec<(usize, f64)>,
    /// Which of these is drawn in this way.
    turn: usize,
}

impl Dice for Ways {
    fn draw(&mut self, weights: impl Iterator<Item = f64> + Clone) -> Option<usize> {
        if self.made == self.draws.len() {
            let total: f64 = weights.clone().sum();
            let places = weights.enumerate().filter(|(_, weight)| *weight > 0.0);
            let places = places.map(|(at, weight)| (at, weight / total)).collect();
            self.draws.push(Draw { places, turn: 0 });
        }
        let draw = self.draws.get(self.made)?;
        self.made += 1;
        let (at, chance) = draw.places.get(draw.turn)?;
        self.chance *= chance;
        Some(*at)
    }
}

impl Ways {
    /// Goes on to the next way; `false`: that was the last one.
    fn turn(&mut self) -> bool {
        self.made = 0;
        self.chance = 1.0;
        while let Some(last) = self.draws.last_mut() {
            last.turn += 1;
            if last.turn < last.places.len() {
                return true;
            }
            self.draws.pop();
        }
        false
    }
}

/// How likely each of the things is that `choose` can come to.
pub(super) fn chances<T: PartialEq>(
    mut choose: impl FnMut(&mut Ways) -> Option<T>,
) -> Vec<(T, f64)> {
    let mut chances: Vec<(T, f64)> = Vec::new();
    let mut ways = Ways { draws: Vec::new(), made: 0, chance: 1.0 };
    loop {
        if let Some(choice) = choose(&mut ways) {
            match chances.iter_mut().find(|(known, _)| *known == choice) {
                Some((_, chance)) => *chance += ways.chance,
                None => chances.push((choice, ways.chance)),
            }
        }
        if !ways.turn() {
            return chances;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHTS: [f64; 4] = [1.0, 0.0, 2.0, 5.0];

    /// One by weight and then, unless it is the last place, another one.
    fn two(dice: &mut impl Dice) -> Option<(usize, usize)> {
        let first = dice.draw(WEIGHTS.iter().copied())?;
        if first == 3 {
            return Some((3, 3));
        }
        let rest = WEIGHTS.iter().enumerate();
        let rest = rest.map(move |(at, weight)| if at == first { 0.0 } else { *weight });
        Some((first, dice.draw(rest)?))
    }

    #[test]
    fn every_way_is_gone_once_and_they_are_certain_in_sum() {
        let chances = chances(two);
        let pairs: Vec<_> = chances.iter().map(|(pair, _)| *pair).collect();
        assert_eq!(pairs, [(0, 2), (0, 3), (2, 0), (2, 3), (3, 3)]);
        let expected = [2.0 / 56.0, 5.0 / 56.0, 2.0 / 48.0, 10.0 / 48.0, 5.0 / 8.0];
        for ((pair, chance), expected) in chances.iter().zip(expected) {
            assert!((chance - expected).abs() < 1e-9, "{pair:?}: {chance}");
        }
    }

    #[test]
    fn one_throw_falls_as_often_as_the_ways_say() {
        let mut dice = fastrand::Rng::with_seed(7);
        let throws: Vec<_> = (0..50_000).filter_map(|_| two(&mut dice)).collect();
        for (pair, chance) in chances(two) {
            let times = throws.iter().filter(|throw| **throw == pair).count();
            let share = times as f64 / throws.len() as f64;
            assert!((share - chance).abs() < 0.01, "{pair:?}: {share}, not {chance}");
        }
    }

    #[test]
    fn nothing_is_drawn_where_nothing_weighs() {
        let nothing = || [0.0, 0.0].into_iter();
        assert_eq!(fastrand::Rng::with_seed(7).draw(nothing()), None);
        assert_eq!(chances(|dice| dice.draw(nothing())), []);
        assert_eq!(chances(|dice| dice.draw(std::iter::empty())), []);
    }

    #[test]
    fn what_takes_no_chance_is_certain() {
        assert_eq!(chances(|_| Some(7)), [(7, 1.0)]);
    }
}
