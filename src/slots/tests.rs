mod beyond;
mod known;
mod lending;
mod replicas;
mod uncounted;
mod watched;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use proptest::prelude::*;

use super::*;
use world::{Event, World, event};

const SETTLE: Duration = Duration::from_secs(5);
const RULES: Rules = Rules { rise: 2, fall: 3, slow_start: Duration::ZERO, hold: false };

fn at(seconds: f64) -> Moment {
    Duration::from_secs_f64(seconds)
}

fn limited(max: u64) -> Terms {
    Terms { max: Some(max), headroom: Headroom::Slots(0), sharing: Sharing::ALONE }
}

const UNLIMITED: Terms = Terms { max: None, headroom: Headroom::Slots(0), sharing: Sharing::ALONE };

/// A server with one mount, `/x`.
struct Ledger {
    server: ServerSlots,
    mount: MountSlots,
}

impl Ledger {
    fn new(server: Terms, mount: Terms) -> Self {
        Self { server: ServerSlots::new(server, UNLIMITED), mount: MountSlots::new(mount) }
    }

    fn reserve(&self) -> bool {
        reserve(&self.server, &self.mount, 1, 0)
    }

    fn reserve_beyond(&self) -> bool {
        reserve_beyond(&self.server, &self.mount, 1, 0)
    }

    fn reserve_all(&self) -> u64 {
        (0..1_000_000).take_while(|_| self.reserve()).count() as u64
    }

    fn listed(&self) -> [Listed<'_>; 1] {
        [Listed { path: "/x", slots: &self.mount, bitrate: 0 }]
    }

    fn begin(&self, now: Moment) -> Look {
        begin_look(&self.server, &self.listed(), now)
    }

    fn saw(&self, look: Look, listeners: u64) {
        self.saw_report(look, &report(listeners, Limit::Unlimited));
    }

    fn saw_report(&self, look: Look, report: &Report) {
        record(&self.server, &self.listed(), look, report, SETTLE);
    }
}

fn report(listeners: u64, limit: Limit) -> Report {
    let mount = MountReport {
        name: "/x".to_owned(),
        listeners: Some(listeners),
        limit,
        activity: Activity::Active,
        bytes: None,
    };
    Report { clients: None, mounts: vec![mount] }
}

#[test]
fn a_redirect_takes_a_slot_before_any_look_can_see_it() {
    let ledger = Ledger::new(UNLIMITED, limited(3));
    assert_eq!(ledger.reserve_all(), 3);
    assert_eq!(ledger.mount.seats.free(), Some(0));
    assert_eq!(ledger.mount.seats.reserved(), 3);
}

#[test]
fn a_look_in_flight_does_not_end_what_was_reserved_while_it_ran() {
    let ledger = Ledger::new(UNLIMITED, limited(3));
    let look = ledger.begin(at(10.0));
    assert!(ledger.reserve());
    ledger.saw(look, 0);
    assert_eq!(ledger.mount.seats.free(), Some(2));
}

#[test]
fn a_reservation_lasts_until_a_look_that_began_settle_later() {
    let ledger = Ledger::new(UNLIMITED, limited(3));
    assert!(ledger.reserve());
    ledger.saw(ledger.begin(at(10.0)), 0);
    ledger.saw(ledger.begin(at(14.9)), 0);
    assert_eq!(ledger.mount.seats.reserved(), 1, "it is still young");
    ledger.saw(ledger.begin(at(15.0)), 0);
    assert_eq!(ledger.mount.seats.reserved(), 0);
    assert_eq!(ledger.mount.seats.free(), Some(3));
}

#[test]
fn a_reservation_ends_when_its_listener_is_seen_to_arrive() {
    let ledger = Ledger::new(limited(4), limited(3));
    ledger.saw(ledger.begin(at(9.0)), 1);
    assert!(ledger.reserve());
    assert!(ledger.reserve());
    ledger.saw(ledger.begin(at(10.0)), 2);
    assert_eq!(ledger.mount.seats.reserved(), 1);
    assert_eq!(ledger.mount.seats.free(), Some(0));
    assert_eq!(ledger.server.seats.reserved(), 1);
    assert_eq!(ledger.server.arrived.get(), 1);
}

