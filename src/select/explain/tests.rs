use std::time::Duration;

use proptest::prelude::*;

use super::super::tests::{Scene, mount, scene};
use super::super::{Reason, Trust, assign};
use super::*;
use crate::icecast::{Activity, Limit, MountReport};
use crate::slots::Evidence;

/// Relays `r0`, `r1` and so on with these settings, for a stream `/x` that falls back to `/pause`.
fn relays(settings: &[String], balance: &str, stream: &str) -> Scene {
    use std::fmt::Write as _;
    let mut yaml = format!(
        "balance: {{geoip: x, {balance}}}\nstreams: {{/x: {{{stream}}}, /pause: }}\nservers:\n"
    );
    for (number, settings) in settings.iter().enumerate() {
        writeln!(yaml, "  r{number}: {{url: 'http://r{number}.example.org', {settings}}}").unwrap();
    }
    scene(&yaml)
}

fn explained(scene: &Scene) -> Explained<'_> {
    explain(&scene.snapshot, 0, scene.client, scene.now)
}

/// Why the mount at this place of the first stream is passed over, or put behind.
fn reason(scene: &Scene, at: usize) -> String {
    let explained = explained(scene);
    let judged = explained.stages[0].mounts[at];
    match judged.verdict {
        Verdict::Passed(reason) => reason.label().to_owned(),
        Verdict::Candidate(_) => judged.behind.map_or("", Behind::label).to_owned(),
    }
}

/// Makes a rank worse in one way.
type Worsen = fn(&mut Rank);

#[test]
fn the_first_difference_that_weighs_puts_a_mount_behind() {
    let best = Rank {
        beyond_limit: false,
        leaves_tls: false,
        trust: Trust::Sure,
        tier: 0,
        preference: Preference::Preferred,
        proof: Proof::Flows,
        came_from: false,
    };
    let worse: [(Worsen, &str); 7] = [
        (|rank| rank.beyond_limit = true, "beyond_limit"),
        (|rank| rank.leaves_tls = true, "leaves_tls"),
        (|rank| rank.trust = Trust::Doubtful, "trust"),
        (|rank| rank.tier = 7, "tier"),
        (|rank| rank.preference = Preference::Neutral, "preference"),
        (|rank| rank.proof = Proof::Asleep, "proof"),
        (|rank| rank.came_from = true, "came_from"),
    ];
    let with = |worse: &[Worsen]| {
        let mut rank = best;
        for worsen in worse {
            worsen(&mut rank);
        }
        rank
    };
    let behind = |rank: Rank| rank.behind(best, None).map(Behind::label);
    for (one, name) in worse {
        assert_eq!(behind(with(&[one])), Some(name));
        for (other, other_name) in worse {
            // Which of the two weighs more is the order of ranks itself to say.
            let heavier = if with(&[one]) >= with(&[other]) { name } else { other_name };
            assert_eq!(behind(with(&[one, other])), Some(heavier), "{name} and {other_name}");
        }
    }
    assert_eq!(behind(best), None);
    assert_eq!(best.behind(with(&[worse[6].0]), None), None, "it is before that");
}

