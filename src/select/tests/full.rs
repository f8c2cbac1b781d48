//! When nothing is left: what becomes of a player by the stream's `when_full`.

use super::https::{MIXED, WHEN_FULL};
use super::*;

const OVERFLOW: &str = "
servers:
  vienna: http://vienna.example.org:8000
  berlin: http://berlin.example.org:8000
balance: {headroom: 0, when_full: overflow}
streams:
  /x:
";

/// What befalls vienna, the configuration, and how it happens.
type Story<'a> = (&'a str, &'a str, fn(&mut Scene));

/// A stream and its fallback on one relay.
fn with_pause(balance: &str, x: &str, pause: &str) -> Scene {
    scene(&format!(
        "servers: {{vienna: 'http://vienna.example.org:8000'}}
balance: {{headroom: 0, {balance}}}
streams:
  /x: {{fallback: /pause, {x}}}
  /pause: {{{pause}}}"
    ))
}

#[test]
fn nobody_is_sent_beyond_a_limit_while_any_relay_has_room() {
    let yaml = OVERFLOW.replace(
        "berlin: http://berlin.example.org:8000",
        "berlin: {url: 'http://berlin.example.org:8000', tier: 3}",
    );
    let mut scene = scene(&yaml);
    scene.saw("vienna", vec![mount("/x", 10, 10)]);
    scene.saw("berlin", vec![mount("/x", 4, 10)]);
    assert_eq!(scene.ask_times(6, "berlin"), 6);
    assert_eq!(scene.snapshot.mounts(0).map(|mount| mount.overflows.get()).sum::<u64>(), 0);
}

#[test]
fn when_all_are_full_the_least_used_gets_the_next_whatever_the_policy() {
    for policy in ["least_used", "most_free", "weighted_random"] {
        let mut scene =
            scene(&OVERFLOW.replace("headroom: 0", &format!("headroom: 0, policy: {policy}")));
        scene.saw("vienna", vec![mount("/x", 14, 10)]);
        scene.saw("berlin", vec![mount("/x", 10, 10)]);
        assert_eq!(scene.ask_times(4, "berlin"), 4, "{policy}");
        assert_eq!(scene.ask_times(10, "vienna"), 5, "{policy}");
    }
}

#[test]
fn beyond_their_limits_relays_are_used_by_the_share_of_them() {
    let mut scene = scene(OVERFLOW);
    scene.saw("vienna", vec![mount("/x", 100, 100)]);
    scene.saw("berlin", vec![mount("/x", 10, 10)]);
    let vienna = scene.ask_times(110, "vienna");
    assert!((99..=101).contains(&vienna), "{vienna} of 110");
}

#[test]
fn beyond_their_limits_tiers_are_all_the_same() {
    let yaml = OVERFLOW.replace(
        "berlin: http://berlin.example.org:8000",
        "berlin: {url: 'http://berlin.example.org:8000', tier: 3}",
    );
    let mut scene = scene(&yaml);
    scene.saw("vienna", vec![mount("/x", 12, 10)]);
    scene.saw("berlin", vec![mount("/x", 10, 10)]);
    assert_eq!(scene.ask_times(2, "berlin"), 2);
}

#[test]
fn beyond_their_limits_relays_prefer_nobody_and_still_refuse_whom_they_always_refuse() {
    for (only, vienna) in [(false, 2), (true, 0)] {
        let clients = format!("clients: {{networks: [192.0.2.0/24], only: {only}}}");
        let yaml = OVERFLOW.replace(
            "vienna: http://vienna.example.org:8000",
            &format!("vienna: {{url: 'http://vienna.example.org:8000', {clients}}}"),
        );
        let mut scene = scene(&yaml);
        scene.saw("vienna", vec![mount("/x", 10, 10)]);
        scene.saw("berlin", vec![mount("/x", 12, 10)]);
        scene.client = Client { address: Some([198, 51, 100, 1].into()), ..Client::ANY };
        assert_eq!(scene.ask_times(2, "vienna"), vienna, "only: {only}");
    }
}

#[test]
fn only_relays_that_are_surely_well_are_sent_listeners_beyond_their_limit() {
    let draining = OVERFLOW.replace(
        "vienna: http://vienna.example.org:8000",
        "vienna: {url: 'http://vienna.example.org:8000', state: draining}",
    );
    let stories: [Story<'_>; 6] = [
        ("draining", &draining, |_| {}),
        ("absent", OVERFLOW, |scene| scene.saw("vienna", vec![])),
        ("refusing", OVERFLOW, |scene| scene.failed("vienna", Evidence::Hard, 1)),
        ("in doubt", OVERFLOW, |scene| scene.failed("vienna", Evidence::Soft, 1)),
        ("down", OVERFLOW, |scene| scene.failed("vienna", Evidence::Soft, 3)),
        ("full to its last client", OVERFLOW, |scene| scene.failed("vienna", Evidence::Full, 1)),
    ];
    for (what, yaml, happens) in stories {
        let mut scene = scene(yaml);
        scene.saw("vienna", vec![mount("/x", 10, 10)]);
        scene.saw("berlin", vec![mount("/x", 20, 10)]);
        happens(&mut scene);
        assert_eq!(scene.ask_times(20, "berlin"), 20, "{what}");
        scene.failed("berlin", Evidence::Full, 1);
        assert_eq!(scene.ask(), "full", "{what}");
    }
}

