//! Servers of which nobody tells how many listen: only promises count, for as long as they last.

use super::*;

/// What is seen of `/x` by asking for it.
fn asked(activity: Activity) -> Report {
    let mut report = report(0, Limit::Unknown);
    for mount in &mut report.mounts {
        mount.activity = activity;
        mount.listeners = None;
    }
    report
}

impl Ledger {
    /// A look at this second, by asking for `/x`.
    fn asked(&self, second: f64, report: &Report) {
        self.saw_report(self.begin(at(second)), report);
    }
}

#[test]
fn a_mount_that_answers_is_there_and_nobody_tells_how_many_listen() {
    let ledger = Ledger::new(limited(100), limited(10));
    ledger.asked(1.0, &asked(Activity::Answers));
    assert_eq!(ledger.mount.presence(), Presence::Active);
    assert_eq!((ledger.mount.seats.told(), ledger.server.seats.told()), (None, None));
    assert_eq!((ledger.mount.seats.limit(), ledger.server.seats.limit()), (Some(10), Some(100)));
    assert!(!ledger.server.counts_listeners());
}

#[test]
fn one_that_does_not_is_absent_and_one_that_was_not_asked_is_as_it_was() {
    let ledger = Ledger::new(UNLIMITED, UNLIMITED);
    let mut seen = Vec::new();
    let reports = [
        asked(Activity::Unasked),
        asked(Activity::Answers),
        asked(Activity::Unasked),
        Report::default(),
        asked(Activity::Unasked),
    ];
    for (second, report) in (1_u32..).zip(&reports) {
        ledger.asked(f64::from(second), report);
        seen.push(ledger.mount.presence());
        assert_eq!((ledger.mount.seats.told(), ledger.server.seats.told()), (None, None));
    }
    let expected =
        [Presence::Unknown, Presence::Active, Presence::Active, Presence::Absent, Presence::Absent];
    assert_eq!(seen, expected);
}

#[test]
fn a_limit_is_one_of_newcomers_within_settle() {
    let ledger = Ledger::new(UNLIMITED, limited(3));
    ledger.asked(1.0, &asked(Activity::Answers));
    assert_eq!(ledger.reserve_all(), 3);
    ledger.asked(5.9, &asked(Activity::Answers));
    assert!(!ledger.reserve(), "they may still be on their way");
    ledger.asked(10.9, &asked(Activity::Answers));
    assert_eq!(ledger.reserve_all(), 3, "nobody knows whether the others are still there");
}

#[test]
fn who_cannot_be_seen_to_arrive_is_not_missed() {
    let ledger = Ledger::new(UNLIMITED, UNLIMITED);
    for second in 0..100 {
        assert!(ledger.reserve());
        ledger.asked(f64::from(second), &asked(Activity::Answers));
        assert!(!ledger.server.misses_arrivals(), "{second}");
    }
    assert_eq!(ledger.server.arrived.get(), 0);
}

#[test]
fn free_slots_alone_are_no_count_either() {
    let ledger = Ledger::new(UNLIMITED, UNLIMITED);
    let mut free = asked(Activity::Active);
    free.mounts[0].limit = Limit::Listeners(7);
    for second in 0..100 {
        ledger.asked(f64::from(second), &free);
        ledger.reserve();
    }
    assert_eq!(ledger.mount.seats.told(), None);
    assert!(!ledger.server.misses_arrivals());
}

#[test]
fn a_count_is_forgotten_when_a_relay_is_merely_asked_and_is_no_arrival_when_it_is_back() {
    let ledger = Ledger::new(UNLIMITED, limited(100));
    ledger.saw_report(ledger.begin(at(1.0)), &report(30, Limit::Listeners(50)));
    assert_eq!((ledger.mount.seats.told(), ledger.mount.seats.limit()), (Some(30), Some(50)));
    ledger.asked(2.0, &asked(Activity::Answers));
    assert_eq!((ledger.mount.seats.told(), ledger.mount.seats.limit()), (None, Some(100)));
    assert_eq!(ledger.mount.seats.free(), Some(100));
    ledger.saw_report(ledger.begin(at(3.0)), &report(30, Limit::Listeners(50)));
    assert_eq!((ledger.mount.seats.told(), ledger.server.arrived.get()), (Some(30), 0));
    assert!(ledger.server.counts_listeners());
}

proptest! {
    #[test]
    fn no_more_are_promised_within_settle_than_the_limit_whatever_is_answered(
        looks in prop::collection::vec((1_u32..30, 0_usize..3, 0_usize..4), 1..40),
    ) {
        const LIMIT: u64 = 5;
        let ledger = Ledger::new(UNLIMITED, limited(LIMIT));
        let answers =
            [asked(Activity::Answers), asked(Activity::Unasked), Report::default()];
        let (mut tenth, mut promised) = (0, Vec::<u32>::new());
        for (pause, answer, players) in looks {
            tenth += pause;
            ledger.asked(f64::from(tenth) / 10.0, &answers[answer]);
            for _ in 0..players {
                if ledger.reserve() {
                    promised.push(tenth);
                }
            }
            let recent = promised.iter().filter(|at| tenth - *at < 50).count() as u64;
            prop_assert!(recent <= LIMIT, "{recent} within settle");
        }
    }
}
