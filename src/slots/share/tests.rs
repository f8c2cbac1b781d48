//! Several shares of one relay, second by second: whatever each has promised and may still promise
//! is there.
//!
//! Times are short, so that more happens while they last; every history is another one, and the same each time.

use super::*;

const STALE_AFTER: u64 = 5;
const SETTLE: u64 = 2;
const TRANSIT: u64 = 1;

/// Whoever is sent by a lent slot arrives after so long at most.
const ARRIVED: u64 = SETTLE + TRANSIT;

/// A look under way.
#[derive(Debug, Clone, Copy)]
struct Look {
    began: u64,
    counted: Option<u64>,
}

#[derive(Debug, Default)]
struct Replica {
    share: Share,
    promised: u64,
    /// When its last good look began.
    looked: Option<u64>,
    look: Option<Look>,
    /// Until when it gets no answer.
    blind_until: u64,
}

impl Replica {
    fn may_promise(&self, now: u64) -> u64 {
        let is_fresh = self.looked.is_some_and(|looked| now - looked <= STALE_AFTER);
        if is_fresh { self.share.until().saturating_sub(self.promised) } else { 0 }
    }
}

/// How much happens in a history, each in percent.
struct Manner {
    leaves: u64,
    spends: u64,
    all_at_once: u64,
    slow_looks: u64,
}

struct World {
    sharing: Sharing,
    manner: Manner,
    replicas: Vec<Replica>,
    room: u64,
    used: u64,
    /// When they arrive, and how many.
    on_their_way: Vec<(u64, u64)>,
    now: u64,
    rng: fastrand::Rng,
}

impl World {
    /// A relay and two to four replicas that remember for so much less than they should.
    fn new(seed: u64, forgotten: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let replicas: u64 = rng.u64(2..5);
        // So many that parts of parts are whole ones.
        let room = replicas.pow(4) * [1, 2, 5][rng.usize(0..3)];
        let mut sharing = Sharing::among(
            replicas,
            Duration::from_secs(STALE_AFTER),
            Duration::from_secs(SETTLE),
            Duration::from_secs(TRANSIT),
        );
        sharing.memory -= Duration::from_secs(forgotten);
        let manner = Manner {
            leaves: [0, 0, 5, 15][rng.usize(0..4)],
            spends: [3, 10, 20][rng.usize(0..3)],
            all_at_once: [50, 90, 100][rng.usize(0..3)],
            slow_looks: [0, 0, 10, 40][rng.usize(0..4)],
        };
        let used = if rng.bool() { 0 } else { rng.u64(0..=room) };
        let replicas = (0..replicas).map(|_| Replica::default()).collect();
        let on_their_way = Vec::new();
        let mut world = Self { sharing, manner, replicas, room, used, on_their_way, now: 100, rng };
        (0..world.replicas.len()).for_each(|replica| world.glance(replica));
        world
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.rng.u64(0..100) < percent
    }

    fn begin(&mut self, replica: usize) {
        let replica = &mut self.replicas[replica];
        replica.share.mark(replica.promised);
        replica.look = Some(Look { began: self.now, counted: None });
    }

    fn count(&mut self, replica: usize) {
        if let Some(look) = &mut self.replicas[replica].look {
            look.counted.get_or_insert(self.used);
        }
    }

    fn answer(&mut self, replica: usize) {
        self.count(replica);
        let replica = &mut self.replicas[replica];
        if let Some(Look { began, counted }) = replica.look.take() {
            let at = Duration::from_secs(began);
            let found = Found { began: at, room: self.room, seen: counted };
            let settle = Duration::from_secs(SETTLE);
            replica.share.draw(self.sharing, &found, settle, replica.promised);
            replica.looked = Some(began);
        }
    }

    fn glance(&mut self, replica: usize) {
        self.begin(replica);
        self.answer(replica);
    }

