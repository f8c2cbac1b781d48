mod full;
mod ranked;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::source::Sources;
use crate::country::Database;
use crate::fleet::compile::{Outside, compile};
use crate::icecast::{Activity, Limit, MountReport, Report};
use crate::slots::{Evidence, Rules, begin_look, record};

/// No environment and no secret files, but a database of countries.
struct Nothing;

impl Outside for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn secret(&self, _: &std::path::Path) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn database(&self, _: &std::path::Path) -> std::io::Result<Arc<Database>> {
        let bytes = include_bytes!("../../tests/fixtures/geoip/country.mmdb");
        Ok(Arc::new(Database::new(bytes.to_vec()).expect("the fixture")))
    }
}

const RULES: Rules = Rules { rise: 2, fall: 3, slow_start: Duration::from_secs(30), hold: false };
const SETTLE: Duration = Duration::from_secs(5);

/// A balancer's memory with a story told to it.
pub(super) struct Scene {
    pub(super) snapshot: Snapshot,
    pub(super) client: Client,
    pub(super) now: Moment,
    pub(super) rng: fastrand::Rng,
}

pub(super) fn scene(yaml: &str) -> Scene {
    let fleet = compile(&Sources::new("balancer.yaml", yaml), &Nothing).expect("a good example");
    let snapshot = Snapshot::first(fleet, String::new());
    Scene {
        snapshot,
        client: Client::ANY,
        now: Duration::from_secs(100),
        rng: fastrand::Rng::with_seed(7),
    }
}

pub(super) fn mount(name: &str, listeners: u64, limit: u64) -> MountReport {
    MountReport {
        name: name.to_owned(),
        listeners: Some(listeners),
        limit: Limit::Listeners(limit),
        activity: Activity::Active,
        bytes: None,
    }
}

impl Scene {
    pub(super) fn saw(&self, server: &str, mounts: Vec<MountReport>) {
        let id = self.snapshot.fleet.server_named(server).expect("a server of the example");
        let (slots, listed) = (self.snapshot.server(id).unwrap(), self.snapshot.listed(id));
        let look = begin_look(slots, &listed, self.now);
        record(slots, &listed, look, &Report { clients: None, mounts }, SETTLE);
        slots.judge(Evidence::Good, self.now, RULES);
    }

    pub(super) fn failed(&self, server: &str, evidence: Evidence, times: usize) {
        let id = self.snapshot.fleet.server_named(server).expect("a server of the example");
        for _ in 0..times {
            self.snapshot.server(id).unwrap().judge(evidence, self.now, RULES);
        }
    }

    /// From now on players ask from `address`.
    pub(super) fn from(&mut self, address: &str) {
        let address = address.parse().expect("an address");
        self.client = Client::ANY.at(address, &self.snapshot.fleet);
    }

    /// Where a player of the first stream is sent.
    pub(super) fn ask(&mut self) -> String {
        match assign(&self.snapshot, 0, self.client, self.now, &mut self.rng, true) {
            Decision::Mount(mount) => mount.server.name.clone(),
            Decision::Elsewhere(url) => url.to_str().unwrap().to_owned(),
            Decision::Refused(refusal) => refusal.to_string(),
        }
    }

    pub(super) fn ask_times(&mut self, times: usize, answer: &str) -> usize {
        (0..times).filter(|_| self.ask() == answer).count()
    }

    pub(super) fn why_not(&self, at: usize) -> Option<Reason> {
        match verdicts(&self.snapshot, 0, self.client, self.now).nth(at) {
            Some(Verdict::Passed(reason)) => Some(reason),
            _ => None,
        }
    }
}

const TWO: &str = "
servers:
  vienna: http://vienna.example.org:8000
  berlin: http://berlin.example.org:8000
balance: {headroom: 0}
streams:
  /x:
";

#[test]
fn nobody_gets_more_than_its_free_slots_and_then_the_stream_is_full() {
    let mut scene = scene(TWO);
    scene.saw("vienna", vec![mount("/x", 8, 10)]);
    scene.saw("berlin", vec![mount("/x", 7, 10)]);
    let answers: Vec<String> = (0..7).map(|_| scene.ask()).collect();
    let of = |name: &str| answers.iter().filter(|answer| *answer == name).count();
    assert_eq!((of("vienna"), of("berlin"), of("full")), (2, 3, 2));
}

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
fn a_player_that_opens_two_connections_is_not_sent_to_a_last_slot() {
    let mut scene = scene(TWO);
    scene.saw("vienna", vec![mount("/x", 9, 10)]);
    scene.saw("berlin", vec![mount("/x", 0, 3)]);
    scene.client = Client { connections: 2, ..Client::ANY };
    assert_eq!([scene.ask(), scene.ask()], ["berlin", "full"]);
    scene.client = Client::ANY;
    assert_eq!(scene.ask_times(3, "full"), 1);
}

