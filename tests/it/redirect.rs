//! What a player is told on the public port.

mod connections;
mod doors;
mod hostile;
mod location;
mod methods;
mod per_client;
mod playlists;
mod threads;
#[path = "../edge/vectors.rs"]
pub(crate) mod vectors;

use std::collections::BTreeSet;

use crate::relay::Relay;
use crate::support::{Answer, Balancer, Wire, first_answer, number, raw, servers};

/// A relay with `/saal1.ogg` for `limit` listeners, and a balancer with that stream and `more`.
async fn one_relay(limit: u64, more: &str) -> (Relay, Balancer) {
    let relay = Relay::builder().mount("/saal1.ogg", limit).start().unwrap();
    let yaml = format!("{}streams: {{/saal1.ogg: {{{more}}}}}\n", servers(&[&relay]));
    let balancer = Balancer::start(&yaml).await;
    (relay, balancer)
}

/// The request that every player makes.
fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: radio.example\r\n\r\n")
}

#[tokio::test]
async fn a_player_is_sent_to_a_relay_with_exactly_these_headers() {
    let (relay, balancer) = one_relay(10, "").await;
    let answer = first_answer(balancer.public, get("/saal1.ogg")).await;
    assert_eq!(answer.status_line, "HTTP/1.1 302 Found");
    let location = format!("{}/saal1.ogg", relay.url());
    let expected = [
        ("access-control-allow-origin".to_owned(), "*"),
        ("cache-control".to_owned(), "no-store"),
        ("content-length".to_owned(), "0"),
        ("location".to_owned(), location.as_str()),
    ];
    assert_eq!(answer.headers(), expected);
}

#[tokio::test]
async fn a_player_is_sent_to_a_relay_with_its_query_unchanged() {
    let (relay, balancer) = one_relay(10, "").await;
    let answer = balancer.get("/saal1.ogg?token=a%20b&x=%2F").await;
    assert_eq!(answer.location(), format!("{}/saal1.ogg?token=a%20b&x=%2F", relay.url()));
}

#[tokio::test]
async fn odd_but_printable_characters_of_a_query_are_kept() {
    let (relay, balancer) = one_relay(10, "").await;
    let query = "a?b/c:d@e!$&'()*+,;=-._~|^`{}[]\\%zz";
    let answer = balancer.get(&format!("/saal1.ogg?{query}")).await;
    assert_eq!(answer.location(), format!("{}/saal1.ogg?{query}", relay.url()));
}

#[tokio::test]
async fn a_query_of_8_kib_is_kept() {
    let (relay, balancer) = one_relay(10, "").await;
    let query = "q".repeat(8 * 1024);
    let answer = balancer.get(&format!("/saal1.ogg?{query}")).await;
    assert_eq!(answer.location(), format!("{}/saal1.ogg?{query}", relay.url()));
}

#[tokio::test]
async fn a_longer_query_is_refused() {
    let (_relay, balancer) = one_relay(10, "").await;
    let answer = balancer.get(&format!("/saal1.ogg?{}", "q".repeat(8 * 1024 + 1))).await;
    assert_eq!(answer.status, 414);
}

#[tokio::test]
async fn a_path_over_4_kib_is_refused() {
    let (_relay, balancer) = one_relay(10, "").await;
    assert_eq!(balancer.get(&format!("/{}", "p".repeat(4 * 1024 - 1))).await.status, 404);
    assert_eq!(balancer.get(&format!("/{}", "p".repeat(4 * 1024))).await.status, 414);
}

