//! What a player is told on the public port.

use crate::relay::Relay;
use crate::support::{Balancer, raw};

#[tokio::test]
async fn a_player_is_sent_to_a_relay_with_its_query_unchanged() {
    let relay = Relay::builder().mount("/saal1.ogg", 10).start().unwrap();
    let yaml = format!("servers: {{one: '{}'}}\nstreams: {{/saal1.ogg: }}\n", relay.url());
    let balancer = Balancer::start(&yaml).await;
    let answer = balancer.get("/saal1.ogg?token=a%20b&x=%2F").await;
    assert_eq!(answer.location(), format!("{}/saal1.ogg?token=a%20b&x=%2F", relay.url()));
}

#[tokio::test]
async fn an_http_1_0_player_without_a_host_is_answered_in_1_1_and_let_go() {
    let relay = Relay::builder().mount("/saal1.ogg", 10).start().unwrap();
    let yaml = format!("servers: {{one: '{}'}}\nstreams: {{/saal1.ogg: }}\n", relay.url());
    let balancer = Balancer::start(&yaml).await;
    let answer =
        raw(balancer.public, "GET /saal1.ogg HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    assert_eq!(answer.status_line, "HTTP/1.1 302 Found");
    assert_eq!(answer.header("content-length"), Some("0"));
}
