//! Relays that fail, each in its way.

use crate::relay::Relay;
use crate::support::{Balancer, Player, eventually, servers};

use super::stub::Stub;
use super::{
    BUSY, STREAM, mount, polls, relay, server, until_polled, until_polled_again, watching,
};

#[tokio::test]
async fn a_relay_at_its_global_limit_is_full_and_not_down() {
    for settings in ["", "max_listeners: 1000"] {
        let relay = Relay::builder().clients(50).mount("/saal1.ogg", 100).start().unwrap();
        let balancer = watching(&[&relay], settings).await;
        let polled_well = polls(&balancer, "ok").await;
        // With its source, these are all the clients it takes; even a look is one too many.
        relay.hold_listeners("/saal1.ogg", 49);
        until_polled(&balancer, "http_status").await;
        let answer = balancer.get("/saal1.ogg").await;
        assert_eq!(answer.status, 503, "{settings}");
        assert!(answer.body.starts_with("full: "), "{}", answer.body);
        until_polled_again(&relay, 10).await;
        let server = server(&balancer).await;
        assert_eq!(server["health"], "up");
        assert!(server["trouble"].as_str().unwrap().contains("full"), "{server}");
        assert_eq!(balancer.metric("icecast_balancer_server_up{server=\"r0\"}").await, Some(1.0));

        relay.hold_listeners("/saal1.ogg", 30);
        eventually("it is looked at well again", async || {
            polls(&balancer, "ok").await > polled_well && mount(&balancer).await["free"] == 68
        })
        .await;
        let player = Player::follow(balancer.get("/saal1.ogg").await.location()).await;
        assert_eq!(player.status, 200);
    }
}

#[tokio::test]
async fn a_full_relay_that_has_no_time_for_looks_is_full_and_not_down() {
    let relay = Relay::builder().clients(50).mount("/saal1.ogg", 100).start().unwrap();
    let poll = "poll: {interval: 20ms, fast_interval: 20ms, timeout: 50ms}\n";
    let balancer = Balancer::start(&format!("{poll}{}{STREAM}", servers(&[&relay]))).await;
    relay.hold_listeners("/saal1.ogg", 49);
    until_polled(&balancer, "http_status").await;
    // At its limit this relay refuses even while it hangs; below it, a look gets no answer.
    relay.hang();
    relay.hold_listeners("/saal1.ogg", 30);
    eventually("it would be down by now", async || polls(&balancer, "timeout").await > 10.0).await;
    assert_eq!(server(&balancer).await["health"], "up");
    assert!(balancer.get("/saal1.ogg").await.body.starts_with("full: "));

    relay.heal();
    eventually("it is used again", async || balancer.get("/saal1.ogg").await.status == 302).await;
}

#[tokio::test]
async fn a_relay_that_stays_full_stays_up() {
    let relay = Relay::builder().clients(50).mount("/saal1.ogg", 100).start().unwrap();
    let impatient = "poll: {interval: 20ms, fast_interval: 20ms, stale_after: 100ms}\n";
    let balancer = Balancer::start(&format!("{impatient}{}{STREAM}", servers(&[&relay]))).await;
    relay.hold_listeners("/saal1.ogg", 49);
    until_polled(&balancer, "http_status").await;
    eventually("it has been full for longer than numbers are believed", async || {
        let lasted = polls(&balancer, "http_status").await;
        lasted > 10.0
    })
    .await;
    let up = balancer.metric("icecast_balancer_server_up{server=\"r0\"}").await;
    assert_eq!(up, Some(1.0));
    let answer = balancer.get("/saal1.ogg").await;
    assert!(answer.body.starts_with("full: "), "{}", answer.body);
}

#[tokio::test]
async fn a_relay_that_is_full_at_the_very_first_look_is_full_and_not_down() {
    let relay = Relay::builder().clients(1).mount("/saal1.ogg", 100).start().unwrap();
    let balancer = watching(&[&relay], "").await;
    assert_eq!(server(&balancer).await["health"], "up");
    let answer = balancer.get("/saal1.ogg").await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.starts_with("full: "), "{}", answer.body);
}

#[tokio::test]
async fn a_full_relay_leaves_its_players_to_the_others() {
    let full = Relay::builder().clients(1).mount("/saal1.ogg", 100).start().unwrap();
    let other = relay(100);
    let balancer = watching(&[&full, &other], "").await;
    for _ in 0..20 {
        let answer = balancer.get("/saal1.ogg").await;
        assert!(answer.location().starts_with(&other.url()));
    }
}

