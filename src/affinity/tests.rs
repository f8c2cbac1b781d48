use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

/// Enough networks that shares are near their expectation.
const NETWORKS: u32 = 4_000;

fn key() -> Key {
    Key::of("")
}

fn address(network: u32) -> IpAddr {
    Ipv4Addr::from_bits(network << 8 | 7).into()
}

/// Who comes first for a network, among servers with weights.
fn first(key: Key, network: u32, servers: &[(String, u32)]) -> &str {
    let audience = key.audience(address(network), "/saal1.ogv");
    let lot = |server: &&(String, u32)| audience.lot(&server.0, server.1);
    let best = servers.iter().max_by(|one, other| lot(one).total_cmp(&lot(other)));
    best.map_or("", |(name, _)| name)
}

fn servers(weights: &[u32]) -> Vec<(String, u32)> {
    weights.iter().enumerate().map(|(n, weight)| (format!("relay-{n}"), *weight)).collect()
}

/// How many of the networks begin with `name`.
fn share(of: &[&str], name: &str) -> f64 {
    of.iter().filter(|first| **first == name).count() as f64 / of.len() as f64
}

fn everybody(key: Key, servers: &[(String, u32)]) -> Vec<&str> {
    (0..NETWORKS).map(|network| first(key, network, servers)).collect()
}

/// Six standard deviations of a share: what chance never does in the life of this test.
fn tolerance(share: f64) -> f64 {
    6.0 * (share * (1.0 - share) / f64::from(NETWORKS)).sqrt()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn each_gets_its_share_and_who_leaves_takes_its_own_along_and_nobody_else(
        weights in prop::collection::vec(1_u32..5, 2..=12),
        gone in any::<prop::sample::Index>(),
        salt in "[a-z]{0,8}",
    ) {
        let key = Key::of(&salt);
        let all = servers(&weights);
        let total = f64::from(weights.iter().sum::<u32>());
        let before = everybody(key, &all);
        for (name, weight) in &all {
            let due = f64::from(*weight) / total;
            prop_assert!((share(&before, name) - due).abs() <= tolerance(due), "{name}: {weights:?}");
        }

        let (lost, weight) = all[gone.index(all.len())].clone();
        let rest: Vec<_> = all.iter().filter(|(name, _)| *name != lost).cloned().collect();
        let after = everybody(key, &rest);
        let mut moved = Vec::new();
        for (one, other) in before.iter().zip(&after) {
            if *one == lost {
                moved.push(*other);
            } else {
                prop_assert_eq!(one, other, "who was elsewhere stays there");
            }
        }
        let due = f64::from(weight) / total;
        let part = moved.len() as f64 / f64::from(NETWORKS);
        prop_assert!((part - due).abs() <= tolerance(due), "{part} moved, {due} were there");
        for (name, weight) in &rest {
            let due = f64::from(*weight) / (total - f64::from(all[gone.index(all.len())].1));
            let slack = 6.0 * (due * (1.0 - due) / moved.len() as f64).sqrt();
            prop_assert!((share(&moved, name) - due).abs() <= slack, "{name} of {weights:?}");
        }
        prop_assert_eq!(everybody(key, &all), before, "who comes back gets just its own");
    }
}

#[test]
fn the_order_is_the_same_on_every_machine_and_in_every_version() {
    let lots = |address: &str, salt: &str| {
        let audience = Key::of(salt).audience(address.parse().unwrap(), "/saal1.ogv");
        ["vienna", "berlin", "graz"].map(|name| format!("{:.6}", audience.lot(name, 1)))
    };
    // Worked out by a program of its own in another language.
    assert_eq!(lots("192.0.2.7", ""), ["13.075239", "2.650632", "7.728880"]);
    assert_eq!(lots("192.0.2.7", "congress"), ["0.663917", "0.681488", "1.306387"]);
    assert_eq!(lots("2001:db8::7", ""), ["1.014688", "0.684818", "0.646333"]);
}

#[test]
fn neighbours_are_one_audience_and_others_are_not() {
    let lot = |address: &str| {
        key().audience(address.parse().unwrap(), "/saal1.ogv").lot("vienna", 1).to_bits()
    };
    assert_eq!(lot("192.0.2.1"), lot("192.0.2.254"));
    assert_eq!(lot("192.0.2.1"), lot("::ffff:192.0.2.9"));
    assert_ne!(lot("192.0.2.1"), lot("192.0.3.1"));
    assert_eq!(lot("2001:db8:0:ff::1"), lot("2001:db8::2"), "one /56");
    assert_ne!(lot("2001:db8:0:100::1"), lot("2001:db8::2"));
}

#[test]
fn streams_and_salts_have_orders_of_their_own() {
    let servers = servers(&[1; 8]);
    let of = |salt: &str, stream: &str| -> Vec<String> {
        let first = |network| {
            let audience = Key::of(salt).audience(address(network), stream);
            let lot = |server: &&(String, u32)| audience.lot(&server.0, server.1);
            servers.iter().max_by(|one, other| lot(one).total_cmp(&lot(other))).unwrap().0.clone()
        };
        (0..400).map(first).collect()
    };
    let same = |one: &[String], other: &[String]| {
        one.iter().zip(other).filter(|(one, other)| one == other).count()
    };
    let plain = of("", "/saal1.ogv");
    assert_eq!(plain, of("", "/saal1.ogv"));
    for other in [of("", "/saal2.ogv"), of("salt", "/saal1.ogv")] {
        let same = same(&plain, &other);
        assert!((20..=80).contains(&same), "{same} of 400 are the same by chance, 50 were due");
    }
}

#[test]
fn a_lot_is_a_number_whatever_is_drawn() {
    for network in 0..1_000_u128 {
        let address = IpAddr::from(Ipv6Addr::from_bits(network << 72));
        let lot = key().audience(address, "/x").lot("vienna", 10_000);
        assert!(lot.is_finite() && lot > 0.0, "{lot}");
    }
}

#[test]
fn a_key_is_not_shown() {
    assert_eq!(format!("{:?}", Key::of("congress")), "Key { .. }");
}
