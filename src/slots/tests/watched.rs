//! When a look is wanted, and what looks have told of who is there, gone or a guess.

use super::*;

fn wants_look(ledger: &Ledger) -> bool {
    super::super::wants_look(&ledger.server, &ledger.listed())
}

/// A ledger whose relay is well, with these limits and so many listeners.
fn well(server: Terms, mount: Terms, listeners: u64) -> Ledger {
    let ledger = Ledger::new(server, mount);
    ledger.saw(ledger.begin(at(1.0)), listeners);
    ledger.server.judge(Evidence::Good, at(1.0), RULES);
    ledger
}

#[test]
fn who_is_well_and_has_room_wants_no_look() {
    assert!(!wants_look(&well(UNLIMITED, UNLIMITED, 50)));
    assert!(!wants_look(&well(UNLIMITED, limited(100), 50)));
}

#[test]
fn who_is_in_doubt_or_may_come_back_wants_a_look() {
    let ledger = Ledger::new(UNLIMITED, UNLIMITED);
    assert!(wants_look(&ledger), "nothing is known of it");
    let ledger = well(UNLIMITED, UNLIMITED, 50);
    ledger.server.judge(Evidence::Soft, at(2.0), RULES);
    assert!(wants_look(&ledger), "it is in doubt");
    for second in 3..10 {
        ledger.server.judge(Evidence::Hard, Duration::from_secs(second), RULES);
    }
    assert!(!wants_look(&ledger), "it is down");
    ledger.server.judge(Evidence::Good, at(10.0), RULES);
    assert!(wants_look(&ledger), "one more good look and it is back");
}

#[test]
fn whoever_was_sent_and_not_seen_is_looked_for() {
    let ledger = well(UNLIMITED, UNLIMITED, 50);
    assert!(ledger.reserve());
    assert!(wants_look(&ledger));
}

#[test]
fn of_a_relay_that_is_nearly_full_a_leaver_is_looked_for() {
    for (listeners, wants) in [(50, false), (90, false), (91, true), (100, true)] {
        assert_eq!(wants_look(&well(UNLIMITED, limited(100), listeners)), wants, "{listeners}");
        // Its source is a client of the relay, too.
        assert_eq!(wants_look(&well(limited(100), UNLIMITED, listeners - 1)), wants, "{listeners}");
    }
    let ledger = well(UNLIMITED, UNLIMITED, 50);
    ledger.mount.seats.shut();
    assert!(wants_look(&ledger), "it refuses everybody");
}

#[test]
fn where_looks_tell_no_numbers_they_are_wanted_in_doubt_alone() {
    let ledger = well(UNLIMITED, limited(100), 99);
    let mut asked = report(0, Limit::Unknown);
    asked.mounts.iter_mut().for_each(|mount| {
        mount.activity = Activity::Answers;
        mount.listeners = None;
    });
    ledger.saw_report(ledger.begin(at(2.0)), &asked);
    assert!(ledger.reserve());
    assert!(!wants_look(&ledger));
    ledger.server.judge(Evidence::Soft, at(3.0), RULES);
    assert!(wants_look(&ledger));
}

#[test]
fn who_is_sent_to_one_that_is_down_or_was_never_well_is_sent_on_a_guess() {
    let ledger = Ledger::new(UNLIMITED, UNLIMITED);
    assert!(!ledger.server.is_guess(), "the first look is under way");
    ledger.server.judge(Evidence::Soft, at(1.0), RULES);
    assert!(ledger.server.is_guess(), "no look has ended well");
    let ledger = well(UNLIMITED, UNLIMITED, 50);
    assert!(!ledger.server.is_guess());
    ledger.server.judge(Evidence::Soft, at(2.0), RULES);
    assert!(!ledger.server.is_guess(), "it is in doubt only");
    for second in 3..10 {
        ledger.server.judge(Evidence::Hard, Duration::from_secs(second), RULES);
    }
    assert!(ledger.server.is_guess(), "it is down");
}

#[test]
fn a_mount_is_gone_since_the_last_look_that_saw_it() {
    let ledger = Ledger::new(UNLIMITED, UNLIMITED);
    let gone = |second| ledger.mount.is_gone_since(at(second));
    assert!(ledger.mount.last_listed().is_none() && !gone(9.0), "nobody has looked");
    ledger.saw(ledger.begin(at(2.0)), 5);
    assert_eq!(ledger.mount.last_listed(), Some(at(2.0)));
    assert!(!gone(9.0), "it is there");
    ledger.saw_report(ledger.begin(at(4.0)), &Report { clients: None, mounts: Vec::new() });
    assert_eq!(ledger.mount.last_listed(), Some(at(2.0)));
    assert!(!gone(1.0) && !gone(2.0) && gone(2.1));
    let ledger = Ledger::new(UNLIMITED, UNLIMITED);
    ledger.saw_report(ledger.begin(at(4.0)), &Report { clients: None, mounts: Vec::new() });
    assert!(ledger.mount.is_gone_since(at(0.0)), "it never was there");
}

#[test]
fn a_mount_that_is_new_is_welcome_once() {
    let mount = MountSlots::new(UNLIMITED);
    let found = |listeners| report(listeners, Limit::Listeners(100)).mounts.remove(0);
    welcome(&mount, &found(40), at(2.0), SETTLE);
    assert_eq!((mount.presence(), mount.seats.free()), (Presence::Active, Some(60)));
    welcome(&mount, &found(50), at(3.0), SETTLE);
    assert_eq!((mount.last_listed(), mount.seats.free()), (Some(at(2.0)), Some(60)));
}

#[test]
fn who_came_back_from_its_third_fall_is_on_probation_for_a_minute() {
    let ledger = well(UNLIMITED, UNLIMITED, 50);
    assert_eq!(ledger.server.probation_left(at(1.0)), Duration::ZERO);
    for fall in 1..=3_u32 {
        let evidence =
            [Evidence::Hard, Evidence::Hard, Evidence::Hard, Evidence::Good, Evidence::Good];
        for (second, evidence) in evidence.into_iter().enumerate() {
            ledger.server.judge(evidence, at(f64::from(fall) * 10.0 + second as f64), RULES);
        }
    }
    assert_eq!(ledger.server.health(), Health::Probation { since: at(34.0) });
    assert_eq!(ledger.server.probation_left(at(34.0)), Duration::from_secs(60));
    assert_eq!(ledger.server.probation_left(at(93.0)), Duration::from_secs(1));
}
