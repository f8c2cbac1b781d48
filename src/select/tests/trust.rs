//! Relays of which little is known, or nothing good: what they are still given.

use super::*;

#[test]
fn a_relay_that_refuses_connections_gets_nobody_from_the_first_refusal_on() {
    let mut scene = scene(TWO);
    scene.saw("vienna", vec![mount("/x", 0, 1_000)]);
    scene.saw("berlin", vec![mount("/x", 99, 1_000)]);
    scene.failed("vienna", Evidence::Hard, 1);
    assert_eq!(scene.ask_times(50, "berlin"), 50);
    assert_eq!(scene.why_not(0), Some(Reason::Refusing));
}

#[test]
fn a_relay_in_doubt_is_used_when_no_other_is_sure() {
    let mut scene = scene(TWO);
    scene.saw("vienna", vec![mount("/x", 0, 2)]);
    scene.saw("berlin", vec![mount("/x", 0, 1)]);
    scene.failed("vienna", Evidence::Soft, 1);
    let answers: Vec<_> = (0..4).map(|_| scene.ask()).collect();
    assert_eq!(answers, ["berlin", "vienna", "vienna", "full"]);
}

#[test]
fn old_numbers_still_serve_by_the_ledger() {
    let mut scene = scene(TWO);
    scene.saw("vienna", vec![mount("/x", 0, 2)]);
    scene.saw("berlin", vec![mount("/x", 0, 2)]);
    scene.now += Duration::from_secs(3_600);
    let answers: Vec<_> = (0..5).map(|_| scene.ask()).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "full").count(), 1, "{answers:?}");
}

#[test]
fn a_relay_down_by_time_out_is_a_last_guess_unless_panic_is_closed() {
    for (panic, answer) in [("open", "vienna"), ("closed", "unreachable")] {
        let yaml = TWO.replace("headroom: 0", &format!("panic: {panic}"));
        let mut scene = scene(&yaml);
        scene.saw("vienna", vec![mount("/x", 0, 100)]);
        scene.failed("vienna", Evidence::Soft, 3);
        scene.failed("berlin", Evidence::Hard, 3);
        assert_eq!(scene.ask(), answer, "panic: {panic}");
    }
}

#[test]
fn a_recovered_relay_is_not_flooded() {
    let mut scene = scene(TWO);
    scene.saw("vienna", vec![mount("/x", 50, 100)]);
    scene.saw("berlin", vec![mount("/x", 0, 100)]);
    scene.failed("berlin", Evidence::Hard, 3);
    scene.saw("berlin", vec![mount("/x", 0, 100)]);
    scene.saw("berlin", vec![mount("/x", 0, 100)]);
    // A tenth of berlin's slots, then vienna's; when those are gone the rest is better than a 503.
    let answers: Vec<_> = (0..60).map(|_| scene.ask()).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "berlin").count(), 10);
    assert_eq!(scene.ask_times(100, "berlin"), 90);
}

#[test]
fn an_idle_mount_on_demand_comes_after_proven_ones_and_before_a_refusal() {
    let mut scene = scene(TWO);
    let idle = MountReport { activity: Activity::Idle, ..mount("/x", 0, 100) };
    scene.saw("vienna", vec![idle]);
    scene.saw("berlin", vec![mount("/x", 0, 2)]);
    assert_eq!([scene.ask(), scene.ask(), scene.ask()], ["berlin", "berlin", "vienna"]);
}

#[test]
fn sleeping_mounts_are_woken_by_one_listener_each() {
    let mut scene = scene(TWO);
    let idle = MountReport { activity: Activity::Idle, ..mount("/x", 0, 100) };
    scene.saw("vienna", vec![idle.clone()]);
    scene.saw("berlin", vec![idle]);
    let first_two = [scene.ask(), scene.ask()];
    assert_ne!(first_two[0], first_two[1]);
    assert_ne!(scene.ask(), "full", "a sleeping relay is better than a refusal");
}

#[test]
fn a_stream_that_stands_still_comes_after_its_siblings() {
    let mut scene = scene(TWO);
    for look in 0..5 {
        scene.now += Duration::from_secs(5);
        scene.saw("vienna", vec![MountReport { bytes: Some(1), ..mount("/x", 0, 100) }]);
        scene.saw("berlin", vec![MountReport { bytes: Some(look), ..mount("/x", 0, 2) }]);
    }
    assert_eq!([scene.ask(), scene.ask(), scene.ask()], ["berlin", "berlin", "vienna"]);
}

#[test]
fn a_relay_at_which_nobody_arrives_gets_half_its_weight() {
    let mut scene = scene(&TWO.replace("headroom: 0", "policy: weighted_random"));
    let unlimited = MountReport { limit: Limit::Unlimited, ..mount("/x", 0, 0) };
    for look in 0..12 {
        scene.now += Duration::from_secs(10);
        scene.saw("vienna", vec![unlimited.clone()]);
        scene.saw("berlin", vec![MountReport { listeners: Some(look * 100), ..unlimited.clone() }]);
        scene.ask_times(20, "berlin");
    }
    let berlin = scene.ask_times(3_000, "berlin");
    assert!((1_850..=2_150).contains(&berlin), "{berlin} of 3000");
}

