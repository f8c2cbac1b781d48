//! Requests: a `Location` is always one that was configured for the stream that was asked for, with
//! the request's query string and nothing else of the request; and so is every entry of a list.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_LENGTH, HeaderName, HeaderValue, LOCATION,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Body;
use icecast_balancer::config::source::Sources;
use icecast_balancer::fleet::compile::compile;
use icecast_balancer::fleet::{Fallback, StreamId};
use icecast_balancer::forwarded::Peer;
use icecast_balancer::icecast::{Activity, Limit, MountReport, Report};
use icecast_balancer::redirect::answer_head;
use icecast_balancer::slots::{Evidence, Rules, begin_look, record};
use icecast_balancer::state::{Snapshot, State};
use url::Url;

use super::lists::assert_list;

/// Relays and streams of every kind that shows in a `Location`. `/gone.ogv` is on no relay.
const CONFIG: &str = "
poll: {stale_after: 1h}
streamlist: true
servers:
  plain: http://plain.example.org:8000
  prefix: https://prefix.example.org/radio/
  six: {url: 'https://[2001:db8::1]:8443', http_url: 'http://[2001:db8::1]:8080', weight: 3}
streams:
  /saal1.ogv:
    aliases: [/saal1, '/hall%201']
  /säle/große bühne+%25.ogg:
    mounts: {plain: '/a;b=c/ü.ogg', prefix: '/große bühne'}
  /gone.ogv:
    fallback: 'https://elsewhere.example.org/off%20air?why=off#now'
  /away.ogv:
    fallback: /saal1.ogv
";

/// The longest query string that is passed on.
const MAX_QUERY: usize = 8 * 1024;

/// What a request can be answered with.
const STATUSES: [StatusCode; 8] = [
    StatusCode::OK,
    StatusCode::NO_CONTENT,
    StatusCode::FOUND,
    StatusCode::BAD_REQUEST,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::URI_TOO_LONG,
    StatusCode::SERVICE_UNAVAILABLE,
];

static STATE: LazyLock<State> = LazyLock::new(|| state(CONFIG));

/// Everything is there but what `/gone.ogv` and `/away.ogv` would need.
pub(super) fn state(config: &str) -> State {
    let sources = Sources::new("balancer.yaml", config);
    let fleet = match compile(&sources, &icecast_balancer::files::Disk) {
        Ok(fleet) => fleet,
        Err(problems) => panic!("{problems}"),
    };
    let state = State::new(Snapshot::first(fleet, String::new()));
    let snapshot = state.load_full();
    let settle = Duration::from_secs(5);
    let rules = Rules { rise: 2, fall: 3, slow_start: Duration::ZERO, hold: false };
    for (id, (_, slots)) in snapshot.servers().enumerate() {
        let listed = snapshot.listed(id);
        let there = listed.iter().filter(|mount| !["/gone.ogv", "/away.ogv"].contains(&mount.path));
        let mounts = there.map(|mount| present(mount.path)).collect();
        let look = begin_look(slots, &listed, state.now());
        record(slots, &listed, look, &Report { clients: None, mounts }, settle);
        slots.judge(Evidence::Good, state.now(), rules);
    }
    state
}

fn present(path: &str) -> MountReport {
    MountReport {
        name: path.to_owned(),
        listeners: Some(0),
        limit: Limit::Unlimited,
        activity: Activity::Active,
        bytes: None,
    }
}

/// The bytes of a request's head.
pub fn head(bytes: &[u8]) {
    let Some((target, head)) = parse(bytes) else { return };
    let answer = ask(&head, bytes.len());
    assert_answer(&head, &answer);
    match answer.status() {
        StatusCode::FOUND => {
            let stream = stream_of(&target);
            let bases = stream.map(bases).unwrap_or_default();
            assert_configured(only_location(&answer), &bases, query_of(&target));
        }
        StatusCode::OK => list(&target, &head, answer),
        _ => {}
    }
}

/// A list of relays, or the list of streams.
fn list(target: &str, head: &Parts, answer: Response<impl Body<Data: AsRef<[u8]>>>) {
    let headers = answer.headers().clone();
    let body = whole(answer.into_body());
    if head.method == Method::HEAD {
        return;
    }
    let Some(stream) = stream_of(target).or_else(|| stream_of(without_suffix(target)?.as_str()))
    else {
        assert_eq!(body, "/saal1.ogv\n/gone.ogv\n/away.ogv\n");
        return;
    };
    let snapshot = STATE.load();
    let configured = &snapshot.fleet.streams[stream];
    assert_list(&headers, &body, head, configured, &bases(stream), query_of(target));
}

/// The path of a target without the end that asks for a list.
fn without_suffix(target: &str) -> Option<String> {
    let path = target.split(['?', '#']).next()?;
    let suffixes = [".m3u", ".pls", ".xspf"];
    suffixes.iter().find_map(|suffix| path.strip_suffix(suffix)).map(str::to_owned)
}

/// All of a body, which is there already.
fn whole(body: impl Body<Data: AsRef<[u8]>>) -> String {
    let mut body = std::pin::pin!(body);
    let mut context = Context::from_waker(Waker::noop());
    let mut bytes = Vec::new();
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut context) {
        let Ok(frame) = frame else { panic!("a broken body") };
        bytes.extend(frame.data_ref().expect("no trailers").as_ref());
    }
    String::from_utf8(bytes).expect("a list is text")
}

