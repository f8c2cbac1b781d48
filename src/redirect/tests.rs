//! What the public port's service tells whoever asks it, through either door and without a socket.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use http::Version;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::*;
use crate::config::source::Sources;
use crate::fleet::compile::{Outside, compile};
use crate::icecast::{Activity, Limit, MountReport, Report};
use crate::logs::Style;
use crate::server::{answered_at_once, answered_by_hyper};
use crate::slots::{Evidence, Rules, begin_look, record};

/// No environment and no files.
struct Nothing;

impl Outside for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn secret(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// One relay, which has room on `/a.ogg` and `/roomy.ogg` none on `/full.ogg`, and no `/gone.ogg`.
const CONFIG: &str = "
trusted_proxies: ['10.0.0.0/8']
proxy_protocol: true
limits: {per_client: 5, max_connections: 7, header_timeout: 3s}
poll: {stale_after: 1h}
streamlist: true
servers:
  one: {url: 'http://one.example.org:8000', max_joins_per_second: 1000000}
streams:
  /a.ogg:
  /roomy.ogg: {when_full: wait}
  /full.ogg: {when_full: wait}
  /gone.ogg:
  /live/*:
";

fn state() -> Arc<State> {
    state_of(CONFIG)
}

fn state_of(config: &str) -> Arc<State> {
    let fleet = compile(&Sources::new("balancer.yaml", config), &Nothing);
    let fleet = fleet.unwrap_or_else(|problems| panic!("{problems}"));
    let state = State::new(Snapshot::first(fleet, String::new()));
    let snapshot = state.load_full();
    let rules = Rules { rise: 2, fall: 3, slow_start: Duration::ZERO, hold: false };
    for (id, (_, slots)) in snapshot.servers().enumerate() {
        let listed = snapshot.listed(id);
        let there = listed.iter().filter(|mount| mount.path != "/gone.ogg");
        let mounts = there.map(|mount| MountReport {
            name: mount.path.to_owned(),
            listeners: Some(0),
            limit: if mount.path == "/full.ogg" { Limit::Listeners(0) } else { Limit::Unlimited },
            activity: Activity::Active,
            bytes: None,
        });
        let report = Report { clients: None, mounts: mounts.collect() };
        let look = begin_look(slots, &listed, state.now());
        record(slots, &listed, look, &report, Duration::from_secs(5));
        slots.judge(Evidence::Good, state.now(), rules);
    }
    Arc::new(state)
}

fn redirector(state: &Arc<State>) -> Redirector {
    Redirector::new(Arc::clone(state), Descriptors::raised())
}

/// What a player is told, at once if that is wanted and possible; and whether it was.
async fn ask(redirector: &Redirector, request: &str, at_once: bool) -> (String, bool) {
    let peer = Peer::of_socket(SocketAddr::from(([192, 0, 2, 1], 4711)));
    let request = format!("{request} HTTP/1.1\r\nHost: x\r\nUser-Agent: VLC\r\n\r\n");
    let told = at_once.then(|| answered_at_once(redirector, peer, request.as_bytes())).flatten();
    let is_at_once = told.is_some();
    let told = match told {
        Some(told) => told,
        None => answered_by_hyper(redirector, peer, request.as_bytes()).await,
    };
    (String::from_utf8(told).unwrap(), is_at_once)
}

/// Requests, whether they are answered at once, and what the access log says of them.
fn requests() -> Vec<(&'static str, bool, Value)> {
    let line = |method: &str,
                path: &str,
                stream: &str,
                server: &str,
                outcome: &str,
                status: u16| {
        let told = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
        json!({
            "method": method, "path": told(path), "stream": told(stream), "server": told(server),
            "outcome": outcome, "status": status, "agent": "VLC", "client": "192.0.2.0/24",
        })
    };
    vec![
        ("GET /a.ogg", true, line("GET", "", "/a.ogg", "one", "redirected", 302)),
        ("HEAD /a.ogg?b=c", true, line("HEAD", "", "/a.ogg", "one", "redirected", 302)),
        ("GET /a%2eogg", true, line("GET", "", "/a.ogg", "one", "redirected", 302)),
        ("OPTIONS /a.ogg", false, line("OPTIONS", "/a.ogg", "", "", "preflight", 204)),
        ("PUT /a.ogg", false, line("other", "/a.ogg", "", "", "bad_method", 405)),
        ("GET /none", false, line("GET", "/none", "", "", "unknown_path", 404)),
        ("GET /a.ogg.m3u", false, line("GET", "", "/a.ogg", "", "playlist", 200)),
        (
            "GET /admin/streamlist.txt",
            false,
            line("GET", "/admin/streamlist.txt", "", "", "playlist", 200),
        ),
        ("GET /live/x.ogg", true, line("GET", "/live/x.ogg", "/live/*", "", "offline", 503)),
        ("GET /roomy.ogg", false, line("GET", "", "/roomy.ogg", "one", "redirected", 302)),
        ("HEAD /full.ogg", false, line("HEAD", "", "/full.ogg", "", "full", 503)),
    ]
}

#[tokio::test(start_paused = true)]
async fn whichever_door_a_request_comes_through_it_is_counted_and_written_down_alike() {
    for at_once in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.log");
        let log = AccessLog::in_file(&file, Style::Json).unwrap();
        let state = state();
        let redirector = redirector(&state).with_access_log(Some(log.clone()));
        for (request, is_plain, line) in requests() {
            let (told, was_at_once) = ask(&redirector, request, at_once).await;
            assert_eq!(was_at_once, is_plain && at_once, "{request}");
            assert!(told.starts_with(&format!("HTTP/1.1 {}", line["status"])), "{request}: {told}");
        }
        log.finish(Duration::from_secs(60));
        let lines = std::fs::read_to_string(&file).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let written: Vec<_> = lines
            .map(|mut line| {
                let fields = line.as_object_mut().unwrap();
                assert!(fields.remove("time").is_some() && fields.remove("duration_us").is_some());
                line
            })
            .collect();
        let expected: Vec<_> = requests().into_iter().map(|(_, _, line)| line).collect();
        assert_eq!(written, expected);

        let counted = |outcome| state.totals.requests.of(outcome).get();
        assert_eq!([Outcome::Redirected, Outcome::Full, Outcome::Offline].map(counted), [4, 1, 1]);
        assert_eq!([Outcome::Playlist, Outcome::BadMethod].map(counted), [2, 1]);
        let snapshot = state.load();
        let of = |path, outcome| {
            let stream = snapshot.fleet.stream_at(path).unwrap();
            snapshot.outcomes(stream).unwrap().of(outcome).get()
        };
        assert_eq!(of("/a.ogg", Outcome::Redirected), 3);
        assert_eq!((of("/a.ogg", Outcome::Playlist), of("/full.ogg", Outcome::Full)), (1, 1));
    }
}

#[test]
fn what_the_port_tells_of_its_connections_is_counted() {
    let state = state();
    let redirector = redirector(&state);
    redirector.malformed();
    redirector.shed(Shed::MaxConnections);
    redirector.shed(Shed::PerClient);
    redirector.shed(Shed::PerClient);
    redirector.without_proxy_header();
    redirector.without_handshake();
    let totals = &state.totals;
    assert_eq!(totals.requests.of(Outcome::BadRequest).get(), 1);
    assert_eq!((totals.shed_max_connections.get(), totals.shed_per_client.get()), (1, 2));
    assert_eq!((totals.shed_proxy_header.get(), totals.tls_handshake_failures.get()), (1, 1));
}

#[test]
fn everybody_may_take_so_much_but_for_those_who_speak_for_many() {
    let redirector = redirector(&state());
    for (peer, per_client) in [
        ("192.0.2.1", Some(5)),
        ("2001:db8::1", Some(5)),
        ("127.0.0.1", None),
        ("::1", None),
        ("10.1.2.3", None),
    ] {
        let terms = redirector.terms(peer.parse().unwrap());
        assert_eq!(terms.per_client, per_client, "{peer}");
        assert_eq!((terms.max_connections, terms.header_timeout.as_secs()), (7, 3));
    }
}

#[test]
fn only_proxies_begin_with_their_header_and_without_a_certificate_nobody_speaks_tls() {
    let redirector = redirector(&state());
    let begins = |peer: &str| redirector.terms(peer.parse().unwrap()).proxy_header;
    assert!(begins("10.1.2.3") && !begins("192.0.2.1") && !begins("127.0.0.1"));
    assert!(redirector.tls().is_none());
    assert!(redirector.has_fast_door());
    assert!(!redirector.with_fast_door(false).has_fast_door());
}

/// What a request with these headers is told, without a socket.
fn answer(state: &State, version: Version, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(target).version(version);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    let peer = Peer::of_socket(SocketAddr::from(([192, 0, 2, 1], 4711)));
    answer_head(state, &head, peer, &mut fastrand::Rng::with_seed(1)).unwrap()
}

async fn body(answer: Answer) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn who_says_no_host_or_none_that_can_be_is_refused() {
    let state = state();
    for (version, hosts, status) in [
        (Version::HTTP_11, &["x"][..], 302),
        (Version::HTTP_11, &["x:80"], 302),
        (Version::HTTP_11, &["[::1]"], 302),
        (Version::HTTP_11, &["[2001:db8::f]:80"], 302),
        (Version::HTTP_11, &[], 400),
        (Version::HTTP_10, &[], 302),
        (Version::HTTP_11, &["x", "x"], 400),
        (Version::HTTP_10, &["x", "x"], 400),
        (Version::HTTP_11, &[""], 400),
        (Version::HTTP_11, &[":80"], 400),
        (Version::HTTP_11, &["x:8a"], 400),
        (Version::HTTP_11, &["x, y"], 400),
        (Version::HTTP_11, &["[::1"], 400),
        (Version::HTTP_11, &["[g]"], 400),
        (Version::HTTP_11, &["[::1]x"], 400),
    ] {
        let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let told = answer(&state, version, "/a.ogg", &headers).status();
        assert_eq!(told, status, "{version:?} {hosts:?}");
    }
}

#[test]
fn a_path_has_4_kib_at_most_and_a_query_8() {
    let state = state();
    let told = |target: &str| answer(&state, Version::HTTP_11, target, &[("host", "x")]).status();
    let (path, query) = ("p".repeat(4 * 1024 - 1), "q".repeat(8 * 1024));
    assert_eq!(told(&format!("/{path}")), 404);
    assert_eq!(told(&format!("/{path}p")), 414);
    assert_eq!(told(&format!("/a.ogg?{query}")), 302);
    assert_eq!(told(&format!("/a.ogg?{query}q")), 414);
}

#[test]
fn json_is_for_those_who_want_nothing_else_more() {
    let state = state();
    for (accept, is_list) in [
        ("*/*", false),
        ("application/json", true),
        ("text/html, application/json", true),
        ("application/json;q=0.9, text/html; q=0.8", true),
        ("application/json;q=0.5, */*", false),
        ("application/json;q=0.5, */*;q=0.6", false),
        ("application/json;q=0", false),
        ("application/json;q=much", false),
    ] {
        let headers = [("host", "x"), ("accept", accept)];
        let told = answer(&state, Version::HTTP_11, "/a.ogg", &headers);
        assert_eq!(told.status() == StatusCode::OK, is_list, "{accept}");
        assert_eq!(told.headers().contains_key("vary"), is_list, "{accept}");
        let media_type = told.headers().get("content-type").map(|it| it.to_str().unwrap());
        assert_eq!(media_type, is_list.then_some("application/json"), "{accept}");
    }
}