#[tokio::test]
async fn a_hung_relay_delays_neither_another_look_nor_a_redirect() {
    let (hung, other) = (relay(1_000), relay(1_000));
    let patient = "poll: {interval: 20ms, fast_interval: 20ms, timeout: 1h}\n";
    let yaml = format!("{patient}{}{STREAM}", servers(&[&hung, &other]));
    let balancer = Balancer::start(&yaml).await;
    hung.hang();
    until_polled_again(&other, 3).await;
    let hung_since = hung.polls();
    until_polled_again(&other, 20).await;
    for _ in 0..50 {
        assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
    }
    assert!(hung.polls() <= hung_since + 1, "it is asked once and waited for");
}

#[tokio::test]
async fn a_relay_that_hangs_is_doubted_and_then_down() {
    let relay = relay(10);
    let patient = "poll: {interval: 20ms, fast_interval: 20ms, timeout: 50ms}\n";
    let balancer = Balancer::start(&format!("{patient}{}{STREAM}", servers(&[&relay]))).await;
    relay.hang();
    balancer.until_health("r0", "doubtful").await;
    balancer.until_health("r0", "down").await;
    assert!(polls(&balancer, "timeout").await >= 3.0);
    let server = server(&balancer).await;
    assert!(server["trouble"].as_str().is_some_and(|trouble| !trouble.is_empty()), "{server}");
}

#[tokio::test]
async fn a_relay_whose_statistics_alone_hang_still_gets_players() {
    let relay = relay(100);
    let patient = "poll: {interval: 20ms, fast_interval: 20ms, timeout: 50ms, fall: 1000}\n";
    let balancer = Balancer::start(&format!("{patient}{}{STREAM}", servers(&[&relay]))).await;
    relay.hang_stats();
    balancer.until_health("r0", "doubtful").await;
    let player = Player::follow(balancer.get("/saal1.ogg").await.location()).await;
    assert_eq!(player.status, 200);
    relay.heal();
    balancer.until_health("r0", "up").await;
}

#[tokio::test]
async fn when_all_statistics_are_down_players_are_sent_where_they_may_be_served() {
    let relay = relay(100);
    let balancer = watching(&[&relay], "").await;
    assert_eq!(balancer.metric("icecast_balancer_panic_mode").await, Some(0.0));
    relay.answer_stats_with(500, "");
    balancer.until_health("r0", "down").await;
    let player = Player::follow(balancer.get("/saal1.ogg").await.location()).await;
    assert_eq!(player.status, 200);
    assert_eq!(balancer.metric("icecast_balancer_panic_mode").await, Some(1.0));
}

#[tokio::test]
async fn when_all_statistics_are_down_a_closed_balancer_refuses() {
    let relay = relay(100);
    let closed = "balance: {panic: closed}\n";
    let yaml = format!("{BUSY}{closed}{}{STREAM}", servers(&[&relay]));
    let balancer = Balancer::start(&yaml).await;
    relay.answer_stats_with(500, "");
    balancer.until_health("r0", "down").await;
    let answer = balancer.get("/saal1.ogg").await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.starts_with("unreachable: "), "{}", answer.body);
}

#[tokio::test]
async fn a_relay_that_refuses_connections_gets_nobody_from_the_first_refusal_on() {
    let (gone, other) = (relay(1_000), relay(1_000));
    let slow_to_judge = "poll: {interval: 20ms, fast_interval: 20ms, fall: 1000}\n";
    let yaml = format!("{slow_to_judge}{}{STREAM}", servers(&[&gone, &other]));
    let balancer = Balancer::start(&yaml).await;
    gone.stop().await;
    until_polled(&balancer, "connect").await;
    assert_eq!(server(&balancer).await["health"], "doubtful", "far from down");
    for _ in 0..50 {
        assert!(balancer.get("/saal1.ogg").await.location().starts_with(&other.url()));
    }
}

#[tokio::test]
async fn a_relay_is_down_only_after_fall_bad_looks() {
    let relay = relay(10);
    let poll = "poll: {interval: 20ms, fast_interval: 20ms, fall: 7}\n";
    let balancer = Balancer::start(&format!("{poll}{}{STREAM}", servers(&[&relay]))).await;
    relay.answer_stats_with(500, "");
    balancer.until_health("r0", "down").await;
    assert!(polls(&balancer, "http_status").await >= 7.0);
}

#[tokio::test]
async fn a_relay_is_up_again_only_after_rise_good_looks() {
    let relay = relay(10);
    let poll = "poll: {interval: 20ms, fast_interval: 20ms, rise: 7, slow_start: 0s}\n";
    let balancer = Balancer::start(&format!("{poll}{}{STREAM}", servers(&[&relay]))).await;
    relay.stop().await;
    balancer.until_health("r0", "down").await;
    let good_before = polls(&balancer, "ok").await;
    relay.restart().unwrap();
    balancer.until_health("r0", "up").await;
    assert!(polls(&balancer, "ok").await >= good_before + 7.0);
    assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
}

