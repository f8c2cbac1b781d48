//! Which relays are looked at, and how.

use std::time::Duration;

use crate::relay::Relay;
use crate::support::{Balancer, eventually, servers};

use super::stub::Stub;
use super::{BUSY, STREAM, relay, until_polled_again, watching};

#[tokio::test]
async fn one_relay_is_never_looked_at_twice_at_once() {
    let stub = Stub::thinking(Duration::from_millis(20)).await;
    let yaml = stub.config(BUSY, STREAM);
    let balancer = Balancer::start(&yaml).await;
    // Each new configuration asks for a look at once.
    for number in 0..20 {
        balancer.edit(&format!("{yaml}limits: {{max_connections: {}}}\n", 1_000 + number));
        balancer.reload.reload().await.expect("a balancer that runs");
    }
    let seen = stub.asked();
    eventually("it is looked at more", async || stub.asked() >= seen + 5).await;
    assert_eq!(stub.most_at_once(), 1);
}

#[tokio::test]
async fn a_disabled_server_is_left_alone() {
    let (disabled, other) = (relay(10), relay(10));
    let yaml = format!(
        "{BUSY}servers: {{off: {{url: '{}', state: disabled}}, on: '{}'}}\n{STREAM}",
        disabled.url(),
        other.url()
    );
    let balancer = Balancer::start(&yaml).await;
    until_polled_again(&other, 5).await;
    assert_eq!(disabled.polls(), 0);
    assert!(balancer.get("/saal1.ogg").await.location().starts_with(&other.url()));
}

#[tokio::test]
async fn a_draining_server_is_looked_at_and_gets_nobody() {
    let (draining, other) = (relay(10), relay(10));
    let yaml = format!(
        "{BUSY}servers: {{drain: {{url: '{}', state: draining}}, on: '{}'}}\n{STREAM}",
        draining.url(),
        other.url()
    );
    let balancer = Balancer::start(&yaml).await;
    until_polled_again(&draining, 5).await;
    for _ in 0..5 {
        assert!(balancer.get("/saal1.ogg").await.location().starts_with(&other.url()));
    }
}

#[tokio::test]
async fn an_idle_relay_is_asked_less_often_than_one_that_is_sent_players() {
    let (busy, idle) = (relay(1_000), Relay::builder().mount("/b.ogg", 10).start().unwrap());
    let poll = "poll: {interval: 1h, fast_interval: 20ms, stale_after: 1h}\n";
    let streams = "streams: {/saal1.ogg: {servers: [r0]}, /b.ogg: {servers: [r1]}}\n";
    let yaml = format!("{poll}{}{streams}", servers(&[&busy, &idle]));
    let balancer = Balancer::start(&yaml).await;
    // Nobody can tell the poller of the first player; a new configuration makes it look.
    balancer.get("/saal1.ogg").await;
    balancer.edit(&format!("{yaml}limits: {{max_connections: 1000}}\n"));
    balancer.reload.reload().await.expect("a balancer that runs");
    until_polled_again(&busy, 10).await;
    assert!(idle.polls() <= 2, "{}", idle.polls());
}

#[tokio::test]
async fn a_relay_with_a_mount_that_is_nearly_full_is_asked_often() {
    let relay = relay(100);
    relay.hold_listeners("/saal1.ogg", 95);
    let poll = "poll: {interval: 1h, fast_interval: 20ms, stale_after: 1h}\n";
    let balancer = Balancer::start(&format!("{poll}{}{STREAM}", servers(&[&relay]))).await;
    until_polled_again(&relay, 5).await;
    balancer.stop().await;
}

#[tokio::test]
async fn a_look_is_one_request_on_a_connection_of_its_own() {
    let relay = relay(10);
    let balancer = watching(&[&relay], "").await;
    until_polled_again(&relay, 3).await;
    let head = relay.requests().pop().unwrap().head.to_lowercase();
    assert!(head.starts_with("get /slots.xsl http/1.1\r\n"), "{head}");
    assert!(head.contains("connection: close\r\n"), "{head}");
    assert!(head.contains("user-agent: icecast-balancer/"), "{head}");
    assert!(!head.contains("accept-encoding"), "{head}");
    balancer.stop().await;
}