#[test]
fn a_relay_half_way_through_its_slow_start_gets_half_its_weight() {
    let mut scene = scene(&TWO.replace("headroom: 0", "policy: weighted_random"));
    let unlimited = MountReport { limit: Limit::Unlimited, ..mount("/x", 0, 0) };
    scene.saw("vienna", vec![unlimited.clone()]);
    scene.failed("berlin", Evidence::Hard, 3);
    scene.saw("berlin", vec![unlimited.clone()]);
    scene.saw("berlin", vec![unlimited]);
    scene.now += RULES.slow_start / 2;
    let chances = scene.chances();
    assert!((chances[0] - 2.0 / 3.0).abs() < 1e-9, "{chances:?}");
}

#[test]
fn beyond_its_fill_a_recovered_relay_leaves_listeners_to_a_higher_tier() {
    let mut scene = scene(&TWO.replace(
        "berlin: http://berlin.example.org:8000",
        "berlin: {url: 'http://berlin.example.org:8000', tier: 1}",
    ));
    scene.saw("berlin", vec![mount("/x", 0, 100)]);
    scene.failed("vienna", Evidence::Hard, 3);
    scene.saw("vienna", vec![mount("/x", 0, 100)]);
    scene.saw("vienna", vec![mount("/x", 0, 100)]);
    assert_eq!(scene.ask_times(10, "vienna"), 10, "a tenth at once");
    assert_eq!(scene.ask_times(5, "berlin"), 5);
    scene.now += RULES.slow_start / 5;
    assert_eq!(scene.ask_times(20, "vienna"), 10, "a fifth a little later");
}

#[test]
fn a_relay_that_has_long_been_well_is_not_taken_for_one_that_has_just_come_back() {
    let scene = scene(&TWO.replace("headroom: 0", "headroom: 0, when_full: overflow"));
    scene.saw("vienna", vec![mount("/x", 10, 10)]);
    scene.saw("berlin", vec![mount("/x", 12, 10)]);
    for standing in scene.standings(0) {
        assert_eq!((standing.rank.trust, standing.doubt), (Trust::Sure, None));
    }
}

#[test]
fn who_is_to_wake_a_mount_is_not_sent_to_one_that_somebody_wakes_already() {
    let mut scene = scene(&TWO.replace("headroom: 0", "headroom: 0, policy: weighted_random"));
    let idle = MountReport { activity: Activity::Idle, ..mount("/x", 0, 100) };
    scene.saw("vienna", vec![idle.clone()]);
    scene.saw("berlin", vec![idle]);
    assert_eq!(scene.chances(), [0.5, 0.5]);
    let expected = if scene.ask() == "vienna" { [0.0, 1.0] } else { [1.0, 0.0] };
    assert_eq!(scene.chances(), expected);
    scene.ask();
    assert_eq!(scene.chances(), [0.5, 0.5], "somebody is on the way to either");
}

/// What is thought of a stream's mount at vienna.
fn at_vienna(scene: &Scene, stream: StreamId) -> Result<(Trust, Option<Doubt>), Reason> {
    match verdicts(&scene.snapshot, stream, Client::ANY, scene.now).next() {
        Some(Verdict::Candidate(standing)) => Ok((standing.rank.trust, standing.doubt)),
        Some(Verdict::Passed(reason)) => Err(reason),
        None => panic!("vienna comes first"),
    }
}

#[test]
fn what_a_reload_adds_to_a_relay_that_is_well_is_a_guess_until_the_next_look() {
    let guess = Ok((Trust::Guess, Some(Doubt::Unseen)));
    for (panic, expected) in [("open", guess), ("closed", Err(Reason::Down))] {
        let yaml = TWO.replace("headroom: 0", &format!("headroom: 0, panic: {panic}"));
        let mut scene = scene(&yaml);
        scene.saw("vienna", vec![mount("/x", 0, 10), mount("/y", 0, 10)]);
        let more = format!("{yaml}  /y:\n");
        let fleet = compile(&Sources::new("balancer.yaml", more), &Nothing).unwrap();
        scene.snapshot = scene.snapshot.successor(fleet, String::new());
        assert_eq!(at_vienna(&scene, 0), Ok((Trust::Sure, None)), "what it had is known");
        assert_eq!(at_vienna(&scene, 1), expected, "panic: {panic}");
        scene.saw("vienna", vec![mount("/x", 0, 10), mount("/y", 0, 10)]);
        assert_eq!(at_vienna(&scene, 1), Ok((Trust::Sure, None)));
    }
}

#[test]
fn a_relay_whose_numbers_are_old_comes_after_a_higher_tier_with_fresh_ones() {
    let mut scene = scene(&TWO.replace(
        "berlin: http://berlin.example.org:8000",
        "berlin: {url: 'http://berlin.example.org:8000', tier: 1}",
    ));
    scene.saw("vienna", vec![mount("/x", 0, 100)]);
    scene.now += Duration::from_secs(60);
    scene.saw("berlin", vec![mount("/x", 0, 2)]);
    assert_eq!([scene.ask(), scene.ask(), scene.ask()], ["berlin", "berlin", "vienna"]);
}

#[test]
fn one_of_several_replicas_gives_away_nothing_that_is_limited_by_old_numbers() {
    let mut scene = scene(&format!("cluster: {{replicas: 2}}{TWO}"));
    scene.saw("vienna", vec![mount("/x", 0, 100)]);
    let unlimited = MountReport { limit: Limit::Unlimited, ..mount("/x", 0, 0) };
    scene.saw("berlin", vec![unlimited]);
    assert_eq!(at_vienna(&scene, 0), Ok((Trust::Sure, None)));
    scene.now += Duration::from_secs(60);
    assert_eq!(at_vienna(&scene, 0), Err(Reason::Unshared));
    assert_eq!(scene.ask_times(5, "berlin"), 5, "where nothing is limited, nothing is shared");
}
