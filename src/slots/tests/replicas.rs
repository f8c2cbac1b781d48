//! Several ledgers that know nothing of one another, and one relay.

use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::*;

const STALE_AFTER: u64 = 15_000;

/// For so long whoever takes another's place is asked nothing: `stale_after` and twice `settle`.
const NOT_READY: u64 = 25_000;

/// The same where slots may be lent, though nobody here does.
const NOT_READY_WITH_LOANS: u64 = 32_000;

/// What can happen to a relay that several replicas send listeners to.
#[derive(Debug, Clone)]
enum Event {
    /// A player asks a replica; if redirected, it arrives this many milliseconds later, or never.
    Ask { replica: usize, arrives_after: Option<u64> },
    /// So many ask a replica at once.
    Crowd { replica: usize, players: u64, arrives_after: u64 },
    /// So many listeners leave.
    Leave { listeners: u64 },
    /// A look of a replica begins, unless one is under way.
    Look { replica: usize },
    /// The relay counts for the look that a replica has under way.
    Count { replica: usize },
    /// The look that a replica has under way is answered, or fails.
    Answer { replica: usize, good: bool },
    /// A whole look of a replica, in one moment.
    Glance { replica: usize },
    /// All replicas look.
    AllLook,
    /// A replica dies, and another one that knows nothing takes its place.
    Replace { replica: usize },
    /// Nothing, for this long.
    Pass { millis: u64 },
}

fn event(replicas: usize) -> impl Strategy<Value = Event> {
    let of = move || 0..replicas;
    prop_oneof![
        4 => (of(), prop::option::weighted(0.9, 0_u64..4_900))
            .prop_map(|(replica, arrives_after)| Event::Ask { replica, arrives_after }),
        4 => (of(), 1_u64..60, prop_oneof![Just(0), Just(4_900), 0_u64..4_900]).prop_map(
            |(replica, players, arrives_after)| Event::Crowd { replica, players, arrives_after }
        ),
        2 => (1_u64..60).prop_map(|listeners| Event::Leave { listeners }),
        2 => of().prop_map(|replica| Event::Look { replica }),
        2 => of().prop_map(|replica| Event::Count { replica }),
        2 => (of(), prop::bool::weighted(0.8))
            .prop_map(|(replica, good)| Event::Answer { replica, good }),
        6 => of().prop_map(|replica| Event::Glance { replica }),
        1 => Just(Event::AllLook),
        1 => of().prop_map(|replica| Event::Replace { replica }),
        3 => (1_u64..3_000).prop_map(|millis| Event::Pass { millis }),
        3 => prop_oneof![
            Just(950_u64), Just(5_000), Just(14_900), Just(15_000), Just(25_000), Just(32_000)
        ]
        .prop_map(|millis| Event::Pass { millis }),
    ]
}

struct Replica {
    ledger: Ledger,
    /// The look under way, and what the relay counted for it.
    look: Option<(Look, Option<u64>)>,
    /// From when on players are sent to it.
    ready: u64,
}

impl Replica {
    fn new(terms: Terms, ready: u64) -> Self {
        Self { ledger: Ledger::new(terms, terms), look: None, ready }
    }
}

/// A relay as it really is, beside the ledgers that see it now and then.
struct World {
    replicas: Vec<Replica>,
    terms: Terms,
    limit: u64,
    now: u64,
    listeners: u64,
    on_their_way: Vec<u64>,
    /// Whether more were there or on their way than there is room for, and when.
    oversold: Option<u64>,
}

fn shared(max: u64, replicas: usize) -> Terms {
    shared_with(max, replicas, Duration::ZERO)
}

/// The same where what one lends another may lie unspent for so long.
fn shared_with(max: u64, replicas: usize, transit: Duration) -> Terms {
    let stale_after = Duration::from_millis(STALE_AFTER);
    let sharing = Sharing::among(replicas as u64, stale_after, SETTLE, transit);
    Terms { max: Some(max), headroom: Headroom::Slots(0), sharing }
}