#[test]
fn listeners_of_before_the_first_look_did_not_arrive() {
    let ledger = Ledger::new(UNLIMITED, limited(3));
    assert!(ledger.reserve());
    ledger.saw(ledger.begin(at(10.0)), 2);
    assert_eq!(ledger.mount.seats.reserved(), 1);
    assert_eq!(ledger.server.arrived.get(), 0);
}

#[test]
fn an_arrival_ends_no_reservation_from_after_the_look_began() {
    let ledger = Ledger::new(UNLIMITED, limited(3));
    ledger.saw(ledger.begin(at(9.0)), 0);
    let look = ledger.begin(at(10.0));
    assert!(ledger.reserve());
    ledger.saw(look, 1);
    assert_eq!(ledger.mount.seats.reserved(), 1);
}

#[test]
fn a_listener_who_was_promised_a_slot_during_the_look_that_saw_it_is_reckoned_by_the_next() {
    let ledger = Ledger::new(limited(9), limited(9));
    ledger.saw(ledger.begin(at(9.0)), 0);
    let look = ledger.begin(at(10.0));
    assert!(ledger.reserve());
    ledger.saw(look, 1);
    ledger.saw(ledger.begin(at(10.5)), 1);
    assert_eq!(ledger.mount.seats.reserved(), 0);
    assert_eq!(ledger.server.seats.reserved(), 0);
}

#[test]
fn a_listener_who_came_by_itself_ends_no_later_reservation() {
    let ledger = Ledger::new(UNLIMITED, limited(9));
    ledger.saw(ledger.begin(at(9.0)), 0);
    ledger.saw(ledger.begin(at(10.0)), 1);
    assert!(ledger.reserve());
    ledger.saw(ledger.begin(at(11.0)), 1);
    assert_eq!(ledger.mount.seats.reserved(), 1);
}

#[test]
fn a_player_that_opens_two_connections_takes_two_slots() {
    let ledger = Ledger::new(UNLIMITED, limited(3));
    assert!(reserve(&ledger.server, &ledger.mount, 2, 0));
    assert!(!reserve(&ledger.server, &ledger.mount, 2, 0));
    assert!(ledger.reserve());
}

#[test]
fn a_crowd_that_grows_gradually_fills_a_relay_before_anybody_is_refused() {
    for (limit, every) in [(100, 20), (100, 100), (1_000, 5)] {
        let mut world = World::new(limit);
        world.look_at_once();
        let mut refused_at = None;
        for turn in 1..=2 * limit {
            world.pass(every);
            let before = world.on_their_way.len() as u64 + world.listeners;
            world.happen(&Event::Ask { arrives_after: Some(400) });
            if world.on_their_way.len() as u64 + world.listeners == before {
                refused_at = Some(before);
                break;
            }
            if (turn * every) % 500 < every {
                world.look_at_once();
            }
        }
        let used = refused_at.expect("demand is twice the supply");
        assert!(used * 100 >= limit * 95, "{used} of {limit} were used, one every {every} ms");
    }
}

#[test]
fn a_listener_who_never_arrives_gives_the_slot_back() {
    let ledger = Ledger::new(UNLIMITED, limited(1));
    assert!(ledger.reserve());
    ledger.saw(ledger.begin(at(10.0)), 0);
    assert!(!ledger.reserve());
    ledger.saw(ledger.begin(at(16.0)), 0);
    assert!(ledger.reserve());
}

#[test]
fn while_nobody_looks_nothing_expires() {
    let ledger = Ledger::new(UNLIMITED, limited(2));
    assert_eq!(ledger.reserve_all(), 2);
    for second in 0..100 {
        // Looks begin and fail.
        ledger.begin(at(f64::from(second)));
    }
    assert!(!ledger.reserve());
}

