//! A choice among many is drawn without a look at all of them, and is the same.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// A relay, and what has become of it.
#[derive(Debug, Clone)]
struct Relay {
    weight: u32,
    tier: u32,
    listeners: u64,
    limit: u64,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    Doubtful,
    Refuses,
    Gone,
}

fn relay() -> impl Strategy<Value = Relay> {
    let fate = prop_oneof![
        6 => Just(Fate::Well),
        1 => Just(Fate::Doubtful),
        1 => Just(Fate::Refuses),
        1 => Just(Fate::Gone),
    ];
    let tier = prop_oneof![4 => Just(0_u32), 1 => Just(1)];
    (1..4_u32, tier, 0..12_u64, 4..12_u64, fate).prop_map(
        |(weight, tier, listeners, limit, fate)| Relay { weight, tier, listeners, limit, fate },
    )
}

fn world(relays: &[Relay], policy: &str) -> Scene {
    let mut yaml = "servers:\n".to_owned();
    for (number, Relay { weight, tier, .. }) in relays.iter().enumerate() {
        let url = format!("http://r{number}.example.org");
        writeln!(yaml, "  r{number}: {{url: '{url}', weight: {weight}, tier: {tier}}}").unwrap();
    }
    writeln!(yaml, "balance: {{headroom: 0, policy: {policy}}}\nstreams: {{/x: }}").unwrap();
    let scene = scene(&yaml);
    for (number, relay) in relays.iter().enumerate() {
        let name = format!("r{number}");
        let there = relay.fate != Fate::Gone;
        let mounts = there.then(|| mount("/x", relay.listeners, relay.limit));
        scene.saw(&name, mounts.into_iter().collect());
        match relay.fate {
            Fate::Well | Fate::Gone => {}
            Fate::Doubtful => scene.failed(&name, Evidence::Soft, 1),
            Fate::Refuses => scene.failed(&name, Evidence::Hard, 1),
        }
    }
    scene
}

fn chosen(scene: &mut Scene) -> Result<usize, Refusal> {
    let full = WhenFull::Reject;
    pick(&scene.snapshot, 0, scene.client, full, scene.now, &mut scene.rng).map(|chosen| chosen.at)
}

/// How often each of `relays` is chosen, in so many choices.
fn shares(scene: &mut Scene, times: usize) -> Vec<f64> {
    let mut counts = vec![0.0; scene.snapshot.mounts(0).count()];
    for _ in 0..times {
        counts[chosen(scene).expect("one is well")] += 1.0;
    }
    counts.into_iter().map(|count| count / times as f64).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whoever is chosen is of the best rank there is, and nobody is refused whom a look at all
    /// would have found a place for.
    #[test]
    fn nobody_is_chosen_whom_a_look_at_all_would_not_choose(
        relays in prop::collection::vec(relay(), 6..40),
        policy in prop::sample::select(vec!["least_used", "weighted_random"]),
        seed in any::<u64>(),
        came_from in prop::option::of(0..40_usize),
    ) {
        let mut scene = world(&relays, policy);
        scene.rng.seed(seed);
        scene.client = Client { came_from, ..Client::ANY };
        let mut best = SmallVec::new();
        let full = WhenFull::Reject;
        let verdicts = judged(&scene.snapshot, 0, scene.client, full, scene.now);
        let refusal = leaders(verdicts, &mut best);
        for _ in 0..20 {
            match chosen(&mut scene) {
                Ok(at) => prop_assert!(best.iter().any(|candidate| candidate.at == at)),
                Err(why) => prop_assert_eq!((best.len(), Some(why)), (0, refusal)),
            }
        }
    }
}

/// Twenty relays of weights from 1 to 4, of which some are in doubt, and some in use more than
/// others; so that tries fail, and fail between the two that are compared.
fn uneven() -> Vec<Relay> {
    let relay = |number: u64| Relay {
        weight: u32::try_from(1 + number % 4).unwrap(),
        tier: 0,
        listeners: number * 7 % 10,
        limit: 1_000,
        fate: if number % 5 < 3 { Fate::Doubtful } else { Fate::Well },
    };
    (0..20).map(relay).collect()
}

#[test]
fn each_relay_is_chosen_as_often_as_if_all_were_looked_at() {
    const TIMES: usize = 60_000;
    for policy in ["least_used", "weighted_random"] {
        let mut scene = world(&uneven(), policy);
        let expected = scene.chances();
        for (at, share) in shares(&mut scene, TIMES).into_iter().enumerate() {
            let expected = expected[at];
            // Five times as far as chance alone leads in two of three cases.
            let leeway = 5.0 * (expected * (1.0 - expected) / TIMES as f64).sqrt();
            let off = (share - expected).abs();
            assert!(off <= leeway, "{policy}, r{at}: {share}, not {expected}");
        }
    }
}

#[test]
fn among_a_hundred_that_are_well_two_are_found_by_drawing() {
    let well = Relay { weight: 1, tier: 0, listeners: 0, limit: 1_000, fate: Fate::Well };
    let mut scene = world(&vec![well; 100], "least_used");
    let full = WhenFull::Reject;
    for _ in 0..100 {
        let drawn = sample(&scene.snapshot, 0, scene.client, full, scene.now, &mut scene.rng);
        assert!(matches!(drawn, Drawn::Chosen(_)));
    }
}

#[test]
fn servers_that_prefer_somebody_are_all_looked_at() {
    let mut yaml = "streams: {/x: }\nservers:\n".to_owned();
    for n in 0..10 {
        let clients = format!("{{networks: [10.{n}.0.0/16]}}");
        writeln!(yaml, "  r{n}: {{url: 'http://r{n}.example.org', clients: {clients}}}").unwrap();
    }
    let mut scene = scene(&yaml);
    for n in 0..10 {
        scene.saw(&format!("r{n}"), vec![mount("/x", 0, 100)]);
    }
    scene.from("10.3.0.1");
    assert_eq!(scene.ask_times(50, "r3"), 50);
}
