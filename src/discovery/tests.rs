use std::thread;

use super::*;
use crate::config::source::Sources;
use crate::counters::Outcome;
use crate::fleet::Fleet;
use crate::fleet::compile::{Nothing, compile};
use crate::icecast::{Activity, Limit};
use crate::player::{Client, Refusal};
use crate::select::{Decision, assign};
use crate::slots::{Evidence, Presence, Rules, begin_look, record};

const RULES: Rules = Rules { rise: 2, fall: 3, slow_start: Duration::ZERO, hold: false };
const TALKS: &str = "/talks/*: ";

fn fleet(streams: &str) -> Fleet {
    let servers = "{vienna: 'http://v:8000', berlin: 'http://b:8000'}";
    let text = format!("balance: {{headroom: 0}}\nservers: {servers}\nstreams: {{{streams}}}");
    compile(&Sources::new("balancer.yaml", text), &Nothing)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

/// A balancer whose relays are looked at when the test says so, in a time that it makes up.
struct Scene {
    state: Arc<State>,
    discovery: Arc<Discovery>,
    now: Moment,
}

impl Scene {
    fn new(streams: &str) -> Self {
        let state = Arc::new(State::new(Snapshot::first(fleet(streams), "first".to_owned())));
        Self { state, discovery: Arc::default(), now: Duration::from_secs(1_000) }
    }

    /// A good look at a server that lists these mounts, each with room for ten; what it finds is
    /// put in force.
    fn look(&mut self, server: &str, mounts: &[&str]) {
        self.see(server, mounts);
        self.publish();
    }

    /// The same, but what it finds has to wait.
    fn see(&mut self, server: &str, mounts: &[&str]) {
        self.now += Duration::from_secs(1);
        let snapshot = self.state.load_full();
        let id = snapshot.fleet.server_named(server).unwrap();
        let mounts = mounts.iter().map(|name| MountReport {
            name: (*name).to_owned(),
            listeners: Some(0),
            limit: Limit::Listeners(10),
            activity: Activity::Active,
            bytes: None,
        });
        let report = Report { clients: None, mounts: mounts.collect() };
        let (slots, listed) = (snapshot.server(id).unwrap(), snapshot.listed(id));
        let look = begin_look(slots, &listed, self.now);
        record(slots, &listed, look, &report, Duration::from_secs(5));
        self.discovery.look(&snapshot, id, self.now, &report);
        slots.judge(Evidence::Good, self.now, RULES);
    }

    fn publish(&self) {
        self.discovery.publish(&self.state, self.now.saturating_sub(REMEMBERED));
        self.discovery.notes().under_way.clear();
    }

    fn streams(&self) -> Vec<String> {
        let snapshot = self.state.load();
        let found = snapshot.streams().filter(|(_, stream, _)| stream.is_found());
        found.map(|(_, stream, _)| stream.path.clone()).collect()
    }

    /// A player asks; where it is sent, or why not.
    fn ask(&self, path: &str) -> Result<String, Refusal> {
        let snapshot = self.state.load();
        let stream = snapshot.fleet.stream_at(path).or_else(|| snapshot.fleet.pattern_at(path));
        let stream = stream.expect("a stream or a pattern");
        let mut rng = fastrand::Rng::with_seed(7);
        match assign(&snapshot, stream, Client::ANY, self.now, &mut rng, true) {
            Decision::Mount(mount) => {
                mount.redirects.increment();
                snapshot.outcomes(stream).unwrap().of(Outcome::Redirected).increment();
                Ok(mount.config.location.to_str().unwrap().to_owned())
            }
            Decision::Elsewhere(url) => Ok(url.to_str().unwrap().to_owned()),
            Decision::Refused(refusal) => Err(refusal),
        }
    }

    /// How many were redirected for the first stream or pattern: for any server by the one count,
    /// by the server in the other.
    fn counts(&self) -> (u64, u64) {
        let snapshot = self.state.load();
        let by_stream = snapshot.outcomes(0).unwrap().of(Outcome::Redirected).get();
        let pattern = snapshot.fleet.pattern_of(&snapshot.fleet.streams[0]).unwrap();
        (by_stream, snapshot.sent(pattern).map(|(_, sent, _)| sent).sum())
    }

    fn reserved(&self, path: &str) -> u64 {
        let snapshot = self.state.load();
        let stream = snapshot.fleet.stream_at(path).expect("a stream");
        snapshot.mounts(stream).map(|mount| mount.slots.seats.reserved()).sum()
    }

    fn replace(&self, streams: &str) {
        self.state.replace(fleet(streams), "another".to_owned());
    }
}

#[test]
fn what_a_look_finds_can_be_heard_at_once() {
    let mut scene = Scene::new(TALKS);
    assert_eq!(scene.ask("/talks/a.ogg"), Err(Refusal::Unreachable), "nobody was looked at");
    scene.look("vienna", &["/talks/a.ogg", "/other.ogg"]);
    assert_eq!(scene.ask("/talks/a.ogg"), Ok("http://v:8000/talks/a.ogg".to_owned()));
    assert_eq!(scene.streams(), ["/talks/a.ogg"]);
    let snapshot = scene.state.load();
    let mount = snapshot.mounts(1).next().unwrap();
    assert_eq!((mount.slots.presence(), mount.slots.seats.limit()), (Presence::Active, Some(10)));
    assert_eq!(snapshot.digest, "first", "the configuration is the same");
}

#[test]
fn what_no_server_lists_is_offline() {
    let mut scene = Scene::new(TALKS);
    scene.look("vienna", &["/talks/a.ogg"]);
    assert_eq!(scene.ask("/talks/b.ogg"), Err(Refusal::Offline));
    scene.look("vienna", &[]);
    assert_eq!(scene.ask("/talks/a.ogg"), Err(Refusal::Offline));
}

#[test]
fn what_no_server_lists_has_the_patterns_fallback() {
    let mut scene = Scene::new("/talks/*: {fallback: 'http://else/where'}");
    let elsewhere = Ok("http://else/where".to_owned());
    assert_eq!(scene.ask("/talks/b.ogg"), elsewhere);
    scene.look("vienna", &["/talks/a.ogg"]);
    assert_eq!(scene.ask("/talks/b.ogg"), elsewhere);
    scene.look("vienna", &[]);
    assert_eq!(scene.ask("/talks/a.ogg"), elsewhere);
}

#[test]
fn a_stream_is_forgotten_when_nobody_has_listed_it_for_ten_minutes() {
    let mut scene = Scene::new(TALKS);
    scene.look("vienna", &["/talks/a.ogg", "/talks/b.ogg"]);
    scene.look("berlin", &["/talks/b.ogg"]);
    scene.now += Duration::from_secs(590);
    scene.look("vienna", &[]);
    assert_eq!(scene.streams(), ["/talks/a.ogg", "/talks/b.ogg"]);
    scene.now += Duration::from_secs(20);
    scene.look("vienna", &[]);
    assert_eq!(scene.streams(), ["/talks/b.ogg"], "berlin was not looked at since");
    assert_eq!(scene.ask("/talks/a.ogg"), Err(Refusal::Offline), "as before");
    let snapshot = scene.state.load();
    assert_eq!(snapshot.mounts(1).count(), 1, "vienna's mount is forgotten");
    let vienna = snapshot.fleet.server_named("vienna").unwrap();
    assert!(snapshot.mount_at(vienna, "/talks/b.ogg").is_none());
}

#[test]
fn a_source_that_starts_again_finds_its_ledger() {
    let mut scene = Scene::new(TALKS);
    scene.look("vienna", &["/talks/a.ogg"]);
    for _ in 0..3 {
        scene.ask("/talks/a.ogg").unwrap();
    }
    scene.see("vienna", &[]);
    scene.look("vienna", &["/talks/a.ogg"]);
    assert_eq!(scene.reserved("/talks/a.ogg"), 3);
}

#[test]
fn streams_that_come_and_go_change_nothing_of_the_others() {
    let mut scene = Scene::new(TALKS);
    scene.look("vienna", &["/talks/a.ogg"]);
    scene.ask("/talks/a.ogg").unwrap();
    scene.look("vienna", &["/talks/a.ogg", "/talks/0.ogg"]);
    scene.look("berlin", &["/talks/a.ogg"]);
    assert_eq!(scene.reserved("/talks/a.ogg"), 1);
    assert_eq!(scene.reserved("/talks/0.ogg"), 0);
}

#[test]
fn the_counts_of_a_pattern_outlive_its_streams() {
    let mut scene = Scene::new(TALKS);
    scene.look("vienna", &["/talks/a.ogg", "/talks/b.ogg"]);
    let old = scene.state.load_full();
    for path in ["/talks/a.ogg", "/talks/a.ogg", "/talks/b.ogg"] {
        scene.ask(path).unwrap();
    }
    assert_eq!(scene.counts(), (3, 3));
    scene.now += REMEMBERED;
    scene.look("vienna", &[]);
    scene.now += REMEMBERED;
    scene.look("vienna", &[]);
    assert_eq!(scene.streams(), [""; 0]);
    assert_eq!(scene.counts(), (3, 3));
    // A request that had begun with the snapshot before counts as well.
    old.mounts(1).next().unwrap().redirects.increment();
    assert_eq!(scene.counts(), (3, 4));
    scene.replace("/talks/*: {fallback: 'http://else/where'}");
    assert_eq!(scene.counts(), (3, 4));
}

#[test]
fn a_reload_loses_no_stream_and_no_reservation() {
    let mut scene = Scene::new(TALKS);
    scene.look("vienna", &["/talks/a.ogg"]);
    scene.look("berlin", &["/talks/a.ogg", "/talks/b.ogg"]);
    for path in ["/talks/a.ogg", "/talks/b.ogg", "/talks/b.ogg"] {
        scene.ask(path).unwrap();
    }
    scene.replace("/first.ogg: , /talks/*: {max_streams: 100}");
    assert_eq!(scene.streams(), ["/talks/a.ogg", "/talks/b.ogg"]);
    assert_eq!((scene.reserved("/talks/a.ogg"), scene.reserved("/talks/b.ogg")), (1, 2));
    scene.ask("/talks/b.ogg").unwrap();
    // It is spelled out, and after that found again: the same mount all the time.
    scene.replace("/talks/b.ogg: ");
    assert_eq!(scene.streams(), [""; 0]);
    assert_eq!(scene.reserved("/talks/b.ogg"), 3);
    scene.replace(TALKS);
    assert_eq!(scene.streams(), ["/talks/b.ogg"], "of the other nothing was kept");
    assert_eq!(scene.reserved("/talks/b.ogg"), 3);
}

#[test]
fn the_counts_of_a_pattern_are_not_those_of_a_stream_that_is_spelled_out_later() {
    let mut scene = Scene::new(TALKS);
    scene.look("vienna", &["/talks/a.ogg"]);
    scene.ask("/talks/a.ogg").unwrap();
    scene.replace("/talks/*: , /talks/a.ogg: ");
    scene.ask("/talks/a.ogg").unwrap();
    assert_eq!(scene.counts(), (1, 1));
}

#[test]
fn a_flood_of_names_takes_no_ones_place_and_costs_nothing_once_it_was_considered() {
    let mut scene = Scene::new("/talks/*: {max_streams: 100}");
    let flood: Vec<String> = (0..20_000).map(|n| format!("/talks/flood-{n:05}")).collect();
    let flood: Vec<&str> = flood.iter().map(String::as_str).collect();
    scene.look("vienna", &flood);
    assert_eq!(scene.streams().len(), 100);
    let honest: Vec<String> = (0..50).map(|n| format!("/talks/talk-{n}")).collect();
    let honest: Vec<&str> = honest.iter().map(String::as_str).collect();
    scene.look("berlin", &honest);
    assert_eq!(scene.streams().len(), 100);
    for name in &honest {
        assert!(scene.ask(name).is_ok(), "{name}");
    }
    scene.look("berlin", &honest);
    scene.look("vienna", &flood);
    let settled = scene.state.load_full();
    scene.see("vienna", &flood);
    assert!(scene.discovery.notes().news.is_empty(), "it is known that this changes nothing");
    scene.publish();
    assert!(Arc::ptr_eq(&settled, &scene.state.load_full()));
    let pattern = settled.fleet.patterns.get(0).unwrap();
    assert_eq!(settled.left_out(pattern), 20_000 - 50);
    // But what berlin has new is considered, and gets in for what it gives up.
    scene.now += REMEMBERED;
    scene.look("vienna", &flood);
    scene.look("berlin", &["/talks/new"]);
    assert!(scene.ask("/talks/new").is_ok());
}

#[test]
fn what_was_seen_of_a_relay_whose_name_another_one_has_by_now_is_dropped() {
    let mut scene = Scene::new(TALKS);
    scene.see("vienna", &["/talks/a.ogg"]);
    let moved = "servers: {vienna: 'http://elsewhere:8000'}\nstreams: {/talks/*: }";
    let moved = compile(&Sources::new("balancer.yaml", moved), &Nothing).unwrap();
    scene.state.replace(moved, "moved".to_owned());
    scene.publish();
    assert_eq!(scene.streams(), [""; 0]);
}

#[test]
fn what_was_seen_before_a_reload_is_in_force_after_it() {
    let mut scene = Scene::new(TALKS);
    scene.see("vienna", &["/talks/a.ogg"]);
    scene.replace("/x.ogg: , /talks/*: ");
    scene.publish();
    assert_eq!(scene.streams(), ["/talks/a.ogg"]);
    assert!(scene.ask("/talks/a.ogg").is_ok());
    assert_eq!(scene.state.load().digest, "another");
}

#[test]
fn neither_a_reload_nor_a_find_is_lost_to_the_other() {
    let state = Scene::new(TALKS).state;
    let reloads = 200;
    let reloading = {
        let state = Arc::clone(&state);
        thread::spawn(move || {
            for round in 0..reloads {
                state.replace(fleet(&format!("{TALKS}, /round-{round}.ogg: ")), round.to_string());
                let snapshot = state.load();
                assert_eq!(snapshot.digest, round.to_string(), "a find has undone a reload");
                assert!(snapshot.fleet.stream_at(&format!("/round-{round}.ogg")).is_some());
            }
        })
    };
    let mut found = 0;
    while !reloading.is_finished() || found < 50 {
        let mount = format!("/talks/{found}");
        let found_here = Find { server: 0, mount: &mount };
        state.refine(|before| {
            let next = before.with_finds([found_here], Duration::ZERO);
            let report = MountReport {
                name: mount.clone(),
                listeners: Some(0),
                limit: Limit::Unlimited,
                activity: Activity::Active,
                bytes: None,
            };
            welcome(next.mount_at(0, &mount).unwrap(), &report, Duration::ZERO, Duration::ZERO);
            Some(next)
        });
        found += 1;
        let snapshot = state.load();
        for known in 0..found {
            let path = format!("/talks/{known}");
            assert!(snapshot.fleet.stream_at(&path).is_some(), "a reload has undone {path}");
        }
    }
    reloading.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_it_finds_it_in_force() {
    let mut scene = Scene::new(TALKS);
    scene.see("vienna", &["/talks/a.ogg"]);
    let (discovery, state) = (Arc::clone(&scene.discovery), Arc::clone(&scene.state));
    tokio::select! {
        () = discovery.run(state) => {}
        () = scene.discovery.settled("vienna") => {}
    }
    assert_eq!(scene.streams(), ["/talks/a.ogg"]);
    scene.discovery.settled("vienna").await;
}
