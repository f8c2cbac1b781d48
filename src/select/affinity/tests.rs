use std::net::Ipv4Addr;

use super::super::tests::{Scene, mount, scene};
use super::*;
use crate::slots::Evidence;

/// The order of [`FIVE`] for listeners from there.
const ADDRESS: &str = "192.0.2.7";

const FIVE: &str = "
servers:
  a: http://a.example.org
  b: http://b.example.org
  c: http://c.example.org
  d: http://d.example.org
  e: http://e.example.org
balance: {policy: client_hash, headroom: 0}
streams:
  /x:
";

fn five(yaml: &str) -> Scene {
    let scene = scene(yaml);
    for name in ["a", "b", "c", "d", "e"] {
        scene.saw(name, vec![mount("/x", 0, 1_000)]);
    }
    scene
}

/// The servers in the order of their lots.
fn order(address: &str) -> Vec<&'static str> {
    let audience = Key::of("").audience(address.parse().unwrap(), "/x");
    let mut names = ["a", "b", "c", "d", "e"];
    names.sort_by(|one, other| audience.lot(other, 1).total_cmp(&audience.lot(one, 1)));
    names.to_vec()
}

/// Where each of many networks is sent, nothing taken.
fn everybody(scene: &mut Scene) -> Vec<String> {
    let ask = |network: u32| {
        scene.from(&Ipv4Addr::from_bits(network << 8 | 1).to_string());
        scene.ask()
    };
    (0..500).map(ask).collect()
}

#[test]
fn forty_one_reconnects_within_eight_minutes_come_to_the_same_relay() {
    let mut scene = five(FIVE);
    let mut answers = Vec::new();
    for reconnect in 0..41 {
        // Others come and go meanwhile, and a player who is back at once may seem to flee.
        for (number, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
            let listeners = (reconnect * 37 + number as u64 * 211) % 900;
            scene.saw(name, vec![mount("/x", listeners, 1_000)]);
        }
        scene.from(ADDRESS);
        let last = answers.last().and_then(|last: &String| scene.snapshot.fleet.server_named(last));
        scene.client.came_from = last;
        answers.push(scene.ask());
        scene.now += std::time::Duration::from_secs(12);
    }
    assert_eq!(answers, vec![order(ADDRESS)[0]; 41]);
}

#[test]
fn the_next_in_the_order_helps_while_the_first_is_full_and_no_longer() {
    let mut scene = five(FIVE);
    scene.from(ADDRESS);
    let order = order(ADDRESS);
    for name in &order[..4] {
        assert_eq!(scene.ask(), *name);
        scene.saw(name, vec![mount("/x", 1_000, 1_000)]);
    }
    assert_eq!(scene.ask(), order[4]);
    scene.saw(order[1], vec![mount("/x", 999, 1_000)]);
    assert_eq!([scene.ask(), scene.ask()], [order[1], order[4]]);
    scene.saw(order[0], vec![mount("/x", 0, 1_000)]);
    assert_eq!(scene.ask(), order[0]);
}

#[test]
fn who_is_not_at_a_lost_relay_stays_where_it_is() {
    let mut scene = five(FIVE);
    let before = everybody(&mut scene);
    scene.failed("c", Evidence::Hard, 1);
    let during = everybody(&mut scene);
    let mut moved = 0;
    for (before, during) in before.iter().zip(&during) {
        assert!(before == "c" || before == during, "{before} → {during}");
        moved += usize::from(before == "c");
    }
    assert!((60..=140).contains(&moved), "{moved} of 500, a fifth were due");
}

#[test]
fn every_replica_answers_alike_whatever_it_has_sent_where() {
    let mut one = five(FIVE);
    let mut other = five(&FIVE.replace("  a: http://a.example.org\n", "").replace(
        "  e: http://e.example.org\n",
        "  e: http://e.example.org\n  a: http://a.example.org\n",
    ));
    other.rng = fastrand::Rng::with_seed(99);
    other.saw("a", vec![mount("/x", 400, 1_000)]);
    assert_eq!(everybody(&mut one), everybody(&mut other));
    let mut salted = five(&FIVE.replace("headroom", "salt: congress, headroom"));
    assert_ne!(everybody(&mut one), everybody(&mut salted));
}

#[test]
fn who_flees_from_a_relay_in_doubt_is_believed() {
    let mut scene = five(FIVE);
    for name in ["a", "b", "c", "d", "e"] {
        scene.failed(name, Evidence::Soft, 1);
    }
    scene.from(ADDRESS);
    let order = order(ADDRESS);
    assert_eq!(scene.ask(), order[0]);
    scene.client.came_from = scene.snapshot.fleet.server_named(order[0]);
    assert_eq!(scene.ask(), order[1]);
}

#[test]
fn who_is_nobody_in_particular_is_sent_to_the_least_used() {
    let mut scene = five(FIVE);
    scene.client = Client::ANY;
    let sent: Vec<_> = (0..100).map(|_| scene.ask()).collect();
    for name in ["a", "b", "c", "d", "e"] {
        let count = sent.iter().filter(|sent| *sent == name).count();
        assert!((10..=30).contains(&count), "{name}: {count} of 100");
    }
}
