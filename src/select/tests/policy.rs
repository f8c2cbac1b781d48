//! Which of several equals gets the listener.

use super::*;

#[test]
fn a_thousand_between_two_looks_are_spread_evenly_over_eight_equal_relays() {
    for policy in ["least_used", "most_free"] {
        let servers: Vec<String> =
            (0..8).map(|n| format!("s{n}: 'http://s{n}.example.org:8000'")).collect();
        let servers = servers.join(", ");
        let yaml = format!(
            "servers: {{{servers}}}\nbalance: {{policy: {policy}, headroom: 0}}\nstreams: {{/x: }}\n"
        );
        let mut scene = scene(&yaml);
        for n in 0..8 {
            scene.saw(&format!("s{n}"), vec![mount("/x", 0, 150)]);
        }
        let mut sent = [0_u64; 8];
        for _ in 0..1_000 {
            let name = scene.ask();
            let relay = name.strip_prefix('s').and_then(|n| n.parse::<usize>().ok());
            sent[relay.expect("a relay")] += 1;
        }
        let (least, most) = (sent.iter().min().unwrap(), sent.iter().max().unwrap());
        assert!(*most <= 150, "{policy}: no relay gets more than its free slots: {sent:?}");
        assert!(*most as f64 / *least as f64 <= 1.3, "{policy}: {sent:?}");
    }
}

#[test]
fn the_shares_of_unlimited_relays_follow_their_weights() {
    for policy in ["least_used", "weighted_random"] {
        let yaml = format!(
            "servers:
  big: {{url: 'http://big.example.org:8000', weight: 3}}
  small: http://small.example.org:8000
balance: {{policy: {policy}}}
streams: {{/x: }}"
        );
        let mut scene = scene(&yaml);
        for server in ["big", "small"] {
            let unlimited = MountReport { limit: Limit::Unlimited, ..mount("/x", 0, 0) };
            scene.saw(server, vec![unlimited]);
        }
        let big = scene.ask_times(4_000, "big");
        assert!((2_850..=3_150).contains(&big), "{policy}: {big} of 4000");
    }
}

#[test]
fn the_relay_with_the_smaller_share_in_use_gets_more() {
    let mut scene = scene(TWO);
    scene.saw("vienna", vec![mount("/x", 900, 1_000)]);
    scene.saw("berlin", vec![mount("/x", 100, 1_000)]);
    assert_eq!(scene.ask_times(100, "berlin"), 100);
}

/// Two relays, the first of three times the weight, with so many listeners each.
fn three_to_one(policy: &str, listeners: [u64; 2], limit: Limit) -> Scene {
    let scene = scene(&format!(
        "servers:
  big: {{url: 'http://big.example.org', weight: 3}}
  small: http://small.example.org
balance: {{policy: {policy}, headroom: 0}}
streams: {{/x: }}"
    ));
    for (server, listeners) in ["big", "small"].into_iter().zip(listeners) {
        scene.saw(server, vec![MountReport { limit, ..mount("/x", listeners, 0) }]);
    }
    scene
}

#[test]
fn of_relays_equally_used_the_one_of_three_times_the_weight_gets_three_times_as_many() {
    for (policy, limit) in [
        ("least_used", Limit::Listeners(100)),
        ("most_free", Limit::Listeners(100)),
        ("weighted_random", Limit::Listeners(100)),
        ("weighted_random", Limit::Unlimited),
    ] {
        let scene = three_to_one(policy, [40, 40], limit);
        assert_eq!(scene.chances(), [0.75, 0.25], "{policy}, {limit:?}");
    }
}

#[test]
fn of_relays_without_a_limit_the_one_with_fewer_listeners_for_its_weight_gets_the_next() {
    for policy in ["least_used", "most_free"] {
        let chances = |listeners| three_to_one(policy, listeners, Limit::Unlimited).chances();
        assert_eq!(chances([30, 20]), [1.0, 0.0], "{policy}: ten to twenty");
        assert_eq!(chances([32, 10]), [0.0, 1.0], "{policy}: nearly eleven to ten");
    }
}

#[test]
fn by_most_free_twice_the_slots_get_twice_the_listeners() {
    let scene = scene(&TWO.replace("headroom: 0", "headroom: 0, policy: most_free"));
    scene.saw("vienna", vec![mount("/x", 900, 1_000)]);
    scene.saw("berlin", vec![mount("/x", 50, 100)]);
    let chances = scene.chances();
    assert!((chances[0] - 2.0 / 3.0).abs() < 1e-9, "{chances:?}");
}
