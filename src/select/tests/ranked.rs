use super::*;

impl Scene {
    /// The servers of the first stream that could take a listener, in order.
    fn ranked(&self) -> Vec<&str> {
        match ranked(&self.snapshot, 0, self.client, self.now) {
            Decision::Mount(offers) => {
                offers.iter().map(|offer| &*offer.mount.server.name).collect()
            }
            Decision::Elsewhere(url) => vec![url.to_str().unwrap()],
            Decision::Refused(_) => Vec::new(),
        }
    }
}

const FOUR: &str = "
servers:
  vienna: http://vienna.example.org:8000
  berlin: {url: 'http://berlin.example.org:8000', weight: 2}
  graz: {url: 'http://graz.example.org:8000', tier: 1}
  linz: http://linz.example.org:8000
balance: {headroom: 0, policy: least_used}
streams:
  /x:
";

fn four(policy: &str) -> Scene {
    let scene = scene(&FOUR.replace("least_used", policy));
    scene.saw("vienna", vec![mount("/x", 40, 100)]);
    scene.saw("berlin", vec![mount("/x", 60, 100)]);
    scene.saw("graz", vec![mount("/x", 0, 100)]);
    scene.saw("linz", vec![mount("/x", 90, 1_000)]);
    scene
}

#[test]
fn within_a_rank_the_policy_has_its_say_and_ranks_come_first() {
    assert_eq!(four("least_used").ranked(), ["linz", "berlin", "vienna", "graz"]);
    assert_eq!(four("most_free").ranked(), ["linz", "berlin", "vienna", "graz"]);
    assert_eq!(four("weighted_random").ranked(), ["berlin", "vienna", "linz", "graz"]);
}

#[test]
fn where_one_has_no_limit_listeners_count() {
    for policy in ["least_used", "most_free"] {
        let scene = four(policy);
        let unlimited = MountReport { limit: Limit::Unlimited, ..mount("/x", 10, 0) };
        scene.saw("vienna", vec![unlimited]);
        assert_eq!(scene.ranked(), ["vienna", "berlin", "linz", "graz"], "{policy}");
    }
}

#[test]
fn where_none_has_a_limit_listeners_count_for_the_weight_of_their_relay() {
    for policy in ["least_used", "most_free"] {
        let scene = four(policy);
        for (server, listeners) in [("vienna", 95), ("berlin", 60), ("linz", 40)] {
            let limit = Limit::Unlimited;
            scene.saw(server, vec![MountReport { limit, ..mount("/x", listeners, 0) }]);
        }
        assert_eq!(scene.ranked(), ["berlin", "linz", "vienna", "graz"], "{policy}");
    }
}

#[test]
fn by_most_free_the_most_slots_come_first_and_not_the_smallest_share() {
    for (policy, expected) in
        [("least_used", ["vienna", "berlin"]), ("most_free", ["berlin", "vienna"])]
    {
        let scene = scene(&TWO.replace("headroom: 0", &format!("headroom: 0, policy: {policy}")));
        scene.saw("vienna", vec![mount("/x", 5, 10)]);
        scene.saw("berlin", vec![mount("/x", 90, 100)]);
        assert_eq!(scene.ranked(), expected, "{policy}");
    }
}

#[test]
fn nobody_is_listed_who_could_not_take_the_listener() {
    let mut scene = four("least_used");
    scene.saw("linz", vec![mount("/x", 999, 1_000)]);
    scene.failed("vienna", Evidence::Hard, 1);
    scene.failed("berlin", Evidence::Soft, 1);
    assert_eq!(scene.ranked(), ["linz", "graz", "berlin"]);
    scene.client = Client { connections: 2, ..Client::ANY };
    assert_eq!(scene.ranked(), ["graz", "berlin"]);
}

#[test]
fn the_first_of_the_list_is_one_that_a_redirect_could_choose() {
    for policy in ["least_used", "most_free", "weighted_random"] {
        let mut scene = four(policy);
        let first = scene.ranked()[0].to_owned();
        assert!(scene.ask_times(50, &first) > 0, "{policy}: {first}");
    }
}

#[test]
fn the_list_takes_nothing_and_follows_fallbacks_as_a_redirect_does() {
    let mut scene = scene(
        "servers: {vienna: 'http://vienna.example.org:8000'}
balance: {headroom: 0}
streams:
  /x: {fallback: /pause}
  /pause: {fallback: 'https://example.org/sorry.ogg'}",
    );
    scene.saw("vienna", vec![mount("/pause", 0, 1)]);
    assert_eq!(scene.ranked(), ["vienna"]);
    assert_eq!(scene.ask(), "vienna");
    assert_eq!(scene.ranked(), [""; 0], "full is full");
    scene.saw("vienna", vec![]);
    assert_eq!(scene.ranked(), ["https://example.org/sorry.ogg"]);
}

#[test]
fn with_client_hash_the_list_is_in_the_order_of_the_clients_network() {
    let mut scene = four("client_hash");
    let mut lists = std::collections::BTreeSet::new();
    for network in 0..20 {
        scene.client.address = Some(std::net::Ipv4Addr::new(192, 0, network, 1).into());
        let list: Vec<_> = scene.ranked().into_iter().map(str::to_owned).collect();
        assert_eq!(list.last().map(String::as_str), Some("graz"), "tiers come first");
        assert_eq!(scene.ask(), list[0]);
        lists.insert(list);
    }
    assert!(lists.len() > 2, "{lists:?}");
    scene.client.address = None;
    assert_eq!(scene.ranked().len(), 4);
}

#[test]
fn full_relays_are_listed_by_their_load_where_a_redirect_would_overflow_them() {
    let scene = scene(&TWO.replace("headroom: 0", "headroom: 0, when_full: overflow"));
    scene.saw("vienna", vec![mount("/x", 10, 10)]);
    scene.saw("berlin", vec![mount("/x", 20, 40)]);
    assert_eq!(scene.ranked(), ["berlin", "vienna"]);
    scene.saw("berlin", vec![mount("/x", 50, 40)]);
    assert_eq!(scene.ranked(), ["vienna", "berlin"]);
}
