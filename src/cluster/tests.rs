//! Replicas, an engine between them and one relay, in random histories.

mod chains;
mod crowds;
mod engine;
mod traffic;
mod world;

use proptest::prelude::*;

use engine::Fault;
use world::{Event, World, event};

fn histories() -> impl Strategy<Value = (usize, Vec<Event>, u64)> {
    let events = |replicas| (Just(replicas), prop::collection::vec(event(replicas), 1..120));
    let limits = prop_oneof![1_u64..12, 20_u64..120];
    ((2_usize..5).prop_flat_map(events), limits)
        .prop_map(|((replicas, events), limit)| (replicas, events, limit))
}

/// Whether more were sent than there was room for.
fn oversells(replicas: usize, events: &[Event], limit: u64) -> bool {
    let mut world = World::new(limit, replicas, None);
    events.iter().any(|event| {
        world.happen(event);
        world.is_oversold()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_happens_to_engine_and_replicas_no_slot_is_given_away_twice(
        (replicas, events, limit) in histories()
    ) {
        prop_assert!(!oversells(replicas, &events, limit));
    }
}

/// A loan of replica 1 to replica 0, which goes wrong as `fault` has it; then all give away what they
/// have. Returns whether that is too much.
fn goes_wrong(fault: Fault, is_there: bool) -> bool {
    let mut world = World::new(90, 3, is_there.then_some(fault));
    world.happen(&Event::AllLook);
    assert_eq!(world.ask_all(0, 28, 300), 28);
    world.happen(&Event::Beat { replica: 0 });
    world.send_and_hear(1, false);
    assert!(world.lends(1));
    world.send_and_hear(1, fault == Fault::TakesBack);
    match fault {
        Fault::KeepsItsName => {
            world.happen(&Event::Save);
            world.happen(&Event::Beat { replica: 0 });
            world.happen(&Event::Restart { restores: true });
        }
        Fault::HandsOutTwice => world.happen(&Event::Beat { replica: 0 }),
        Fault::TakesBack | Fault::Forgets(_) => {}
        Fault::LetsLoansLast => {
            for _ in 0..20 {
                world.happen(&Event::Pass { millis: 2_000 });
                world.happen(&Event::AllLook);
            }
        }
    }
    world.happen(&Event::Beat { replica: 0 });
    for replica in 0..3 {
        world.ask_all(replica, 90, 300);
    }
    world.is_oversold()
}

#[test]
fn what_must_not_happen_would_be_noticed() {
    for fault in [Fault::HandsOutTwice, Fault::KeepsItsName, Fault::LetsLoansLast, Fault::TakesBack]
    {
        assert!(!goes_wrong(fault, false), "{fault:?}");
        assert!(goes_wrong(fault, true), "{fault:?}");
    }
}

/// A crowd at one replica while all of them beat, `each` a beat.
fn crowd(world: &mut World, beats: u64, asks: &[u64]) -> Option<u64> {
    let mut first_refused = None;
    for beat in 0..beats {
        if beat % 10 == 0 {
            world.happen(&Event::AllLook);
        }
        for (replica, players) in asks.iter().enumerate() {
            let got = world.ask_all(replica, *players, 300);
            if got < *players && first_refused.is_none() {
                first_refused = Some(world.used());
            }
        }
        for replica in 0..asks.len() {
            world.happen(&Event::Tend { replica });
            world.happen(&Event::Beat { replica });
        }
        world.happen(&Event::Pass { millis: 50 });
    }
    first_refused
}

#[test]
fn a_crowd_that_comes_to_one_replica_gets_the_slots_of_all() {
    for asks in [[18, 0, 0], [14, 3, 1], [6, 6, 6]] {
        let mut world = World::new(300, 3, None);
        let refused = crowd(&mut world, 20, &asks);
        assert!(!world.is_oversold());
        assert!(world.used() >= 297, "{asks:?}: {}", world.used());
        // A few are on their way between replicas.
        assert!(refused.is_some_and(|used| used >= 285), "{asks:?}: {refused:?}");
    }
}

#[test]
fn so_does_one_that_comes_slowly() {
    let mut world = World::new(300, 3, None);
    for _ in 0..320 {
        crowd(&mut world, 4, &[0, 0, 0]);
        world.ask_all(0, 1, 300);
    }
    assert!(!world.is_oversold());
    assert!(world.used() >= 297, "{}", world.used());
}

#[test]
fn a_full_relay_whose_listeners_come_and_go_stays_full() {
    let mut world = World::new(300, 3, None);
    crowd(&mut world, 40, &[18, 0, 0]);
    let mut least = u64::MAX;
    for _ in 0..120 {
        // They listen ten minutes on average.
        world.happen(&Event::Leave { listeners: 1 });
        for _ in 0..10 {
            crowd(&mut world, 4, &[0, 0, 0]);
            world.ask_all(0, 1, 300);
        }
        least = least.min(world.used());
    }
    assert!(!world.is_oversold());
    assert!(least >= 280, "{least}");
}

/// Three replicas of a relay with 90 slots, of which the second lent the first some, a second before the first
/// passed them on to the third. Nobody else has anything left that is its own, but for two slots of the first.
fn passed_on() -> World {
    let mut world = World::new(90, 3, None);
    world.happen(&Event::AllLook);
    assert_eq!(world.ask_all(0, 28, 300), 28);
    for replica in [0, 1, 0] {
        world.happen(&Event::Beat { replica });
    }
    let lent = world.borrowed(0);
    assert!(lent >= 5, "{lent}");
    world.happen(&Event::Pass { millis: 1_000 });
    for replica in [1, 2] {
        world.ask_all(replica, 90, 300);
    }
    for replica in [2, 0, 2] {
        world.happen(&Event::Beat { replica });
    }
    assert!(world.borrowed(0) < lent, "{lent} were lent");
    world
}

#[test]
fn what_is_passed_on_is_spent_once() {
    let mut world = passed_on();
    assert!(world.borrowed(2) > 2, "{}", world.borrowed(2));
    // What is on its way arrives.
    world.happen(&Event::AllBeat);
    for replica in [2, 0, 1] {
        world.ask_all(replica, 90, 300);
    }
    assert!(!world.is_oversold());
    assert!(world.used() >= 88, "{}", world.used());
}

#[test]
fn what_is_passed_on_ends_when_its_lender_said() {
    let mut world = passed_on();
    world.happen(&Event::Pass { millis: 1_600 });
    world.happen(&Event::Tend { replica: 2 });
    // What the first has lent of its own is there still.
    assert!((1..=2).contains(&world.borrowed(2)), "{}", world.borrowed(2));
}

/// What is lent to them and not spent is lost for half a minute.
#[test]
fn a_few_who_come_at_once_leave_others_what_they_have() {
    let mut world = World::new(90, 3, None);
    world.happen(&Event::AllLook);
    for _ in 0..4 {
        world.ask_all(0, 10, 300);
        world.happen(&Event::AllBeat);
    }
    assert_eq!(world.used(), 40);
    world.happen(&Event::Pass { millis: 4_000 });
    let others: u64 = [1, 2].map(|replica| world.ask_all(replica, 90, 300)).into_iter().sum();
    assert!(others >= 15, "{others}");
}

#[test]
fn without_an_engine_each_has_its_share() {
    let mut world = World::new(300, 3, None);
    world.happen(&Event::AllLook);
    assert_eq!(world.ask_all(0, 300, 300), 100);
    assert_eq!(world.ask_all(1, 300, 300), 100);
}
