//! `stats.source: live`: what the feed hastens, what it shows of a full relay, and that nothing
//! depends on it.
//!
//! Where looks are an hour apart, whatever is noticed at all is noticed by the feed. Players join
//! their relay directly, since a redirect hastens looks by itself.

use crate::relay::{Builder, Relay};
use crate::support::{Balancer, Player, eventually, number};

const SELDOM: &str = "poll: {interval: 1h, stale_after: 1h, fast_interval: 100ms}";
const OFTEN: &str = "poll: {interval: 100ms, fast_interval: 100ms}";

/// A relay with one mount, whose administrator is `admin` with `right`.
fn relay() -> Builder {
    Relay::builder().mount("/x", 100).admin("admin", "right")
}

fn config(relay: &Relay, poll: &str, stats: &str) -> String {
    format!(
        "{poll}\nservers: {{r0: {{url: '{}', stats: {{{stats}}}}}}}\nstreams: {{/x: }}\n",
        relay.url()
    )
}

async fn balancer(relay: &Relay, poll: &str) -> Balancer {
    let balancer = Balancer::start(&config(relay, poll, "source: live, password: right")).await;
    until_live(&balancer, true).await;
    balancer
}

async fn until_live(balancer: &Balancer, live: bool) {
    eventually(&format!("live is {live}"), async || {
        balancer.status().await["servers"][0]["live"] == live
    })
    .await;
}

async fn until_listeners(balancer: &Balancer, listeners: u64) {
    eventually(&format!("there are {listeners} listeners"), async || {
        number(&balancer.status().await, "/streams/0/mounts/0/listeners") == listeners
    })
    .await;
}

/// Waits until the relay has refused a look for being full.
async fn until_full(balancer: &Balancer) {
    eventually("the relay is full", async || {
        let status = balancer.status().await;
        status["servers"][0]["trouble"].as_str().is_some_and(|trouble| trouble.starts_with("full"))
    })
    .await;
}

async fn until_redirected(balancer: &Balancer) {
    eventually("a slot is used", async || balancer.get("/x").await.status == 302).await;
}

async fn join(relay: &Relay) -> Player {
    let player = Player::follow(&format!("{}/x", relay.url())).await;
    assert_eq!(player.status, 200);
    player
}

/// A balancer whose password the relay has refused.
async fn refused_feed(relay: &Relay) -> Balancer {
    let wrong = config(relay, OFTEN, "source: live, password: wrong");
    let balancer = Balancer::start(&wrong).await;
    eventually("it was refused", async || {
        relay.requests().iter().any(|request| request.method == "STATS")
    })
    .await;
    balancer
}

/// A relay that three listeners fill to its last client, beside the source and the feed.
async fn full_relay(poll: &str) -> (Relay, Balancer, Vec<Player>) {
    let relay = relay().clients(5).start().unwrap();
    let balancer = balancer(&relay, poll).await;
    let mut players = Vec::new();
    for _ in 0..3 {
        // One after the other: a look takes a place as well while it lasts.
        eventually("a player is let in", async || relay.listeners("/x") == players.len() as u64)
            .await;
        let player = loop {
            let player = Player::follow(&format!("{}/x", relay.url())).await;
            if player.status == 200 {
                break player;
            }
        };
        players.push(player);
    }
    until_full(&balancer).await;
    (relay, balancer, players)
}

#[tokio::test]
async fn a_listener_who_comes_or_goes_is_seen_though_no_look_is_due() {
    let relay = relay().start().unwrap();
    let balancer = balancer(&relay, SELDOM).await;
    let player = join(&relay).await;
    until_listeners(&balancer, 1).await;
    drop(player);
    until_listeners(&balancer, 0).await;
}

#[tokio::test]
async fn a_new_limit_is_seen_though_no_look_is_due() {
    let relay = relay().start().unwrap();
    let balancer = balancer(&relay, SELDOM).await;
    relay.set_limit("/x", Some(7));
    eventually("the limit is known", async || {
        balancer.status().await["streams"][0]["mounts"][0]["max_listeners"] == 7
    })
    .await;
}

