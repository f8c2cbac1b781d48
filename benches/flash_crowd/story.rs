//! What the events of one evening come to: figures, and who was where at every moment.

use std::time::Duration;

use crate::crowd::{Event, What};
use crate::quantile::quantile;

/// All that happened while one policy was in force.
pub(crate) struct Story {
    pub(crate) relays: usize,
    pub(crate) slots_each: u64,
    /// When the first rise is over and nothing has happened to a relay yet.
    pub(crate) risen: Duration,
    pub(crate) end: Duration,
    pub(crate) closures: Vec<Closure>,
    /// In the order of their moments.
    pub(crate) events: Vec<Event>,
}

/// A time in which a relay takes nobody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closure {
    pub(crate) relay: usize,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// What tables show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    /// Those who came, again where they were cut off.
    pub(crate) asked: f64,
    /// Those who got audio.
    pub(crate) played: f64,
    /// Those whom a relay refused.
    pub(crate) refused: f64,
    /// Those who were sent to a relay that did not answer them.
    pub(crate) unanswered: f64,
    /// Those to whom the balancer said that there is no slot.
    pub(crate) turned_away: f64,
    /// Milliseconds until the first audio: the median, and what one in a hundred exceeded.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Listeners on the fullest and on the emptiest relay after the first rise.
    pub(crate) most: f64,
    pub(crate) least: f64,
    /// Free slots in the moments in which somebody was refused, by whomever: the median.
    pub(crate) free_at_refusal: f64,
}

impl Story {
    /// The figures.
    pub(crate) fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        let mut waits = Vec::new();
        let mut free = Vec::new();
        let mut house = House::of(self);
        for event in &self.events {
            if event.at > self.risen && figures.most == 0.0 {
                (figures.most, figures.least) = house.extremes();
            }
            house.see(event);
            match event.what {
                What::Plays { after, .. } => {
                    figures.played += 1.0;
                    waits.push(after.as_secs_f64() * 1000.0);
                }
                What::Refused { .. } => figures.refused += 1.0,
                What::Unanswered { .. } => figures.unanswered += 1.0,
                What::TurnedAway | What::NotServed => figures.turned_away += 1.0,
                What::Sent { .. } | What::PassedOn { .. } | What::CutOff { .. } => {}
            }
            if event.what.is_refusal() {
                free.push(house.free(event.at));
            }
        }
        figures.asked = figures.played + figures.refused + figures.unanswered + figures.turned_away;
        figures.p50 = quantile(&mut waits, 0.5);
        figures.p99 = quantile(&mut waits, 0.99);
        figures.free_at_refusal = quantile(&mut free, 0.5);
        figures
    }

    /// Listeners on `relay` at each moment at which their number changed.
    pub(crate) fn listeners(&self, relay: usize) -> Vec<(Duration, u64)> {
        let mut listeners: u64 = 0;
        let mut line = vec![(Duration::ZERO, 0)];
        for event in &self.events {
            let now = match event.what {
                What::Plays { relay: at, .. } if at == relay => listeners + 1,
                What::CutOff { relay: at } if at == relay => listeners.saturating_sub(1),
                _ => continue,
            };
            listeners = now;
            line.push((event.at, listeners));
        }
        line.push((self.end, listeners));
        line
    }
}

impl What {
    /// Whether somebody was let down.
    pub(crate) fn is_refusal(self) -> bool {
        match self {
            Self::Refused { .. } | Self::Unanswered { .. } | Self::TurnedAway | Self::NotServed => {
                true
            }
            Self::Sent { .. }
            | Self::PassedOn { .. }
            | Self::Plays { .. }
            | Self::CutOff { .. } => false,
        }
    }
}

/// The relays at one moment of a story.
struct House<'a> {
    story: &'a Story,
    /// Those on each relay, and those on their way to it.
    there: Vec<u64>,
    /// Those who hear something.
    playing: Vec<u64>,
}

impl<'a> House<'a> {
    fn of(story: &'a Story) -> Self {
        Self { story, there: vec![0; story.relays], playing: vec![0; story.relays] }
    }

    fn see(&mut self, event: &Event) {
        match event.what {
            What::Sent { relay } => self.there[relay] += 1,
            What::Plays { relay, .. } => self.playing[relay] += 1,
            What::Refused { relay } | What::Unanswered { relay } | What::PassedOn { relay } => {
                self.leave(relay);
            }
            What::CutOff { relay } => {
                self.playing[relay] = self.playing[relay].saturating_sub(1);
                self.leave(relay);
            }
            What::TurnedAway | What::NotServed => {}
        }
    }

    fn leave(&mut self, relay: usize) {
        self.there[relay] = self.there[relay].saturating_sub(1);
    }

    fn extremes(&self) -> (f64, f64) {
        let most = self.playing.iter().max().copied().unwrap_or(0);
        let least = self.playing.iter().min().copied().unwrap_or(0);
        (most as f64, least as f64)
    }

    /// Slots of relays that take listeners, less those who are there or on their way.
    fn free(&self, at: Duration) -> f64 {
        let open = |relay: usize| {
            let closes = |closure: &Closure| {
                closure.relay == relay && closure.from <= at && at < closure.until
            };
            !self.story.closures.iter().any(closes)
        };
        let free = |(relay, there): (usize, &u64)| {
            if open(relay) { self.story.slots_each.saturating_sub(*there) } else { 0 }
        };
        self.there.iter().enumerate().map(free).sum::<u64>() as f64
    }
}
