//! What the public port's service tells whoever asks it, through either door and without a socket.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

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

/// One relay, which has room on `/a.ogg` and `/roomy.ogg` and none on `/full.ogg`.
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
  /live/*:
";

fn state() -> Arc<State> {
    let fleet = compile(&Sources::new("balancer.yaml", CONFIG), &Nothing);
    let fleet = fleet.unwrap_or_else(|problems| panic!("{problems}"));
    let state = State::new(Snapshot::first(fleet, String::new()));
    let snapshot = state.load_full();
    let rules = Rules { rise: 2, fall: 3, slow_start: Duration::ZERO, hold: false };
    for (id, (_, slots)) in snapshot.servers().enumerate() {
        let listed = snapshot.listed(id);
        let mounts = listed.iter().map(|mount| MountReport {
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
