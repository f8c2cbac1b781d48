//! Connections that begin with a PROXY header.

use std::time::Duration;

use tokio::time::timeout;

use crate::support::{Wire, eventually};

use super::{Lab, PROXY, STRANGER, TIMES, get, get_for};

const CONFIG: &str = "trusted_proxies: [127.0.0.1, 10.0.0.0/8]\nproxy_protocol: true\n";

/// Of [`CLIENT`], in version 1.
const LINE: &[u8] = b"PROXY TCP4 127.0.0.9 127.0.0.1 56324 8000\r\n";

/// The client that the headers here name: [`STRANGER`], who can also come itself.
const CLIENT: [u8; 4] = [127, 0, 0, 9];

/// A header of version 2 with these two bytes and this content.
fn framed(version_and_command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[version_and_command, family], &length, content].concat()
}

/// Of a client, in version 2, with further TLVs.
fn frame(client: [u8; 4], tlvs: &[u8]) -> Vec<u8> {
    framed(0x21, 0x11, &[&client, &[127, 0, 0, 1, 0xdc, 4, 31, 64][..], tlvs].concat())
}

/// A TLV that says that the client speaks TLS.
const TLS: &[u8] = &[0x20, 0, 5, 1, 0, 0, 0, 0];

/// A player's request without a proxy.
fn directly(player: &str) -> Vec<u8> {
    get(player, b"")
}

/// A player's request behind a PROXY header.
fn behind(header: &[u8]) -> impl Fn(&str) -> Vec<u8> {
    move |player| [header, &get(player, b"")].concat()
}

