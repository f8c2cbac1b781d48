//! A crowd that comes within a second, in the times of real processes: each replica looks and beats at its own
//! moments, messages are on their way for a while, and listeners are at the relay as soon as they are told.

use std::time::Duration;

use super::world::{Event, World};

const REPLICAS: usize = 3;
const RELAYS: usize = 3;

/// How many listeners each relay takes.
const SLOTS: u64 = 100;

/// What became of a crowd.
#[derive(Debug)]
struct Outcome {
    /// How many had been sent to a relay when the first was refused.
    before: Option<u64>,
    /// How many were sent in all.
    sent: u64,
    /// How many slots went from one replica to another.
    lent: u64,
}

/// How fast things are, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// From one look to the next, while something is on its way.
    looks: u64,
    /// What a message to the engine takes, and its answer.
    message: u64,
    /// How much later a listener is at the relay, at most.
    arrives: u64,
    /// How much longer than it should a replica pauses now and then, since the machine is busy.
    late: u64,
}

const QUICK: Times = Times { looks: 200, message: 1, arrives: 20, late: 0 };

/// The beat that a replica has under way.
#[derive(Debug, Clone, Copy)]
enum Beat {
    Due(u64),
    Sent(u64),
    Reached(u64),
}

struct Crowd {
    world: World,
    times: Times,
    rng: fastrand::Rng,
    beats: Vec<Beat>,
    /// Of each replica and relay when the last look ended, and whether one is under way.
    looks: Vec<Vec<(u64, bool)>>,
}

impl Crowd {
    fn new(times: Times, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let world = World::of(RELAYS, SLOTS, REPLICAS, None);
        let beats = (0..REPLICAS).map(|_| Beat::Due(rng.u64(..50))).collect();
        let looks = (0..REPLICAS).map(|_| (0..RELAYS).map(|_| (rng.u64(..500), false)).collect());
        let looks = looks.collect();
        Self { world, times, rng, beats, looks }
    }

    /// Lets so many come to each within a second, after another one in which nobody does.
    fn comes(mut self, at_each: [u64; REPLICAS]) -> Outcome {
        self.world.happen(&Event::AllLook);
        let mut people = Vec::new();
        for (replica, players) in at_each.into_iter().enumerate() {
            people.extend((0..players).map(|_| (1_000 + self.rng.u64(..1_000), replica)));
        }
        people.sort_unstable();
        let mut people = people.into_iter().peekable();
        let mut before = None;
        for now in 0..2_200 {
            while let Some((_, replica)) = people.next_if(|(at, _)| *at <= now) {
                let arrives = self.rng.u64(..=self.times.arrives);
                if !self.world.ask(replica, Some(arrives)) {
                    before.get_or_insert(self.world.used());
                }
            }
            for replica in 0..REPLICAS {
                self.beat(replica, now);
                for relay in 0..RELAYS {
                    self.look(replica, relay, now);
                }
                if now % 50 == 0 {
                    self.world.tend(replica);
                }
            }
            self.world.pass(1);
            assert!(!self.world.is_oversold());
        }
        Outcome { before, sent: self.world.used(), lent: self.world.lent() }
    }

    fn beat(&mut self, replica: usize, now: u64) {
        let takes = self.times.message;
        self.beats[replica] = match self.beats[replica] {
            Beat::Due(at) if at <= now => {
                self.world.send(replica);
                Beat::Sent(now + takes)
            }
            Beat::Sent(at) if at <= now => {
                self.world.reach(replica);
                Beat::Reached(now + takes)
            }
            Beat::Reached(at) if at <= now => {
                self.world.hear(replica, false);
                let pause = self.world.pause(replica).unwrap_or(Duration::ZERO);
                let pause = u64::try_from(pause.as_millis()).unwrap();
                Beat::Due(now + pause + self.rng.u64(..=self.times.late))
            }
            waiting => waiting,
        };
    }