#[tokio::test]
async fn a_full_relay_is_up_and_its_feed_tells_its_listeners() {
    let (_relay, balancer, _players) = full_relay(SELDOM).await;
    until_listeners(&balancer, 3).await;
    let status = balancer.status().await;
    assert_eq!(status["servers"][0]["health"], "up");
    assert_eq!(status["servers"][0]["up"], true);
    assert_eq!(balancer.get("/x").await.status, 503);
}

#[tokio::test]
async fn a_full_relay_is_used_again_when_somebody_leaves_though_no_look_is_due() {
    let (_relay, balancer, mut players) = full_relay(SELDOM).await;
    players.pop();
    until_redirected(&balancer).await;
}

#[tokio::test]
async fn a_full_relay_that_has_no_time_for_looks_is_not_down_while_its_feed_tells_of_it() {
    let poll = "poll: {interval: 100ms, fast_interval: 100ms, timeout: 100ms}";
    let (relay, balancer, _players) = full_relay(poll).await;
    relay.hang_stats();
    relay.set_clients(None);
    let in_vain = "icecast_balancer_server_polls_total{server=\"r0\",result=\"timeout\"}";
    eventually("more looks were in vain than take a relay down", async || {
        relay.say_on_feeds("EVENT /x total_bytes_read 7\n");
        balancer.metric(in_vain).await >= Some(5.0)
    })
    .await;
    assert_eq!(balancer.status().await["servers"][0]["health"], "up");
    assert_eq!(balancer.get("/x").await.status, 503);
    relay.heal();
    until_redirected(&balancer).await;
}

#[tokio::test]
async fn a_feed_that_tells_lies_of_a_full_relay_sends_nobody_there() {
    let (relay, balancer, mut players) = full_relay(SELDOM).await;
    for lie in [0, 99_999] {
        relay.say_on_feeds(&format!("EVENT global clients 0\nEVENT /x listeners {lie}\n"));
        let polls = relay.polls();
        relay.say_on_feeds("EVENT global clients 1\n");
        if lie == 0 {
            eventually("the lie was looked into", async || relay.polls() > polls).await;
            until_listeners(&balancer, lie).await;
        }
        for _ in 0..20 {
            assert_eq!(balancer.get("/x").await.status, 503);
        }
    }
    players.pop();
    until_redirected(&balancer).await;
}

#[tokio::test]
async fn a_feed_that_tells_lies_is_corrected_by_a_look() {
    let relay = relay().start().unwrap();
    let balancer = balancer(&relay, SELDOM).await;
    let _player = join(&relay).await;
    until_listeners(&balancer, 1).await;
    let polls = relay.polls();
    relay.say_on_feeds("EVENT /x listeners 100\nEVENT /x max_listeners 0\nEVENT /x null null\n");
    eventually("it was looked into", async || relay.polls() > polls).await;
    until_listeners(&balancer, 1).await;
    assert_eq!(balancer.get("/x").await.status, 302);
}

#[tokio::test]
async fn lines_that_are_spliced_cost_only_themselves() {
    let relay = relay().start().unwrap();
    let balancer = balancer(&relay, SELDOM).await;
    relay.say_on_feeds("EVENT global connections 52846EVENT global clients 3\nEVENT /x lis");
    relay.say_on_feeds(&format!("{}\n", "x".repeat(100_000)));
    let _player = join(&relay).await;
    until_listeners(&balancer, 1).await;
}

#[tokio::test]
async fn a_feed_that_is_cut_is_told_and_comes_back() {
    let relay = relay().start().unwrap();
    let balancer = balancer(&relay, SELDOM).await;
    relay.cut_feeds();
    until_live(&balancer, false).await;
    let lost = balancer.metric("icecast_balancer_server_live{server=\"r0\"}").await;
    assert_eq!(lost, Some(0.0));
    until_live(&balancer, true).await;
    let _player = join(&relay).await;
    until_listeners(&balancer, 1).await;
}

