use proptest::prelude::*;

use super::super::tests::{Scene, mount, scene};
use super::super::{Decision, Reason, assign, verdicts};
use super::Preference::{Neutral, Other, Preferred};
use super::*;
use crate::icecast::{Limit, MountReport};
use crate::player::Refusal;
use crate::slots::Evidence;

/// Where listeners ask from, by the tests' database: Austria, Germany, nowhere.
const VIENNA: &str = "192.0.2.1";
const BERLIN: &str = "198.51.100.1";
const NOWHERE: &str = "100.64.0.1";
const VIENNA_BY_6: &str = "2001:db8:a::1";

/// Relays with these settings, called `r0`, `r1` and so on, each with so many slots and none in
/// use; 0: without a limit.
fn relays(settings: &[&str], slots: u64) -> Scene {
    use std::fmt::Write as _;
    let mut yaml = "balance: {headroom: 0, geoip: x}\nstreams: {/x: }\nservers:\n".to_owned();
    for (number, settings) in settings.iter().enumerate() {
        writeln!(yaml, "  r{number}: {{url: 'http://r{number}.example.org', {settings}}}").unwrap();
    }
    let scene = scene(&yaml);
    for number in 0..settings.len() {
        set(&scene, number, 0, slots);
    }
    scene
}

fn set(scene: &Scene, number: usize, listeners: u64, slots: u64) {
    let limit = if slots == 0 { Limit::Unlimited } else { Limit::Listeners(slots) };
    let report = MountReport { limit, ..mount("/x", listeners, slots) };
    scene.saw(&format!("r{number}"), vec![report]);
}

/// How many of so many players are sent to each of four relays, and how many are refused.
fn crowd(scene: &mut Scene, size: usize) -> [usize; 5] {
    let mut sent = [0; 5];
    for _ in 0..size {
        let relay = scene.ask().strip_prefix('r').and_then(|number| number.parse().ok());
        sent[relay.unwrap_or(4)] += 1;
    }
    sent
}

fn refusal(scene: &mut Scene) -> Option<Refusal> {
    match assign(&scene.snapshot, 0, scene.client, scene.now, &mut scene.rng, false) {
        Decision::Refused(refusal) => Some(refusal),
        _ => None,
    }
}

#[test]
fn a_client_is_never_sent_where_its_address_family_does_not_reach() {
    for (address, other, reason) in [
        (VIENNA, 1, Reason::OnlyBy(Family::V6)),
        ("::ffff:192.0.2.1", 1, Reason::OnlyBy(Family::V6)),
        (VIENNA_BY_6, 0, Reason::OnlyBy(Family::V4)),
    ] {
        let mut scene = relays(&["ip: 4", "ip: 6", "ip: any"], 100);
        scene.from(address);
        let sent = crowd(&mut scene, 40);
        assert_eq!(sent[other], 0, "{address}: {sent:?}");
        assert!(sent[1 - other] > 0 && sent[2] > 0, "{address}: {sent:?}");
        assert_eq!(scene.why_not(other), Some(reason), "{address}");
    }
    assert_eq!(Reason::OnlyBy(Family::V6).to_string(), "reached by IPv6 only");
}

#[test]
fn the_preferred_come_first_then_those_for_everybody_then_those_for_others() {
    let mut scene =
        relays(&["clients: {countries: [AT]}", "", "clients: {networks: [198.51.100.0/24]}"], 10);
    scene.from(VIENNA);
    // Seven and a half of ten are plenty; then the two who are for everybody are alike.
    assert_eq!(crowd(&mut scene, 8), [8, 0, 0, 0, 0]);
    assert_eq!(crowd(&mut scene, 12), [2, 10, 0, 0, 0]);
    assert_eq!(crowd(&mut scene, 11), [0, 0, 10, 0, 1]);
}

#[test]
fn a_network_counts_like_a_country_and_either_is_enough() {
    let mut scene = relays(
        &["clients: {countries: [DE], networks: [192.0.2.0/25, '2001:db8:a::/48']}", ""],
        100,
    );
    for address in [VIENNA, VIENNA_BY_6, BERLIN] {
        scene.from(address);
        assert_eq!(crowd(&mut scene, 5), [5, 0, 0, 0, 0], "{address}");
    }
    for address in [NOWHERE, "192.0.2.200"] {
        scene.from(address);
        assert_eq!(crowd(&mut scene, 5), [0, 5, 0, 0, 0], "{address}");
    }
}

