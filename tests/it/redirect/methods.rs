//! Every method on every kind of path, and what of a request may show in its answer.

use crate::relay::Relay;
use crate::support::{Answer, Balancer, Wire, servers};

const METHODS: [&str; 14] = [
    "GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "SOURCE", "STATS",
    "PROPFIND", "get", "Get", "X",
];

/// A stream with room, one that is full, one without a source, and no stream.
const PATHS: [&str; 5] = ["/room.ogg", "/full.ogg", "/off.ogg", "/none.ogg", "/"];

async fn station() -> (Relay, Balancer) {
    let relay = Relay::builder().unlimited("/room.ogg").mount("/full.ogg", 1).start().unwrap();
    relay.hold_listeners("/full.ogg", 1);
    let yaml = format!(
        "{}streams: {{/room.ogg: , /full.ogg: , /off.ogg: }}\nbalance: {{headroom: 0}}\n",
        servers(&[&relay])
    );
    let balancer = Balancer::start(&yaml).await;
    (relay, balancer)
}

async fn ask(balancer: &Balancer, method: &str, path: &str, more: &str) -> (Answer, Wire) {
    let mut wire = Wire::to(balancer.public).await;
    wire.send(format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n")).await;
    let answer = if method == "HEAD" { wire.answer_to_head().await } else { wire.answer().await };
    (answer, wire)
}

#[tokio::test]
async fn every_method_on_every_path_gets_its_answer() {
    let (_relay, balancer) = station().await;
    for method in METHODS {
        for path in PATHS {
            let expected = match (method, path) {
                ("GET" | "HEAD", "/room.ogg") => 302,
                ("GET" | "HEAD", "/full.ogg" | "/off.ogg") => 503,
                ("GET" | "HEAD", _) => 404,
                ("OPTIONS", _) => 204,
                _ => 405,
            };
            let (answer, wire) = ask(&balancer, method, path, "").await;
            assert_eq!(answer.status, expected, "{method} {path}");
            let allow = (expected == 405).then_some("GET, HEAD, OPTIONS");
            assert_eq!(answer.header("allow"), allow, "{method} {path}");
            assert_eq!(answer.header("location").is_some(), expected == 302, "{method} {path}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{method} {path}");
            if expected == 405 {
                wire.closed().await;
            }
        }
    }
}

#[tokio::test]
async fn a_body_is_answered_and_never_read_whatever_the_method() {
    let (_relay, balancer) = station().await;
    for method in METHODS {
        // The body never comes; whoever waited for it would not answer.
        let (answer, wire) = ask(&balancer, method, "/room.ogg", "Content-Length: 9\r\n").await;
        let expected = match method {
            "GET" | "HEAD" => 302,
            "OPTIONS" => 204,
            _ => 405,
        };
        assert_eq!(answer.status, expected, "{method}");
        assert_eq!(answer.header("connection"), Some("close"), "{method}");
        wire.closed().await;
    }
}

#[tokio::test]
async fn the_host_that_is_asked_shows_nowhere_but_in_a_playlist_without_a_configured_url() {
    let (relay, balancer) = station().await;
    for path in PATHS {
        for (target, host) in [
            (path.to_owned(), "evil.example"),
            (path.to_owned(), "evil.example:8000"),
            (format!("http://evil.example{path}"), "evil.example"),
            (format!("http://evil.example{path}"), "x"),
        ] {
            let mut wire = Wire::to(balancer.public).await;
            let forwarded = "X-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\n\
                             X-Original-URL: /evil.example\r\nX-Rewrite-URL: /evil.example\r\n";
            wire.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{forwarded}\r\n")).await;
            let answer = wire.answer().await;
            assert!(!format!("{answer:?}").contains("evil"), "{target}: {answer:?}");
            if path == "/room.ogg" {
                assert_eq!(answer.location(), format!("{}{path}", relay.url()));
            }
            // A playlist begins with the stream under the name that was asked, in its body alone,
            // and only there: what others are told, and where they are sent, stays what it is.
            if path != "/none.ogg" && path != "/" {
                let list = target.replace(path, &format!("{path}.m3u"));
                wire.send(format!("GET {list} HTTP/1.1\r\nHost: {host}\r\n{forwarded}\r\n")).await;
                let answer = wire.answer().await;
                assert!(!format!("{:?}", answer.headers()).contains("evil"), "{answer:?}");
                let asked = if target.starts_with("http") { "evil.example" } else { host };
                let named = answer.body.lines().filter(|line| line.contains("evil"));
                assert_eq!(named.collect::<Vec<_>>(), [format!("http://{asked}{path}")]);
            }
        }
    }
    balancer.edit(&format!(
        "{}streams: {{/room.ogg: }}\npublic_url: 'https://radio.example'\n",
        servers(&[&relay])
    ));
    assert!(balancer.reload.reload().await.is_some());
    let (answer, _wire) = ask(&balancer, "GET", "http://evil.example/room.ogg.m3u", "").await;
    assert!(!format!("{answer:?}").contains("evil"), "{answer:?}");
}
