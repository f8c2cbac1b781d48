//! A stream's relays as a list.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::relay::Relay;
use crate::support::{
    Answer, Balancer, Wire, eventually, first_answer, number, raw, servers, servers_with,
};

const FORMATS: [(&str, &str); 3] =
    [(".m3u", "audio/x-mpegurl"), (".pls", "audio/x-scpls"), (".xspf", "application/xspf+xml")];

/// The JSON of a list, and nothing else.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Listed {
    stream: String,
    url: Option<String>,
    relays: Vec<Listing>,
    refusal: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Listing {
    server: Option<String>,
    url: String,
    free: Option<u64>,
}

/// A busy relay and an empty one, in this order, and a balancer with `/saal1.ogg` and `more`.
async fn station(more: &str) -> (Relay, Relay, Balancer) {
    let busy = Relay::builder().mount("/saal1.ogg", 100).start().unwrap();
    busy.hold_listeners("/saal1.ogg", 50);
    let empty = Relay::builder().mount("/saal1.ogg", 100).start().unwrap();
    let yaml = format!(
        "balance: {{headroom: 0}}\n{}streams: {{/saal1.ogg: {{aliases: [/hall]}}}}\n{more}",
        servers(&[&busy, &empty])
    );
    let balancer = Balancer::start(&yaml).await;
    (busy, empty, balancer)
}

async fn get(balancer: &Balancer, target: &str, headers: &str) -> Answer {
    let request = format!("GET {target} HTTP/1.1\r\nHost: radio.example:8000\r\n{headers}\r\n");
    first_answer(balancer.public, request).await
}

async fn json(balancer: &Balancer, target: &str) -> Listed {
    let answer = get(balancer, target, "Accept: application/json\r\n").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

/// The URLs of an M3U.
fn urls(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body.lines().filter(|line| !line.starts_with('#')).collect()
}

#[tokio::test]
async fn a_playlist_has_the_stream_here_and_then_its_relays_best_first() {
    let (busy, empty, balancer) = station("").await;
    let (busy, empty) = (format!("{}/saal1.ogg", busy.url()), format!("{}/saal1.ogg", empty.url()));
    let own = "http://radio.example:8000/saal1.ogg";
    assert_eq!(
        get(&balancer, "/saal1.ogg.m3u", "").await.body,
        format!(
            "#EXTM3U\n#EXTINF:-1,/saal1.ogg\n{own}\n#EXTINF:-1,/saal1.ogg\n{empty}\n\
             #EXTINF:-1,/saal1.ogg\n{busy}\n"
        )
    );
    assert_eq!(
        get(&balancer, "/saal1.ogg.pls", "").await.body,
        format!(
            "[playlist]\nNumberOfEntries=3\nFile1={own}\nTitle1=/saal1.ogg\nLength1=-1\n\
             File2={empty}\nTitle2=/saal1.ogg\nLength2=-1\n\
             File3={busy}\nTitle3=/saal1.ogg\nLength3=-1\nVersion=2\n"
        )
    );
    let track =
        |url: &str| format!("<track><location>{url}</location><title>/saal1.ogg</title></track>\n");
    assert_eq!(
        get(&balancer, "/saal1.ogg.xspf", "").await.body,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <playlist version=\"1\" xmlns=\"http://xspf.org/ns/0/\">\n\
             <title>/saal1.ogg</title>\n<trackList>\n{}{}{}</trackList>\n</playlist>\n",
            track(own),
            track(&empty),
            track(&busy)
        )
    );
    let relay = |server: &str, url: &str, free| Listing {
        server: Some(server.to_owned()),
        url: url.to_owned(),
        free: Some(free),
    };
    let expected = Listed {
        stream: "/saal1.ogg".to_owned(),
        url: Some(own.to_owned()),
        relays: vec![relay("r1", &empty, 100), relay("r0", &busy, 50)],
        refusal: None,
    };
    assert_eq!(json(&balancer, "/saal1.ogg").await, expected);
}