#[test]
fn only_means_nobody_else() {
    let mut scene = relays(&["clients: {countries: [AT], only: true}", ""], 10);
    scene.from(BERLIN);
    assert_eq!(crowd(&mut scene, 11), [0, 10, 0, 0, 1]);
    assert_eq!(scene.why_not(0), Some(Reason::ForOthers));
    assert_eq!(Reason::ForOthers.to_string(), "for listeners from elsewhere only");
    scene.from(VIENNA);
    assert_eq!(crowd(&mut scene, 11), [10, 0, 0, 0, 1]);
}

#[test]
fn nobody_in_particular_is_taken_by_everybody() {
    let scene = relays(&["ip: 6", "clients: {countries: [AT], only: true}"], 10);
    let verdicts = verdicts(&scene.snapshot, 0, Client::ANY, scene.now);
    assert_eq!(verdicts.filter(|verdict| verdict.candidate().is_some()).count(), 2);
}

#[test]
fn trust_and_tier_outweigh_preference() {
    let mut scene = relays(&["tier: 1, clients: {countries: [AT]}", ""], 100);
    scene.from(VIENNA);
    assert_eq!(crowd(&mut scene, 5), [0, 5, 0, 0, 0]);
    let mut scene = relays(&["clients: {countries: [AT]}", ""], 100);
    scene.from(VIENNA);
    scene.failed("r0", Evidence::Soft, 1);
    assert_eq!(crowd(&mut scene, 5), [0, 5, 0, 0, 0]);
}

#[test]
fn a_refusal_tells_what_could_change_before_what_will_not() {
    let mut scene = relays(&["ip: 6", "ip: 6, state: draining"], 10);
    scene.from(VIENNA);
    assert_eq!(refusal(&mut scene), Some(Refusal::OnlyBy(Family::V6)), "it drains for others");
    let mut scene = relays(&["ip: 6", "clients: {countries: [DE], only: true}"], 10);
    scene.from(VIENNA);
    assert_eq!(refusal(&mut scene), Some(Refusal::ForOthers));
    let mut scene = relays(&["ip: 6", "clients: {countries: [DE], only: true}", ""], 10);
    scene.from(VIENNA);
    set(&scene, 2, 10, 10);
    assert_eq!(refusal(&mut scene), Some(Refusal::Full));
    scene.failed("r2", Evidence::Hard, 1);
    assert_eq!(refusal(&mut scene), Some(Refusal::Unreachable));
}

#[test]
fn whom_no_relay_takes_the_fallback_takes() {
    let mut scene = scene(
        "servers: {r0: {url: 'http://r0.example.org', ip: 6}}
streams: {/x: {fallback: 'https://example.org/by-4.ogg'}}",
    );
    set(&scene, 0, 0, 10);
    scene.from(VIENNA);
    assert_eq!(scene.ask(), "https://example.org/by-4.ogg");
}

/// Four relays, of which the first is alone in a region.
fn lone(slots: u64) -> Scene {
    relays(&["clients: {countries: [AT]}", "", "", ""], slots)
}

#[test]
fn a_lone_relay_of_a_region_is_neither_ignored_nor_flooded() {
    // Everybody is from there: three quarters of it, then all share, and nobody is refused.
    let mut scene = lone(100);
    scene.from(VIENNA);
    assert_eq!(crowd(&mut scene, 75), [75, 0, 0, 0, 0]);
    let sent = crowd(&mut scene, 200);
    assert!(sent[0] <= 2, "{sent:?}");
    assert_eq!(crowd(&mut scene, 125)[4], 0);
    assert_eq!(crowd(&mut scene, 1)[4], 1, "not before every slot is taken");

    // A quarter is from there: all of them stay there, and all others elsewhere.
    let mut scene = lone(100);
    for _ in 0..75 {
        scene.from(VIENNA);
        assert_eq!(scene.ask(), "r0");
        scene.from(BERLIN);
        assert_eq!(crowd(&mut scene, 3)[0], 0);
    }
}