#[test]
fn behind_a_body_the_connection_is_closed() {
    let state = state();
    for (length, closes) in [("0", false), ("5", true)] {
        let headers = [("host", "x"), ("content-length", length)];
        let told = answer(&state, Version::HTTP_11, "/a.ogg", &headers);
        assert_eq!(told.headers().contains_key("connection"), closes, "{length}");
    }
}

#[tokio::test]
async fn a_list_begins_with_the_stream_at_the_host_that_was_asked() {
    let state = state();
    let list = async |target: &str, version, headers: &[(&str, &str)]| {
        let told = answer(&state, version, target, headers);
        assert!(!told.headers().contains_key("vary"));
        let status = told.status().as_u16();
        let body = body(told).await;
        let urls = body.lines().filter(|line| line.starts_with("http"));
        (status, urls.map(str::to_owned).collect::<Vec<_>>())
    };
    let (new, old, x) = (Version::HTTP_11, Version::HTTP_10, &[("host", "x")][..]);
    let query = "q".repeat(2_000);
    let urls = ["http://x", "http://one.example.org:8000"];
    let all = urls.map(|url| format!("{url}/a.ogg?{query}")).to_vec();
    assert_eq!(list(&format!("/a.ogg.m3u?{query}"), new, x).await, (200, all));
    // One that nobody can play now is worth a list as long as there is a host.
    assert_eq!(list("/gone.ogg.m3u", new, x).await, (200, vec!["http://x/gone.ogg".to_owned()]));
    assert_eq!(list("/gone.ogg.m3u", old, &[]).await, (503, vec![]));
}

#[tokio::test]
async fn a_list_that_is_too_long_has_half_as_many_relays() {
    let servers =
        ["a", "b", "c", "d", "e"].map(|name| format!("  {name}: http://{name}.example\n"));
    let config = format!("servers:\n{}streams: {{/a.ogg: }}\n", servers.concat());
    let state = state_of(&config);
    for (length, relays) in [(2_000, 5), (8_000, 2)] {
        let target = format!("/a.ogg.m3u?{}", "q".repeat(length));
        let told = answer(&state, Version::HTTP_11, &target, &[("host", "x")]);
        let body = body(told).await;
        let urls = body.lines().filter(|line| line.starts_with("http"));
        assert_eq!(urls.count(), 1 + relays, "{length}");
    }
}
