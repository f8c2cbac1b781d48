//! Short histories of long steps: everybody arrives as late as can be, loans are spent as late as can be,
//! and somebody goes by old numbers for as long as that is allowed.

use proptest::prelude::*;

use super::engine::Fault;
use super::world::{Event, World};

const REPLICAS: usize = 3;

/// A step, in seconds.
#[derive(Debug, Clone)]
enum Step {
    /// So many come to one, which borrows what another can lend, and spends that just before it ends.
    Deal { players: u64, lender: usize, borrower: usize },
    /// One looks, and again a little later, and then no more for as long as it may; the others do.
    Blind { replica: usize },
    /// One looks, or does not, and gives away so much of what it has.
    Spend { replica: usize, players: u64, looks: bool },
    /// So many leave.
    Leave { listeners: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let of = || 0..REPLICAS;
    prop_oneof![
        2 => (prop_oneof![Just(10_u64), Just(20)], of(), 1..REPLICAS).prop_map(
            |(players, lender, on)| {
                Step::Deal { players, lender, borrower: (lender + on) % REPLICAS }
            }
        ),
        1 => of().prop_map(|replica| Step::Blind { replica }),
        1 => (of(), prop_oneof![3 => Just(100_u64), 1 => 1_u64..40], any::<bool>())
            .prop_map(|(replica, players, looks)| Step::Spend { replica, players, looks }),
        1 => (1_u64..60).prop_map(|listeners| Step::Leave { listeners }),
    ]
}

fn chains() -> impl Strategy<Value = (Vec<Step>, u64)> {
    (prop::collection::vec(step(), 3..9), prop_oneof![3 => Just(90_u64), 1 => 12_u64..100])
}

/// Whoever is sent arrives so much later.
const ARRIVES: u64 = 4_900;

/// Just before they have arrived.
const BEFORE: u64 = ARRIVES - 50;

/// What is lent is spent so much later.
const SPENT: u64 = 2_600;

fn look(world: &mut World, replica: usize) {
    world.look(replica, 0);
    world.answer(replica, 0, true);
}

fn take(world: &mut World, step: &Step) {
    match *step {
        Step::Deal { players, lender, borrower } => {
            look(world, borrower);
            // A crowd, or nothing would be wanted.
            world.ask_all(borrower, players, 4_000);
            for replica in [borrower, lender, borrower].repeat(12) {
                world.happen(&Event::Beat { replica });
            }
            // Then it knows since when it remembers.
            look(world, lender);
            world.pass(SPENT);
            look(world, borrower);
            let borrowed = world.borrowed(borrower);
            world.ask_all(borrower, borrowed, ARRIVES);
            world.pass(BEFORE);
        }
        Step::Blind { replica: blind } => {
            for rest in [950, 950].into_iter().chain([1_000; 13]) {
                (0..REPLICAS).for_each(|replica| look_unless(world, replica, blind, rest));
                world.pass(rest);
            }
            world.pass(950);
        }
        Step::Spend { replica, players, looks } => {
            if looks {
                look(world, replica);
            }
            world.ask_all(replica, players, ARRIVES);
            world.pass(BEFORE);
        }
        Step::Leave { listeners } => world.happen(&Event::Leave { listeners }),
    }
}

fn look_unless(world: &mut World, replica: usize, blind: usize, rest: u64) {
    if replica != blind || rest == 950 {
        look(world, replica);
    }
}

fn oversells(steps: &[Step], limit: u64, fault: Option<Fault>) -> bool {
    let mut world = World::new(limit, REPLICAS, fault);
    world.happen(&Event::AllLook);
    steps.iter().any(|step| {
        take(&mut world, step);
        world.is_oversold()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_slot_is_given_away_twice_however_late_everything_is((steps, limit) in chains()) {
        prop_assert!(!oversells(&steps, limit, None));
    }
}

/// What is gone of what was free may have been taken by one that has more left than its part of the rest.
#[test]
fn what_others_took_is_remembered_as_well() {
    let spends = |replica| Step::Spend { replica, players: 100, looks: false };
    let first = [
        Step::Deal { players: 20, lender: 1, borrower: 0 },
        spends(2),
        Step::Blind { replica: 0 },
        spends(0),
        Step::Deal { players: 10, lender: 2, borrower: 1 },
    ];
    let second = [
        spends(0),
        Step::Blind { replica: 2 },
        spends(1),
        Step::Deal { players: 10, lender: 1, borrower: 0 },
        Step::Blind { replica: 2 },
        spends(2),
        Step::Deal { players: 20, lender: 1, borrower: 0 },
    ];
    assert!(!oversells(&first, 90, None));
    assert!(!oversells(&second, 90, None));
}

/// How short it may be shows in `slots::share`, by very many more histories than could be played here.
#[test]
fn a_memory_that_is_much_too_short_is_noticed() {
    let steps = [
        Step::Spend { replica: 1, players: 100, looks: true },
        Step::Blind { replica: 0 },
        Step::Deal { players: 20, lender: 0, borrower: 1 },
        Step::Deal { players: 20, lender: 1, borrower: 2 },
    ];
    assert!(!oversells(&steps, 75, None));
    assert!(oversells(&steps, 75, Some(Fault::Forgets(20))));
}