#[test]
fn the_servers_own_limit_is_shared_by_its_mounts() {
    let server = ServerSlots::new(limited(5), UNLIMITED);
    let mounts = [MountSlots::new(limited(4)), MountSlots::new(limited(4))];
    let taken = (0..8).filter(|at| reserve(&server, &mounts[at % 2], 1, 0)).count();
    assert_eq!(taken, 5);
}

#[test]
fn a_slot_that_the_server_refuses_is_given_back_to_the_mount() {
    let ledger = Ledger::new(limited(1), limited(10));
    assert_eq!(ledger.reserve_all(), 1);
    assert_eq!(ledger.mount.seats.free(), Some(9));
}

#[test]
fn one_unlimited_mount_leaves_its_server_as_it_is() {
    let server = ServerSlots::new(limited(100), UNLIMITED);
    let (unlimited, other) = (MountSlots::new(UNLIMITED), MountSlots::new(limited(10)));
    for _ in 0..30 {
        assert!(reserve(&server, &unlimited, 1, 0));
    }
    assert_eq!(server.seats.free(), Some(70));
    assert!(reserve(&server, &other, 1, 0));
}

#[test]
fn bandwidth_is_shared_by_what_each_stream_takes_of_it() {
    let server = ServerSlots::new(UNLIMITED, limited(10_000));
    let (video, audio) = (MountSlots::new(UNLIMITED), MountSlots::new(UNLIMITED));
    assert!(reserve(&server, &video, 1, 9_000));
    assert!(!reserve(&server, &video, 1, 9_000));
    assert!(reserve(&server, &audio, 1, 1_000));
    assert!(!reserve(&server, &audio, 1, 1));
}

#[test]
fn the_smaller_of_the_configured_and_the_reported_limit_holds() {
    let ledger = Ledger::new(UNLIMITED, limited(10));
    ledger.saw_report(ledger.begin(at(1.0)), &report(0, Limit::Listeners(4)));
    assert_eq!(ledger.mount.seats.free(), Some(4));
    ledger.saw_report(ledger.begin(at(2.0)), &report(0, Limit::Listeners(40)));
    assert_eq!(ledger.mount.seats.free(), Some(10));
}

#[test]
fn more_listeners_than_the_limit_leave_nothing_free() {
    let ledger = Ledger::new(UNLIMITED, limited(3));
    ledger.saw(ledger.begin(at(1.0)), 7);
    assert_eq!(ledger.mount.seats.free(), Some(0));
    assert!(!ledger.reserve());
}

#[test]
fn headroom_stays_free() {
    let terms = Terms { max: Some(100), headroom: Headroom::Auto, sharing: Sharing::ALONE };
    assert_eq!(Ledger::new(UNLIMITED, terms).reserve_all(), 98);
    let terms = Terms { max: Some(10), headroom: Headroom::Auto, sharing: Sharing::ALONE };
    assert_eq!(Ledger::new(UNLIMITED, terms).reserve_all(), 9);
    let terms = Terms { max: Some(9), headroom: Headroom::Auto, sharing: Sharing::ALONE };
    assert_eq!(Ledger::new(UNLIMITED, terms).reserve_all(), 9);
}

#[test]
fn a_server_that_refuses_looks_because_it_is_full_has_nothing_free_until_it_answers() {
    let ledger = Ledger::new(limited(10), UNLIMITED);
    let rules = Rules { rise: 2, fall: 3, slow_start: Duration::ZERO, hold: false };
    ledger.server.judge(Evidence::Full, at(1.0), rules);
    assert!(!ledger.reserve());
    assert_eq!(ledger.server.health(), Health::Up);
    ledger.saw(ledger.begin(at(2.0)), 4);
    assert!(ledger.reserve());
}

