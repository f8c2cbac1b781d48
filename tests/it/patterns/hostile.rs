//! Relays that list what they should not.

use std::fmt::Write as _;

use crate::relay::Relay;
use crate::support::{Balancer, eventually, servers};

use super::{BUSY, talks, until_status, watching};

/// A relay that lists mounts of these names, which stand in XML as they are.
fn listing(names: impl IntoIterator<Item = String>) -> Relay {
    let relay = Relay::builder().start().unwrap();
    let mut mounts = String::new();
    for name in names {
        write!(mounts, "<mount name='{name}' listeners='0' max_listeners='9' active='1'/>")
            .unwrap();
    }
    relay.answer_stats_with(200, &format!("<slots version='1'>{mounts}</slots>"));
    relay
}

async fn found(balancer: &Balancer) -> Vec<String> {
    let status = balancer.status().await;
    let streams = status["streams"][0]["pattern"]["streams"].as_array().unwrap().clone();
    streams.iter().map(|stream| stream["path"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn names_are_encoded_and_odd_ones_are_no_streams() {
    let odd = [
        "/talks/",
        "/talks//a",
        "/talks/../admin/stats",
        "/talks/./a",
        "/talks/a/..",
        "/talks/*",
        "/talks/a?b=c",
        "/talks/a#b",
        "/talks/a\\b",
        "/talks/a&#13;&#10;X-Evil: 1",
        "/talks/a&#x202e;ggo.b",
        "/talks/a&#127;",
        "//evil.example/talks/a",
        "talks/a",
    ];
    let good = ["/talks/a b&lt;script&gt;%2e%2e.ogg", "/talks/@evil.example:80"];
    let relay = listing(odd.iter().chain(&good).map(|name| (*name).to_owned()));
    let balancer = watching(&[&relay], "/talks/*: ").await;
    eventually("the streams are there", async || !found(&balancer).await.is_empty()).await;
    assert_eq!(found(&balancer).await, ["/talks/@evil.example:80", "/talks/a b<script>%2e%2e.ogg"]);
    let answer = balancer.get("/talks/a%20b%3cscript%3e%252e%252e.ogg").await;
    let location = format!("{}/talks/a%20b%3Cscript%3E%252e%252e.ogg", relay.url());
    assert_eq!(answer.location(), location);
    let answer = balancer.get("/talks/@evil.example:80").await;
    assert_eq!(answer.location(), format!("{}/talks/@evil.example:80", relay.url()));
    let page = balancer.admin_get("/").await.body;
    assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"), "{page}");
}

#[tokio::test]
async fn one_relays_flood_leaves_the_others_their_streams() {
    let flood = listing((0..3_000).map(|n| format!("/talks/{n:05}")));
    let honest = talks(&["/talks/a.ogg", "/talks/b.ogg"]);
    let balancer = watching(&[&flood, &honest], "/talks/*: {max_streams: 50}").await;
    for path in ["/talks/a.ogg", "/talks/b.ogg"] {
        until_status(&balancer, path, 302).await;
    }
    eventually("the rest is filled", async || found(&balancer).await.len() == 50).await;
    honest.add_mount("/talks/c.ogg", Some(10));
    until_status(&balancer, "/talks/c.ogg", 302).await;
    let streams = found(&balancer).await;
    assert_eq!(streams.len(), 50);
    assert!(streams.iter().any(|path| path == "/talks/a.ogg"));
    let pattern = balancer.status().await["streams"][0]["pattern"].clone();
    assert_eq!(pattern["max_streams"], 50);
    eventually("what is left out is told", async || {
        let left_out =
            balancer.metric("icecast_balancer_pattern_left_out_mounts{stream=\"/talks/*\"}").await;
        left_out == Some(3_000.0 - 47.0)
    })
    .await;
    eventually("the page tells it, too", async || {
        let page = balancer.admin_get("/").await.body;
        page.contains("50 of at most 50 streams") && page.contains("2953 are left out")
    })
    .await;
}

#[tokio::test]
async fn what_is_asked_for_is_not_remembered() {
    let relay = talks(&["/talks/a.ogg"]);
    let balancer = watching(&[&relay], "/talks/*: ").await;
    let series = async || balancer.admin_get("/metrics").await.body.lines().count();
    let before = series().await;
    for n in 0..500 {
        assert_eq!(balancer.get(&format!("/talks/{n}.ogg")).await.status, 503);
    }
    assert_eq!(series().await, before);
    assert_eq!(found(&balancer).await, ["/talks/a.ogg"]);
    let asked = "icecast_balancer_stream_requests_total{stream=\"/talks/*\",outcome=\"offline\"}";
    assert_eq!(balancer.metric(asked).await, Some(500.0));
}

#[tokio::test]
async fn what_relays_list_makes_no_series() {
    let names = |count: usize| (0..count).map(|n| format!("/talks/odd-{n}"));
    let mut counts = Vec::new();
    for count in [1, 10_000] {
        let relay = listing(names(count));
        let yaml =
            format!("{BUSY}{}streams: {{/talks/*: {{max_streams: 10000}}}}\n", servers(&[&relay]));
        let balancer = Balancer::start(&yaml).await;
        eventually("all are found", async || found(&balancer).await.len() == count).await;
        let metrics = balancer.admin_get("/metrics").await.body;
        assert!(!metrics.contains("odd-"), "a relay's name is in the metrics");
        counts.push(metrics.lines().filter(|line| line.starts_with("icecast_balancer_")).count());
    }
    assert_eq!(counts[0], counts[1]);
}
