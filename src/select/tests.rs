mod full;
mod https;
mod policy;
mod ranked;
mod sample;
mod sums;
mod trust;

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

    /// How likely each mount of the first stream gets the next player.
    pub(super) fn chances(&self) -> Vec<f64> {
        let explained = explain(&self.snapshot, 0, self.client, self.now);
        let first = explained.stages.first().expect("the stream itself");
        first.mounts.iter().map(|judged| judged.chance.expect("few mounts")).collect()
    }

    /// How the mounts of a stream stand, all of which could take a player.
    fn standings(&self, stream: StreamId) -> Vec<Candidate> {
        verdicts(&self.snapshot, stream, self.client, self.now)
            .map(|verdict| *verdict.candidate().expect("it could take one"))
            .collect()
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
    scene.saw("berlin", vec![mount("/x", 98, 100)]);
    scene.client = Client { came_from: Some(0), ..Client::ANY };
    assert_eq!([scene.ask(), scene.ask(), scene.ask()], ["berlin", "berlin", "vienna"]);
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
fn what_is_told_to_be_free_is_what_can_be_given_away() {
    for (state, limit, free) in [
        ("active", Limit::Listeners(10), Some(4)),
        ("active", Limit::Unlimited, None),
        ("draining", Limit::Listeners(10), Some(0)),
        ("draining", Limit::Unlimited, None),
    ] {
        let scene = scene(&format!(
            "servers: {{vienna: {{url: 'http://vienna.example.org', state: {state}}}}}
balance: {{headroom: 0}}
streams: {{/x: }}"
        ));
        scene.saw("vienna", vec![MountReport { limit, ..mount("/x", 6, 0) }]);
        let mount = scene.snapshot.mounts(0).next().unwrap();
        let verdict = verdicts(&scene.snapshot, 0, Client::ANY, scene.now).next().unwrap();
        assert_eq!(verdict.free(&mount), free, "{state}, {limit:?}");
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