#[test]
fn a_refusal_is_remembered_for_a_while_and_until_a_look_is_let_in() {
    let ledger = Ledger::new(UNLIMITED, UNLIMITED);
    assert!(!ledger.server.refused_lately(at(1.0)));
    ledger.server.refuse(at(1.0));
    assert!(ledger.server.refused_lately(at(31.0)));
    assert!(!ledger.server.refused_lately(at(31.1)));
    ledger.saw(ledger.begin(at(2.0)), 0);
    assert!(!ledger.server.refused_lately(at(2.0)));
}

#[test]
fn new_terms_keep_what_was_seen_and_promised() {
    let ledger = Ledger::new(UNLIMITED, limited(10));
    ledger.saw(ledger.begin(at(1.0)), 4);
    assert!(ledger.reserve());
    ledger.mount.seats.adopt(limited(20));
    assert_eq!(ledger.mount.seats.free(), Some(15));
    ledger.mount.seats.adopt(limited(3));
    assert_eq!(ledger.mount.seats.free(), Some(0));
}

#[test]
fn a_limit_that_is_no_longer_told_is_as_it_was_told_last() {
    let ledger = Ledger::new(UNLIMITED, UNLIMITED);
    ledger.saw_report(ledger.begin(at(0.0)), &report(3, Limit::Listeners(10)));
    ledger.saw_report(ledger.begin(at(1.0)), &report(4, Limit::Unknown));
    assert_eq!(ledger.mount.seats.free(), Some(6));
    ledger.saw_report(ledger.begin(at(2.0)), &report(4, Limit::Unlimited));
    ledger.saw_report(ledger.begin(at(3.0)), &report(4, Limit::Unknown));
    assert_eq!(ledger.mount.seats.free(), None);
}

#[test]
fn a_mount_that_is_not_listed_is_absent() {
    let ledger = Ledger::new(UNLIMITED, UNLIMITED);
    assert_eq!(ledger.mount.presence(), Presence::Unknown);
    ledger.saw(ledger.begin(at(1.0)), 4);
    assert_eq!(ledger.mount.presence(), Presence::Active);
    ledger.saw_report(ledger.begin(at(2.0)), &Report::default());
    assert_eq!(ledger.mount.presence(), Presence::Absent);
}

#[test]
fn where_a_relay_does_not_tell_its_clients_sources_count_as_well() {
    let ledger = Ledger::new(limited(10), UNLIMITED);
    ledger.saw(ledger.begin(at(1.0)), 4);
    assert_eq!(ledger.server.seats.free(), Some(5));
}

