//! Nobody but the operator decides where a player is sent: whatever bytes come, a `Location` is one
//! of the configured URLs and the query of the request.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime;

use crate::relay::Relay;
use crate::support::{Balancer, first_answer, servers_with};

const ELSEWHERE: &str = "https://elsewhere.example:8443/pause?p=1#now";

/// Holds a `Location` against the URLs of the configuration and the query of the request, with two
/// parsers that have nothing in common; tells what is wrong with it.
fn check(location: &str, configured: &[&str], query: Option<&str>) -> Result<(), String> {
    if let Some(byte) = location.bytes().find(|byte| !(0x21..=0x7e).contains(byte)) {
        return Err(format!("byte {byte:#04x} in {location:?}"));
    }
    let by_url = |text: &str| {
        let url = url::Url::parse(text).map_err(|error| format!("{text}: {error}"))?;
        let user = (url.username().to_owned(), url.password().map(str::to_owned));
        let host = url.host_str().map(str::to_owned);
        let place = (url.scheme().to_owned(), host, url.port_or_known_default());
        Ok::<_, String>((place, url.path().to_owned(), user))
    };
    let by_http = |text: &str| {
        let uri: http::Uri = text.parse().map_err(|error| format!("{text}: {error}"))?;
        let place = (uri.scheme_str().map(str::to_owned), uri.authority().map(ToString::to_string));
        Ok::<_, String>((place, uri.path().to_owned()))
    };
    let (one, other) = (by_url(location)?, by_http(location)?);
    for base in configured {
        if (&one, &other) == (&by_url(base)?, &by_http(base)?) && location == with(base, query) {
            return Ok(());
        }
    }
    Err(format!("{location:?} is none of {configured:?} with the query {query:?}"))
}

/// A configured URL with a query, as a reader of RFC 3986 would write it.
fn with(base: &str, query: Option<&str>) -> String {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return base.to_owned() };
    let (base, fragment) = base.split_once('#').map_or((base, None), |(b, f)| (b, Some(f)));
    let and = if base.contains('?') { '&' } else { '?' };
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    format!("{base}{and}{query}{fragment}")
}

/// What stands between the method and the version.
fn targets() -> impl Strategy<Value = Vec<u8>> {
    let beginning = prop::sample::select(vec![
        "",
        "/",
        "//",
        "/\\",
        "\\\\",
        "http://evil.example",
        "https://evil.example/",
        "/saal1.ogg",
        "/saal1.ogg?",
        "/saal1.ogg?a=b",
        "/off.ogg",
        "/off.ogg?",
        "/saal1.ogg@",
        "/saal1.ogg;",
        "/%73aal1.ogg?",
        "/saal1.ogg%3f",
        "/saal1.ogg/../",
        "http://evil.example/saal1.ogg?",
        "@evil.example/",
        ":80/",
        "javascript:",
        "/saal1.ogg%00",
    ]);
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "%0d%0aSet-Cookie:x", "%00", "%2f%2f", "@evil.example", "//evil.example", "\\", "?", "&",
            "#", "\"", "<", ">", "{", "|", "^", "`", "..", "%", "%zz", "é", "\t", ";", "=",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        2 => prop::collection::vec(0x21_u8..=0x7e, 0..12),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    (beginning, prop::collection::vec(piece, 0..6))
        .prop_map(|(beginning, pieces)| [beginning.as_bytes(), &pieces.concat()].concat())
}

#[test]
fn a_location_is_a_configured_url_and_the_query_of_the_request() {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (relay, balancer) = runtime.block_on(async {
        let relay = Relay::builder().unlimited("/saal1.ogg").start().unwrap();
        let streams = format!("streams: {{/saal1.ogg: , /off.ogg: {{fallback: '{ELSEWHERE}'}}}}\n");
        let fast = servers_with(&[&relay], "max_joins_per_second: 1000000");
        (relay, Balancer::start(&(fast + &streams)).await)
    });
    let mount = format!("{}/saal1.ogg", relay.url());
    let configured = [mount.as_str(), ELSEWHERE];
    let (sent_on, all) = (Cell::new(0_u32), Cell::new(0_u32));
    let requests = (targets(), prop::sample::select(vec!["x", "evil.example", "evil.example:80"]));
    let mut runner =
        TestRunner::new(Config { cases: 3_000, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&requests, |(target, host)| {
        let head = format!(" HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: evil.example\r\n\r\n");
        let request = [b"GET ", &target[..], head.as_bytes()].concat();
        let answer = runtime.block_on(first_answer(balancer.public, request));
        all.set(all.get() + 1);
        prop_assert!([302, 400, 404, 414].contains(&answer.status), "{answer:?} to {target:?}");
        prop_assert_eq!(answer.header("set-cookie"), None);
        prop_assert_eq!(answer.header("location").is_some(), answer.status == 302);
        if answer.status == 302 {
            sent_on.set(sent_on.get() + 1);
            let text = String::from_utf8_lossy(&target);
            let query = text.split_once('?').map(|(_, query)| query);
            let checked = check(answer.location(), &configured, query);
            prop_assert_eq!(checked, Ok(()), "{}", text);
        }
        Ok(())
    });
    let (sent_on, all) = (sent_on.get(), all.get());
    println!("{sent_on} of {all} requests were sent on");
    outcome.unwrap();
    assert!(sent_on > 300, "{sent_on} redirects show little");
}

#[test]
fn a_location_that_somebody_else_decided_is_found_out() {
    let configured = ["http://relay.example:8000/saal1.ogg"];
    let check = |location: &str| check(location, &configured, Some("a=b"));
    assert_eq!(check("http://relay.example:8000/saal1.ogg?a=b"), Ok(()));
    for wrong in [
        "http://relay.example:8000/saal1.ogg",
        "http://relay.example:8000/saal1.ogg?a=b&c",
        "http://relay.example:8000/saal1.ogg/?a=b",
        "http://relay.example:8000//saal1.ogg?a=b",
        "http://relay.example/saal1.ogg?a=b",
        "https://relay.example:8000/saal1.ogg?a=b",
        "http://relay.example:8000@evil.example/saal1.ogg?a=b",
        "http://evil.example:8000/saal1.ogg?a=b",
        "//evil.example/saal1.ogg?a=b",
        "http://relay.example:8000/saal1.ogg?a=b\r\nSet-Cookie: x",
        "http://relay.example:8000/größe.ogg?a=b",
    ] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
}