#[tokio::test]
async fn a_relay_that_comes_back_is_filled_gradually() {
    let relay = relay(100);
    let poll = "poll: {interval: 20ms, fast_interval: 20ms, slow_start: 1h}\n";
    let balancer = Balancer::start(&format!("{poll}{}{STREAM}", servers(&[&relay]))).await;
    relay.stop().await;
    balancer.until_health("r0", "down").await;
    relay.restart().unwrap();
    balancer.until_health("r0", "recovering").await;
    assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
}

#[tokio::test]
async fn statistics_over_1_mib_are_too_large() {
    let relay = relay(10);
    let balancer = watching(&[&relay], "").await;
    let page = format!("<slots>{}</slots>", " ".repeat(1 << 20));
    relay.answer_stats_with(200, &page);
    until_polled(&balancer, "too_large").await;
    balancer.until_health("r0", "down").await;
}

#[tokio::test]
async fn statistics_of_almost_1_mib_are_read() {
    let relay = relay(10);
    let balancer = watching(&[&relay], "").await;
    let mount = r#"<mount name="/saal1.ogg" listeners="3" max_listeners="9" active="1"/>"#;
    let page = format!("<slots>{}{mount}</slots>", " ".repeat((1 << 20) - 200));
    relay.answer_stats_with(200, &page);
    eventually("they are read", async || super::mount(&balancer).await["listeners"] == 3).await;
}

#[tokio::test]
async fn an_html_page_with_status_200_is_no_statistics() {
    let relay = relay(10);
    let balancer = watching(&[&relay], "").await;
    relay.answer_stats_with(200, "<!DOCTYPE html><html><body>parked</body></html>");
    until_polled(&balancer, "malformed").await;
    eventually("it is doubted", async || server(&balancer).await["health"] != "up").await;
    assert_eq!(mount(&balancer).await["presence"], "active", "what was known stays");
}

#[tokio::test]
async fn statistics_that_redirect_are_not_followed() {
    let elsewhere = relay(10);
    let location = format!("{}/slots.xsl", elsewhere.url());
    let head = format!("HTTP/1.0 302 Found\r\nLocation: {location}\r\n\r\n");
    let stub = Stub::answering(head.into_bytes()).await;
    let balancer = Balancer::start(&stub.config(BUSY, STREAM)).await;
    until_polled(&balancer, "http_status").await;
    assert_eq!(elsewhere.polls(), 0);
}

#[tokio::test]
async fn an_answer_without_an_end_costs_no_more_than_the_timeout() {
    let stub = Stub::dripping(b"HTTP/1.0 200 OK\r\n\r\n<slots>".to_vec()).await;
    let poll = "poll: {interval: 20ms, fast_interval: 20ms, timeout: 100ms}\n";
    let balancer = Balancer::start(&stub.config(poll, STREAM)).await;
    until_polled(&balancer, "timeout").await;
}

#[tokio::test]
async fn bytes_that_are_not_http_are_malformed() {
    let stub = Stub::answering(b"\x16\x03\x01 not HTTP\r\n\r\n".to_vec()).await;
    let balancer = Balancer::start(&stub.config(BUSY, STREAM)).await;
    until_polled(&balancer, "malformed").await;
}

#[tokio::test]
async fn a_head_without_an_end_is_too_large() {
    let head = b"HTTP/1.0 200 OK\r\n".to_vec();
    let endless = [head, b"X-Header: evil\r\n".repeat(100_000)].concat();
    let stub = Stub::answering(endless).await;
    let balancer = Balancer::start(&stub.config(BUSY, STREAM)).await;
    until_polled(&balancer, "too_large").await;
}

#[tokio::test]
async fn when_most_relays_fail_at_once_none_is_taken_for_down() {
    let relays = [relay(100), relay(100), relay(100)];
    let all: Vec<_> = relays.iter().collect();
    let poll = "poll: {interval: 50ms, fast_interval: 50ms, timeout: 50ms, fall: 2}\n";
    let balancer = Balancer::start(&format!("{poll}{}{STREAM}", servers(&all))).await;
    for relay in &relays {
        relay.hang_stats();
    }
    let timeouts = "icecast_balancer_server_polls_total{server=\"r0\",result=\"timeout\"}";
    eventually("each would be down by now", async || {
        balancer.metric(timeouts).await.is_some_and(|count| count > 10.0)
    })
    .await;
    assert_eq!(balancer.metric("icecast_balancer_network_hold").await, Some(1.0));
    assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
    let status = balancer.status().await;
    let down = status["servers"].as_array().unwrap().iter().filter(|it| it["health"] == "down");
    // The first to fail may have gone down before the others failed as well.
    assert!(down.count() <= 1, "{status}");

    for relay in &relays {
        relay.heal();
    }
    eventually("the hold ends", async || {
        balancer.metric("icecast_balancer_network_hold").await == Some(0.0)
    })
    .await;
}