#[tokio::test]
async fn the_client_is_the_one_that_the_header_names_in_either_version() {
    let lab = Lab::start(CONFIG).await;
    let long = [TLS, &[4, 3, 0], &[0; 768]].concat();
    let mapped = framed(0x21, 0x21, &{
        let client = std::net::Ipv4Addr::from(CLIENT).to_ipv6_mapped().octets();
        [&client[..], &[0; 16], &[1, 2, 3, 4]].concat()
    });
    for (what, header) in [
        ("version 1", LINE.to_vec()),
        ("version 2", frame(CLIENT, b"")),
        ("version 2 with more to say", frame(CLIENT, &long)),
        ("version 2, mapped to IPv6", mapped),
    ] {
        let first = (STRANGER, directly);
        let again = (PROXY, behind(&header));
        assert_eq!(lab.sent_elsewhere(first, again, what).await, TIMES, "{what}");
    }
    assert_eq!(lab.without_header().await, 0);
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte_or_broken_anywhere() {
    let lab = Lab::start(CONFIG).await;
    for header in [LINE.to_vec(), frame(CLIENT, TLS)] {
        let bytes = [&header[..], &get("x", b"")].concat();
        let mut wire = Wire::from(PROXY, lab.balancer.public).await;
        for byte in &bytes {
            wire.send([*byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(wire.answer().await.status, 302);
        for at in 1..bytes.len() {
            let mut wire = Wire::from(PROXY, lab.balancer.public).await;
            wire.send(&bytes[..at]).await;
            // Lets the balancer, which lives on this thread, read what came so far.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            wire.send(&bytes[at..]).await;
            assert_eq!(wire.answer().await.status, 302, "broken at byte {at}");
        }
    }
    assert_eq!(lab.without_header().await, 0);
}

#[tokio::test]
async fn every_request_of_a_connection_is_the_named_clients() {
    let lab = Lab::start(CONFIG).await;
    let mut wire = Wire::from(PROXY, lab.balancer.public).await;
    wire.send(frame(CLIENT, TLS)).await;
    for player in 0..TIMES {
        let player = format!("player {player}");
        let mut relays = Vec::new();
        for _ in 0..2 {
            wire.send(get(&player, b"")).await;
            let answer = wire.answer().await;
            assert!(answer.location().starts_with("https:"), "{answer:?}");
            relays.push(answer.location().to_owned());
        }
        assert_ne!(relays[0], relays[1], "{player}");
    }
}

#[tokio::test]
async fn only_version_2_can_tell_of_tls() {
    let lab = Lab::start(CONFIG).await;
    for (header, scheme) in
        [(LINE.to_vec(), "http:"), (frame(CLIENT, b""), "http:"), (frame(CLIENT, TLS), "https:")]
    {
        let answer = lab.ask(PROXY, &behind(&header)("x")).await;
        assert!(answer.location().starts_with(scheme), "{answer:?}");
    }
}

/// A header that a client sends through a proxy of connections is the client's word.
#[tokio::test]
async fn the_requests_of_a_named_client_are_not_believed() {
    let lab = Lab::start(CONFIG).await;
    let forged = "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n";
    let forged = |player: &str| [LINE, &get(player, forged.as_bytes())].concat();
    let (first, again) = ((STRANGER, directly), (PROXY, forged));
    assert_eq!(lab.sent_elsewhere(first, again, "x").await, TIMES);
    let answer = lab.ask(PROXY, &forged("y")).await;
    assert!(answer.location().starts_with("http:"), "{answer:?}");
}

#[tokio::test]
async fn the_requests_of_a_client_that_the_proxy_cannot_name_are_not_believed() {
    let lab = Lab::start(CONFIG).await;
    for (what, header) in [
        ("UNKNOWN", b"PROXY UNKNOWN\r\n".to_vec()),
        ("LOCAL", framed(0x20, 0, b"")),
        ("UNSPEC", framed(0x21, 0, b"")),
        ("a Unix socket", framed(0x21, 0x31, &[0; 216])),
    ] {
        let forged = |player: &str| {
            let lines = b"X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n";
            [&header[..], &get(player, lines)].concat()
        };
        let (first, again) = ((PROXY, behind(&header)), (PROXY, forged));
        assert_eq!(lab.sent_elsewhere(first, again, what).await, TIMES, "{what}");
        let answer = lab.ask(PROXY, &forged("y")).await;
        assert!(answer.location().starts_with("http:"), "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn a_trusted_proxy_behind_another_is_believed() {
    let lab = Lab::start(CONFIG).await;
    let header = frame([10, 0, 0, 1], b"");
    let through_both =
        |player: &str| [&header[..], &get_for("9.9.9.9, 127.0.0.9")(player)].concat();
    let (first, again) = ((STRANGER, directly), (PROXY, through_both));
    assert_eq!(lab.sent_elsewhere(first, again, "x").await, TIMES);
}

#[tokio::test]
async fn connections_from_elsewhere_are_ordinary_ones() {
    let lab = Lab::start(CONFIG).await;
    assert_eq!(lab.ask(STRANGER, &get("x", b"")).await.status, 302);
    for header in [LINE.to_vec(), frame(CLIENT, b"")] {
        let answer = lab.ask(STRANGER, &behind(&header)("x")).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    assert_eq!(lab.without_header().await, 0);
}

#[tokio::test]
async fn a_header_is_no_header_where_none_is_configured() {
    let lab = Lab::start("trusted_proxies: [127.0.0.1]").await;
    for header in [LINE.to_vec(), frame(CLIENT, b"")] {
        assert_eq!(lab.ask(PROXY, &behind(&header)("x")).await.status, 400);
    }
    assert_eq!(lab.ask(PROXY, &get("x", b"")).await.status, 302);
}

#[tokio::test]
async fn a_proxys_connection_without_a_good_header_is_closed_in_silence_and_counted() {
    let lab = Lab::start(CONFIG).await;
    let bad = [
        get("x", b""),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        [b"PROXY TCP4 127.0.0.9 127.0.0.1 56324\r\n", &get("x", b"")[..]].concat(),
        [b"PROXY TCP4 127.0.0.9 127.0.0.1 56324 8000\n", &get("x", b"")[..]].concat(),
        [b"PROXY TCP9 127.0.0.9 127.0.0.1 56324 8000\r\n", &get("x", b"")[..]].concat(),
        [b"PROXY ", &[b'x'; 200][..]].concat(),
        behind(&framed(0x31, 0x11, &[0; 12]))("x"),
        behind(&framed(0x21, 0x11, &[0; 11]))("x"),
        behind(&frame(CLIENT, &[0x20, 0, 200, 1]))("x"),
        framed(0x21, 0x11, &vec![0; 60_000]),
    ];
    for (number, bytes) in bad.iter().enumerate() {
        let mut wire = Wire::from(PROXY, lab.balancer.public).await;
        wire.send(bytes).await;
        assert_eq!(wire.rest().await, "", "{:?}", String::from_utf8_lossy(bytes));
        assert_eq!(lab.without_header().await, number + 1);
    }
    let malformed = "icecast_balancer_requests_total{outcome=\"bad_request\"}";
    assert_eq!(lab.balancer.metric(malformed).await, Some(0.0));
}

#[tokio::test]
async fn a_header_cut_short_is_counted_and_a_look_at_the_port_is_not() {
    let lab = Lab::start(CONFIG).await;
    for (bytes, count) in [(&b""[..], 0), (&LINE[..20], 1), (&frame(CLIENT, b"")[..14], 2)] {
        let mut wire = Wire::from(PROXY, lab.balancer.public).await;
        wire.send(bytes).await;
        wire.finish().await;
        wire.closed().await;
        assert_eq!(lab.without_header().await, count);
    }
}

#[tokio::test]
async fn a_header_that_is_never_finished_is_closed_at_the_header_timeout() {
    let lab = Lab::start(&format!("{CONFIG}limits: {{header_timeout: 100ms}}\n")).await;
    let frame = frame(CLIENT, TLS);
    for (number, beginning) in [&b""[..], &LINE[..30], &frame[..5], &frame[..20]].iter().enumerate()
    {
        let mut wire = Wire::from(PROXY, lab.balancer.public).await;
        wire.send(beginning).await;
        wire.closed().await;
        assert_eq!(lab.without_header().await, number + 1);
    }
    // The request has its own time.
    let mut wire = Wire::from(PROXY, lab.balancer.public).await;
    wire.send(LINE).await;
    let told = wire.rest().await;
    assert!(!told.contains(" 302 "), "{told}");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_headers_that_do_not_come() {
    let lab = Lab::start(&format!("{CONFIG}limits: {{header_timeout: 1h}}\n")).await;
    let public = lab.balancer.public;
    let mut wires = Vec::new();
    for beginning in [&b""[..], &LINE[..10]] {
        let mut wire = Wire::from(PROXY, public).await;
        wire.send(beginning).await;
        wires.push(wire);
    }
    eventually("the connections are there", async || {
        let series = "icecast_balancer_connections{state=\"idle\"}";
        lab.balancer.metric(series).await == Some(2.0)
    })
    .await;
    // Requests under way have 10 s to end; these are none.
    timeout(Duration::from_secs(6), lab.balancer.stop()).await.expect("it stops at once");
}