/// Any bytes as the query string of a request for a stream.
pub fn query(bytes: &[u8]) {
    let mut request = b"GET /saal1.ogv?".to_vec();
    request.extend_from_slice(bytes);
    request.extend_from_slice(b" HTTP/1.1\r\nHost: radio.example.org\r\n\r\n");
    let plain = bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    let Some((target, head)) = parse(&request) else {
        let refused = bytes.iter().any(|byte| !byte.is_ascii_graphic() || b"\"<>#".contains(byte));
        assert!(refused, "a fair query does not parse: {:?}", String::from_utf8_lossy(bytes));
        return;
    };
    let answer = ask(&head, bytes.len());
    assert_answer(&head, &answer);
    // What came as one query must be one, in the request's target and in the answer.
    match answer.status() {
        StatusCode::FOUND => {
            assert!(bytes.len() <= MAX_QUERY || bytes.contains(&b'#'), "too long a query passed");
            let bases = stream_of("/saal1.ogv").map(bases).unwrap_or_default();
            assert_configured(only_location(&answer), &bases, query_of(&target));
        }
        StatusCode::URI_TOO_LONG => assert!(bytes.len() > MAX_QUERY, "refused as too long"),
        StatusCode::BAD_REQUEST => assert!(!plain, "a fair query is refused"),
        other => panic!("{other} for a stream that is there"),
    }
}

/// A head as the server hands it on, and its target as it was sent.
fn parse(bytes: &[u8]) -> Option<(String, Parts)> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Request::new(&mut headers);
    if !parsed.parse(bytes).ok()?.is_complete() {
        return None;
    }
    let target = parsed.path?.to_owned();
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    *request.uri_mut() = target.parse().ok()?;
    *request.version_mut() = if parsed.version? == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some((target, request.into_parts().0))
}

fn ask(head: &Parts, chance: usize) -> Response<impl Body<Data: AsRef<[u8]>> + use<>> {
    let mut rng = fastrand::Rng::with_seed(chance as u64);
    let peer = Peer::of_socket(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 4711)));
    answer_head(&STATE, head, peer, &mut rng).expect("nobody waits where nothing is full")
}

/// Holds every answer to what players rely on.
fn assert_answer<B: Body<Data: AsRef<[u8]>>>(head: &Parts, answer: &Response<B>) {
    let (status, headers) = (answer.status(), answer.headers());
    assert!(STATUSES.contains(&status), "{status}");
    assert_eq!(headers.contains_key(LOCATION), status == StatusCode::FOUND);
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    for (name, value) in headers {
        assert!(value.to_str().is_ok(), "{name}: {value:?}");
    }
    let length = headers.get(CONTENT_LENGTH).map(|length| length.to_str().unwrap_or_default());
    let told: u64 = length.unwrap_or("0").parse().expect("a length");
    let sent = answer.body().size_hint().exact().expect("a whole answer");
    if head.method == Method::HEAD {
        assert_eq!(sent, 0, "HEAD has no body");
    } else {
        assert_eq!(sent, told, "the length is the body's");
    }
}

/// The one `Location` of an answer.
fn only_location<B>(answer: &Response<B>) -> &str {
    let mut locations = answer.headers().get_all(LOCATION).iter();
    let location = locations.next().expect("a redirect goes somewhere");
    assert!(locations.next().is_none(), "one place at a time");
    location.to_str().expect("a URL is ASCII")
}

/// Everything before `#`, and what follows the first `?` of it.
fn query_of(target: &str) -> Option<&str> {
    let target = target.split('#').next().unwrap_or_default();
    target.split_once('?').map(|(_, query)| query).filter(|query| !query.is_empty())
}

/// The stream whose path a request's target is, worked out without the program's help.
fn stream_of(target: &str) -> Option<StreamId> {
    let path = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.starts_with('/') => rest.get(rest.find(['/', '?'])?..)?,
        _ => target,
    };
    let mut rest = path.split(['?', '#']).next()?.as_bytes();
    let mut decoded = Vec::new();
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) if *byte == b'%' => {
                decoded.push(escaped);
                rest = &after[2..];
            }
            _ => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    STATE.load().fleet.stream_at(std::str::from_utf8(&decoded).ok()?)
}

/// Every URL that a player of a stream may be sent to.
fn bases(stream: StreamId) -> Vec<String> {
    let snapshot = STATE.load();
    let stream = &snapshot.fleet.streams[stream];
    let own = stream.mounts.iter().map(|mount| &mount.location);
    let mut all: Vec<_> = own.map(|url| url.to_str().unwrap_or_default().to_owned()).collect();
    match &stream.fallback {
        Some(Fallback::Url(url)) => all.push(url.to_str().unwrap_or_default().to_owned()),
        Some(Fallback::Stream(next)) => all.extend(bases(*next)),
        None => {}
    }
    all
}

/// Holds a `Location` to be one of `bases` with `query`, in the eyes of two parsers of URLs.
pub fn assert_configured(location: &str, bases: &[String], query: Option<&str>) {
    assert!(location.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{location:?}");
    let base = bases.iter().find(|base| with_query(base, query) == location);
    let base = base.unwrap_or_else(|| panic!("{location} is none of {bases:?} with {query:?}"));

    let (told, meant) = (Url::parse(location).expect("a URL"), Url::parse(base).expect("a URL"));
    assert_eq!(told.origin(), meant.origin(), "{location}");
    assert_eq!((told.path(), told.fragment()), (meant.path(), meant.fragment()), "{location}");
    assert_eq!((told.username(), told.password()), ("", None), "{location}");

    let parsed = |url: &str| url.parse::<Uri>().unwrap_or_else(|error| panic!("{url}: {error}"));
    let (told, meant) = (parsed(location), parsed(base));
    assert_eq!((told.scheme(), told.authority()), (meant.scheme(), meant.authority()));
    assert_eq!(told.path(), meant.path(), "{location}");
}

fn with_query(base: &str, query: Option<&str>) -> String {
    let Some(query) = query else { return base.to_owned() };
    let (url, fragment) = base.split_at(base.find('#').unwrap_or(base.len()));
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}{query}{fragment}")
}