impl World {
    fn new(limit: u64, replicas: usize) -> Self {
        Self::of(limit, replicas, shared(limit, replicas))
    }

    fn of(limit: u64, replicas: usize, terms: Terms) -> Self {
        let replicas = (0..replicas).map(|_| Replica::new(terms, 0)).collect();
        let on_their_way = Vec::new();
        Self { replicas, terms, limit, now: 0, listeners: 0, on_their_way, oversold: None }
    }

    fn at(&self) -> Moment {
        Duration::from_millis(self.now)
    }

    fn replica(&mut self, number: usize) -> &mut Replica {
        let count = self.replicas.len();
        self.replicas.get_mut(number).unwrap_or_else(|| unreachable!("there are {count} replicas"))
    }

    /// Whether a replica that is ready, and goes by no numbers that are too old, has a slot.
    fn ask(&mut self, replica: usize, arrives_after: Option<u64>) -> bool {
        let (now, at) = (self.now, self.at());
        let Replica { ledger, ready, .. } = self.replica(replica);
        let stale_after = Duration::from_millis(STALE_AFTER);
        let got = now >= *ready && !ledger.server.is_stale(at, stale_after) && ledger.reserve();
        if got {
            self.on_their_way.extend(arrives_after.map(|delay| self.now + delay));
            self.check();
        }
        self.pass(0);
        got
    }

    fn check(&mut self) {
        if self.listeners + self.on_their_way.len() as u64 > self.limit {
            self.oversold.get_or_insert(self.now);
        }
    }

    fn pass(&mut self, millis: u64) {
        self.now += millis;
        let before = self.on_their_way.len();
        self.on_their_way.retain(|arrival| *arrival > self.now);
        self.listeners += (before - self.on_their_way.len()) as u64;
    }

    fn begin(&mut self, replica: usize) {
        let now = self.at();
        let replica = self.replica(replica);
        if replica.look.is_none() {
            replica.look = Some((replica.ledger.begin(now), None));
        }
    }

    fn count(&mut self, replica: usize) {
        let listeners = self.listeners;
        if let Some((_, counted)) = &mut self.replica(replica).look {
            counted.get_or_insert(listeners);
        }
    }

    fn answer(&mut self, replica: usize, good: bool) {
        self.count(replica);
        let limit = self.limit;
        let replica = self.replica(replica);
        if let (Some((look, Some(listeners))), true) = (replica.look.take(), good) {
            let mut report = report(listeners, Limit::Listeners(limit));
            report.clients = Some(listeners);
            replica.ledger.saw_report(look, &report);
        }
    }

    fn glance(&mut self, replica: usize) {
        self.answer(replica, false);
        self.begin(replica);
        self.answer(replica, true);
    }

    fn all_look(&mut self) {
        (0..self.replicas.len()).for_each(|replica| self.glance(replica));
    }

    fn replace(&mut self, replica: usize) {
        let lends = !self.terms.sharing.transit.is_zero();
        let ready = self.now + if lends { NOT_READY_WITH_LOANS } else { NOT_READY };
        let terms = self.terms;
        *self.replica(replica) = Replica::new(terms, ready);
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Ask { replica, arrives_after } => {
                self.ask(replica, arrives_after);
            }
            Event::Crowd { replica, players, arrives_after } => {
                let _ = (0..players).take_while(|_| self.ask(replica, Some(arrives_after))).count();
            }
            Event::Leave { listeners } => self.listeners = self.listeners.saturating_sub(listeners),
            Event::Look { replica } => self.begin(replica),
            Event::Count { replica } => self.count(replica),
            // A look has a time-out, which is shorter than it takes numbers to be too old.
            Event::Answer { replica, good } => self.answer(replica, good),
            Event::Glance { replica } => self.glance(replica),
            Event::AllLook => self.all_look(),
            Event::Replace { replica } => self.replace(replica),
            Event::Pass { millis } => self.pass(millis),
        }
    }

    fn used(&self) -> u64 {
        self.listeners + self.on_their_way.len() as u64
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn replicas_that_know_nothing_of_one_another_never_oversell_in_sum(
        (replicas, events) in (2_usize..6).prop_flat_map(|replicas| {
            (Just(replicas), prop::collection::vec(event(replicas), 1..100))
        }),
        limit in prop_oneof![1_u64..12, 20_u64..120],
        transit in prop_oneof![Just(Duration::ZERO), Just(LOANS_LAST)],
    ) {
        let mut world = World::of(limit, replicas, shared_with(limit, replicas, transit));
        for event in &events {
            world.happen(event);
            prop_assert!(world.oversold.is_none(), "{} used of {limit}", world.used());
        }
    }
}

