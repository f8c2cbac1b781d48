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
async fn who_comes_by_https_goes_to_plain_http_only_when_no_https_relay_has_room() {
    let secure = Relay::builder().mount("/x", 3).start().unwrap();
    let plain = Relay::builder().mount("/x", 100).start().unwrap();
    let (one, other) = (secure.url(), plain.url());
    let balancer = Balancer::start(&format!(
        "trusted_proxies: [127.0.0.1]
balance: {{headroom: 0}}
servers:
  secure: {{url: 'https://secure.example', stats: {{url: '{one}'}}}}
  plain: {other}
streams: {{/x: }}
"
    ))
    .await;
    let mut locations = Vec::new();
    for player in 0..5 {
        let mut wire = Wire::to(balancer.public).await;
        wire.send(get(&player.to_string(), BY_HTTPS)).await;
        locations.push(wire.answer().await.location().to_owned());
    }
    let (https, http) = ("https://secure.example/x".to_owned(), format!("{other}/x"));
    assert_eq!(locations, [&https, &https, &https, &http, &http].map(String::clone));
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
