//! When every mount of a stream is full: what its `when_full` makes of players.

use crate::relay::Relay;
use crate::support::{Balancer, Player, eventually, number, servers};

const QUICK: &str = "poll: {interval: 100ms, fast_interval: 50ms}\n";

/// One relay with ten slots for each of `/x` and `/pause`; of those, `/x` may use one.
async fn start(streams: &str) -> (Relay, Balancer) {
    let relay = Relay::builder().mount("/x", 10).mount("/pause", 10).start().unwrap();
    let config = format!(
        "{}{QUICK}balance: {{headroom: 0, settle: 200ms}}\nstreams: {streams}\n",
        servers(&[&relay])
    );
    let balancer = Balancer::start(&config).await;
    (relay, balancer)
}

async fn play(balancer: &Balancer, path: &str) -> Player {
    Player::follow(balancer.get(path).await.location()).await
}

#[tokio::test]
async fn beyond_a_limit_that_is_lower_than_the_relays_own_players_still_play() {
    let stream = "{/x: {mounts: {r0: {max_listeners: 1}}, when_full: overflow}}";
    let (relay, balancer) = start(stream).await;
    let mut players = Vec::new();
    for _ in 0..4 {
        players.push(play(&balancer, "/x").await);
    }
    assert!(players.iter().all(|player| player.status == 200));
    assert_eq!(relay.refused(), 0);

    let of = "{stream=\"/x\",server=\"r0\"}";
    let metric = async |name: &str| balancer.metric(&format!("icecast_balancer_{name}{of}")).await;
    assert_eq!(metric("overflow_total").await, Some(3.0));
    assert_eq!(metric("redirects_total").await, Some(4.0));
    assert_eq!(metric("mount_free_slots").await, Some(0.0));
    let up = balancer.metric("icecast_balancer_stream_up{stream=\"/x\"}").await;
    assert_eq!(up, Some(1.0), "a player who asks is sent to a relay");
    let status = balancer.status().await;
    let mount = &status["streams"][0]["mounts"][0];
    assert_eq!(mount["overflows"], 3);
    assert_eq!(mount["reason"], "full: gets listeners beyond its limit, 3 so far");
    let page = balancer.admin_get("/").await.body;
    assert!(page.contains("full: gets listeners beyond its limit, 3 so far"), "{page}");

    // All of it goes, and the limit is what it was.
    players.clear();
    eventually("one slot is free, and no more", async || {
        let status = balancer.status().await;
        number(&status, "/streams/0/free") == 1
            && number(&status, "/streams/0/mounts/0/reserved") == 0
    })
    .await;
}

#[tokio::test]
async fn a_relay_at_its_limit_for_all_clients_gets_nobody_beyond_it() {
    let relay = Relay::builder().mount("/x", 10).clients(3).start().unwrap();
    let config = format!(
        "{}{QUICK}balance: {{headroom: 0, when_full: overflow}}\n\
         streams: {{/x: {{mounts: {{r0: {{max_listeners: 1}}}}}}}}\n",
        servers(&[&relay])
    );
    let balancer = Balancer::start(&config).await;
    let _playing = [play(&balancer, "/x").await, play(&balancer, "/x").await];
    // The source is the third client, so that even looks are refused.
    eventually("the relay is known to refuse everybody", async || {
        let answer = balancer.get("/x").await;
        answer.status == 503 && answer.body.starts_with("full: ")
    })
    .await;
}

#[tokio::test]
async fn a_full_stream_sends_its_players_to_its_fallback() {
    let stream =
        "{/x: {mounts: {r0: {max_listeners: 1}}, when_full: fallback, fallback: /pause}, /pause: }";
    let (relay, balancer) = start(stream).await;
    let _first = play(&balancer, "/x").await;
    let answer = balancer.get("/x?a=b").await;
    assert_eq!(answer.location(), format!("{}/pause?a=b", relay.url()));
    assert_eq!(Player::follow(answer.location()).await.status, 200);

    let metric = async |series: &str| balancer.metric(&format!("icecast_balancer_{series}")).await;
    assert_eq!(metric("fallback_total{stream=\"/x\"}").await, Some(1.0));
    let redirected = "stream_requests_total{stream=\"/x\",outcome=\"redirected\"}";
    assert_eq!(metric(redirected).await, Some(2.0));
    assert_eq!(metric("redirects_total{stream=\"/pause\",server=\"r0\"}").await, Some(1.0));
    let status = balancer.status().await;
    assert_eq!(status["streams"][0]["fallbacks"], 1);
    assert_eq!(status["streams"][0]["when_full"], "fallback");
    let page = balancer.admin_get("/").await.body;
    assert!(page.contains("1 sent to the fallback"), "{page}");
}

#[tokio::test]
async fn each_stream_has_a_policy_of_its_own() {
    let streams = "{/x: {mounts: {r0: {max_listeners: 1}}, when_full: wait, wait: 1m}, \
                   /pause: {mounts: {r0: {max_listeners: 1}}}}";
    let (_relay, balancer) = start(streams).await;
    let first = play(&balancer, "/x").await;
    let _other = play(&balancer, "/pause").await;
    assert_eq!(balancer.get("/pause").await.status, 503, "it is rejected at once");
    let waiting = async |stream: &str| {
        let series = format!("icecast_balancer_stream_waiting{{stream=\"{stream}\"}}");
        balancer.metric(&series).await
    };
    assert_eq!(waiting("/pause").await, None);
    let leaving = async {
        eventually("one waits", async || waiting("/x").await == Some(1.0)).await;
        drop(first);
    };
    let (answer, ()) = tokio::join!(balancer.get("/x"), leaving);
    assert_eq!(answer.status, 302);
}

#[tokio::test]
async fn a_reload_to_another_policy_serves_those_who_wait() {
    let relay = Relay::builder().mount("/x", 10).mount("/pause", 10).start().unwrap();
    for (policy, path) in [("overflow", "/x"), ("fallback", "/pause")] {
        let config = |policy: &str| {
            format!(
                "{}{QUICK}balance: {{headroom: 0, settle: 200ms}}\nstreams: {{/x: {{mounts: {{r0: \
                 {{max_listeners: 1}}}}, when_full: {policy}, wait: 1m, fallback: /pause}}, /pause: }}\n",
                servers(&[&relay])
            )
        };
        let balancer = Balancer::start(&config("wait")).await;
        let _first = play(&balancer, "/x").await;
        let change = async {
            let series = "icecast_balancer_stream_waiting{stream=\"/x\"}";
            eventually("one waits", async || balancer.metric(series).await == Some(1.0)).await;
            balancer.edit(&config(policy));
        };
        let (answer, ()) = tokio::join!(balancer.get("/x"), change);
        assert_eq!(answer.location(), format!("{}{path}", relay.url()), "{policy}");
    }
}