#[test]
fn two_draws_of_two_leave_nothing_to_chance_and_three_do() {
    let settings = vec![String::new(); 3];
    let scene = relays(&settings[..2], "headroom: 0", "");
    scene.saw("r0", vec![mount("/x", 10, 100)]);
    scene.saw("r1", vec![mount("/x", 20, 100)]);
    let of = |scene: &Scene| {
        let stages = explained(scene).stages;
        stages[0].mounts.iter().map(|judged| judged.chance.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(of(&scene), [1.0, 0.0]);
    assert_eq!(reason(&scene, 1), "policy");
    let scene = relays(&settings, "headroom: 0", "");
    for (server, listeners) in [("r0", 10), ("r1", 20), ("r2", 30)] {
        scene.saw(server, vec![mount("/x", listeners, 100)]);
    }
    let chances = of(&scene);
    for (chance, expected) in chances.iter().zip([2.0 / 3.0, 1.0 / 3.0, 0.0]) {
        assert!((chance - expected).abs() < 1e-9, "{chances:?}");
    }
}

#[test]
fn a_full_stream_and_its_fallback_are_both_told() {
    let scene = relays(&[String::new()], "headroom: 0", "fallback: /pause, when_full: fallback");
    scene.saw("r0", vec![mount("/x", 5, 5), mount("/pause", 0, 9)]);
    let explained = explained(&scene);
    let told: Vec<_> = explained
        .stages
        .iter()
        .map(|stage| (stage.stream, stage.refusal, stage.mounts[0].verdict.candidate().is_some()))
        .collect();
    assert_eq!(told, [(0, Some(Refusal::Full), false), (1, None, true)]);
    assert!(matches!(explained.decision, Decision::Mount(())));
}

#[test]
fn too_many_equals_are_not_weighed_in_every_way() {
    let mut settings = vec![String::new(); MOST_WEIGHED + 1];
    settings.push("tier: 1".to_owned());
    let scene = relays(&settings, "headroom: 0", "");
    for number in 0..settings.len() {
        scene.saw(&format!("r{number}"), vec![mount("/x", 1, 100)]);
    }
    let mounts = &explained(&scene).stages[0].mounts;
    let (last, equals) = mounts.split_last().unwrap();
    assert!(equals.iter().all(|judged| judged.chance.is_none() && judged.behind.is_none()));
    assert_eq!(
        (last.chance, last.behind),
        (Some(0.0), Some(Behind::Tier(0))),
        "that takes no dice"
    );
    assert_eq!(Behind::Tier(0).to_string(), "its tier comes when tier 0 is full or down");
}

#[test]
fn places_are_told_as_a_playlist_has_them_from_one() {
    let scene = relays(&vec![String::new(); 4], "headroom: 0", "");
    for (server, listeners) in [("r0", 30), ("r1", 10), ("r2", 100), ("r3", 20)] {
        scene.saw(server, vec![mount("/x", listeners, 100)]);
    }
    let places: Vec<_> =
        explained(&scene).stages[0].mounts.iter().map(|judged| judged.place).collect();
    assert_eq!(places, [Some(3), Some(1), None, Some(2)]);
}

/// Something that befalls the relay of that number.
#[derive(Debug, Clone)]
struct Fate {
    settings: &'static str,
    listeners: u64,
    /// 0: without a limit.
    limit: u64,
    activity: Activity,
    /// What came after that look.
    failures: Option<(Evidence, usize)>,
    is_listed: bool,
    was_asked: bool,
    seconds_ago: u64,
}

fn fate() -> impl Strategy<Value = Fate> {
    let settings = prop::sample::select(vec![
        "",
        "weight: 3",
        "tier: 1",
        "max_listeners: 4",
        "state: draining",
        "state: disabled",
        "ip: 4",
        "ip: 6",
        "clients: {countries: [AT]}",
        "clients: {networks: [192.0.2.0/24], only: true}",
        "clients: {countries: [DE], only: true}",
        "http_url: 'http://plain.example.org'",
    ]);
    let activity = prop::sample::select(vec![Activity::Active, Activity::Active, Activity::Idle]);
    let evidence = prop::sample::select(vec![
        Evidence::Soft,
        Evidence::Hard,
        Evidence::Full,
        Evidence::Own,
        Evidence::Good,
    ]);
    let failures = prop::option::of((evidence, 1_usize..5));
    let seconds = prop::sample::select(vec![0_u64, 1, 60]);
    let numbers = (0_u64..8, 0_u64..8, 0_u64..10, 0_u64..10);
    (settings, activity, failures, seconds, numbers).prop_map(
        |(settings, activity, failures, seconds_ago, (listeners, limit, listed, asked))| Fate {
            settings,
            listeners,
            limit,
            activity,
            failures,
            is_listed: listed > 0,
            was_asked: asked > 0,
            seconds_ago,
        },
    )
}

fn world(fates: &[Fate], policy: &str, stream: &str, address: usize, https: bool) -> Scene {
    let settings: Vec<_> = fates.iter().map(|fate| fate.settings.to_owned()).collect();
    let mut scene = relays(&settings, &format!("headroom: 0, policy: {policy}"), stream);
    let now = scene.now;
    for (number, fate) in fates.iter().enumerate() {
        let server = format!("r{number}");
        scene.now = now.saturating_sub(Duration::from_secs(fate.seconds_ago));
        if fate.was_asked {
            let limit =
                if fate.limit == 0 { Limit::Unlimited } else { Limit::Listeners(fate.limit) };
            let seen = |name: &str| MountReport {
                limit,
                activity: fate.activity,
                ..mount(name, fate.listeners, 0)
            };
            let mounts = if fate.is_listed { vec![seen("/x"), seen("/pause")] } else { vec![] };
            scene.saw(&server, mounts);
        }
        if let Some((evidence, times)) = fate.failures {
            scene.failed(&server, evidence, times);
        }
    }
    scene.now = now;
    if let Some(address) =
        [None, Some("192.0.2.1"), Some("198.51.100.1"), Some("2001:db8::1")][address]
    {
        scene.from(address);
    }
    scene.client.https = https;
    scene.client.connections = 1 + u64::from(fates.len() == 3);
    scene
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_said_to_be_chosen_is_chosen_and_every_mount_has_its_verdict(
        fates in prop::collection::vec(fate(), 1..6),
        policy in prop::sample::select(
            vec!["least_used", "most_free", "weighted_random", "client_hash"],
        ),
        stream in prop::sample::select(vec![
            "", "fallback: /pause", "fallback: 'https://example.org/x'", "when_full: overflow",
            "fallback: /pause, when_full: fallback", "https_to_http: never",
            "https_to_http: when_full",
        ]),
        address in 0_usize..4,
        https in any::<bool>(),
    ) {
        let mut scene = world(&fates, policy, stream, address, https);
        let mut rng = scene.rng.clone();
        let explained = explain(&scene.snapshot, 0, scene.client, scene.now);
        for stage in &explained.stages {
            prop_assert_eq!(stage.mounts.len(), fates.len());
            let chances: f64 = stage.mounts.iter().map(|judged| judged.chance.unwrap()).sum();
            let expected = if stage.refusal.is_none() { 1.0 } else { 0.0 };
            prop_assert!((chances - expected).abs() < 1e-9, "{} of {:?}", chances, stage);
            let mut places: Vec<_> =
                stage.mounts.iter().filter_map(|judged| judged.place).collect();
            places.sort_unstable();
            prop_assert_eq!(&places, &(1..=places.len()).collect::<Vec<_>>());
            for judged in &stage.mounts {
                let is_candidate = judged.verdict.candidate().is_some();
                prop_assert_eq!(judged.place.is_some(), is_candidate);
                // Who could take the listener and does not get it has somebody before it.
                let is_left = is_candidate && judged.chance == Some(0.0);
                prop_assert_eq!(judged.behind.is_some(), is_left, "{:?}", judged);
            }
        }
        let last = explained.stages.last().unwrap();
        let mut came_out = vec![0_u32; fates.len()];
        for _ in 0..30 {
            match assign(&scene.snapshot, 0, scene.client, scene.now, &mut rng, false) {
                Decision::Mount(mount) => {
                    prop_assert!(matches!(explained.decision, Decision::Mount(())));
                    let at = last.mounts.iter().position(|judged| {
                        std::ptr::eq(judged.mount.config, mount.config)
                    });
                    let at = at.expect("a mount of the stream that is said to have it");
                    prop_assert!(last.mounts[at].chance > Some(0.0), "{:?}", last.mounts[at]);
                    came_out[at] += 1;
                }
                Decision::Elsewhere(url) => prop_assert!(
                    matches!(explained.decision, Decision::Elsewhere(told) if told == url)
                ),
                Decision::Refused(refusal) => prop_assert!(
                    matches!(explained.decision, Decision::Refused(told) if told == refusal)
                ),
            }
        }
        for (judged, times) in last.mounts.iter().zip(came_out) {
            if judged.chance.is_some_and(|chance| chance > 1.0 - 1e-9) {
                prop_assert_eq!(times, 30);
            }
        }
        // Nothing was taken by any of this.
        for at in 0..fates.len() {
            let reserved: Vec<_> =
                scene.snapshot.mounts(0).map(|mount| mount.slots.seats.reserved()).collect();
            prop_assert_eq!(reserved[at], 0);
        }
        drop(explained);
        scene.ask();
    }
}

/// Settings of a relay, what happens there, and the reason that this is told as.
type Story = (&'static str, fn(&mut Scene), &'static str);

/// Of each reason one that has it, and what it is told as.
#[test]
fn each_reason_is_told_where_it_holds() {
    let stories: [Story; 18] = [
        ("ip: 6", |scene| scene.from("192.0.2.1"), "other_family"),
        ("clients: {countries: [DE], only: true}", |scene| scene.from("192.0.2.1"), "for_others"),
        ("state: draining", |_| {}, "draining"),
        ("state: disabled", |_| {}, "disabled"),
        ("", |scene| scene.failed("r0", Evidence::Hard, 1), "refusing"),
        ("", |scene| scene.saw("r0", vec![]), "absent"),
        ("", |scene| scene.saw("r0", vec![mount("/x", 9, 9)]), "full"),
        (
            "",
            |scene| {
                scene.saw("r0", vec![mount("/x", 0, 1)]);
                scene.failed("r0", Evidence::Soft, 3);
                let slots = scene.snapshot.server(0).unwrap();
                while slots.trickle.take(Some(1), scene.now) {}
            },
            "guessed",
        ),
        ("", |scene| scene.client.https = true, "plain_http"),
        ("tier: 1", |_| {}, "tier"),
        ("", |scene| scene.failed("r0", Evidence::Soft, 1), "trust"),
        ("", |scene| scene.failed("r0", Evidence::Soft, 3), "trust"),
        ("clients: {countries: [DE]}", |scene| scene.from("192.0.2.1"), "preference"),
        (
            "",
            |scene| {
                let idle = MountReport { activity: Activity::Idle, ..mount("/x", 0, 9) };
                scene.saw("r0", vec![idle]);
            },
            "proof",
        ),
        ("", |scene| scene.client.came_from = Some(0), "came_from"),
        ("", |scene| scene.saw("r0", vec![mount("/x", 8, 9)]), "policy"),
        ("", |scene| scene.saw("r0", vec![mount("/x", 0, 9)]), ""),
        ("max_listeners: 1", |scene| scene.saw("r0", vec![mount("/x", 3, 9)]), "full"),
    ];
    for (settings, happens, expected) in stories {
        let url = "url: 'https://r1.example.org', http_url: 'http://r1.example.org'";
        let yaml = format!(
            "balance: {{geoip: x, headroom: 0}}
streams: {{/x: }}
servers:
  r0: {{url: 'http://r0.example.org', {settings}}}
  r1: {{{url}}}
"
        );
        let mut scene = scene(&yaml);
        scene.saw("r0", vec![mount("/x", 1, 9)]);
        scene.saw("r1", vec![mount("/x", 1, 9)]);
        happens(&mut scene);
        assert_eq!(reason(&scene, 0), expected, "{settings}");
    }
}

#[test]
fn what_is_beyond_a_limit_or_leaves_https_comes_behind() {
    let mut mixed = scene(
        "balance: {headroom: 0}
streams: {/x: {https_to_http: when_full, when_full: overflow}}
servers: {r0: 'http://r0.example.org', r1: 'https://r1.example.org'}",
    );
    mixed.saw("r0", vec![mount("/x", 0, 9)]);
    mixed.saw("r1", vec![mount("/x", 0, 9)]);
    mixed.client.https = true;
    assert_eq!(reason(&mixed, 0), "leaves_tls");
    mixed.saw("r0", vec![mount("/x", 9, 9)]);
    assert_eq!(reason(&mixed, 0), "beyond_limit");
}

#[test]
fn what_other_replicas_may_have_given_away_is_told() {
    let mut scene = scene(
        "cluster: {replicas: 2}
balance: {headroom: 0}
streams: {/x: }
servers: {r0: 'http://r0.example.org', r1: 'http://r1.example.org'}",
    );
    scene.saw("r0", vec![mount("/x", 0, 9)]);
    scene.now += Duration::from_secs(60);
    scene.saw("r1", vec![mount("/x", 8, 10)]);
    assert_eq!(reason(&scene, 0), "unshared");
    assert_eq!(explained(&scene).stages[0].mounts[1].chance, Some(1.0));
    scene.saw("r0", vec![mount("/x", 8, 9)]);
    assert_eq!(reason(&scene, 0), "full", "the last slot is nobody's");
}

#[test]
fn a_doubt_says_what_is_in_doubt() {
    let doubt = |scene: &Scene| match explained(scene).stages[0].mounts[0].behind {
        Some(Behind::Trust(doubt)) => doubt,
        other => panic!("{other:?}"),
    };
    let new = || {
        let mut scene = relays(&[String::new(), String::new()], "headroom: 0", "");
        scene.saw("r0", vec![mount("/x", 0, 10)]);
        scene.now += Duration::from_secs(60);
        scene.saw("r1", vec![mount("/x", 0, 10)]);
        scene
    };
    assert_eq!(doubt(&new()), Some(Doubt::Stale));
    let scene = new();
    scene.failed("r0", Evidence::Soft, 1);
    assert_eq!(doubt(&scene), Some(Doubt::Failed));
    scene.failed("r0", Evidence::Soft, 2);
    assert_eq!(doubt(&scene), Some(Doubt::Down));
    scene.saw("r0", vec![mount("/x", 1, 10)]);
    scene.saw("r0", vec![mount("/x", 1, 10)]);
    assert_eq!(doubt(&scene), Some(Doubt::HadItsFill));
    let scene = new();
    for _ in 0..3 {
        scene.failed("r0", Evidence::Soft, 3);
        scene.saw("r0", vec![mount("/x", 0, 10)]);
        scene.saw("r0", vec![mount("/x", 0, 10)]);
    }
    assert_eq!(doubt(&scene), Some(Doubt::Probation));
    let mut scene = new();
    for _ in 0..5 {
        scene.now += Duration::from_secs(5);
        scene.saw("r0", vec![MountReport { bytes: Some(1), ..mount("/x", 0, 10) }]);
        scene.saw("r1", vec![mount("/x", 0, 10)]);
    }
    assert_eq!(doubt(&scene), Some(Doubt::StandsStill));
    let scene = relays(&[String::new(), String::new()], "headroom: 0", "");
    scene.saw("r1", vec![mount("/x", 0, 10)]);
    assert_eq!(doubt(&scene), Some(Doubt::Unseen));
    assert_eq!(scene.why_not(0), None);
    let closed = relays(&[String::new(), String::new()], "panic: closed", "");
    closed.saw("r1", vec![mount("/x", 0, 10)]);
    assert_eq!(closed.why_not(0), Some(Reason::Down));
}
