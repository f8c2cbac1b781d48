//! Players that come by https are sent to https.

use crate::relay::Relay;
use crate::support::{Balancer, Wire, eventually};

use super::{Lab, PROXY, get};

const BY_HTTPS: &[u8] = b"X-Forwarded-Proto: https\r\n";

#[tokio::test]
async fn each_player_is_sent_to_the_url_of_its_scheme() {
    let lab = Lab::start("trusted_proxies: [127.0.0.1]").await;
    let https = lab.ask(PROXY, &get("x", BY_HTTPS)).await;
    assert!(https.location().starts_with("https://127.0.0.1:"), "{https:?}");
    assert!(https.location().ends_with("/x"), "{https:?}");
    let http = lab.ask(PROXY, &get("x", b"")).await;
    assert!(http.location().starts_with("http://127.0.0.1:"), "{http:?}");
}

#[tokio::test]
async fn who_comes_by_https_goes_to_plain_http_only_where_the_stream_says_so() {
    let secure = Relay::builder().mount("/x", 3).start().unwrap();
    let plain = Relay::builder().mount("/x", 100).start().unwrap();
    let (one, other) = (secure.url(), plain.url());
    let balancer = Balancer::start(&format!(
        "trusted_proxies: [127.0.0.1]
balance: {{headroom: 0}}
servers:
  secure: {{url: 'https://secure.example', stats: {{url: '{one}'}}}}
  plain: {other}
streams: {{/x: {{https_to_http: when_full}}, /y: {{mounts: {{secure: /x, plain: /x}}}}}}
"
    ))
    .await;
    let ask = async |player: usize, path: &str| {
        let request = get(&player.to_string(), BY_HTTPS);
        let request = String::from_utf8(request).unwrap().replace("/x ", &format!("{path} "));
        let mut wire = Wire::to(balancer.public).await;
        wire.send(request).await;
        wire.answer().await
    };
    let mut locations = Vec::new();
    for player in 0..5 {
        locations.push(ask(player, "/x").await.location().to_owned());
    }
    let (https, http) = ("https://secure.example/x".to_owned(), format!("{other}/x"));
    assert_eq!(locations, [&https, &https, &https, &http, &http].map(String::clone));
    let refused = ask(6, "/y").await;
    assert_eq!((refused.status, refused.body.split(':').next()), (503, Some("full")));
}

#[tokio::test]
async fn who_comes_by_https_and_must_stay_with_it_is_told_so() {
    let relay = Relay::builder().mount("/x", 3).start().unwrap();
    let url = relay.url();
    let balancer = Balancer::start(&format!(
        "trusted_proxies: [127.0.0.1]
servers: {{one: '{url}'}}
streams: {{/x: {{https_to_http: never}}}}
"
    ))
    .await;
    let mut wire = Wire::to(balancer.public).await;
    wire.send(get("a player", BY_HTTPS)).await;
    let refused = wire.answer().await;
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    let words = "unreachable: no relay of /x is reached by https at the moment; by plain http there \
                 may be one\n";
    assert_eq!(refused.body, words);
    let outcome = "icecast_balancer_stream_requests_total{stream=\"/x\",outcome=\"unreachable\"}";
    assert_eq!(balancer.metric(outcome).await, Some(1.0));
    assert_eq!(balancer.get("/x").await.location(), format!("{url}/x"));
}

#[tokio::test]
async fn who_waits_for_an_https_relay_holds_up_nobody_who_came_without() {
    let secure = Relay::builder().mount("/x", 1).start().unwrap();
    let plain = Relay::builder().mount("/x", 100).start().unwrap();
    let (one, other) = (secure.url(), plain.url());
    let balancer = Balancer::start(&format!(
        "trusted_proxies: [127.0.0.1]
balance: {{headroom: 0, settle: 1h, when_full: wait, wait: 1m}}
servers:
  secure: {{url: 'https://secure.example', stats: {{url: '{one}'}}}}
  plain: {other}
streams: {{/x: }}
"
    ))
    .await;
    let mut wires = Vec::new();
    for player in ["first", "second"] {
        let mut wire = Wire::to(balancer.public).await;
        wire.send(get(player, BY_HTTPS)).await;
        wires.push(wire);
    }
    eventually("somebody waits", async || {
        balancer.metric("icecast_balancer_stream_waiting{stream=\"/x\"}").await == Some(1.0)
    })
    .await;
    for _ in 0..5 {
        assert_eq!(balancer.get("/x").await.location(), format!("{other}/x"));
    }
}

#[tokio::test]
async fn who_waits_is_sent_to_the_url_of_its_scheme() {
    let relay = Relay::builder().mount("/x", 1).start().unwrap();
    let url = relay.url();
    let balancer = Balancer::start(&format!(
        "trusted_proxies: [127.0.0.1]
poll: {{fast_interval: 50ms}}
balance: {{headroom: 0, settle: 1s, when_full: wait, wait: 1m}}
servers: {{one: {{url: 'https://secure.example', http_url: '{url}', stats: {{url: '{url}'}}}}}}
streams: {{/x: }}
"
    ))
    .await;
    // Nobody arrives for the first redirect, so that its slot is free again after `settle`.
    let first = balancer.get("/x").await;
    assert_eq!(first.location(), format!("{url}/x"));
    let mut wire = Wire::to(balancer.public).await;
    wire.send(get("next", BY_HTTPS)).await;
    eventually("somebody waits", async || {
        balancer.metric("icecast_balancer_stream_waiting{stream=\"/x\"}").await == Some(1.0)
    })
    .await;
    assert_eq!(wire.answer().await.location(), "https://secure.example/x");
}
