use super::*;
use crate::config::source::Sources;
use crate::fleet::compile::{Nothing, compile};
use crate::fleet::patterns::Find;
use crate::icecast::{Activity, Limit, MountReport, Report};
use crate::slots::{begin_look, record};

const ONE: &str = "
servers:
  vienna: {url: 'http://vienna.example.org', stats: {source: live, password: secret}}
streams:
  /x:
  /talks/*: {max_streams: 1}
";

/// A feed of `vienna`, whose last look saw three listeners on `/x` and ten clients.
struct Scene {
    snapshot: Snapshot,
    feed: Feed,
    lines: Lines,
}

fn scene() -> Scene {
    let fleet = compile(&Sources::new("balancer.yaml", ONE), &Nothing).expect("a good example");
    let scene = Scene {
        snapshot: Snapshot::first(fleet, String::new()),
        feed: Feed::new("vienna"),
        lines: Lines::default(),
    };
    let mount = MountReport {
        name: "/x".to_owned(),
        listeners: Some(3),
        limit: Limit::Listeners(10),
        activity: Activity::Active,
        bytes: None,
    };
    let (slots, listed) = (scene.slots(), scene.snapshot.listed(0));
    let look = begin_look(slots, &listed, at(9.0));
    let report = Report { clients: Some(10), mounts: vec![mount] };
    record(slots, &listed, look, &report, Duration::from_secs(5));
    scene
}

fn at(seconds: f64) -> Moment {
    Duration::from_secs_f64(seconds)
}

impl Scene {
    fn slots(&self) -> &ServerSlots {
        self.snapshot.server(0).expect("the only server")
    }

    fn hear(&mut self, text: &str, now: Moment) {
        let Self { snapshot, feed, lines } = self;
        let slots = snapshot.server(0).expect("the only server");
        feed.hear(snapshot, 0, slots, lines, text.as_bytes(), now);
    }

    /// Whether this piece rings.
    async fn rings(&mut self, text: &str) -> bool {
        self.hear(text, at(10.0));
        // The clock stands until nobody has anything to do, so this takes no time.
        let long_ago = Instant::now();
        timeout(GAP * 2, self.feed.rung(long_ago, GAP)).await.is_ok()
    }
}

#[tokio::test(start_paused = true)]
async fn a_count_that_is_not_known_yet_rings() {
    assert!(scene().rings("EVENT /x listeners 4\n").await);
    assert!(scene().rings("EVENT /x listeners 2\n").await);
    assert!(scene().rings("EVENT /x max_listeners 20\n").await);
}

#[tokio::test(start_paused = true)]
async fn a_count_that_a_look_has_seen_already_does_not_ring() {
    assert!(!scene().rings("EVENT /x listeners 3\nEVENT /x max_listeners 10\n").await);
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_is_not_configured_does_not_ring() {
    assert!(!scene().rings("EVENT /y listeners 4\n").await);
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_a_pattern_wants_rings_as_long_as_there_is_room_for_it() {
    let mut scene = scene();
    assert!(scene.rings("EVENT /talks/a listeners 0\n").await);
    let find = Find { server: 0, mount: "/talks/b" };
    scene.snapshot = scene.snapshot.with_finds([find], Duration::ZERO);
    assert!(!scene.rings("EVENT /talks/a listeners 0\n").await);
}

#[tokio::test(start_paused = true)]
async fn our_own_looks_do_not_ring_though_they_are_clients() {
    assert!(!scene().rings("EVENT global clients 11\nEVENT global clients 9\n").await);
}

#[tokio::test(start_paused = true)]
async fn somebody_who_leaves_a_full_relay_rings() {
    for text in ["EVENT /x listeners 2\n", "EVENT global clients 9\n"] {
        let mut scene = scene();
        scene.feed.heard_while_full();
        assert!(scene.rings(text).await, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_relay_that_only_refused_us_does_not_ring() {
    let mut scene = scene();
    scene.feed.heard_while_full();
    let refused = "EVENT global clients 11\nEVENT global clients 10\nEVENT /x listeners 3\n";
    assert!(!scene.rings(refused).await);
}

#[tokio::test(start_paused = true)]
async fn however_often_it_rings_looks_begin_a_tenth_of_a_second_apart() {
    let mut scene = scene();
    let last = Instant::now();
    for listeners in 4..9 {
        scene.hear(&format!("EVENT /x listeners {listeners}\n"), at(10.0));
    }
    scene.feed.rung(last, Duration::from_secs(5)).await;
    assert_eq!(last.elapsed(), GAP);
    assert!(timeout(GAP, scene.feed.rung(Instant::now(), GAP)).await.is_err(), "one look for all");
}

#[tokio::test(start_paused = true)]
async fn a_full_relay_is_not_looked_at_more_often_than_without_a_feed() {
    let mut scene = scene();
    scene.feed.heard_while_full();
    let (last, fast_interval) = (Instant::now(), Duration::from_millis(500));
    scene.hear("EVENT /x listeners 2\n", at(10.0));
    scene.feed.rung(last, fast_interval).await;
    assert_eq!(last.elapsed(), fast_interval);
}

#[test]
fn of_a_full_relay_it_tells_what_it_heard_of_our_mounts() {
    let mut scene = scene();
    scene.hear("EVENT /x listeners 4\nEVENT /y listeners 5\nEVENT global clients 11\n", at(10.0));
    let heard = scene.feed.heard_while_full().expect("a connection");
    let listeners = HashMap::from([("/x".to_owned(), 4)]);
    assert_eq!(heard, Heard { clients: Some(11), listeners });
}

#[test]
fn a_good_look_knows_better_than_what_was_told_before_it_began() {
    let mut scene = scene();
    scene.hear("EVENT /x listeners 4\n", at(10.0));
    scene.hear("EVENT global clients 12\n", at(12.0));
    scene.feed.looked(at(11.0));
    let heard = scene.feed.heard_while_full().expect("a connection");
    assert_eq!((heard.clients, heard.listeners), (Some(12), HashMap::new()));
}

#[test]
fn a_feed_vouches_for_a_full_relay_for_as_long_as_it_is_heard() {
    let mut scene = scene();
    scene.hear("EVENT /x listeners 4\n", at(10.0));
    assert!(!scene.feed.vouches(at(11.0)), "the relay was not full");
    scene.feed.heard_while_full();
    assert!(scene.feed.vouches(at(17.0)));
    assert!(!scene.feed.vouches(at(17.1)), "it hangs");
}

#[test]
fn a_feed_vouches_for_no_relay_that_fails_otherwise_or_is_full_no_more() {
    let mut scene = scene();
    scene.hear("EVENT /x listeners 4\n", at(10.0));
    scene.feed.heard_while_full();
    scene.feed.failed();
    assert!(!scene.feed.vouches(at(10.0)));
    scene.feed.heard_while_full();
    scene.feed.looked(at(9.0));
    assert!(!scene.feed.vouches(at(10.0)));
}

#[test]
fn a_page_that_is_no_feed_is_not_taken_for_one() {
    let mut scene = scene();
    scene.hear("<html>\n<p>EVENT of the year</p>\n", at(10.0));
    assert_eq!(scene.feed.heard_while_full(), None);
}

#[test]
fn a_feed_that_is_lost_tells_nothing_more() {
    let mut scene = scene();
    scene.hear("EVENT /x listeners 4\n", at(10.0));
    drop(Connection::new(&scene.feed, scene.slots()));
    assert_eq!(scene.feed.heard_while_full(), None);
    assert!(!scene.slots().notes().live);
}

#[test]
fn pauses_grow_from_half_a_second_to_half_a_minute() {
    for failures in 0..100 {
        let (least, most) = (Duration::from_millis(500), LONGEST_PAUSE);
        assert!((least..=most).contains(&pause(failures)));
    }
    assert!(pause(0) <= FIRST_PAUSE);
    assert!(pause(u32::MAX) >= LONGEST_PAUSE / 2);
}

#[test]
fn the_password_does_not_show() {
    let scene = scene();
    let line = Line::wanted(&scene.snapshot, "vienna").expect("a feed is configured");
    assert!(!format!("{line:?}").contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_feed_rings() {
    let scene = scene();
    drop(Connection::new(&scene.feed, scene.slots()));
    assert!(timeout(GAP * 2, scene.feed.rung(Instant::now(), GAP)).await.is_ok());
}