/// A long step of a history in which everything is as late as can be.
#[derive(Debug, Clone)]
enum Step {
    /// One looks, or does not, and gives away what it has, to players who arrive as late as can be.
    Spend { replica: usize, looks: bool },
    /// One looks, and then no more for as long as it may, while the others do.
    Blind { replica: usize },
}

fn step(replicas: usize) -> impl Strategy<Value = Step> {
    let of = move || 0..replicas;
    prop_oneof![
        (of(), any::<bool>()).prop_map(|(replica, looks)| Step::Spend { replica, looks }),
        of().prop_map(|replica| Step::Blind { replica }),
    ]
}

fn chains() -> impl Strategy<Value = (usize, Vec<Step>)> {
    (2_usize..4)
        .prop_flat_map(|replicas| (Just(replicas), prop::collection::vec(step(replicas), 3..10)))
}

/// Whether more than 60 are sent where there is room for 60, by replicas that remember their promises for
/// so much less than they should.
fn oversells((replicas, steps): &(usize, Vec<Step>), forgotten: Duration) -> bool {
    let mut terms = shared(60, *replicas);
    terms.sharing.memory -= forgotten;
    let mut world = World::of(60, *replicas, terms);
    world.all_look();
    for step in steps {
        match *step {
            Step::Spend { replica, looks } => {
                if looks {
                    world.glance(replica);
                }
                let _ = (0..60).take_while(|_| world.ask(replica, Some(4_900))).count();
                world.glance(replica);
                world.pass(4_850);
            }
            Step::Blind { replica: blind } => {
                world.glance(blind);
                for _ in 0..14 {
                    world.pass(1_000);
                    let others = (0..*replicas).filter(|replica| *replica != blind);
                    others.for_each(|replica| world.glance(replica));
                }
                world.pass(950);
            }
        }
    }
    world.oversold.is_some()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn however_late_everything_is_no_slot_is_given_away_twice(chain in chains()) {
        prop_assert!(!oversells(&chain, Duration::ZERO));
    }
}