#[test]
fn who_comes_back_from_a_relay_is_sent_to_another_if_there_is_one() {
    let mut scene = scene(TWO);
    scene.saw("vienna", vec![mount("/x", 0, 100)]);
    scene.saw("berlin", vec![mount("/x", 0, 1)]);
    scene.client = Client { came_from: Some(0), ..Client::ANY };
    assert_eq!([scene.ask(), scene.ask()], ["berlin", "vienna"]);
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

#[test]
fn a_higher_tier_is_used_only_when_the_lower_is_full_or_down() {
    let mut scene = scene(
        "servers:
  near: http://near.example.org:8000
  far: {url: 'http://far.example.org:8000', tier: 1}
balance: {headroom: 0}
streams: {/x: }",
    );
    scene.saw("near", vec![mount("/x", 0, 2)]);
    scene.saw("far", vec![mount("/x", 0, 100)]);
    assert_eq!([scene.ask(), scene.ask(), scene.ask()], ["near", "near", "far"]);
    scene.saw("near", vec![mount("/x", 0, 100)]);
    scene.failed("near", Evidence::Hard, 1);
    assert_eq!(scene.ask(), "far");
}

#[test]
fn draining_and_disabled_relays_get_nobody() {
    for state in ["draining", "disabled"] {
        let yaml = TWO.replace(
            "vienna: http://vienna.example.org:8000",
            &format!("vienna: {{url: 'http://vienna.example.org:8000', state: {state}}}"),
        );
        let mut scene = scene(&yaml);
        scene.saw("vienna", vec![mount("/x", 0, 1_000)]);
        scene.saw("berlin", vec![mount("/x", 99, 1_000)]);
        assert_eq!(scene.ask_times(50, "berlin"), 50, "{state}");
    }
}

#[test]
fn a_relay_without_the_mount_gets_nobody() {
    let mut scene = scene(TWO);
    scene.saw("vienna", vec![mount("/y", 0, 1_000)]);
    scene.saw("berlin", vec![mount("/x", 99, 1_000)]);
    assert_eq!(scene.ask_times(50, "berlin"), 50);
    assert_eq!(scene.why_not(0), Some(Reason::Absent));
}

#[test]
fn a_relay_too_full_to_be_looked_at_gets_nobody_even_without_a_known_limit() {
    let mut scene = scene(TWO);
    let unlimited = MountReport { limit: Limit::Unlimited, ..mount("/x", 8, 0) };
    scene.saw("vienna", vec![unlimited.clone()]);
    scene.saw("berlin", vec![unlimited]);
    scene.failed("vienna", Evidence::Full, 1);
    assert_eq!(scene.ask_times(20, "berlin"), 20);
    scene.failed("berlin", Evidence::Full, 1);
    assert_eq!(scene.ask(), "full");
}

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
fn a_relay_full_to_its_last_client_is_passed_over_though_no_limit_of_it_is_known() {
    let mut scene = scene(TWO);
    scene.saw("vienna", vec![mount("/x", 0, 1_000)]);
    scene.saw("berlin", vec![mount("/x", 99, 1_000)]);
    scene.failed("vienna", Evidence::Full, 1);
    assert_eq!(scene.ask_times(50, "berlin"), 50);
    assert_eq!(scene.why_not(0), Some(Reason::Full));
    scene.failed("berlin", Evidence::Full, 1);
    assert_eq!(scene.ask(), "full");
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
fn full_offline_and_unreachable_are_told_apart() {
    let mut scene = scene(TWO);
    scene.failed("vienna", Evidence::Hard, 1);
    scene.failed("berlin", Evidence::Hard, 1);
    assert_eq!(scene.ask(), "unreachable");
    scene.saw("vienna", vec![]);
    assert_eq!(scene.ask(), "offline");
    scene.saw("berlin", vec![mount("/x", 5, 5)]);
    assert_eq!(scene.ask(), "full");
}

#[test]
fn a_stream_without_a_source_falls_back_and_a_full_one_does_not() {
    let mut scene = scene(
        "servers: {vienna: 'http://vienna.example.org:8000'}
balance: {headroom: 0}
streams:
  /x: {fallback: /pause}
  /pause: {fallback: 'https://example.org/sorry.ogg'}",
    );
    scene.saw("vienna", vec![mount("/x", 3, 3), mount("/pause", 0, 1)]);
    assert_eq!(scene.ask(), "full");
    scene.saw("vienna", vec![mount("/pause", 0, 1)]);
    assert_eq!(scene.ask(), "vienna");
    scene.saw("vienna", vec![]);
    assert_eq!(scene.ask(), "https://example.org/sorry.ogg");
}

#[test]
fn asking_without_taking_takes_nothing() {
    let mut scene = scene(TWO);
    scene.saw("vienna", vec![mount("/x", 0, 1)]);
    scene.saw("berlin", vec![]);
    for _ in 0..10 {
        let decision = assign(&scene.snapshot, 0, Client::ANY, scene.now, &mut scene.rng, false);
        assert!(matches!(decision, Decision::Mount(_)));
    }
    assert_eq!([scene.ask(), scene.ask()], ["vienna", "full"]);
}

#[test]
fn a_reload_keeps_every_promise_of_what_stays() {
    let mut scene = scene(TWO);
    scene.saw("vienna", vec![mount("/x", 0, 10)]);
    scene.saw("berlin", vec![mount("/x", 0, 10)]);
    assert_eq!(scene.ask_times(20, "full"), 0);
    let fleet = compile(&Sources::new("balancer.yaml", TWO), &Nothing).unwrap();
    scene.snapshot = scene.snapshot.successor(fleet, String::new());
    assert_eq!(scene.ask(), "full");
}

#[test]
fn a_relay_that_moved_is_another_relay() {
    let mut scene = scene(TWO);
    scene.saw("vienna", vec![mount("/x", 10, 10)]);
    scene.saw("berlin", vec![mount("/x", 10, 10)]);
    let moved = TWO.replace("vienna.example.org", "vienna2.example.org");
    let fleet = compile(&Sources::new("balancer.yaml", moved), &Nothing).unwrap();
    scene.snapshot = scene.snapshot.successor(fleet, String::new());
    assert_eq!(scene.ask(), "vienna", "nothing is known of it, so it may work");
}

#[test]
fn streams_that_share_a_mount_share_its_slots() {
    let mut scene = scene(
        "servers: {vienna: 'http://vienna.example.org:8000'}
balance: {headroom: 0}
streams:
  /x:
  /y: {mounts: {vienna: /x}}",
    );
    scene.saw("vienna", vec![mount("/x", 0, 2)]);
    assert_eq!(scene.ask(), "vienna");
    let other = assign(&scene.snapshot, 1, Client::ANY, scene.now, &mut scene.rng, true);
    assert!(matches!(other, Decision::Mount(_)));
    assert_eq!(scene.ask(), "full");
}

/// One relay that speaks TLS, and one that does not.
const MIXED: &str = "
servers:
  vienna: {url: 'https://vienna.example.org', http_url: 'http://vienna.example.org:8000'}
  berlin: http://berlin.example.org:8000
balance: {headroom: 0}
streams:
  /x:
";

const WHEN_FULL: &str = "  /x: {https_to_http: when_full}";

#[test]
fn by_when_full_who_comes_by_https_is_sent_to_an_https_relay_as_long_as_one_has_room() {
    let mut scene = scene(&MIXED.replace("  /x:", WHEN_FULL));
    scene.saw("vienna", vec![mount("/x", 5, 10)]);
    scene.saw("berlin", vec![mount("/x", 0, 10)]);
    scene.client = Client { https: true, ..Client::ANY };
    assert_eq!(scene.ask_times(5, "vienna"), 5);
    assert_eq!([scene.ask(), scene.ask()], ["berlin", "berlin"]);
}

#[test]
fn who_comes_by_https_stays_with_it_on_a_relay_in_doubt_in_a_higher_tier_or_just_left() {
    let yaml = MIXED.replace("http_url", "tier: 9, http_url").replace("  /x:", WHEN_FULL);
    let mut scene = scene(&yaml);
    scene.saw("vienna", vec![mount("/x", 0, 100)]);
    scene.saw("berlin", vec![mount("/x", 0, 100)]);
    scene.failed("vienna", Evidence::Soft, 1);
    scene.client = Client { https: true, came_from: Some(0), ..Client::ANY };
    assert_eq!(scene.ask_times(20, "vienna"), 20);
    scene.failed("vienna", Evidence::Hard, 1);
    assert_eq!(scene.ask(), "berlin");
}

#[test]
fn where_there_are_https_relays_who_comes_by_https_is_sent_to_no_other() {
    let mut scene = scene(MIXED);
    scene.saw("vienna", vec![mount("/x", 9, 10)]);
    scene.saw("berlin", vec![mount("/x", 0, 10)]);
    scene.client = Client { https: true, ..Client::ANY };
    assert_eq!(scene.why_not(1), Some(Reason::PlainHttp));
    assert_eq!([scene.ask(), scene.ask()], ["vienna", "full"]);
    scene.failed("vienna", Evidence::Hard, 3);
    scene.saw("berlin", vec![mount("/x", 10, 10)]);
    assert_eq!(scene.ask(), "unreachable by https", "that the other is full is not the reason");
    scene.saw("vienna", vec![]);
    assert_eq!(scene.ask(), "offline");
}

#[test]
fn that_an_https_relay_is_disabled_opens_no_way_to_plain_http() {
    let mut scene = scene(&MIXED.replace("http_url", "state: disabled, http_url"));
    scene.saw("berlin", vec![mount("/x", 0, 10)]);
    assert_eq!(scene.ask(), "berlin");
    scene.client = Client { https: true, ..Client::ANY };
    assert_eq!(scene.ask(), "offline");
}

#[test]
fn where_there_is_no_https_relay_who_comes_by_https_is_sent_to_plain_http_unless_never() {
    for (rule, answer) in [
        ("", "vienna"),
        ("{https_to_http: no_https_relay}", "vienna"),
        ("{https_to_http: when_full}", "vienna"),
        ("{https_to_http: never}", "unreachable by https"),
    ] {
        let servers = "servers: {vienna: 'http://vienna.example.org:8000'}";
        let mut scene = scene(&format!("{servers}\nstreams:\n  /x: {rule}\n"));
        scene.saw("vienna", vec![mount("/x", 0, 10)]);
        assert_eq!(scene.ask(), "vienna");
        scene.client = Client { https: true, ..Client::ANY };
        assert_eq!(scene.ask(), answer, "{rule}");
    }
}

#[test]
fn a_fallback_that_is_reached_by_https_keeps_its_own_rule() {
    let yaml = |fallback: &str, rule: &str| {
        format!(
            "servers: {{vienna: 'https://vienna.example.org', berlin: 'http://berlin.example.org'}}
streams:
  /x: {{servers: [vienna], fallback: '{fallback}'}}
  /pause: {{servers: [berlin], https_to_http: {rule}}}
"
        )
    };
    for (fallback, rule, answer) in [
        ("/pause", "no_https_relay", "berlin"),
        ("/pause", "never", "unreachable by https"),
        ("https://example.org/sorry", "never", "https://example.org/sorry"),
        ("http://example.org/sorry", "never", "offline"),
    ] {
        let mut scene = scene(&yaml(fallback, rule));
        scene.saw("vienna", vec![]);
        scene.saw("berlin", vec![mount("/pause", 0, 10)]);
        scene.client = Client { https: true, ..Client::ANY };
        assert_eq!(scene.ask(), answer, "{fallback} {rule}");
    }
}

#[test]
fn who_comes_by_plain_http_is_sent_to_either() {
    let mut scene = scene(MIXED);
    scene.saw("vienna", vec![mount("/x", 0, 100)]);
    scene.saw("berlin", vec![mount("/x", 0, 100)]);
    let vienna = scene.ask_times(100, "vienna");
    assert!((30..=70).contains(&vienna), "{vienna} of 100");
}

#[test]
fn slots_are_the_same_whichever_way_players_come() {
    let mut scene = scene(MIXED);
    scene.saw("vienna", vec![mount("/x", 8, 10)]);
    scene.saw("berlin", vec![mount("/x", 10, 10)]);
    let by_https = Client { https: true, ..Client::ANY };
    let answers: Vec<_> = [Client::ANY, by_https, Client::ANY, by_https]
        .into_iter()
        .map(|client| {
            scene.client = client;
            scene.ask()
        })
        .collect();
    assert_eq!(answers, ["vienna", "vienna", "full", "full"]);
}