#[tokio::test]
async fn a_playlist_has_exactly_these_headers_and_head_is_told_them_too() {
    let (_busy, _empty, balancer) = station("").await;
    let lists = FORMATS.map(|(suffix, media_type)| (format!("/saal1.ogg{suffix}"), "", media_type));
    let json = ("/saal1.ogg".to_owned(), "Accept: application/json\r\n", "application/json");
    for (target, accept, media_type) in lists.into_iter().chain([json]) {
        let answer = get(&balancer, &target, accept).await;
        let length = answer.body.len().to_string();
        let shown = answer.header("access-control-expose-headers").unwrap_or_default();
        assert!(shown.contains("icy-name"), "{shown}");
        let mut expected = BTreeMap::from([
            ("access-control-allow-origin", "*"),
            ("access-control-expose-headers", shown),
            ("cache-control", "no-store"),
            ("content-length", &length),
            ("content-type", media_type),
        ]);
        if !accept.is_empty() {
            expected.insert("vary", "Accept");
        }
        let headers = answer.headers();
        let told: BTreeMap<_, _> = headers.iter().map(|(name, value)| (&**name, *value)).collect();
        assert_eq!(told, expected, "{target}");

        let mut wire = Wire::to(balancer.public).await;
        let host = "Host: radio.example:8000";
        wire.send(format!("HEAD {target} HTTP/1.1\r\n{host}\r\n{accept}\r\n")).await;
        let head = wire.answer_to_head().await;
        assert_eq!((head.status, head.headers()), (200, answer.headers()), "{target}");
    }
}

#[tokio::test]
async fn a_playlist_takes_no_slot_and_is_counted_as_one() {
    let (_busy, _empty, balancer) = station("").await;
    for suffix in [".m3u", ".pls", ".xspf"] {
        get(&balancer, &format!("/saal1.ogg{suffix}"), "").await;
    }
    json(&balancer, "/hall").await;
    let status = balancer.status().await;
    for mount in [0, 1] {
        assert_eq!(number(&status, &format!("/streams/0/mounts/{mount}/reserved")), 0);
    }
    for (series, count) in [
        ("requests_total{outcome=\"playlist\"}", 4.0),
        ("requests_total{outcome=\"redirected\"}", 0.0),
        ("stream_requests_total{stream=\"/saal1.ogg\",outcome=\"playlist\"}", 4.0),
    ] {
        let found = balancer.metric(&format!("icecast_balancer_{series}")).await;
        assert_eq!(found, Some(count), "{series}");
    }
}