/// Threads that reserve while looks come in, against the one promise that matters.
#[test]
fn a_crowd_on_many_threads_never_gets_more_than_there_is() {
    const SLOTS: u64 = 10_000;
    let ledger = Arc::new(Ledger::new(limited(SLOTS), limited(SLOTS)));
    let granted = Arc::new(AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            let (ledger, granted) = (Arc::clone(&ledger), Arc::clone(&granted));
            scope.spawn(move || {
                for _ in 0..SLOTS {
                    if ledger.reserve() {
                        granted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        scope.spawn(|| {
            for millis in 0..1_000 {
                // Every listener arrives at once, and is seen at once.
                let look = ledger.begin(Duration::from_millis(millis));
                let mut report = report(0, Limit::Unlimited);
                report.clients = Some(0);
                ledger.saw_report(look, &report);
            }
        });
    });
    assert_eq!(granted.load(Ordering::Relaxed), SLOTS);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn listeners_on_a_relay_never_exceed_its_limit(
        limit in 1_u64..12,
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut world = World::new(limit);
        for event in &events {
            world.happen(event);
            prop_assert!(world.ledger.mount.seats.free().is_some_and(|free| free <= limit));
        }
        world.pass(10_000);
        prop_assert!(world.most <= limit, "{} listeners on {limit} slots", world.most);
    }

    #[test]
    fn every_reservation_runs_out_and_every_slot_is_used_again(
        limit in 1_u64..12,
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut world = World::new(limit);
        for event in &events {
            world.happen(event);
        }
        // Nobody asks any more, everybody leaves, and looks get through.
        for _ in 0..8 {
            world.happen(&Event::Pass { millis: 2_000 });
            world.listeners = 0;
            world.look_at_once();
        }
        prop_assert_eq!(world.ledger.mount.seats.reserved(), 0);
        prop_assert_eq!(world.ledger.reserve_all(), limit);
    }
}

/// What a feed tells of `/x` and of the relay.
fn heard(listeners: u64, clients: u64) -> Heard {
    Heard { clients: Some(clients), listeners: HashMap::from([("/x".to_owned(), listeners)]) }
}

impl Ledger {
    /// A look that the relay is too full for; its feed tells so many listeners and clients instead.
    fn full(&self, now: Moment, listeners: u64, clients: u64) {
        self.begin(now);
        record_heard(&self.server, &self.listed(), &heard(listeners, clients));
        self.server.judge(Evidence::Full, now, RULES);
    }
}

#[test]
fn of_a_full_relay_the_feeds_counts_are_told() {
    let ledger = Ledger::new(limited(20), limited(10));
    ledger.saw(ledger.begin(at(10.0)), 3);
    ledger.full(at(40.0), 8, 12);
    assert_eq!((ledger.mount.seats.told(), ledger.server.seats.told()), (Some(8), Some(12)));
}

#[test]
fn a_good_look_ends_what_the_feed_told() {
    let ledger = Ledger::new(UNLIMITED, limited(10));
    ledger.full(at(10.0), 8, 12);
    ledger.saw(ledger.begin(at(11.0)), 3);
    assert_eq!(ledger.mount.seats.told(), Some(3));
}

proptest! {
    #[test]
    fn whatever_a_feed_tells_of_a_full_relay_nobody_is_sent_there(
        told in prop::collection::vec((any::<u64>(), any::<u64>()), 1..20),
        server in prop::sample::select(vec![UNLIMITED, limited(20)]),
        mount in prop::sample::select(vec![UNLIMITED, limited(10)]),
    ) {
        let ledger = Ledger::new(server, mount);
        ledger.saw(ledger.begin(at(10.0)), 3);
        ledger.server.judge(Evidence::Full, at(11.0), RULES);
        for (second, (listeners, clients)) in (12_u32..).zip(told) {
            ledger.full(at(f64::from(second)), listeners, clients);
            prop_assert!(!ledger.reserve());
        }
    }

    #[test]
    fn whatever_a_feed_told_the_next_look_frees_what_it_would_have_freed_without(
        sent in 0_u64..8,
        told in prop::collection::vec((any::<u64>(), any::<u64>()), 0..5),
        arrived in 0_u64..8,
    ) {
        let free = |told: &[(u64, u64)]| {
            let ledger = Ledger::new(UNLIMITED, limited(20));
            ledger.saw(ledger.begin(at(10.0)), 3);
            for _ in 0..sent {
                ledger.reserve();
            }
            ledger.server.judge(Evidence::Full, at(11.0), RULES);
            for (listeners, clients) in told {
                ledger.full(at(11.5), *listeners, *clients);
            }
            ledger.saw(ledger.begin(at(12.0)), 3 + arrived);
            ledger.mount.seats.free()
        };
        prop_assert_eq!(free(&told), free(&[(3, 3)]));
    }
}

proptest! {
    #[test]
    fn no_relay_talks_its_way_beyond_the_configured_limit(
        told in prop::collection::vec((any::<u64>(), any::<u64>(), any::<Option<u64>>()), 1..20),
    ) {
        let account = Account::new(limited(100));
        for (second, (seen, arrived, reported)) in told.into_iter().enumerate() {
            let began = Duration::from_secs(second as u64);
            account.mark(began);
            account.observe(began, Some(seen), arrived, reported, Duration::from_secs(5));
            prop_assert!(account.room().is_some_and(|room| room <= 100));
            prop_assert!(account.free().is_some_and(|free| free <= 100));
        }
    }
}