#[test]
fn where_all_others_are_for_others_they_help_all_the_same() {
    let mut scene = relays(
        &["clients: {countries: [AT]}", "clients: {countries: [DE]}", "clients: {countries: [US]}"],
        100,
    );
    scene.from(VIENNA);
    assert_eq!(crowd(&mut scene, 75)[0], 75);
    let sent = crowd(&mut scene, 100);
    assert!(sent[0] <= 2 && sent[1] >= 40 && sent[2] >= 40, "{sent:?}");
}

#[test]
fn when_the_others_are_full_it_is_filled_to_the_last_slot() {
    let mut scene = lone(100);
    for number in 1..4 {
        set(&scene, number, 90, 100);
    }
    scene.from(VIENNA);
    assert_eq!(crowd(&mut scene, 90), [90, 0, 0, 0, 0], "no fuller than they are");
    let sent = crowd(&mut scene, 41);
    assert_eq!((sent[0], sent[4]), (10, 1), "{sent:?}");
}

#[test]
fn without_a_limit_it_gets_twice_what_the_others_get() {
    let mut scene = lone(0);
    scene.from(VIENNA);
    assert_eq!(crowd(&mut scene, 10), [10, 0, 0, 0, 0], "a few flood nobody");
    let sent = crowd(&mut scene, 990);
    assert!((370..=430).contains(&(sent[0] + 10)), "{sent:?}");
    let (least, most) = (sent[1..4].iter().min().unwrap(), sent[1..4].iter().max().unwrap());
    assert!(*most as f64 / *least as f64 <= 1.3, "{sent:?}");

    let mut scene = lone(0);
    for _ in 0..100 {
        scene.from(BERLIN);
        crowd(&mut scene, 9);
        scene.from(VIENNA);
        assert_eq!(scene.ask(), "r0", "a tenth is less than its share");
    }
}

#[test]
fn weight_makes_a_share_larger() {
    let mut scene = relays(&["weight: 4, clients: {countries: [AT]}", "", ""], 0);
    scene.from(VIENNA);
    let sent = crowd(&mut scene, 1_000);
    // Twice four against one and one.
    assert!((760..=840).contains(&sent[0]), "{sent:?}");
}

#[test]
fn a_relay_that_is_alone_keeps_its_own() {
    let mut scene = relays(&["clients: {countries: [AT]}"], 100);
    scene.from(VIENNA);
    assert_eq!(crowd(&mut scene, 101), [100, 0, 0, 0, 1]);
}

/// What each relay thinks of the listener who asks, its fair share being counted.
fn thoughts(scene: &Scene) -> Vec<Preference> {
    let verdicts = verdicts(&scene.snapshot, 0, scene.client, scene.now);
    verdicts.map(|verdict| verdict.candidate().expect("it has room").rank.preference).collect()
}

#[test]
fn eleven_listeners_are_no_flood_and_twice_what_the_others_have_is_fair() {
    for (here, there, expected) in
        [(10, 0, Preferred), (11, 0, Neutral), (40, 20, Preferred), (41, 20, Neutral)]
    {
        let mut scene = lone(0);
        scene.from(VIENNA);
        for (number, listeners) in [here, there, there, there].into_iter().enumerate() {
            set(&scene, number, listeners, 0);
        }
        assert_eq!(thoughts(&scene)[0], expected, "{here} to {there} each");
    }
}

#[test]
fn two_relays_of_a_region_are_each_measured_by_those_who_are_not() {
    let austrian = "clients: {countries: [AT]}";
    let mut scene = relays(&[austrian, austrian, ""], 100);
    scene.from(VIENNA);
    for (number, listeners) in [80, 79, 78].into_iter().enumerate() {
        set(&scene, number, listeners, 100);
    }
    assert_eq!(thoughts(&scene), [Neutral; 3], "both are fuller than the third");
}