#[test]
fn who_comes_by_https_is_sent_to_plain_http_where_it_may_be_before_a_limit_is_exceeded() {
    let overflow = MIXED.replace("headroom: 0", "headroom: 0, when_full: overflow");
    let mut scene = scene(&overflow.replace("  /x:", WHEN_FULL));
    scene.saw("vienna", vec![mount("/x", 10, 10)]);
    scene.saw("berlin", vec![mount("/x", 8, 10)]);
    scene.client = Client { https: true, ..Client::ANY };
    assert_eq!([scene.ask(), scene.ask(), scene.ask()], ["berlin", "berlin", "vienna"]);
}

#[test]
fn who_needs_two_slots_is_sent_beyond_a_limit_with_one() {
    let mut scene = scene(OVERFLOW);
    scene.saw("vienna", vec![mount("/x", 9, 10)]);
    scene.client = Client { connections: 2, ..Client::ANY };
    scene.failed("berlin", Evidence::Hard, 1);
    assert_eq!(scene.ask(), "vienna");
    let vienna = scene.snapshot.mounts(0).next().unwrap();
    assert_eq!((vienna.slots.seats.load(), vienna.overflows.get()), (11, 1));
}

#[test]
fn an_overflow_is_told_counted_and_taken_only_by_who_means_it() {
    let mut scene = scene(OVERFLOW);
    scene.saw("vienna", vec![mount("/x", 10, 10)]);
    scene.failed("berlin", Evidence::Hard, 1);
    let verdict = verdicts(&scene.snapshot, 0, Client::ANY, scene.now).next().unwrap();
    let candidate = verdict.candidate().expect("it could take one more");
    assert!(candidate.rank.beyond_limit);
    assert_eq!(candidate.free, Some(0));
    let counted = |scene: &Scene| {
        let vienna = scene.snapshot.mounts(0).next().unwrap();
        (vienna.slots.seats.reserved(), vienna.overflows.get())
    };
    assign(&scene.snapshot, 0, Client::ANY, scene.now, &mut scene.rng, false);
    assert_eq!(counted(&scene), (0, 0));
    scene.ask_times(3, "vienna");
    assert_eq!(counted(&scene), (3, 3));
    let fleet = compile(&Sources::new("balancer.yaml", OVERFLOW), &Nothing).unwrap();
    scene.snapshot = scene.snapshot.successor(fleet, String::new());
    assert_eq!(counted(&scene), (3, 3), "a reload keeps both");
}

#[test]
fn a_full_stream_goes_to_its_fallback_where_it_says_so() {
    let mut scene = with_pause("", "when_full: fallback", "fallback: 'https://example.org/sorry'");
    scene.saw("vienna", vec![mount("/x", 3, 3), mount("/pause", 0, 1)]);
    assert_eq!(scene.ask(), "vienna");
    let pause = scene.snapshot.mounts(1).next().unwrap();
    assert_eq!((pause.slots.seats.reserved(), pause.redirects.get()), (1, 0));
    assert_eq!(scene.ask(), "https://example.org/sorry");
    assert_eq!(scene.snapshot.fallbacks(0).map(crate::state::Tally::get), Some(2));
}

#[test]
fn a_full_stream_is_full_where_its_fallback_has_nothing_either() {
    let mut scene = with_pause("when_full: fallback", "", "");
    scene.saw("vienna", vec![mount("/x", 3, 3), mount("/pause", 2, 2)]);
    assert_eq!(scene.ask(), "full");
    scene.saw("vienna", vec![mount("/x", 3, 3)]);
    assert_eq!(scene.ask(), "full", "of the two, only a slot would have helped");
    let pause = assign(&scene.snapshot, 1, Client::ANY, scene.now, &mut scene.rng, true);
    assert!(matches!(pause, Decision::Refused(Refusal::Offline)));
}

#[test]
fn the_stream_that_was_asked_for_decides_for_its_fallbacks_too() {
    for (x, pause, answer) in [
        ("when_full: reject", "when_full: overflow", "full"),
        ("when_full: overflow", "when_full: reject", "vienna"),
        ("when_full: fallback", "fallback: 'https://example.org/'", "https://example.org/"),
        ("when_full: reject", "when_full: fallback, fallback: 'https://example.org/'", "full"),
    ] {
        let mut scene = with_pause("", x, pause);
        scene.saw("vienna", vec![mount("/pause", 2, 2)]);
        assert_eq!(scene.ask(), answer, "/x: {x}, /pause: {pause}");
    }
}

#[test]
fn a_stream_decides_for_itself_whatever_the_default_is() {
    for (balance, x, answer) in [
        ("when_full: overflow", "when_full: reject", "full"),
        ("when_full: reject", "when_full: overflow", "vienna"),
        ("when_full: overflow", "", "vienna"),
        ("", "", "full"),
    ] {
        let mut scene = with_pause(balance, x, "");
        scene.saw("vienna", vec![mount("/x", 2, 2)]);
        assert_eq!(scene.ask(), answer, "balance: {balance}, /x: {x}");
    }
}
