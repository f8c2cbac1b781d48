//! The relay that the other tests rely on: it answers as Icecast does, plays a sound stream, counts
//! right, and misbehaves only when told to.
//!
//! The files in `tests/fixtures/relay` are what Icecast 2.4.4 answered, byte for byte but for dates.

mod player;

use std::future::Future;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::relay::Relay;
use crate::relay::state::Source;
use crate::relay::stats::Document;
use player::{Listener, PATIENCE, send};

// Answers

#[tokio::test]
async fn a_full_mount_refuses_like_icecast() {
    let relay = Relay::builder().mount("/saal1.ogg", 0).start().unwrap();
    assert_icecast(&get(&relay, "/saal1.ogg").await, include_str!("../fixtures/relay/full.http"));
    assert_eq!(relay.refused(), 1);
}

#[tokio::test]
async fn a_missing_mount_is_refused_like_icecast() {
    let relay = Relay::builder().start().unwrap();
    assert_icecast(
        &get(&relay, "/saal1.ogg").await,
        include_str!("../fixtures/relay/missing.http"),
    );
    assert_eq!(relay.refused(), 1);
}

#[tokio::test]
async fn a_dead_on_demand_mount_is_refused_like_icecast_and_stays_listed() {
    let relay = Relay::builder().mount("/saal1.ogg", 5).start().unwrap();
    relay.set_source("/saal1.ogg", Source::Dead);
    let answer = get(&relay, "/saal1.ogg").await;
    assert_icecast(&answer, include_str!("../fixtures/relay/unavailable.http"));
    assert!(slots(&relay).await.contains(r#"name="/saal1.ogg" listeners="0" max_listeners="5""#));
}

#[tokio::test]
async fn head_is_a_bad_request_as_with_icecast() {
    let relay = Relay::builder().mount("/saal1.ogg", 5).start().unwrap();
    let answer = ask(&relay, "HEAD /saal1.ogg HTTP/1.1\r\nHost: relay\r\n\r\n").await;
    assert_icecast(&answer, include_str!("../fixtures/relay/head.http"));
}

#[tokio::test]
async fn options_gets_no_answer_as_with_icecast() {
    let relay = Relay::builder().start().unwrap();
    assert_eq!(ask(&relay, "OPTIONS /saal1.ogg HTTP/1.1\r\n\r\n").await, "");
}

#[tokio::test]
async fn at_the_limit_of_clients_a_listener_is_refused_like_icecast() {
    let relay = Relay::builder().mount("/saal1.ogg", 5).clients(1).start().unwrap();
    assert_icecast(&get(&relay, "/saal1.ogg").await, include_str!("../fixtures/relay/limit.http"));
    eventually(async || relay.refused() == 1).await;
}

#[tokio::test]
async fn at_the_limit_of_clients_statistics_are_refused_too() {
    let relay = Relay::builder().mount("/saal1.ogg", 5).clients(3).start().unwrap();
    assert!(slots(&relay).await.contains(r#"free="5""#));
    relay.hold_listeners("/saal1.ogg", 2);
    assert_icecast(&get(&relay, "/slots.xsl").await, include_str!("../fixtures/relay/limit.http"));
    relay.set_clients(None);
    assert!(slots(&relay).await.contains(r#"free="3""#));
}

#[tokio::test]
async fn a_listener_is_answered_like_icecast() {
    let relay = Relay::builder().mount("/saal1.ogg", 5).name("vienna").start().unwrap();
    let listener = Listener::on(&relay, "/saal1.ogg").await;
    let (head, icy) = listener.head.split_once("icy-").unwrap();
    let refusal = include_str!("../fixtures/relay/full.http").split_once("\r\n\r\n").unwrap().0;
    let expected = refusal
        .replace("403 Forbidden", "200 OK")
        .replace("text/plain; charset=utf-8", "application/ogg");
    assert_icecast(head, &(expected + "\r\n"));
    assert!(icy.contains("icy-name:vienna /saal1.ogg (440 Hz)\r\n"), "{icy}");
}

// Statistics

#[tokio::test]
async fn slots_are_told_byte_for_byte_like_icecast() {
    let relay = Relay::builder().mount("/tv.ogv", 0).start().unwrap();
    let answer = get(&relay, "/slots.xsl").await;
    assert_icecast(&answer, include_str!("../fixtures/relay/slots.http"));
}

#[tokio::test]
async fn slots_tell_listeners_limits_and_idle_mounts() {
    let relay = Relay::builder()
        .mount("/a&b.ogg", 5)
        .unlimited("/free.ogg")
        .on_demand("/idle.ogg", Some(7))
        .start()
        .unwrap();
    let _listener = Listener::on(&relay, "/a&b.ogg").await;
    let text = slots(&relay).await;
    let mounts: Vec<_> = text.lines().filter(|line| line.starts_with("  <mount")).collect();
    assert_eq!(
        mounts,
        [
            r#"  <mount name="/a&amp;b.ogg" listeners="1" max_listeners="5" free="4" active="1" type="application/ogg"/>"#,
            r#"  <mount name="/free.ogg" listeners="0" max_listeners="unlimited" free="unlimited" active="1" type="application/ogg"/>"#,
            r#"  <mount name="/idle.ogg" listeners="0" max_listeners="7" free="7" active="0"/>"#,
        ]
    );
    assert!(text.contains(r#"clients="3" listeners="1" sources="2""#), "{text}");
}

#[tokio::test]
async fn load_tells_free_slots_and_no_number_where_there_is_no_limit() {
    let relay = Relay::builder().mount("/a.ogg", 5).unlimited("/b.ogg").start().unwrap();
    let text = body(&get(&relay, "/load.xsl").await);
    let mounts = r#"<load><mount name="/a.ogg">5</mount><mount name="/b.ogg">NaN</mount></load>"#;
    assert!(text.contains(mounts), "{text}");
}

#[tokio::test]
async fn the_administrator_reads_limits() {
    let relay = Relay::builder().mount("/a.ogg", 5).admin("admin", "secret").start().unwrap();
    let request = "GET /admin/stats HTTP/1.1\r\nauthorization: Basic YWRtaW46c2VjcmV0\r\n\r\n";
    let text = body(&ask(&relay, request).await);
    assert!(text.contains("<max_listeners>5</max_listeners>"), "{text}");
}

#[tokio::test]
async fn nobody_else_reads_the_administrators_statistics() {
    let relay = Relay::builder().admin("admin", "secret").start().unwrap();
    let answer = get(&relay, "/admin/stats").await;
    assert_icecast(&answer, include_str!("../fixtures/relay/unauthorized.http"));
}

#[tokio::test]
async fn status_json_has_no_source_without_mounts_an_object_for_one_and_an_array_for_more() {
    let relay = Relay::builder().start().unwrap();
    assert!(status_json(&relay).await["source"].is_null());
    relay.add_mount("/a b.ogg", Some(5));
    let source = status_json(&relay).await["source"].clone();
    assert_eq!(source["listenurl"], format!("{}/a b.ogg", relay.url()));
    relay.add_mount("/b.ogg", None);
    assert_eq!(status_json(&relay).await["source"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_document_that_is_not_offered_is_missing_like_any_stylesheet() {
    let relay = Relay::builder().only(Document::StatusJson).start().unwrap();
    let answer = get(&relay, "/slots.xsl").await;
    assert_icecast(&answer, include_str!("../fixtures/relay/missing-xsl.http"));
    relay.offer(Document::Slots);
    assert!(slots(&relay).await.contains("<slots"));
    relay.withdraw(Document::StatusJson);
    assert!(get(&relay, "/status-json.xsl").await.starts_with("HTTP/1.0 404 "));
}

#[tokio::test]
async fn delayed_statistics_do_not_tell_of_a_listener_yet() {
    let delay = Duration::from_secs(60);
    let relay = Relay::builder().mount("/a.ogg", 5).statistics_delay(delay).start().unwrap();
    relay.hold_listeners("/a.ogg", 2);
    assert!(slots(&relay).await.contains(r#"listeners="0" max_listeners="5""#));
}

#[tokio::test]
async fn delayed_statistics_tell_of_a_listener_later() {
    let delay = Duration::from_millis(50);
    let relay = Relay::builder().mount("/a.ogg", 5).statistics_delay(delay).start().unwrap();
    relay.hold_listeners("/a.ogg", 2);
    eventually(async || slots(&relay).await.contains(r#"listeners="2" max_listeners="5""#)).await;
}

// Faults

#[tokio::test]
async fn frozen_statistics_stay_as_they_were() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    relay.freeze_stats();
    relay.hold_listeners("/a.ogg", 2);
    assert!(slots(&relay).await.contains(r#"free="5""#));
    relay.heal();
    assert!(slots(&relay).await.contains(r#"free="3""#));
}

#[tokio::test]
async fn statistics_answer_what_they_are_told_to() {
    let relay = Relay::builder().start().unwrap();
    relay.answer_stats_with(502, "<html>");
    let answer = get(&relay, "/slots.xsl").await;
    assert!(answer.starts_with("HTTP/1.0 502 Bad Gateway\r\n"), "{answer}");
    assert_eq!(body(&answer), "<html>");
}

#[tokio::test]
async fn hanging_statistics_are_not_answered_while_players_are_served() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    relay.hang_stats();
    let mut poll = send(&relay, "GET /slots.xsl HTTP/1.1\r\n\r\n").await;
    eventually(async || relay.polls() == 1).await;
    let _listener = Listener::on(&relay, "/a.ogg").await;
    assert!(says_nothing(&mut poll).await);
}

#[tokio::test]
async fn a_hanging_relay_answers_nobody() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    relay.hang();
    let mut player = send(&relay, "GET /a.ogg HTTP/1.1\r\n\r\n").await;
    eventually(async || relay.requests().len() == 1).await;
    assert!(says_nothing(&mut player).await);
    assert_eq!(relay.listeners("/a.ogg"), 0);
}

#[tokio::test]
async fn a_stopped_relay_refuses_connections_and_ends_the_ones_it_had() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    let listener = Listener::on(&relay, "/a.ogg").await;
    relay.stop().await;
    assert!(TcpStream::connect(relay.addr()).await.is_err());
    listener.ended().await;
    assert_eq!(relay.listeners("/a.ogg"), 0);
}

#[tokio::test]
async fn a_restarted_relay_serves_its_mounts_at_the_same_address() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    let _listener = Listener::on(&relay, "/a.ogg").await;
    relay.stop().await;
    relay.restart().unwrap();
    let _listener = Listener::on(&relay, "/a.ogg").await;
    assert_eq!(relay.listeners("/a.ogg"), 1);
}

#[tokio::test]
async fn a_relay_does_not_start_where_another_one_listens() {
    let relay = Relay::builder().start().unwrap();
    assert!(Relay::builder().listen(relay.addr()).start().is_err());
}

#[tokio::test]
async fn a_dropped_relay_is_gone() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    let addr = relay.addr();
    let listener = Listener::on(&relay, "/a.ogg").await;
    drop(relay);
    listener.ended().await;
    eventually(async || TcpStream::connect(addr).await.is_err()).await;
}

// Listeners

#[tokio::test]
async fn a_listener_is_counted_until_it_leaves() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    let listener = Listener::on(&relay, "/a.ogg").await;
    assert_eq!(relay.listeners("/a.ogg"), 1);
    drop(listener);
    eventually(async || relay.listeners("/a.ogg") == 0).await;
    assert_eq!(relay.peak("/a.ogg"), 1);
}

#[tokio::test]
async fn a_crowd_at_once_never_exceeds_the_limit() {
    let relay = Relay::builder().mount("/a.ogg", 100).start().unwrap();
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..150 {
        let request = send(&relay, "GET /a.ogg HTTP/1.1\r\n\r\n").await;
        crowd.spawn(async move { Listener::read(request).await });
    }
    let listeners = timeout(PATIENCE, crowd.join_all()).await.unwrap();
    let served = listeners.iter().filter(|one| one.head.starts_with("HTTP/1.0 200 ")).count();
    assert_eq!((served, relay.peak("/a.ogg"), relay.refused()), (100, 100, 50));
}

#[tokio::test]
async fn a_raised_limit_lets_the_next_listener_in() {
    let relay = Relay::builder().mount("/a.ogg", 0).start().unwrap();
    relay.set_limit("/a.ogg", Some(1));
    assert!(Listener::on(&relay, "/a.ogg").await.head.starts_with("HTTP/1.0 200 "));
}

#[tokio::test]
async fn a_removed_mount_ends_its_listeners_and_is_missing() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    let listener = Listener::on(&relay, "/a.ogg").await;
    relay.remove_mount("/a.ogg");
    listener.ended().await;
    assert!(get(&relay, "/a.ogg").await.starts_with("HTTP/1.0 404 "));
}

#[tokio::test]
async fn an_on_demand_mount_has_a_stream_from_its_first_listener_to_its_last() {
    let relay = Relay::builder().on_demand("/a.ogg", None).start().unwrap();
    let listener = Listener::on(&relay, "/a.ogg").await;
    assert!(slots(&relay).await.contains(r#"active="1""#));
    drop(listener);
    eventually(async || slots(&relay).await.contains(r#"active="0""#)).await;
}

#[tokio::test]
async fn a_request_is_remembered_with_its_query_string() {
    let relay = Relay::builder().mount("/a b.ogg", 5).start().unwrap();
    let _listener = Listener::on(&relay, "/a%20b.ogg?session=1%202").await;
    let request = relay.requests().pop().unwrap();
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("GET", "/a%20b.ogg?session=1%202")
    );
    assert!(request.head.ends_with("\r\nUser-Agent: test\r\n\r\n"), "{}", request.head);
}

// The sound

#[tokio::test]
async fn a_listener_gets_the_headers_first() {
    let relay = Relay::builder().mount("/a.ogg", 5).name("vienna").start().unwrap();
    let pages = Listener::on(&relay, "/a.ogg").await.pages(2).await;
    assert!(pages[0].body.starts_with(b"\x7fFLAC\x01\x00\x00\x01fLaC\x00\x00\x00\x22"));
    assert!(pages[1].body.ends_with(b"TITLE=vienna /a.ogg (440 Hz)"));
    assert_eq!((pages[0].begins_stream, pages[1].begins_stream), (true, false));
}

#[tokio::test]
async fn further_mounts_play_the_relays_note_in_other_octaves() {
    let relay = Relay::builder().note(220.0).mount("/a.ogg", 5).mount("/b.ogg", 5).start().unwrap();
    assert!(Listener::on(&relay, "/a.ogg").await.head.contains("icy-name:relay /a.ogg (220 Hz)"));
    assert!(Listener::on(&relay, "/b.ogg").await.head.contains("icy-name:relay /b.ogg (440 Hz)"));
}

#[tokio::test]
async fn every_page_has_the_right_checksum() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    let pages = Listener::on(&relay, "/a.ogg").await.pages(PAST_THE_BURST).await;
    assert!(pages.iter().all(|page| page.checksum == page.computed_checksum));
}

#[tokio::test]
async fn whoever_joins_in_the_middle_gets_a_stream_that_counts_from_zero_without_a_gap() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    let mut first = Listener::on(&relay, "/a.ogg").await;
    first.pages(PAST_THE_BURST).await;
    let pages = Listener::on(&relay, "/a.ogg").await.pages(PAST_THE_BURST).await;
    let sequences: Vec<_> = pages.iter().map(|page| page.sequence as usize).collect();
    assert_eq!(sequences, (0..PAST_THE_BURST).collect::<Vec<_>>());
    let granules: Vec<_> = pages[2..].iter().map(|page| page.granule).collect();
    let expected: Vec<_> = (1..=granules.len() as u64).map(|page| page * 2048).collect();
    assert_eq!(granules, expected);
}

#[tokio::test]
async fn listeners_who_came_at_different_times_hear_the_same() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    let mut early = Listener::on(&relay, "/a.ogg").await;
    let mut heard = early.pages(PAST_THE_BURST).await;
    let mut late = Listener::on(&relay, "/a.ogg").await;
    let last = late.pages(PAST_THE_BURST).await.pop().unwrap();
    heard.extend(early.pages(8).await);
    assert!(heard.iter().any(|page| page.sound() == last.sound()));
    assert!(heard.iter().all(|page| page.body != last.body), "its frames count from another zero");
}

// The live feed

/// Asks for the feed as the administrator.
const STATS: &str = "STATS / HTTP/1.0\r\nAuthorization: Basic YWRtaW46cGFzcw==\r\n\r\n";

/// Reads a feed until it has said `end`.
async fn hear(feed: &mut TcpStream, end: &str) -> String {
    let mut heard = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&heard).contains(end) {
            assert_ne!(feed.read_buf(&mut heard).await.unwrap(), 0, "it ended before {end:?}");
        }
    };
    timeout(PATIENCE, read).await.expect(end);
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn the_feed_tells_everything_and_then_what_changes() {
    let relay = Relay::builder().mount("/saal1.ogg", 5).admin("admin", "pass").start().unwrap();
    let mut feed = send(&relay, STATS).await;
    let all = hear(&mut feed, "EVENT /saal1.ogg max_listeners 5\n").await;
    assert!(all.starts_with("HTTP/1.0 200 OK\r\n\r\nEVENT global clients "), "{all}");
    let listener = Listener::on(&relay, "/saal1.ogg").await;
    hear(&mut feed, "EVENT /saal1.ogg listeners 1\n").await;
    drop(listener);
    hear(&mut feed, "EVENT /saal1.ogg listeners 0\n").await;
    relay.remove_mount("/saal1.ogg");
    hear(&mut feed, "EVENT /saal1.ogg null null\n").await;
}

#[tokio::test]
async fn a_feed_that_is_open_goes_on_when_the_relay_is_full() {
    let relay = Relay::builder().unlimited("/saal1.ogg").admin("admin", "pass").start().unwrap();
    let mut feed = send(&relay, STATS).await;
    hear(&mut feed, "max_listeners unlimited\n").await;
    relay.set_clients(Some(0));
    assert!(get(&relay, "/slots.xsl").await.contains("connection limit reached"));
    relay.hold_listeners("/saal1.ogg", 3);
    hear(&mut feed, "EVENT /saal1.ogg listeners 3\n").await;
}

#[tokio::test]
async fn the_feed_counts_as_a_client() {
    let relay = Relay::builder().admin("admin", "pass").start().unwrap();
    let mut feed = send(&relay, STATS).await;
    hear(&mut feed, "EVENT global clients 1\n").await;
    assert!(slots(&relay).await.contains(r#"clients="1""#));
}

#[tokio::test]
async fn only_the_administrator_gets_the_feed() {
    let relay = Relay::builder().admin("admin", "other").start().unwrap();
    assert!(ask(&relay, STATS).await.starts_with("HTTP/1.0 401 "));
}

#[tokio::test]
async fn a_feed_that_is_cut_ends_and_the_next_begins_anew() {
    let relay = Relay::builder().mount("/saal1.ogg", 5).admin("admin", "pass").start().unwrap();
    let mut feed = send(&relay, STATS).await;
    hear(&mut feed, "max_listeners 5\n").await;
    relay.cut_feeds();
    timeout(PATIENCE, feed.read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    hear(&mut send(&relay, STATS).await, "max_listeners 5\n").await;
}

/// More pages than a listener gets at once, so that some of them are waited for.
const PAST_THE_BURST: usize = 60;

async fn slots(relay: &Relay) -> String {
    body(&get(relay, "/slots.xsl").await)
}

async fn status_json(relay: &Relay) -> serde_json::Value {
    let document: serde_json::Value =
        serde_json::from_str(&body(&get(relay, "/status-json.xsl").await)).unwrap();
    document["icestats"].clone()
}

async fn get(relay: &Relay, target: &str) -> String {
    ask(relay, &format!("GET {target} HTTP/1.1\r\nHost: relay\r\n\r\n")).await
}

/// Sends a request and reads to the end of the answer.
async fn ask(relay: &Relay, request: &str) -> String {
    let mut socket = send(relay, request).await;
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

fn body(answer: &str) -> String {
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Compares answers but for the moments they tell.
fn assert_icecast(answer: &str, icecast: &str) {
    let timeless = |text: &str| {
        let moment = |line: &&str| !line.starts_with("Date: ");
        let lines: Vec<_> = text.split_inclusive('\n').filter(moment).map(without_start).collect();
        lines.concat()
    };
    assert_eq!(timeless(answer), timeless(icecast));
}

fn without_start(line: &str) -> String {
    match line.split_once(" server_start=\"") {
        Some((before, rest)) => before.to_owned() + rest.split_once('"').unwrap().1,
        None => line.to_owned(),
    }
}

/// Whether the other side leaves a request without an answer for a moment. It cannot be waited for
/// that nothing happens; a relay that answers does so within much less.
async fn says_nothing(socket: &mut TcpStream) -> bool {
    timeout(Duration::from_millis(300), socket.read_u8()).await.is_err()
}

async fn eventually<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let wait = async {
        while !condition().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("what was waited for did not happen");
}