#[test]
fn a_fair_share_is_measured_within_a_tier() {
    let austrian = "clients: {countries: [AT]}";
    let second = format!("tier: 1, {austrian}");
    let mut scene = relays(&[austrian, "", &second, "tier: 1"], 100);
    scene.from(VIENNA);
    for (number, listeners) in [80, 10, 80, 90].into_iter().enumerate() {
        set(&scene, number, listeners, 100);
    }
    assert_eq!(thoughts(&scene), [Neutral, Neutral, Preferred, Neutral]);
}

#[test]
fn those_who_are_for_others_count_for_nothing_while_there_is_one_for_everybody() {
    let mut scene = relays(&["clients: {countries: [AT]}", "clients: {countries: [DE]}", ""], 100);
    scene.from(VIENNA);
    for (number, listeners) in [80, 0, 90].into_iter().enumerate() {
        set(&scene, number, listeners, 100);
    }
    assert_eq!(thoughts(&scene), [Preferred, Other, Neutral]);
}

/// Whom a listener from `address` waits with.
fn admitted(scene: &mut Scene, address: &str, https: bool) -> Option<u64> {
    scene.from(address);
    scene.client.https = https;
    admission(&scene.snapshot, 0, scene.client)
}

#[test]
fn where_every_relay_takes_everybody_all_are_alike() {
    let mut scene = relays(&["", "tier: 1", "clients: {countries: [AT]}"], 10);
    for address in [VIENNA, BERLIN, VIENNA_BY_6] {
        assert_eq!(admitted(&mut scene, address, false), None, "{address}");
        assert_eq!(admitted(&mut scene, address, true), None, "{address} by https");
    }
}

#[test]
fn who_is_kept_from_other_relays_is_told_apart_and_nobody_else() {
    let mut family = relays(&["ip: 4", ""], 10);
    let by_4 = admitted(&mut family, VIENNA, false);
    assert!(by_4.is_some());
    assert_eq!(admitted(&mut family, BERLIN, false), by_4, "another address, the same relays");
    assert_eq!(
        admitted(&mut family, BERLIN, true),
        by_4,
        "there is no relay by https to stay with"
    );
    assert_ne!(admitted(&mut family, VIENNA_BY_6, false), by_4);

    let mut country = relays(&["clients: {countries: [AT], only: true}", ""], 10);
    let austrian = admitted(&mut country, VIENNA, false);
    assert!(austrian.is_some());
    assert_eq!(admitted(&mut country, VIENNA_BY_6, false), austrian);
    assert_ne!(admitted(&mut country, BERLIN, false), austrian);

    let mut mixed = scene(
        "servers: {r0: 'http://r0.example.org', r1: 'https://r1.example.org'}
streams: {/x: }",
    );
    let plain = admitted(&mut mixed, VIENNA, false);
    assert_eq!(admitted(&mut mixed, VIENNA_BY_6, false), plain);
    assert_ne!(admitted(&mut mixed, VIENNA, true), plain);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever came before: a preferred relay that is not full is left only for somebody who is
    /// less full, and only when three quarters of it are in use.
    #[test]
    fn it_is_left_only_when_it_has_had_its_share(
        loads in prop::collection::vec(0_u64..=20, 4),
        address in prop::sample::select(vec![VIENNA, BERLIN, NOWHERE]),
    ) {
        let mut scene = lone(20);
        for (number, load) in loads.iter().enumerate() {
            set(&scene, number, *load, 20);
        }
        scene.from(address);
        let rank = |at| {
            let verdict = verdicts(&scene.snapshot, 0, scene.client, scene.now).nth(at);
            verdict.and_then(|verdict| verdict.candidate().map(|it| it.rank.preference))
        };
        let others: Vec<u64> = loads[1..].iter().copied().filter(|load| *load < 20).collect();
        let average = others.iter().sum::<u64>() as f64 / others.len() as f64;
        let fair = loads[0] < 15 || others.is_empty() || loads[0] as f64 <= average + 1e-9;
        let expected = match (loads[0] < 20, address == VIENNA) {
            (false, _) => None,
            (true, false) => Some(Other),
            (true, true) if fair => Some(Preferred),
            (true, true) => Some(Neutral),
        };
        prop_assert_eq!(rank(0), expected, "{:?}", loads);
    }
}
