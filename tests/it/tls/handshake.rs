//! What is agreed on in a handshake, and what becomes of those who make none.

use std::time::Duration;

use rustls::version::TLS13;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::tls::{VERSIONS, client, shake};
use crate::support::{PATIENCE, Wire, eventually};

use super::{REQUEST, Station};

/// Handshakes that are begun and not made.
const HALF: usize = 2_000;

/// What a player says first; the record is whole, what is in it is not.
const GREETING: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_nothing_but_http_1_in_them() {
    let station = Station::start("").await;
    for version in VERSIONS {
        for (offered, agreed) in [
            (&["h2", "http/1.1"][..], Some("http/1.1")),
            (&["http/1.1", "http/1.0"], Some("http/1.1")),
            (&["http/1.0"], Some("http/1.0")),
            (&[], None),
        ] {
            let socket = TcpStream::connect(station.balancer.tls()).await.unwrap();
            let client = client(&station.pair, version, offered);
            let mut wire = shake(socket, &client).await.unwrap();
            let protocol = wire.socket().get_ref().1.alpn_protocol();
            assert_eq!(protocol, agreed.map(str::as_bytes), "{offered:?}");
            assert_eq!(wire.socket().get_ref().1.protocol_version(), Some(version.version));
            for _ in 0..2 {
                wire.send(REQUEST).await;
                assert_eq!(wire.answer().await.location(), "https://relay.example/saal1.ogg");
            }
        }
        let socket = TcpStream::connect(station.balancer.tls()).await.unwrap();
        let refused = shake(socket, &client(&station.pair, version, &["h2"])).await;
        assert!(refused.is_err(), "HTTP/2 is not spoken");
    }
    assert_eq!(
        station.balancer.get("/saal1.ogg").await.location(),
        "http://relay.example/saal1.ogg"
    );
}

#[tokio::test]
async fn a_player_that_closes_its_side_first_is_answered() {
    let station = Station::start("").await;
    let mut wire = station.connect().await;
    wire.send(REQUEST).await;
    wire.finish().await;
    assert_eq!(wire.answer().await.status, 302);
    // Without a word about it by TLS.
    let mut wire = station.connect().await;
    wire.send(REQUEST).await;
    wire.socket().get_mut().0.shutdown().await.unwrap();
    assert_eq!(wire.answer().await.status, 302);
}

#[tokio::test]
async fn who_speaks_plain_http_is_told_that_this_port_does_not() {
    let station = Station::start("").await;
    for (number, bytes) in [REQUEST.as_bytes(), b"\x80\x2e\x01\x03\x01", b"x"].iter().enumerate() {
        let mut wire = Wire::to(station.balancer.tls()).await;
        wire.send(bytes).await;
        let answer = wire.answer().await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(answer.body, "bad request: this port speaks https, not plain http\n");
        wire.closed().await;
        let malformed = "icecast_balancer_requests_total{outcome=\"bad_request\"}";
        assert_eq!(station.balancer.metric(malformed).await, Some(number as f64 + 1.0));
    }
    assert_eq!(station.failures().await, 0);
}

#[tokio::test]
async fn a_handshake_that_fails_costs_its_connection_and_is_counted() {
    let station = Station::start("").await;
    let mut bystander = station.connect().await;
    let garbage = [
        [&[22, 3, 1, 0, 5][..], b"evil!"].concat(),
        [&[22, 3, 1, 0x40, 0][..], &[b'x'; 0x4000]].concat(),
        [&[22, 255, 255, 255, 255][..], &vec![0; 70_000]].concat(),
        GREETING[..7].to_vec(),
        b"\x16".to_vec(),
    ];
    for (number, bytes) in garbage.iter().enumerate() {
        let mut wire = Wire::to(station.balancer.tls()).await;
        wire.send(bytes).await;
        wire.finish().await;
        let told = wire.rest().await;
        assert!(!told.contains("HTTP"), "{told}");
        eventually("it is counted", async || station.failures().await == number + 1).await;
        bystander.send(REQUEST).await;
        assert_eq!(bystander.answer().await.status, 302);
    }
    // Nor does a look at the port count.
    Wire::to(station.balancer.tls()).await.finish().await;
    assert_eq!(station.ask().await.status, 302);
    assert_eq!(station.failures().await, garbage.len());
}