    /// Looks, as most do in each second.
    fn watch(&mut self, replica: usize) {
        if let Some(look) = self.replicas[replica].look {
            if self.rng.bool() {
                self.count(replica);
            }
            if self.rng.bool() || look.began + 2 <= self.now {
                self.answer(replica);
            }
        } else if self.now > self.replicas[replica].blind_until && self.chance(85) {
            self.begin(replica);
            if !self.chance(self.manner.slow_looks) {
                self.answer(replica);
            } else if self.rng.bool() {
                self.count(replica);
            }
        }
    }

    /// Gives away some of what it has, or all.
    fn spend(&mut self, replica: usize) {
        let may = self.replicas[replica].may_promise(self.now);
        if may == 0 || !self.chance(self.manner.spends) {
            return;
        }
        let all = self.chance(self.manner.all_at_once);
        let units = if all { may } else { self.rng.u64(1..=may) };
        self.replicas[replica].promised += units;
        let after = [0, self.rng.u64(1..=ARRIVED), ARRIVED, ARRIVED, ARRIVED][self.rng.usize(0..5)];
        let comes = !self.chance(5);
        match after {
            _ if !comes => {}
            0 => self.used += units,
            _ => self.on_their_way.push((self.now + after, units)),
        }
    }

    /// Whether there is less room than what was promised and may be, after a second of each or before.
    fn is_oversold_in_a_second(&mut self) -> bool {
        self.now += 1;
        let arrived = self.on_their_way.extract_if(.., |(at, _)| *at <= self.now);
        self.used += arrived.map(|(_, units)| units).sum::<u64>();
        if self.chance(self.manner.leaves) {
            let some = self.rng.u64(0..=self.used);
            let part = self.used.min(self.room / self.replicas.len() as u64);
            self.used -= if self.rng.bool() { some } else { part };
        }
        let first = self.rng.usize(0..self.replicas.len());
        (0..self.replicas.len()).any(|turn| {
            let replica = (first + turn) % self.replicas.len();
            if self.now > self.replicas[replica].blind_until && self.chance(8) {
                self.replicas[replica].blind_until = self.now + STALE_AFTER - self.rng.u64(0..2);
                if self.replicas[replica].look.is_none() && self.chance(70) {
                    self.glance(replica);
                }
            }
            if self.rng.bool() {
                self.watch(replica);
                self.spend(replica);
            } else {
                self.spend(replica);
                self.watch(replica);
            }
            self.is_oversold()
        })
    }

    fn is_oversold(&self) -> bool {
        let coming: u64 = self.on_their_way.iter().map(|(_, units)| units).sum();
        let may: u64 = self.replicas.iter().map(|replica| replica.may_promise(self.now)).sum();
        self.used + coming + may > self.room
    }
}

fn oversells(seed: u64, forgotten: u64) -> bool {
    let mut world = World::new(seed, forgotten);
    let seconds = world.rng.usize(20..70);
    (0..seconds).any(|_| world.is_oversold_in_a_second())
}

#[test]
fn promises_are_remembered_for_as_long_as_is_documented() {
    let [stale_after, settle] = [15, 5].map(Duration::from_secs);
    let memory = |transit| Sharing::among(3, stale_after, settle, transit).memory.as_secs();
    assert_eq!([memory(Duration::ZERO), memory(LOANS_LAST)], [25, 32]);
}

/// How many; `HISTORIES` says another number.
fn histories() -> u64 {
    let number = std::env::var("HISTORIES").ok().and_then(|number| number.parse().ok());
    number.unwrap_or(20_000)
}

#[test]
fn what_all_may_promise_is_there_however_late_everything_is() {
    assert_eq!((0..histories()).find(|seed| oversells(*seed, 0)), None);
}

/// A second less shows in none of a million, two in five, three in two hundred.
#[test]
fn three_seconds_less_of_memory_would_be_noticed() {
    assert!((0..20_000).any(|seed| oversells(seed, 3)));
}
