//! What holds for the plain port holds for this one.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::redirect::vectors::{After, vectors};
use crate::support::tls::{connect, shake};
use crate::support::{Wire, eventually};

use super::{REQUEST, Station};

#[tokio::test]
async fn each_odd_request_is_answered_as_without_tls() {
    let station = Station::start("").await;
    let mut wrong = Vec::new();
    for (name, bytes, status, after) in vectors() {
        let mut wire = station.connect().await;
        wire.send(&bytes).await;
        let told = wire.answer_if_any().await.map_or(0, |answer| answer.status);
        if told != status {
            wrong.push(format!("{name}: {told} instead of {status}"));
        } else if after == After::Closed {
            wire.closed().await;
        } else {
            wire.send(REQUEST).await;
            assert_eq!(wire.answer().await.status, 302, "{name}");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_proxy_header_comes_before_the_handshake() {
    let station = Station::start("trusted_proxies: [127.0.0.1]\nproxy_protocol: true").await;
    let client = crate::support::tls::client(&station.pair, &rustls::version::TLS13, &[]);
    for header in ["PROXY TCP4 127.0.0.9 127.0.0.1 56324 8443\r\n", "PROXY UNKNOWN\r\n"] {
        let mut socket = TcpStream::connect(station.balancer.tls()).await.unwrap();
        socket.write_all(header.as_bytes()).await.unwrap();
        let mut wire = shake(socket, &client).await.unwrap();
        wire.send(REQUEST).await;
        assert_eq!(wire.answer().await.location(), "https://relay.example/saal1.ogg");
    }
    assert!(connect(station.balancer.tls(), &station.pair).await.is_err());
    assert_eq!(station.shed("proxy_header").await, 1);
}

/// A proxy that speaks TLS with us may have been asked without.
#[tokio::test]
async fn a_trusted_proxy_says_by_what_it_was_asked_and_nobody_else() {
    for (trusted, scheme) in [("[127.0.0.1]", "http:"), ("[]", "https:")] {
        let station = Station::start(&format!("trusted_proxies: {trusted}")).await;
        let mut wire = station.connect().await;
        let told = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n\r\n";
        wire.send(REQUEST.replace("\r\n\r\n", &format!("\r\n{told}"))).await;
        assert!(wire.answer().await.location().starts_with(scheme), "{trusted}");
    }
}

#[tokio::test]
async fn connections_of_both_ports_count_as_one_and_one_too_many_is_closed_without_a_word() {
    let station = Station::start("limits: {max_connections: 2}").await;
    let mut secure = station.connect().await;
    let mut plain = Wire::to(station.balancer.public).await;
    for _ in 0..2 {
        secure.send(REQUEST).await;
        assert_eq!(secure.answer().await.status, 302);
        plain.send(REQUEST).await;
        assert_eq!(plain.answer().await.status, 302);
        assert!(connect(station.balancer.tls(), &station.pair).await.is_err());
        let mut silent = Wire::to(station.balancer.tls()).await;
        silent.send("").await;
        assert_eq!(silent.rest().await, "");
        assert_eq!(Wire::to(station.balancer.public).await.answer().await.status, 503);
    }
    assert_eq!(station.shed("max_connections").await, 6);
    drop(secure);
    eventually("there is room again", async || {
        station.balancer.metric("icecast_balancer_connections{state=\"idle\"}").await == Some(1.0)
    })
    .await;
    assert_eq!(station.ask().await.status, 302);
}

/// By TLS an answer is taken over at once though nobody reads it.
#[tokio::test]
async fn who_reads_no_answers_is_given_up_on() {
    let station = Station::start("limits: {header_timeout: 300ms}").await;
    let mut wire = station.connect().await;
    // Each answer has the query in it, so that the buffers on the way are full soon.
    let query = format!("?{} HTTP", "a".repeat(7_000));
    let requests = REQUEST.replacen(" HTTP", &query, 1).repeat(10);
    let sending =
        tokio::spawn(
            async move { while wire.socket().write_all(requests.as_bytes()).await.is_ok() {} },
        );
    eventually("the connection is given up on", async || {
        let open = ["idle", "active"].map(|state| {
            let series = format!("icecast_balancer_connections{{state=\"{state}\"}}");
            let balancer = &station.balancer;
            async move { balancer.metric(&series).await }
        });
        let [idle, active] = open;
        (idle.await, active.await) == (Some(0.0), Some(0.0))
    })
    .await;
    sending.abort();
}