#[tokio::test]
async fn a_handshake_that_is_never_finished_is_closed_at_the_header_timeout() {
    let station = Station::start("limits: {header_timeout: 100ms}").await;
    for (number, beginning) in [GREETING, &GREETING[..1], b""].iter().enumerate() {
        let mut wire = Wire::to(station.balancer.tls()).await;
        wire.send(beginning).await;
        assert_eq!(wire.rest().await, "");
        // Who says nothing may be a browser that expects to need a connection.
        assert_eq!(station.failures().await, (number + 1).min(2));
    }
    // The request has its own time.
    let mut wire = station.connect().await;
    wire.send(&REQUEST[..20]).await;
    let told = wire.rest().await;
    assert!(!told.contains(" 302 "), "{told}");
}

#[tokio::test]
async fn thousands_of_half_handshakes_harm_nobody_else() {
    let station = Station::start("limits: {header_timeout: 1m}").await;
    // The greeting alone makes the balancer answer with its certificate, and sign that.
    let greeting = greeting(&station).await;
    let mut half = Vec::new();
    for number in 0..HALF {
        let mut wire = Wire::to(station.balancer.tls()).await;
        wire.send(if number % 2 == 0 { &greeting[..] } else { GREETING }).await;
        half.push(wire);
        if number % 100 == 0 {
            assert_eq!(station.ask().await.location(), "https://relay.example/saal1.ogg");
            assert_eq!(
                station.balancer.get("/saal1.ogg").await.location(),
                "http://relay.example/saal1.ogg"
            );
        }
    }
    eventually("all of them are there", async || {
        let series = "icecast_balancer_connections{state=\"idle\"}";
        station.balancer.metric(series).await == Some(HALF as f64)
    })
    .await;
    for _ in 0..50 {
        assert_eq!(station.ask().await.location(), "https://relay.example/saal1.ogg");
        assert_eq!(
            station.balancer.get("/saal1.ogg").await.location(),
            "http://relay.example/saal1.ogg"
        );
    }
    drop(half);
    eventually("they have gone", async || station.failures().await == HALF).await;
}

/// What a real player says first.
async fn greeting(station: &Station) -> Vec<u8> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = client(&station.pair, &TLS13, &["http/1.1"]);
    let player = tokio::spawn(async move {
        let socket = TcpStream::connect(address).await.unwrap();
        drop(shake(socket, &client).await);
    });
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut bytes = vec![0; 4_096];
    let length = socket.read(&mut bytes).await.unwrap();
    player.abort();
    bytes.truncate(length);
    bytes
}

#[tokio::test]
async fn a_stop_does_not_wait_for_handshakes_that_do_not_begin() {
    let station = Station::start("limits: {header_timeout: 1h}").await;
    let _silent = Wire::to(station.balancer.tls()).await;
    let idle = station.connect().await;
    eventually("the connections are there", async || {
        let series = "icecast_balancer_connections{state=\"idle\"}";
        station.balancer.metric(series).await == Some(2.0)
    })
    .await;
    // Requests under way have 10 s to end; these are none.
    let stopping = station.balancer.stop();
    timeout(Duration::from_secs(6), stopping).await.expect("it stops at once");
    idle.closed().await;
}

#[tokio::test]
async fn a_request_under_way_is_answered_after_a_stop() {
    let station = Station::start("").await;
    let tls = station.balancer.tls();
    let mut wire = station.connect().await;
    wire.send(&REQUEST[..20]).await;
    // A handshake that has begun is made to its end, and what follows it answered.
    let half = TcpStream::connect(tls).await.unwrap();
    half.set_nodelay(true).unwrap();
    eventually("both are there", async || {
        let series = "icecast_balancer_connections{state=\"idle\"}";
        station.balancer.metric(series).await == Some(2.0)
    })
    .await;
    let client = client(&station.pair, &TLS13, &[]);
    let stopping = tokio::spawn(station.balancer.stop());
    let mut late = timeout(PATIENCE, shake(half, &client)).await.unwrap().unwrap();
    late.send(REQUEST).await;
    assert_eq!(late.answer().await.header("connection"), Some("close"));
    wire.send(&REQUEST[20..]).await;
    assert_eq!(wire.answer().await.header("connection"), Some("close"));
    stopping.await.unwrap();
}