#[tokio::test]
async fn head_is_told_what_get_is_told_without_the_body() {
    let (_relay, balancer) = one_relay(1, "").await;
    let ask = async |method: &str, target: &str| {
        let mut wire = Wire::to(balancer.public).await;
        wire.send(get(target).replace("GET", method)).await;
        if method == "HEAD" { wire.answer_to_head().await } else { wire.answer().await }
    };
    // The only slot goes to the first GET. Each refusal draws a `Retry-After` of its own.
    let same = |answer: &Answer| {
        let headers = answer.headers().into_iter();
        let headers = headers.map(|(name, value)| (name, value.to_owned()));
        headers.filter(|(name, _)| name != "retry-after").collect::<Vec<_>>()
    };
    for (target, status) in
        [("/saal1.ogg", 302), ("/saal1.ogg?a=b", 503), ("/none", 404), ("*", 400)]
    {
        let (head, get) = (ask("HEAD", target).await, ask("GET", target).await);
        assert_eq!((head.status, get.status), (status, status), "{target}");
        assert_eq!(same(&head), same(&get), "{target}");
        assert_eq!(head.body, "", "{target}");
    }
}

#[tokio::test]
async fn head_takes_no_slot() {
    let (_relay, balancer) = one_relay(1, "").await;
    let mut wire = Wire::to(balancer.public).await;
    for _ in 0..20 {
        wire.send("HEAD /saal1.ogg HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(wire.answer_to_head().await.status, 302);
    }
    let mount = "/streams/0/mounts/0/reserved";
    assert_eq!(number(&balancer.status().await, mount), 0);
    assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
    assert_eq!(balancer.get("/saal1.ogg").await.status, 503);
}

#[tokio::test]
async fn options_tells_a_browser_what_it_may_do() {
    let (_relay, balancer) = one_relay(10, "").await;
    let preflight = "OPTIONS /saal1.ogg HTTP/1.1\r\nHost: x\r\nOrigin: https://x.example\r\n\
        Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: icy-metadata\r\n\r\n";
    let answer = first_answer(balancer.public, preflight).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let methods = answer.header("access-control-allow-methods");
    assert_eq!(methods, Some("GET, HEAD, OPTIONS"));
    let headers = answer.header("access-control-allow-headers").unwrap_or_default();
    assert!(headers.contains("Icy-MetaData") && headers.contains("Range"), "{headers}");
    assert_eq!(answer.header("content-length"), None, "a 204 has no length");
    assert_eq!(answer.header("access-control-allow-private-network"), None);
    let preflight =
        preflight.replace("Origin:", "Access-Control-Request-Private-Network: true\r\nOrigin:");
    let answer = first_answer(balancer.public, preflight).await;
    assert_eq!(answer.header("access-control-allow-private-network"), Some("true"));
}

/// A script that is told nothing but "failed" cannot tell its listener that the stream is full.
#[tokio::test]
async fn a_web_player_may_read_every_refusal() {
    let (_relay, balancer) = one_relay(1, "").await;
    assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
    let head = |first: &str| format!("{first} HTTP/1.1\r\nHost: x\r\n\r\n");
    for (request, status) in [
        (head("GET /saal1.ogg"), 503),
        (head("GET /other.ogg"), 404),
        (head("PUT /saal1.ogg"), 405),
        (head("GET /saal1.ogg?\x01"), 400),
        (head("GET /saal1.ogg").replace("Host: x", "Host: a b"), 400),
        (head(&format!("GET /saal1.ogg?{}", "a".repeat(9_000))), 414),
        (head(&format!("GET /{}", "a".repeat(20_000))), 414),
    ] {
        let answer = first_answer(balancer.public, &request).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{answer:?}");
    }
    let full = first_answer(balancer.public, get("/saal1.ogg")).await;
    let shown = full.header("access-control-expose-headers").unwrap_or_default();
    assert!(shown.contains("Retry-After") && shown.contains("icy-name"), "{shown}");
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let (_relay, balancer) = one_relay(10, "").await;
    let others =
        ["/", "/saal2.ogg", "/saal1.ogg/", "//saal1.ogg", "/./saal1.ogg", "/SAAL1.OGG", "/saal1"];
    for other in others {
        let answer = balancer.get(other).await;
        assert_eq!(answer.status, 404, "{other}");
        assert_eq!(answer.header("location"), None, "{other}");
    }
}

#[tokio::test]
async fn the_public_port_knows_nothing_of_the_admin_port() {
    let (_relay, balancer) = one_relay(10, "").await;
    for path in ["/metrics", "/healthz", "/readyz", "/api/v1/status", "/-/reload"] {
        assert_eq!(balancer.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn any_other_method_is_told_what_is_allowed_and_where_sources_connect() {
    let (_relay, balancer) = one_relay(10, "").await;
    for method in ["SOURCE", "PUT", "POST", "DELETE", "TRACE", "PATCH", "STATS", "get"] {
        let mut wire = Wire::to(balancer.public).await;
        wire.send(get("/saal1.ogg").replace("GET", method)).await;
        let answer = wire.answer().await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"), "{method}");
        assert!(answer.body.contains("sources connect to the master"), "{method}: {}", answer.body);
        wire.closed().await;
    }
}

#[tokio::test]
async fn connect_is_refused_and_the_connection_closed() {
    let (_relay, balancer) = one_relay(10, "").await;
    let mut wire = Wire::to(balancer.public).await;
    wire.send("CONNECT x.example:443 HTTP/1.1\r\nHost: x.example:443\r\n\r\n").await;
    let answer = wire.answer().await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    wire.closed().await;
}

#[tokio::test]
async fn a_source_that_sends_at_once_is_refused_all_the_same() {
    let (_relay, balancer) = one_relay(10, "").await;
    let mut request = b"SOURCE /saal1.ogg HTTP/1.0\r\nAuthorization: Basic eDp5\r\n\r\n".to_vec();
    request.extend(std::iter::repeat_n(0xff, 60_000));
    assert_eq!(first_answer(balancer.public, request).await.status, 405);
}

#[tokio::test]
async fn a_full_stream_is_503_and_begins_with_full() {
    let (relay, balancer) = one_relay(1, "").await;
    relay.hold_listeners("/saal1.ogg", 1);
    assert_eq!(balancer.get("/saal1.ogg").await.status, 302, "as far as the last look could see");
    let answer = balancer.get("/saal1.ogg").await;
    assert_refused(&answer, "full: ");
}

#[tokio::test]
async fn a_stream_without_a_source_is_503_and_begins_with_offline() {
    let relay = Relay::builder().mount("/saal2.ogg", 10).start().unwrap();
    let yaml = format!("{}streams: {{/saal1.ogg: }}\n", servers(&[&relay]));
    let balancer = Balancer::start(&yaml).await;
    assert_refused(&balancer.get("/saal1.ogg").await, "offline: ");
}

#[tokio::test]
async fn a_stream_whose_relays_refuse_connections_is_503_and_begins_with_unreachable() {
    let relay = Relay::builder().mount("/saal1.ogg", 10).start().unwrap();
    relay.stop().await;
    let yaml = format!("{}streams: {{/saal1.ogg: }}\n", servers(&[&relay]));
    let balancer = Balancer::start(&yaml).await;
    assert_refused(&balancer.get("/saal1.ogg").await, "unreachable: ");
}

#[tokio::test]
async fn with_one_relay_gone_and_the_other_without_the_mount_the_stream_is_offline() {
    let gone = Relay::builder().mount("/saal1.ogg", 10).start().unwrap();
    gone.stop().await;
    let without = Relay::builder().mount("/saal2.ogg", 10).start().unwrap();
    let yaml = format!("{}streams: {{/saal1.ogg: }}\n", servers(&[&gone, &without]));
    let balancer = Balancer::start(&yaml).await;
    assert_refused(&balancer.get("/saal1.ogg").await, "offline: ");
}

fn assert_refused(answer: &Answer, body: &str) {
    assert_eq!(answer.status, 503);
    assert!(answer.body.starts_with(body), "{}", answer.body);
    assert!(answer.body.contains("/saal1.ogg"), "{}", answer.body);
    let retry_after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((5..=15).contains(&retry_after), "{retry_after}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("location"), None);
}

#[tokio::test]
async fn refused_players_are_asked_back_at_different_times() {
    let relay = Relay::builder().mount("/saal2.ogg", 10).start().unwrap();
    let yaml = format!("{}streams: {{/saal1.ogg: }}\n", servers(&[&relay]));
    let balancer = Balancer::start(&yaml).await;
    let mut wire = Wire::to(balancer.public).await;
    let mut times = BTreeSet::new();
    for _ in 0..200 {
        wire.send(get("/saal1.ogg")).await;
        times.insert(wire.answer().await.header("retry-after").unwrap().to_owned());
    }
    assert!(times.len() >= 8, "{times:?}");
}

#[tokio::test]
async fn an_offline_stream_falls_back_to_another_stream() {
    let relay = Relay::builder().mount("/pause.ogg", 10).start().unwrap();
    let streams = "streams: {/saal1.ogg: {fallback: /pause.ogg}, /pause.ogg: }\n";
    let balancer = Balancer::start(&(servers(&[&relay]) + streams)).await;
    let answer = balancer.get("/saal1.ogg?a=b").await;
    assert_eq!(answer.location(), format!("{}/pause.ogg?a=b", relay.url()));
}

#[tokio::test]
async fn a_fallback_takes_a_slot_of_the_stream_that_is_played() {
    let relay = Relay::builder().mount("/pause.ogg", 1).start().unwrap();
    let streams = "streams: {/saal1.ogg: {fallback: /pause.ogg}, /pause.ogg: }\n";
    let balancer = Balancer::start(&(servers(&[&relay]) + streams)).await;
    assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
    assert_eq!(balancer.get("/pause.ogg").await.status, 503);
}

#[tokio::test]
async fn an_offline_stream_falls_back_to_a_url() {
    let relay = Relay::builder().mount("/saal2.ogg", 10).start().unwrap();
    let streams = "streams: {/saal1.ogg: {fallback: 'https://example.org/pause.ogg'}}\n";
    let balancer = Balancer::start(&(servers(&[&relay]) + streams)).await;
    let answer = balancer.get("/saal1.ogg?a=b").await;
    assert_eq!(answer.location(), "https://example.org/pause.ogg?a=b");
}

#[tokio::test]
async fn the_query_of_a_fallback_url_stays_and_that_of_the_player_follows_it() {
    let relay = Relay::builder().mount("/saal2.ogg", 10).start().unwrap();
    let streams = "streams: {/saal1.ogg: {fallback: 'https://example.org/pause?p=1'}}\n";
    let balancer = Balancer::start(&(servers(&[&relay]) + streams)).await;
    assert_eq!(balancer.get("/saal1.ogg").await.location(), "https://example.org/pause?p=1");
    let answer = balancer.get("/saal1.ogg?a=b").await;
    assert_eq!(answer.location(), "https://example.org/pause?p=1&a=b");
}

#[tokio::test]
async fn the_query_comes_before_the_fragment_of_a_fallback_url() {
    let relay = Relay::builder().mount("/saal2.ogg", 10).start().unwrap();
    let streams = "streams: {/saal1.ogg: {fallback: 'https://example.org/pause#now'}}\n";
    let balancer = Balancer::start(&(servers(&[&relay]) + streams)).await;
    assert_eq!(
        balancer.get("/saal1.ogg?a=b").await.location(),
        "https://example.org/pause?a=b#now"
    );
}

#[tokio::test]
async fn a_full_stream_does_not_fall_back() {
    let (_relay, balancer) = one_relay(1, "fallback: 'https://example.org/pause'").await;
    assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
    assert_refused(&balancer.get("/saal1.ogg").await, "full: ");
}

#[tokio::test]
async fn an_alias_is_the_stream_itself() {
    let (relay, balancer) = one_relay(1, "aliases: [/saal1, /main/room]").await;
    let answer = balancer.get("/main/room?a=b").await;
    assert_eq!(answer.location(), format!("{}/saal1.ogg?a=b", relay.url()));
    assert_eq!(balancer.get("/saal1").await.status, 503, "its only slot is taken");
}

#[tokio::test]
async fn a_percent_encoded_path_equals_the_decoded_one() {
    let (relay, balancer) = one_relay(10, "").await;
    for path in ["/%73aal1.ogg", "/saal1%2eogg", "/saal1%2Eogg", "/%73%61%61%6c%31%2e%6f%67%67"] {
        let answer = balancer.get(path).await;
        assert_eq!(answer.location(), format!("{}/saal1.ogg", relay.url()), "{path}");
    }
}

#[tokio::test]
async fn a_path_is_decoded_once_and_not_twice() {
    let (_relay, balancer) = one_relay(10, "").await;
    assert_eq!(balancer.get("/%2573aal1.ogg").await.status, 404);
}

#[tokio::test]
async fn a_path_beyond_ascii_is_encoded_in_the_location() {
    let relay = Relay::builder().mount("/größe 1.ogg", 10).start().unwrap();
    let yaml = format!("{}streams: {{'/größe%201.ogg': }}\n", servers(&[&relay]));
    let balancer = Balancer::start(&yaml).await;
    let answer = balancer.get("/gr%C3%B6%c3%9fe%201.ogg").await;
    assert_eq!(answer.location(), format!("{}/gr%C3%B6%C3%9Fe%201.ogg", relay.url()));
}

#[tokio::test]
async fn the_mount_of_the_relay_replaces_the_path_of_the_stream() {
    let relay = Relay::builder().mount("/live/one.ogg", 10).start().unwrap();
    let streams = "streams: {/saal1.ogg: {mounts: {r0: /live/one.ogg}}}\n";
    let balancer = Balancer::start(&(servers(&[&relay]) + streams)).await;
    let answer = balancer.get("/saal1.ogg").await;
    assert_eq!(answer.location(), format!("{}/live/one.ogg", relay.url()));
}

#[tokio::test]
async fn every_request_is_counted_by_its_outcome() {
    let (_relay, balancer) = one_relay(1, "").await;
    for target in ["/saal1.ogg", "/saal1.ogg", "/none", "*"] {
        balancer.get(target).await;
    }
    first_answer(balancer.public, "PUT /saal1.ogg HTTP/1.1\r\nHost: x\r\n\r\n").await;
    first_answer(balancer.public, "not HTTP at all\r\n\r\n").await;
    for (outcome, count) in [
        ("redirected", 1.0),
        ("full", 1.0),
        ("offline", 0.0),
        ("unreachable", 0.0),
        ("unknown_path", 1.0),
        ("playlist", 0.0),
        ("bad_method", 1.0),
        ("bad_request", 2.0),
    ] {
        let series = format!("icecast_balancer_requests_total{{outcome=\"{outcome}\"}}");
        assert_eq!(balancer.metric(&series).await, Some(count), "{outcome}");
    }
}

#[tokio::test]
async fn a_player_who_comes_back_at_once_is_sent_to_another_relay() {
    let busy = Relay::builder().mount("/saal1.ogg", 100).start().unwrap();
    busy.hold_listeners("/saal1.ogg", 50);
    let empty = Relay::builder().mount("/saal1.ogg", 100).start().unwrap();
    let yaml = format!("{}streams: {{/saal1.ogg: }}\n", servers(&[&busy, &empty]));
    let balancer = Balancer::start(&yaml).await;
    let ask = async |agent: &str| {
        let request = format!(
            "GET /saal1.ogg HTTP/1.1\r\nHost: x\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
        );
        raw(balancer.public, &request).await.location().to_owned()
    };
    let (busy, empty) = (format!("{}/saal1.ogg", busy.url()), format!("{}/saal1.ogg", empty.url()));
    assert_eq!(ask("one").await, empty);
    assert_eq!(ask("one").await, busy, "it found nothing at the first one, it seems");
    assert_eq!(ask("another").await, empty);
}