#[tokio::test]
async fn a_path_that_a_stream_owns_is_the_stream_whatever_it_ends_in() {
    let relay = Relay::builder().unlimited("/x").unlimited("/x.m3u").start().unwrap();
    let yaml = format!("{}streams: {{/x: , /x.m3u: , /y.pls: }}\n", servers(&[&relay]));
    let balancer = Balancer::start(&yaml).await;
    let stream = get(&balancer, "/x.m3u", "").await;
    assert_eq!(stream.location(), format!("{}/x.m3u", relay.url()));
    assert_eq!(get(&balancer, "/x.pls", "").await.status, 200);
    assert_eq!(urls(&get(&balancer, "/x.m3u.m3u", "").await).len(), 2);
    for unknown in ["/y.m3u", "/.m3u", "/x.m3u8", "/x.M3U", "/x.xspf/", "/x.json"] {
        assert_eq!(get(&balancer, unknown, "").await.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn the_query_stands_in_every_url_as_it_came_and_escaped_where_that_is_needed() {
    let (busy, empty, balancer) = station("").await;
    let query = "token=a%20b&x='%22|`{}[]\\^";
    let hosts = ["http://radio.example:8000".to_owned(), empty.url(), busy.url()];
    let expected = hosts.map(|host| format!("{host}/saal1.ogg?{query}"));
    assert_eq!(urls(&get(&balancer, &format!("/saal1.ogg.m3u?{query}"), "").await), expected);
    let pls = get(&balancer, &format!("/saal1.ogg.pls?{query}"), "").await.body;
    let files = pls.lines().filter(|line| line.starts_with("File"));
    let files: Vec<_> = files.filter_map(|line| Some(line.split_once('=')?.1)).collect();
    assert_eq!(files, expected);
    let xspf = get(&balancer, &format!("/saal1.ogg.xspf?{query}"), "").await.body;
    let escaped = expected.clone().map(|url| url.replace('&', "&amp;").replace('\'', "&apos;"));
    for url in escaped {
        assert!(xspf.contains(&format!("<location>{url}</location>")), "{url} in {xspf}");
    }
    let listed = json(&balancer, &format!("/saal1.ogg?{query}")).await;
    let told: Vec<_> =
        listed.url.into_iter().chain(listed.relays.into_iter().map(|r| r.url)).collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn an_alias_is_listed_under_the_streams_own_path() {
    let (_busy, _empty, balancer) = station("").await;
    for target in ["/hall.m3u", "/h%61ll.m3u", "/saal1%2eogg.m3u"] {
        let answer = get(&balancer, target, "").await;
        assert_eq!(urls(&answer)[0], "http://radio.example:8000/saal1.ogg", "{target}");
    }
}

#[tokio::test]
async fn the_configured_url_outweighs_the_host_that_is_asked() {
    let (_busy, _empty, balancer) = station("public_url: https://radio.example.org/live/\n").await;
    for (target, headers) in
        [("/hall.m3u", ""), ("http://evil.example/hall.m3u", "X-Forwarded-Host: evil.example\r\n")]
    {
        let answer = get(&balancer, target, headers).await;
        assert_eq!(urls(&answer)[0], "https://radio.example.org/live/saal1.ogg");
        assert!(!format!("{answer:?}").contains("radio.example:8000"), "{answer:?}");
        assert!(!format!("{answer:?}").contains("evil"), "{answer:?}");
    }
}

#[tokio::test]
async fn without_it_the_host_is_the_targets_or_the_host_headers() {
    let (_busy, empty, balancer) = station("").await;
    let first = async |request: &str| {
        let answer = raw(balancer.public, request).await;
        urls(&answer)[0].to_owned()
    };
    let close = "Connection: close\r\n\r\n";
    for (target, host, own) in [
        ("/hall.m3u", "a.example", "http://a.example/saal1.ogg"),
        ("/hall.m3u", "[2001:db8::1]:8000", "http://[2001:db8::1]:8000/saal1.ogg"),
        ("http://b.example:1/hall.m3u", "a.example", "http://b.example:1/saal1.ogg"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{close}");
        assert_eq!(first(&request).await, own, "{target} {host}");
    }
    let nobody_says = format!("{}/saal1.ogg", empty.url());
    assert_eq!(first("GET /hall.m3u HTTP/1.0\r\n\r\n").await, nobody_says);
    let with_a_user = format!("GET http://me@b.example/hall.m3u HTTP/1.1\r\nHost: x\r\n{close}");
    assert_eq!(first(&with_a_user).await, nobody_says);
}

#[tokio::test]
async fn a_stream_that_nobody_can_play_now_is_listed_by_its_own_url_alone() {
    let relay = Relay::builder().mount("/full.ogg", 1).start().unwrap();
    relay.hold_listeners("/full.ogg", 1);
    let yaml = format!(
        "balance: {{headroom: 0}}\n{}streams: {{/full.ogg: , /off.ogg: }}\n",
        servers(&[&relay])
    );
    let balancer = Balancer::start(&yaml).await;
    for (path, refusal) in [("/full.ogg", "full"), ("/off.ogg", "offline")] {
        let own = format!("http://radio.example:8000{path}");
        assert_eq!(urls(&get(&balancer, &format!("{path}.m3u"), "").await), [&own]);
        let listed = json(&balancer, path).await;
        assert_eq!(
            (listed.url, listed.relays, listed.refusal),
            (Some(own), vec![], Some(refusal.to_owned()))
        );
        let alone = raw(balancer.public, &format!("GET {path}.m3u HTTP/1.0\r\n\r\n")).await;
        assert_eq!(alone.status, 503);
        assert!(alone.body.starts_with(refusal), "{alone:?}");
    }
}

#[tokio::test]
async fn a_fallback_is_listed_where_a_redirect_would_go_to_it() {
    let relay = Relay::builder().unlimited("/pause.ogg").start().unwrap();
    let yaml = format!(
        "{}streams:
  /a.ogg: {{fallback: /pause.ogg}}
  /b.ogg: {{fallback: 'https://elsewhere.example/sorry.ogg?why=off#now'}}
  /pause.ogg:
",
        servers(&[&relay])
    );
    let balancer = Balancer::start(&yaml).await;
    let ours = get(&balancer, "/a.ogg.m3u?t=1", "").await;
    let pause = format!("{}/pause.ogg?t=1", relay.url());
    assert_eq!(urls(&ours), ["http://radio.example:8000/a.ogg?t=1", &pause]);
    let listed = json(&balancer, "/b.ogg?t=1").await;
    let elsewhere = "https://elsewhere.example/sorry.ogg?why=off&t=1#now".to_owned();
    assert_eq!(listed.relays, [Listing { server: None, url: elsewhere, free: None }]);
    assert_eq!(listed.refusal, None);
}

#[tokio::test]
async fn who_comes_by_https_is_given_https_urls_as_long_as_there_are_any() {
    let (one, other) = (Relay::builder(), Relay::builder());
    let (one, other) =
        (one.unlimited("/x").start().unwrap(), other.unlimited("/x").start().unwrap());
    let balancer = Balancer::start(&format!(
        "trusted_proxies: [127.0.0.1]
servers:
  tls: {{url: 'https://tls.example', http_url: 'http://tls.example:8000', stats: {{url: '{}'}}}}
  plain: '{}'
streams: {{/x: , /y: {{mounts: {{plain: /x}}}}}}
",
        one.url(),
        other.url()
    ))
    .await;
    let by_https = "X-Forwarded-Proto: https\r\n";
    let own = "https://radio.example:8000";
    let plain = format!("{}/x", other.url());
    let listed = get(&balancer, "/x.m3u", by_https).await;
    assert_eq!(urls(&listed), [&format!("{own}/x"), "https://tls.example/x"]);
    let listed = get(&balancer, "/y.m3u", by_https).await;
    assert_eq!(urls(&listed), [&format!("{own}/y"), &plain]);
    let listed = get(&balancer, "/x.m3u", "").await;
    assert_eq!(urls(&listed), ["http://radio.example:8000/x", "http://tls.example:8000/x", &plain]);
}

#[tokio::test]
async fn a_playlist_has_ten_relays_at_most_and_fewer_with_a_long_query() {
    let relays: Vec<_> =
        (0..12).map(|_| Relay::builder().unlimited("/x").start().unwrap()).collect();
    let relays: Vec<_> = relays.iter().collect();
    let yaml = format!("{}streams: {{/x: }}\n", servers_with(&relays, ""));
    let balancer = Balancer::start(&yaml).await;
    for (length, most) in [(0, 11), (1_500, 11), (8 * 1024, 3)] {
        let target = format!("/x.m3u?{}", "q".repeat(length));
        let answer = get(&balancer, &target, "").await;
        assert_eq!(urls(&answer).len(), most, "{length}");
        assert!(answer.body.len() <= 32 * 1024, "{length}: {}", answer.body.len());
    }
    // Each of these is five in XML: the stream itself is listed all the same.
    let escaped = get(&balancer, &format!("/x.xspf?{}", "&".repeat(8 * 1024)), "").await;
    assert_eq!(escaped.body.matches("<location>").count(), 1);
}

#[tokio::test]
async fn json_is_for_those_who_ask_for_nothing_else_more() {
    let (_busy, _empty, balancer) = station("").await;
    for (accept, status) in [
        ("application/json", 200),
        ("Application/JSON;charset=utf-8", 200),
        ("application/json, text/plain, */*", 200),
        ("text/html;q=0.5, application/json ; q=0.9", 200),
        ("application/json;q=0.001", 200),
        ("*/*", 302),
        ("application/*", 302),
        ("application/jsonp", 302),
        ("audio/*, application/json;q=0.9", 302),
        ("application/json;q=0", 302),
        ("application/json;q=NaN", 302),
        ("application/json;q=x", 302),
        ("", 302),
        (",;,=;q", 302),
    ] {
        let answer = get(&balancer, "/saal1.ogg", &format!("Accept: {accept}\r\n")).await;
        assert_eq!(answer.status, status, "{accept:?}");
    }
    let two_lines = "Accept: audio/ogg\r\nAccept: application/json;q=0.5\r\n";
    assert_eq!(get(&balancer, "/saal1.ogg", two_lines).await.status, 302);
    let playlist = get(&balancer, "/saal1.ogg.m3u", "Accept: application/json\r\n").await;
    assert_eq!(playlist.header("content-type"), Some("audio/x-mpegurl"));
}

#[tokio::test]
async fn the_list_of_streams_is_given_to_icecasts_slaves_if_that_is_configured() {
    let relay = Relay::builder().unlimited("/x").start().unwrap();
    let streams = "streams: {/x: {aliases: [/y]}, /off.ogg: , /säle.ogg: , '/two halls.ogg': }\n";
    let yaml = format!("{}{streams}", servers(&[&relay]));
    let balancer = Balancer::start(&yaml).await;
    assert_eq!(get(&balancer, "/admin/streamlist.txt", "").await.status, 404);
    balancer.edit(&format!("{yaml}streamlist: true\n"));
    assert!(balancer.reload.reload().await.is_some());
    let slave = "GET /admin/streamlist.txt HTTP/1.0\r\nAuthorization: Basic cmVsYXk6eA==\r\n\r\n";
    let answer = raw(balancer.public, slave).await;
    assert_eq!(answer.status_line, "HTTP/1.1 200 OK");
    assert_eq!(answer.body, "/x\n/off.ogg\n");
    balancer.edit(&format!(
        "{}streams: {{/admin/streamlist.txt: }}\nstreamlist: true\n",
        servers(&[&relay])
    ));
    assert!(balancer.reload.reload().await.is_some());
    assert_ne!(get(&balancer, "/admin/streamlist.txt", "").await.status, 200, "it is a stream's");
}

#[tokio::test]
async fn what_is_found_under_a_pattern_has_its_lists_and_what_is_not_has_none() {
    let relay = Relay::builder().unlimited("/talks/one.ogg").start().unwrap();
    let yaml = format!("{}streams: {{'/talks/*': }}\nstreamlist: true\n", servers(&[&relay]));
    let balancer = Balancer::start(&yaml).await;
    eventually("the talk is found", async || balancer.get("/talks/one.ogg").await.status == 302)
        .await;
    let found = get(&balancer, "/talks/one.ogg.m3u", "").await;
    let own = "http://radio.example:8000/talks/one.ogg";
    assert_eq!(urls(&found), [own, &format!("{}/talks/one.ogg", relay.url())]);
    assert_eq!(json(&balancer, "/talks/one.ogg").await.url, Some(own.to_owned()));
    let accept = "Accept: application/json\r\n";
    for (target, headers) in [("/talks/two.ogg.m3u", ""), ("/talks/two.ogg", accept)] {
        assert_eq!(get(&balancer, target, headers).await.status, 503, "{target}");
    }
    assert_eq!(get(&balancer, "/admin/streamlist.txt", "").await.body, "/talks/one.ogg\n");
}

#[tokio::test]
async fn a_full_relay_is_listed_only_where_a_redirect_would_go_to_it_all_the_same() {
    let full = Relay::builder().mount("/x", 10).start().unwrap();
    full.hold_listeners("/x", 10);
    let room = Relay::builder().mount("/x", 10).start().unwrap();
    let balance = "balance: {headroom: 0, when_full: overflow}\npoll: {interval: 100ms}\n";
    let yaml = format!("{balance}{}streams: {{/x: }}\n", servers(&[&full, &room]));
    let balancer = Balancer::start(&yaml.replace("100ms}", "100ms, fast_interval: 100ms}")).await;
    assert_eq!(urls(&get(&balancer, "/x.m3u", "").await).len(), 2);
    room.hold_listeners("/x", 10);
    eventually("both are listed", async || urls(&get(&balancer, "/x.m3u", "").await).len() == 3)
        .await;
}