#[tokio::test]
async fn a_full_relay_whose_feed_is_cut_is_used_again_as_with_looks_alone() {
    let (relay, balancer, mut players) = full_relay(OFTEN).await;
    relay.cut_feeds();
    until_live(&balancer, false).await;
    until_full(&balancer).await;
    // The feed's own place may be enough to be let in again.
    players.clear();
    until_redirected(&balancer).await;
}

#[tokio::test]
async fn a_full_relay_whose_feed_hangs_is_used_again_as_with_looks_alone() {
    let (relay, balancer, mut players) = full_relay(OFTEN).await;
    relay.hang_feeds();
    for _ in 0..20 {
        assert_eq!(balancer.get("/x").await.status, 503);
    }
    players.pop();
    until_redirected(&balancer).await;
}

#[tokio::test]
async fn a_relay_that_dies_and_comes_back_has_its_feed_again() {
    let relay = relay().start().unwrap();
    let balancer = balancer(&relay, OFTEN).await;
    relay.stop().await;
    until_live(&balancer, false).await;
    relay.restart().unwrap();
    until_live(&balancer, true).await;
}

#[tokio::test]
async fn a_wrong_password_costs_the_feed_and_nothing_else() {
    let relay = relay().start().unwrap();
    let balancer = refused_feed(&relay).await;
    balancer.until_health("r0", "up").await;
    assert_eq!(balancer.get("/x").await.status, 302);
    let server = &balancer.status().await["servers"][0];
    assert_eq!((&server["live"], &server["source"]), (&false.into(), &"slots".into()));
}

#[tokio::test]
async fn a_password_that_is_put_right_opens_the_feed_at_once() {
    let relay = relay().start().unwrap();
    let balancer = refused_feed(&relay).await;
    balancer.edit(&config(&relay, OFTEN, "source: live, password: right"));
    until_live(&balancer, true).await;
}

#[tokio::test]
async fn a_reload_opens_and_closes_feeds() {
    let relay = relay().start().unwrap();
    let balancer = Balancer::start(&config(&relay, OFTEN, "source: auto")).await;
    assert_eq!(balancer.metric("icecast_balancer_server_live{server=\"r0\"}").await, None);
    balancer.edit(&config(&relay, OFTEN, "source: live, password: right"));
    until_live(&balancer, true).await;
    assert_eq!(relay.feeds(), 1);
    balancer.edit(&config(&relay, OFTEN, "source: auto"));
    eventually("the feed is closed", async || relay.feeds() == 0).await;
    let status = balancer.status().await;
    assert_eq!(status["servers"][0]["source"], "slots");
    assert_eq!(status["servers"][0].get("live"), Some(&serde_json::Value::Null));
}

#[tokio::test]
async fn the_status_page_says_whether_the_feed_is_heard() {
    let relay = relay().start().unwrap();
    let balancer = balancer(&relay, OFTEN).await;
    assert!(balancer.admin_get("/").await.body.contains("slots + feed"));
    relay.stop().await;
    until_live(&balancer, false).await;
    let page = balancer.admin_get("/").await.body;
    assert!(page.contains("feed lost") && !page.contains("slots + feed"));
}

#[tokio::test]
async fn the_password_is_nowhere_to_be_read() {
    let relay = Relay::builder().mount("/x", 9).admin("admin", "do-not-tell").start().unwrap();
    let stats = "source: live, password: do-not-tell";
    let balancer = Balancer::start(&config(&relay, OFTEN, stats)).await;
    until_live(&balancer, true).await;
    relay.stop().await;
    until_live(&balancer, false).await;
    for path in ["/", "/api/v1/status", "/metrics"] {
        assert!(!balancer.admin_get(path).await.body.contains("do-not-tell"), "{path}");
    }
}
