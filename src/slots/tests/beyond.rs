//! Listeners who are sent beyond a limit, and those whom a relay moves about by itself.

use super::world::event_or_overflow;
use super::*;

#[test]
fn who_is_sent_beyond_the_limit_is_reserved_like_everybody_and_leaves_nothing_free() {
    let ledger = Ledger::new(limited(9), limited(2));
    assert_eq!(ledger.reserve_all(), 2);
    assert!(ledger.reserve_beyond());
    for account in [&ledger.mount.seats, &ledger.server.seats] {
        assert_eq!((account.reserved(), account.load()), (3, 3));
    }
    assert_eq!(ledger.mount.seats.free(), Some(0));
    assert_eq!(ledger.server.seats.free(), Some(6));
    assert_eq!(ledger.server.redirected.get(), 3);
}

#[test]
fn what_was_sent_beyond_the_limit_must_go_before_a_slot_is_free_again() {
    let ledger = Ledger::new(UNLIMITED, limited(2));
    ledger.saw(ledger.begin(at(9.0)), 2);
    assert!(ledger.reserve_beyond());
    assert!(ledger.reserve_beyond());
    // Two of the four have arrived; then one listener leaves after the other.
    for (second, (listeners, free)) in (10_u32..).zip([(4, 0), (3, 0), (2, 0), (1, 1)]) {
        ledger.saw(ledger.begin(at(f64::from(second))), listeners);
        assert_eq!(ledger.mount.seats.free(), Some(free), "{listeners} listeners");
    }
}

#[test]
fn a_relay_that_refuses_everybody_is_sent_nobody_beyond_its_limit_either() {
    let ledger = Ledger::new(limited(9), limited(2));
    ledger.server.judge(Evidence::Full, at(1.0), RULES);
    assert!(!ledger.reserve_beyond());
    assert_eq!(ledger.mount.seats.reserved(), 0, "what the mount promised is taken back");
    ledger.saw(ledger.begin(at(2.0)), 2);
    assert!(ledger.reserve_beyond());
}

#[test]
fn beyond_the_limit_counts_in_every_account() {
    let server = ServerSlots::new(limited(1), limited(1_000));
    let mount = MountSlots::new(limited(1));
    for _ in 0..3 {
        assert!(reserve_beyond(&server, &mount, 2, 900));
    }
    let loads = [&mount.seats, &server.seats, &server.bandwidth].map(Account::load);
    assert_eq!(loads, [6, 6, 2_700]);
}

/// Icecast moves the listeners of its own `<fallback-mount>` when the source is back.
#[test]
fn listeners_whom_icecast_brings_back_to_a_mount_end_no_reservation() {
    // It lists a mount without a source as long as there is a fallback for it.
    let mut listed = report(0, Limit::Listeners(10));
    listed.mounts[0].activity = Activity::Idle;
    for without_source in [Report::default(), listed] {
        let ledger = Ledger::new(UNLIMITED, limited(10));
        ledger.saw(ledger.begin(at(9.0)), 0);
        assert!(ledger.reserve());
        ledger.saw_report(ledger.begin(at(10.0)), &without_source);
        ledger.saw(ledger.begin(at(11.0)), 4);
        assert_eq!(ledger.mount.seats.reserved(), 1, "who was sent is still on the way");
        assert_eq!(ledger.mount.seats.free(), Some(5));
    }
}

#[test]
fn listeners_whom_icecast_moves_beyond_a_limit_leave_nothing_free() {
    let ledger = Ledger::new(UNLIMITED, limited(3));
    ledger.saw_report(ledger.begin(at(10.0)), &Report::default());
    ledger.saw(ledger.begin(at(11.0)), 7);
    assert_eq!(ledger.mount.seats.free(), Some(0));
    ledger.saw(ledger.begin(at(12.0)), 2);
    assert_eq!(ledger.mount.seats.free(), Some(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whoever_is_sent_beyond_the_limit_nobody_else_gets_a_slot_that_is_not_there(
        limit in 1_u64..12,
        events in prop::collection::vec(event_or_overflow(), 1..120),
    ) {
        let mut world = World::new(limit);
        for event in &events {
            world.happen(event);
            prop_assert!(world.ledger.mount.seats.free().is_some_and(|free| free <= limit));
        }
        prop_assert!(world.promised <= limit, "{} on {limit} slots", world.promised);
    }

    #[test]
    fn what_was_sent_beyond_the_limit_runs_out_as_well(
        limit in 1_u64..12,
        events in prop::collection::vec(event_or_overflow(), 1..120),
    ) {
        let mut world = World::new(limit);
        for event in &events {
            world.happen(event);
        }
        for _ in 0..8 {
            world.happen(&Event::Pass { millis: 2_000 });
            world.listeners = 0;
            world.look_at_once();
        }
        prop_assert_eq!(world.ledger.mount.seats.reserved(), 0);
        prop_assert_eq!(world.ledger.reserve_all(), limit);
    }
}
