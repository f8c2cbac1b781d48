//! What the public port answers to bytes that no player means.

use crate::relay::Relay;
use crate::support::{Balancer, Wire, servers};

use super::{get, one_relay};

/// What is sent, what is answered, and whether the connection is closed after it.
type Vector = (&'static str, Vec<u8>, u16, After);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Open,
    Closed,
}

use After::{Closed, Open};

/// Heads with something wrong in their headers.
fn headers() -> Vec<Vector> {
    let line = "GET /saal1.ogg HTTP/1.1\r\n";
    let with = |headers: &str| format!("{line}Host: x\r\n{headers}\r\n").into_bytes();
    let host = |headers: &str| format!("{line}{headers}\r\n").into_bytes();
    vec![
        ("HTTP/1.1 without Host", host(""), 400, Closed),
        ("two Host lines", host("Host: x\r\nHost: x\r\n"), 400, Closed),
        ("an empty Host", host("Host:\r\n"), 400, Closed),
        ("a Host with a slash", host("Host: a/b\r\n"), 400, Closed),
        ("a Host with a user", host("Host: u@a\r\n"), 400, Closed),
        ("a Host with a space", host("Host: a b\r\n"), 400, Closed),
        ("a Host beyond ASCII", host("Host: größe\r\n"), 400, Closed),
        ("a Host with a port", host("Host: [2001:db8::1]:8000\r\n"), 302, Open),
        (
            "Content-Length, then Transfer-Encoding",
            with("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
            400,
            Closed,
        ),
        (
            "Transfer-Encoding, then Content-Length",
            with("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"),
            400,
            Closed,
        ),
        ("Transfer-Encoding alone", with("Transfer-Encoding: chunked\r\n"), 400, Closed),
        ("an unknown Transfer-Encoding", with("Transfer-Encoding: evil\r\n"), 400, Closed),
        (
            "two different Content-Lengths",
            with("Content-Length: 1\r\nContent-Length: 2\r\n"),
            400,
            Closed,
        ),
        ("a list of Content-Lengths", with("Content-Length: 0, 0\r\n"), 400, Closed),
        ("a negative Content-Length", with("Content-Length: -1\r\n"), 400, Closed),
        ("a Content-Length with a sign", with("Content-Length: +1\r\n"), 400, Closed),
        ("a huge Content-Length", with("Content-Length: 18446744073709551616\r\n"), 400, Closed),
        ("an offer to upgrade", with("Connection: upgrade\r\nUpgrade: h2c\r\n"), 302, Open),
        ("a folded header", with("X-A: a\r\n b\r\n"), 400, Closed),
        ("a folded first header", format!("{line} X: y\r\nHost: x\r\n\r\n").into(), 400, Closed),
        ("NUL in a value", with("X-A: a\0b\r\n"), 400, Closed),
        ("a bare CR in a value", with("X-A: a\rb\r\n"), 400, Closed),
        ("a space before the colon", with("X-A : a\r\n"), 400, Closed),
        ("a header without a colon", with("evil\r\n"), 400, Closed),
        ("a header without a name", with(": evil\r\n"), 400, Closed),
        ("bare LF line ends", b"GET /saal1.ogg HTTP/1.1\nHost: x\n\n".to_vec(), 302, Open),
    ]
}

/// Requests with something wrong in their first line.
fn first_lines() -> Vec<Vector> {
    let target = |target: &str| get(target).into_bytes();
    vec![
        ("a path that looks like a host", target("//evil/x"), 404, Open),
        ("a backslash", target("/\\evil"), 404, Open),
        ("an encoded header in the path", target("/%0d%0aSet-Cookie:x"), 404, Open),
        ("an encoded NUL in the path", target("/saal1.ogg%00"), 404, Open),
        ("a path that is not UTF-8 once decoded", target("/%ff"), 404, Open),
        ("a broken percent-encoding", target("/%zz%"), 404, Open),
        ("a path that climbs", target("/x/../saal1.ogg"), 404, Open),
        ("another host's URL", target("http://evil/x"), 404, Open),
        ("our path at another host", target("http://evil/saal1.ogg"), 302, Open),
        ("our path at another host by https", target("https://evil/saal1.ogg"), 302, Open),
        ("another host without a path", target("http://evil"), 404, Open),
        ("a URL without a host", target("http:///saal1.ogg"), 400, Closed),
        ("a host as target", target("evil:80"), 400, Closed),
        ("CONNECT", b"CONNECT evil:80 HTTP/1.1\r\nHost: evil:80\r\n\r\n".to_vec(), 405, Closed),
        ("OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 204, Open),
        ("GET *", target("*"), 400, Closed),
        ("TRACE", b"TRACE / HTTP/1.1\r\nHost: x\r\nX: evil\r\n\r\n".to_vec(), 405, Closed),
        ("a raw path beyond ASCII", target("/größe"), 400, Closed),
        ("a raw query beyond ASCII", target("/saal1.ogg?größe"), 400, Closed),
        (
            "bytes that are no text in the path",
            b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            400,
            Closed,
        ),
        ("a control byte in the query", target("/saal1.ogg?a\x01b"), 400, Closed),
        ("DEL in the query", target("/saal1.ogg?a\x7fb"), 400, Closed),
        // What follows `#` is cut off before we see it. It goes nowhere, so nothing can be made
        // of it.
        ("a fragment", target("/saal1.ogg#evil"), 302, Open),
        ("a space in the target", target("/saal1.ogg evil"), 400, Closed),
        (
            "HTTP/2.0 in a line of HTTP/1",
            b"GET /saal1.ogg HTTP/2.0\r\nHost: x\r\n\r\n".to_vec(),
            400,
            Closed,
        ),
        ("HTTP/1.0 without Host", b"GET /saal1.ogg HTTP/1.0\r\n\r\n".to_vec(), 302, Closed),
        (
            "an unknown minor version",
            b"GET /saal1.ogg HTTP/1.2\r\nHost: x\r\n\r\n".to_vec(),
            400,
            Closed,
        ),
        (
            "an empty line before the request",
            [b"\r\n".to_vec(), target("/saal1.ogg")].concat(),
            302,
            Open,
        ),
        (
            "an expectation",
            b"PUT /evil HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
                .to_vec(),
            405,
            Closed,
        ),
        ("an ICY version", b"GET /saal1.ogg ICY/1.0\r\n\r\n".to_vec(), 400, Closed),
        ("no version", b"GET /saal1.ogg\r\n\r\n".to_vec(), 400, Closed),
        ("no method", b"/saal1.ogg HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 400, Closed),
        ("a TLS greeting", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400, Closed),
    ]
}

/// Requests with too much of something.
fn sizes() -> Vec<Vector> {
    let with = |headers: &str| get("/saal1.ogg").replace("\r\n\r\n", &format!("\r\n{headers}\r\n"));
    let with = |headers: &str| with(headers).into_bytes();
    let long = |bytes| "a".repeat(bytes);
    vec![
        ("101 headers", with(&"X-Evil: 1\r\n".repeat(101)), 431, Closed),
        // More than the buffer holds, so that nobody can say whose part is too long.
        ("a URI of 70 kB", get(&format!("/{}", long(70_000))).into_bytes(), 431, Closed),
        ("a header of 500 kB", with(&format!("X-A: {}\r\n", long(500_000))), 431, Closed),
    ]
}

#[tokio::test]
async fn every_vector_gets_the_strictest_answer() {
    let (relay, balancer) = one_relay(1_000, "").await;
    let mut wrong = Vec::new();
    for (name, bytes, status, after) in [headers(), first_lines(), sizes()].concat() {
        let mut wire = Wire::to(balancer.public).await;
        wire.send(&bytes).await;
        let answer = wire.answer().await;
        if answer.status != status {
            wrong.push(format!("{name}: {} instead of {status}", answer.status));
            continue;
        }
        let text = format!("{answer:?}").to_lowercase();
        for forged in ["evil", "set-cookie", "größe"] {
            assert!(!text.contains(forged), "{name}: {text}");
        }
        if let Some(location) = answer.header("location") {
            assert_eq!(location, format!("{}/saal1.ogg", relay.url()), "{name}");
        }
        match after {
            Closed => wire.closed().await,
            Open => {
                wire.send(get("/saal1.ogg")).await;
                assert_eq!(wire.answer().await.status, 302, "{name}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_head_over_16_kib_is_refused_however_it_arrives() {
    let (_relay, balancer) = one_relay(1_000, "").await;
    for (kib, status) in [(15, 302), (17, 431), (24, 431), (31, 431)] {
        let header = format!("X-A: {}\r\n\r\n", "a".repeat(kib * 1024));
        let request = get("/saal1.ogg").replace("\r\n\r\n", "\r\n") + &header;
        for piece in [request.len(), 16_000, 8_192, 4_096, 1_000] {
            let mut wire = Wire::to(balancer.public).await;
            for piece in request.as_bytes().chunks(piece) {
                wire.send(piece).await;
                tokio::task::yield_now().await;
            }
            assert_eq!(wire.answer().await.status, status, "{kib} KiB in pieces of {piece}");
        }
    }
}

#[tokio::test]
async fn http_2_is_not_spoken() {
    let (_relay, balancer) = one_relay(10, "").await;
    let mut wire = Wire::to(balancer.public).await;
    wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let told = wire.rest().await;
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 400 "), "{told}");
}

#[tokio::test]
async fn a_request_that_is_never_finished_is_closed_at_the_header_timeout() {
    let relay = Relay::builder().mount("/saal1.ogg", 10).start().unwrap();
    let streams = "streams: {/saal1.ogg: }\nlimits: {header_timeout: 100ms}\n";
    let balancer = Balancer::start(&(servers(&[&relay]) + streams)).await;
    for beginning in ["", "G", "GET /saal1.ogg HTTP/1.1\r\nHost: x\r\n"] {
        let mut wire = Wire::to(balancer.public).await;
        wire.send(beginning).await;
        let told = wire.rest().await;
        assert!(!told.contains(" 302 "), "after {beginning:?}: {told}");
    }
}

#[tokio::test]
async fn a_connection_that_is_kept_for_nothing_is_closed() {
    let relay = Relay::builder().mount("/saal1.ogg", 10).start().unwrap();
    let streams = "streams: {/saal1.ogg: }\nlimits: {header_timeout: 100ms}\n";
    let balancer = Balancer::start(&(servers(&[&relay]) + streams)).await;
    let mut wire = Wire::to(balancer.public).await;
    wire.send(get("/saal1.ogg")).await;
    assert_eq!(wire.answer().await.status, 302);
    wire.closed().await;
}

#[tokio::test]
async fn a_connection_too_many_is_told_so() {
    let relay = Relay::builder().mount("/saal1.ogg", 10).start().unwrap();
    let streams = "streams: {/saal1.ogg: }\nlimits: {max_connections: 1}\n";
    let balancer = Balancer::start(&(servers(&[&relay]) + streams)).await;
    let mut first = Wire::to(balancer.public).await;
    first.send(get("/saal1.ogg")).await;
    assert_eq!(first.answer().await.status, 302);
    for _ in 0..20 {
        let mut second = Wire::to(balancer.public).await;
        second.send(get("/saal1.ogg")).await;
        let answer = second.answer().await;
        assert_eq!(answer.status, 503);
        assert!(answer.body.starts_with("busy: "), "{}", answer.body);
        second.closed().await;
    }
    let series = "icecast_balancer_shed_total{reason=\"max_connections\"}";
    assert_eq!(balancer.metric(series).await, Some(20.0));
}
