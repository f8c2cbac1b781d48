//! What the ledger tells of servers and mounts to those who ask.

use super::*;

fn server() -> ServerSlots {
    ServerSlots::new(UNLIMITED, UNLIMITED)
}

/// A report of `/x` with this activity and so many bytes sent.
fn flowing(activity: Activity, bytes: Option<u64>) -> Report {
    let mut report = report(0, Limit::Unlimited);
    for mount in &mut report.mounts {
        mount.activity = activity;
        mount.bytes = bytes;
    }
    report
}

#[test]
fn a_server_was_asked_once_a_look_at_it_has_ended() {
    let server = server();
    assert!(!server.was_asked());
    server.judge(Evidence::Soft, at(1.0), RULES);
    assert!(server.was_asked());
}

#[test]
fn a_server_is_up_while_it_is_well_and_its_numbers_are_young() {
    let ledger = Ledger::new(UNLIMITED, UNLIMITED);
    let up = |seconds| ledger.server.is_up(at(seconds), Duration::from_secs(15));
    assert!(!up(1.0), "nobody has looked");
    ledger.saw(ledger.begin(at(1.0)), 0);
    assert!(!up(1.0), "well is only who was judged to be");
    ledger.server.judge(Evidence::Good, at(1.0), RULES);
    assert!(up(1.0) && up(16.0));
    assert!(!up(16.1), "its numbers are old");
    ledger.server.judge(Evidence::Soft, at(2.0), RULES);
    assert!(!up(2.0), "its last look failed");
}

#[test]
fn numbers_are_stale_from_the_moment_after_stale_after() {
    let ledger = Ledger::new(UNLIMITED, UNLIMITED);
    let stale = |seconds| ledger.server.is_stale(at(seconds), Duration::from_secs(15));
    assert!(stale(0.0), "there are none");
    ledger.saw(ledger.begin(at(10.0)), 0);
    assert!(!stale(10.0) && !stale(25.0));
    assert!(stale(25.1));
}

#[test]
fn even_the_last_moment_is_a_moment() {
    let server = server();
    server.judge(Evidence::Full, Duration::MAX, RULES);
    assert!(server.last_good().is_some());
}

#[test]
fn what_is_noted_is_told() {
    let server = server();
    assert_eq!(server.notes().trouble, None);
    server.note(|notes| notes.trouble = Some("no route".to_owned()));
    server.note(|notes| notes.live = true);
    let notes = server.notes();
    assert_eq!((notes.trouble.as_deref(), notes.live), (Some("no route"), true));
}

#[test]
fn listeners_who_are_sent_and_do_not_arrive_are_missed() {
    let ledger = Ledger::new(UNLIMITED, UNLIMITED);
    for second in 0..60 {
        assert!(ledger.reserve());
        ledger.saw(ledger.begin(at(f64::from(second))), 0);
        assert!(second > 30 || !ledger.server.misses_arrivals(), "{second}");
    }
    assert!(ledger.server.misses_arrivals());
}

#[test]
fn a_mount_whose_bytes_stand_still_stands_still() {
    let ledger = Ledger::new(UNLIMITED, UNLIMITED);
    for (second, still) in [(0.0, false), (10.0, false), (16.0, true)] {
        let look = ledger.begin(at(second));
        ledger.saw_report(look, &flowing(Activity::Active, Some(100)));
        assert_eq!(ledger.mount.stands_still(), still, "{second}");
    }
    ledger.saw_report(ledger.begin(at(17.0)), &flowing(Activity::Active, Some(101)));
    assert!(!ledger.mount.stands_still());
}

#[test]
fn a_mount_has_the_presence_that_was_seen_last() {
    let ledger = Ledger::new(UNLIMITED, UNLIMITED);
    let mut seen = vec![ledger.mount.presence()];
    for (second, activity) in [(1.0, Activity::Idle), (2.0, Activity::Active)] {
        ledger.saw_report(ledger.begin(at(second)), &flowing(activity, None));
        seen.push(ledger.mount.presence());
    }
    ledger.saw_report(ledger.begin(at(3.0)), &Report::default());
    seen.push(ledger.mount.presence());
    assert_eq!(seen, [Presence::Unknown, Presence::Idle, Presence::Active, Presence::Absent]);
    let labels: Vec<_> = seen.into_iter().map(Presence::label).collect();
    assert_eq!(labels, ["unknown", "idle", "active", "absent"]);
}

#[test]
fn of_a_server_one_slot_is_kept_for_the_look_unless_it_has_but_one() {
    let room = |limit| Account::new(seats_terms(limit, Sharing::ALONE)).room();
    assert_eq!(room(None), None);
    assert_eq!([0, 1, 2, 3, 100].map(|limit| room(Some(limit))), [0, 1, 1, 2, 99].map(Some));
}

#[test]
fn what_an_account_tells_adds_up() {
    let ledger = Ledger::new(
        UNLIMITED,
        Terms { max: Some(10), headroom: Headroom::Slots(3), sharing: Sharing::ALONE },
    );
    let seats = &ledger.mount.seats;
    assert_eq!((seats.limit(), seats.room(), seats.load()), (Some(10), Some(7), 0));
    ledger.saw(ledger.begin(at(1.0)), 4);
    assert!(ledger.reserve() && ledger.reserve());
    assert_eq!((seats.counted(), seats.reserved(), seats.load()), (Some(4), 2, 6));
    assert_eq!((seats.free(), seats.told()), (Some(1), Some(4)));
    let other = Ledger::new(UNLIMITED, UNLIMITED).mount.seats;
    assert_eq!((other.limit(), other.room(), other.free()), (None, None, None));
}

#[test]
fn a_reservation_ends_in_time_however_many_looks_there_were() {
    let ledger = Ledger::new(UNLIMITED, limited(3));
    let settle = Duration::from_secs(30);
    let look = |millis| {
        let look = ledger.begin(Duration::from_millis(millis));
        record(&ledger.server, &ledger.listed(), look, &report(0, Limit::Unlimited), settle);
    };
    // Far more looks than are remembered one by one.
    for turn in 0..400 {
        if turn == 10 {
            assert!(ledger.reserve());
        }
        look(turn * 200);
        let reserved = ledger.mount.seats.reserved();
        match turn {
            10..=159 => assert_eq!(reserved, 1, "it is young at {turn}"),
            // Where looks are remembered further apart, it may take a little longer.
            180.. => assert_eq!(reserved, 0, "it is old at {turn}"),
            _ => {}
        }
    }
}

#[test]
fn a_listener_is_reckoned_once() {
    let ledger = Ledger::new(UNLIMITED, limited(9));
    ledger.saw(ledger.begin(at(9.0)), 0);
    assert!(ledger.reserve());
    let look = ledger.begin(at(10.0));
    assert!(ledger.reserve());
    ledger.saw(look, 1);
    assert_eq!(ledger.mount.seats.reserved(), 1, "the first has arrived");
    ledger.saw(ledger.begin(at(10.5)), 1);
    assert_eq!(ledger.mount.seats.reserved(), 1, "the second is still on the way");
}