    /// Looks as a balancer does: at steps of the fast interval, if that tells something, and at the
    /// slow one whatever it tells.
    fn look(&mut self, replica: usize, relay: usize, now: u64) {
        let (at, is_under_way) = self.looks[replica][relay];
        if is_under_way {
            if at <= now {
                self.world.answer(replica, relay, true);
                self.looks[replica][relay] = (now, false);
            }
            return;
        }
        let passed = now.saturating_sub(at);
        let is_step = passed > 0 && passed.is_multiple_of(self.times.looks);
        if passed >= 500 || (is_step && self.world.wants_look(replica, relay)) {
            self.world.look(replica, relay);
            self.looks[replica][relay] = (now + 2 + self.rng.u64(..=self.times.late), true);
        }
    }
}

/// Of so many crowds, in order, how many were sent before the first was refused, if anybody was, and in all.
fn crowds(times: Times, at_each: [u64; REPLICAS]) -> (Vec<u64>, Vec<u64>) {
    let outcomes: Vec<_> = (0..CROWDS).map(|seed| Crowd::new(times, seed).comes(at_each)).collect();
    let mut before: Vec<_> = outcomes.iter().map(|it| it.before.unwrap_or(it.sent)).collect();
    let mut sent: Vec<_> = outcomes.iter().map(|outcome| outcome.sent).collect();
    before.sort_unstable();
    sent.sort_unstable();
    let told = |of: &[u64]| {
        format!("{} to {}, half of them {} at least", of[0], of[of.len() - 1], of[of.len() / 2])
    };
    eprintln!(
        "{at_each:?}, {times:?}: {} before the first is refused, {} in all",
        told(&before),
        told(&sent)
    );
    (before, sent)
}

const CROWDS: u64 = 10;

/// What three shares of each relay come to.
const GIVEN_AWAY: u64 = 3 * 33 * RELAYS as u64;

/// Demand of 120 %, and of 95 %.
const ABOVE: [[u64; REPLICAS]; 3] = [[360, 0, 0], [288, 54, 18], [120, 120, 120]];
const BELOW: [[u64; REPLICAS]; 3] = [[285, 0, 0], [228, 43, 14], [95, 95, 95]];

#[test]
fn the_first_is_refused_when_hardly_anything_is_left_wherever_a_crowd_comes() {
    for looks in [100, 200] {
        let times = Times { looks, ..QUICK };
        for at_each in ABOVE {
            let (before, sent) = crowds(times, at_each);
            // What is on its way when somebody runs out. Where nobody else is asked, nothing is.
            let (least, half) = if at_each[1] == 0 { (297, 297) } else { (288, 292) };
            assert!(
                before[0] >= least && before[before.len() / 2] >= half,
                "{at_each:?}: {before:?}"
            );
            assert!(
                sent[0] >= 294 && sent.iter().all(|sent| *sent <= GIVEN_AWAY),
                "{at_each:?}: {sent:?}"
            );
        }
    }
}

#[test]
fn all_of_a_crowd_that_fits_are_sent_to_relays() {
    for at_each in BELOW {
        let (before, sent) = crowds(QUICK, at_each);
        assert!(before[0] == 285 && sent[0] == 285, "{at_each:?}: {before:?}, {sent:?}");
    }
}

/// Who knows a part only of what others have left lends what they lend back in the next moment.
#[test]
fn slots_do_not_go_to_and_fro() {
    for seed in 0..50 {
        let Outcome { lent, .. } = Crowd::new(QUICK, seed).comes([95, 95, 95]);
        assert!(lent <= 285 / 2, "{lent} were lent to 285, with {seed}");
    }
}

/// As it is where two processors do everything.
#[test]
fn a_crowd_is_served_where_messages_and_beats_are_late() {
    let times = Times { message: 5, late: 30, ..QUICK };
    for at_each in ABOVE {
        let (before, sent) = crowds(times, at_each);
        assert!(before[0] >= 280 && before[before.len() / 2] >= 285, "{at_each:?}: {before:?}");
        assert!(sent[0] >= 290, "{at_each:?}: {sent:?}");
    }
}