#[test]
fn two_seconds_less_of_memory_would_be_noticed() {
    let mut runner = TestRunner::deterministic();
    let noticed = (0..1_000).filter(|_| {
        let chain = chains().new_tree(&mut runner).expect("there is one").current();
        oversells(&chain, Duration::from_secs(2))
    });
    let noticed = noticed.count();
    eprintln!("{noticed} of 1000 chains notice it");
    assert!(noticed > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_spread_evenly_uses_all_but_a_slot_a_replica_before_anybody_is_refused(
        replicas in 2_usize..11,
        limit in 1_u64..400,
        every in 1_u64..200,
        arrives_after in 0_u64..2_000,
    ) {
        let mut world = World::new(limit, replicas);
        world.all_look();
        for (turn, replica) in (0_u64..).zip((0..replicas).cycle()) {
            if turn * every / 500 != (turn + 1) * every / 500 {
                world.all_look();
            }
            world.pass(every);
            if !world.ask(replica, Some(arrives_after)) {
                break;
            }
        }
        prop_assert!(world.used() + replicas as u64 > limit, "{} of {limit}", world.used());
    }
}

/// Looks and demand for so many seconds, one player at each replica of `asked` every tenth of one.
fn demand(world: &mut World, seconds: u64, asked: &[usize]) {
    for tenth in 0..seconds * 10 {
        if tenth % 5 == 0 {
            world.all_look();
        }
        for replica in asked {
            world.ask(*replica, Some(300));
        }
        world.pass(100);
    }
}

#[test]
fn a_replica_that_is_asked_alone_gets_a_part_of_the_rest_again_and_again() {
    let mut world = World::new(300, 3);
    world.all_look();
    let _ = (0..300).take_while(|_| world.ask(0, Some(0))).count();
    assert_eq!(world.used(), 100);
    let mut used = Vec::new();
    for _ in 0..6 {
        demand(&mut world, 30, &[0]);
        used.push(world.used());
    }
    let lefts = std::iter::once(200).chain(used.iter().map(|used| 300 - used));
    let quarters = lefts.zip(&used).all(|(before, used)| 300 - used <= before - before / 4);
    assert!(quarters, "{used:?}");
    assert_eq!(world.oversold, None);
}

#[test]
fn players_who_never_arrive_cost_a_replica_its_share_for_a_while_only() {
    let mut world = World::new(300, 3);
    world.all_look();
    let _ = (0..300).take_while(|_| world.ask(0, None)).count();
    assert!(!world.ask(0, None));
    for _ in 0..60 {
        world.pass(500);
        world.all_look();
    }
    let got = (0..300).take_while(|_| world.ask(0, None)).count();
    assert_eq!(got, 100);
}

#[test]
fn a_full_relay_whose_listeners_come_and_go_stays_full() {
    let mut world = World::new(300, 3);
    world.all_look();
    demand(&mut world, 60, &[0, 1, 2]);
    let mut least = u64::MAX;
    for _ in 0..120 {
        // They listen ten minutes on average.
        world.happen(&Event::Leave { listeners: 1 });
        demand(&mut world, 2, &[0, 1, 2]);
        least = least.min(world.used());
    }
    assert!(least >= 285, "{least}");
}

#[test]
fn who_takes_a_dead_ones_place_has_its_share_as_soon_as_it_is_ready() {
    let mut world = World::new(300, 3);
    world.all_look();
    let _ = (0..300).take_while(|_| world.ask(0, Some(300))).count();
    world.replace(0);
    world.all_look();
    assert!(!world.ask(0, Some(300)), "nobody is sent to it yet");
    world.pass(NOT_READY);
    world.all_look();
    let got = (0..300).take_while(|_| world.ask(0, Some(300))).count();
    assert_eq!(got, 66, "a third of the 200 that are left");
    assert_eq!(world.oversold, None);
}

#[test]
fn before_its_first_look_a_replica_gives_nothing_away() {
    let ledger = Ledger::new(shared(100, 3), shared(100, 3));
    assert!(!ledger.reserve());
    ledger.saw(ledger.begin(at(1.0)), 10);
    assert_eq!(ledger.reserve_all(), 29);
}

#[test]
fn alone_nothing_is_withheld() {
    let ledger = Ledger::new(shared(100, 1), shared(100, 1));
    assert_eq!(ledger.reserve_all(), 100);
}

#[test]
fn where_nobody_counts_the_newcomers_are_shared() {
    let terms = shared(90, 3);
    let account = Account::new(terms);
    let look = |second| {
        account.mark(at(second));
        account.observe(at(second), None, 0, None, SETTLE);
    };
    let take = || {
        let taken = (0..100).take_while(|_| account.claim(1)).count();
        account.commit(taken as u64);
        taken
    };
    look(1.0);
    assert_eq!(take(), 30);
    look(3.0);
    assert_eq!(take(), 0);
    look(9.0);
    assert_eq!(take(), 30);
}

#[test]
fn who_becomes_one_of_several_keeps_its_share_of_what_it_has_not_promised() {
    let ledger = Ledger::new(UNLIMITED, limited(100));
    ledger.saw(ledger.begin(at(1.0)), 40);
    for _ in 0..5 {
        assert!(ledger.reserve());
    }
    ledger.mount.seats.adopt(shared(100, 3));
    assert_eq!(ledger.mount.seats.free(), Some(15));
    ledger.mount.seats.adopt(limited(100));
    assert_eq!(ledger.mount.seats.free(), Some(55));
}
