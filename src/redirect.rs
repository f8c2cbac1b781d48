//! The public side: a player's request in, a redirect or a playlist out.
//!
//! [`decide`] knows no socket: a request's head, the snapshot, the moment and chance go in, a
//! [`Reply`] comes out. Of the request only the query string reaches `Location`; everything else
//! in it was made when the configuration was loaded.

mod playlist;
mod reply;
mod request;

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use rustls::ServerConfig;
use tokio::time::Instant;

use crate::clock;
use crate::counters::{Outcome, Outcomes};
use crate::fleet::{Stream, StreamId, WhenFull};
use crate::forwarded::{Origin, Peer, origin};
use crate::logs::{self, Access, AccessLog};
use crate::player::Refusal;
use crate::queue::Place;
use crate::recent::Visitor;
use crate::select::{Decision, assign};
use crate::server::{Answer, Descriptors, Plain, Raw, Service, Shed, Terms};
use crate::slots::Moment;
use crate::state::{Snapshot, State};
use crate::waiting;

use playlist::Format;
use reply::{Asked, Reply};
use request::Ask;

/// The service of the public port.
#[derive(Debug)]
pub struct Redirector {
    state: Arc<State>,
    log: Option<AccessLog>,
    descriptors: Descriptors,
    fast_door: bool,
}

thread_local! {
    static CHANCE: RefCell<fastrand::Rng> = RefCell::new(fastrand::Rng::new());
}

impl Redirector {
    /// A redirector over what `state` knows, within what files this process may have open.
    pub fn new(state: Arc<State>, descriptors: Descriptors) -> Self {
        Self { state, log: None, descriptors, fast_door: true }
    }

    /// The same, which leaves every request to hyper unless there is a fast door.
    #[must_use]
    pub fn with_fast_door(self, fast_door: bool) -> Self {
        Self { fast_door, ..self }
    }

    /// The same, which has each request written down if there is a log for it.
    #[must_use]
    pub fn with_access_log(self, log: Option<AccessLog>) -> Self {
        Self { log, ..self }
    }
}

impl Service for Redirector {
    type Body = Full<Bytes>;

    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Answer {
        let began = Instant::now();
        let (head, _body_is_never_read) = request.into_parts();
        let mut names = self.log.as_ref().map(|_| Names::of(peer.address.ip()));
        let step =
            CHANCE.with_borrow_mut(|rng| decide(&self.state, &head, peer, rng, names.as_mut()));
        let reply = match step {
            Step::Told(reply) => reply,
            Step::Paced(reply, pause) => {
                tokio::time::sleep(pause).await;
                reply
            }
            Step::Waits(guest) => guest.called(names.as_mut()).await,
        };
        let method = match head.method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::OPTIONS => "OPTIONS",
            _ => "other",
        };
        let agent = head.headers.get(USER_AGENT).map_or(&[][..], HeaderValue::as_bytes);
        let line = Line { method, path: head.uri.path(), agent };
        self.note(&reply, line, names, began);
        CHANCE.with_borrow_mut(|rng| reply.into_answer(&head, rng))
    }

    fn has_fast_door(&self) -> bool {
        self.fast_door
    }

    /// Only redirects and refusals. Lists, and streams with a waiting room, in which a player is
    /// watched, are for the other door.
    fn answer_plain(
        &self,
        request: &Plain<'_>,
        peer: Peer,
        now: Instant,
        sheet: &mut Raw<'_>,
    ) -> Option<Duration> {
        let ask = request::check_plain(request)?;
        if ask.path == playlist::STREAMLIST {
            return None;
        }
        let snapshot = &self.state.load();
        let (stream, None) = wanted(snapshot, &ask)? else { return None };
        let waits = |stream: &Arc<Stream>| matches!(stream.when_full, WhenFull::Wait(_));
        if snapshot.fleet.streams.get(stream).is_none_or(waits) {
            return None;
        }
        let (method, path) = (if ask.takes { "GET" } else { "HEAD" }, ask.path);
        let line = Line { method, path, agent: ask.agent };
        // Without a proxy's word it is who it seems to be.
        let origin = Origin { address: peer.address.ip(), https: peer.https };
        let arrival = Arrival { origin, at: self.state.moment(now) };
        let mut names = self.log.as_ref().map(|_| Names::of(origin.address));
        CHANCE.with_borrow_mut(|rng| {
            let step = place(&self.state, snapshot, stream, ask, arrival, rng, names.as_mut());
            let (reply, pause) = match step {
                Step::Told(reply) => (reply, Duration::ZERO),
                Step::Paced(reply, pause) => (reply, pause),
                Step::Waits(_) => return None,
            };
            self.note(&reply, line, names, now);
            let (is_head, closes) = (request.is_head, request.closes);
            reply.write_raw(Asked { is_head, closes, from_outside: false }, rng, sheet);
            Some(pause)
        })
    }

    fn without_proxy_header(&self) {
        self.state.totals.shed_proxy_header.increment();
    }

    fn malformed(&self) {
        self.state.totals.requests.of(Outcome::BadRequest).increment();
    }

    fn shed(&self, why: Shed) {
        let totals = &self.state.totals;
        match why {
            Shed::MaxConnections => totals.shed_max_connections.increment(),
            Shed::PerClient => totals.shed_per_client.increment(),
        }
    }

    fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.state.load().fleet.tls.as_ref().map(|tls| tls.identity.terms())
    }

    fn without_handshake(&self) {
        self.state.totals.tls_handshake_failures.increment();
    }

    /// A proxy on this machine, or one that is trusted, speaks for everybody who comes through it;
    /// nobody else comes from loopback.
    fn terms(&self, peer: IpAddr) -> Terms {
        let snapshot = self.state.load();
        let fleet = &snapshot.fleet;
        let room = self.descriptors.connections(fleet.servers.len());
        let speaks_for_many = peer.is_loopback() || fleet.proxies.trusted.contain(peer);
        Terms {
            max_connections: fleet.limits.max_connections.min(room),
            per_client: (!speaks_for_many).then_some(fleet.limits.per_client),
            header_timeout: fleet.limits.header_timeout,
            proxy_header: fleet.proxies.introduce(peer),
        }
    }
}

/// What the request with this head is answered at this moment, for those who have no socket; `None`
/// if it is held until a slot frees. A slot is taken as for any player.
pub fn answer_head(
    state: &State,
    head: &Parts,
    peer: Peer,
    rng: &mut fastrand::Rng,
) -> Option<Answer> {
    match decide(state, head, peer, rng, None) {
        Step::Told(reply) | Step::Paced(reply, _) => Some(reply.into_answer(head, rng)),
        Step::Waits(_) => None,
    }
}

/// What a request says of itself, for the access log.
#[derive(Clone, Copy)]
struct Line<'a> {
    method: &'static str,
    path: &'a str,
    agent: &'a [u8],
}

impl Redirector {
    /// Counts a request that is told this, and has it written down.
    fn note(&self, reply: &Reply, line: Line<'_>, names: Option<Names>, began: Instant) {
        let outcome = reply.outcome();
        if let Some(outcome) = outcome {
            self.state.totals.requests.of(outcome).increment();
        }
        let took = began.elapsed();
        self.state.totals.request_duration.record(took);
        if let (Some(log), Some(names)) = (&self.log, names) {
            log.note(access(line, names, outcome, reply.status(), took));
        }
    }
}

/// Who asks, as far as proxies are believed about it, and when.
#[derive(Clone, Copy)]
struct Arrival {
    origin: Origin,
    at: Moment,
}

/// What becomes of a request.
enum Step {
    /// It is answered at once.
    Told(Reply),
    /// It is told, after a moment.
    Paced(Reply, Duration),
    /// It is held.
    Waits(Guest),
}

/// What a request is about, for the access log.
struct Names {
    /// Who asks, whichever proxy asks for it.
    client: IpAddr,
    stream: Option<Box<str>>,
    /// Whether that is only the pattern that what was asked for falls under.
    is_pattern: bool,
    /// Where the player is sent.
    server: Option<Box<str>>,
}

impl Names {
    fn of(client: IpAddr) -> Self {
        Self { client, stream: None, is_pattern: false, server: None }
    }

    /// It is about this stream.
    fn are_of(&mut self, snapshot: &Snapshot, stream: StreamId) {
        let stream = snapshot.fleet.streams.get(stream);
        self.stream = stream.map(|stream| (*stream.path).into());
        self.is_pattern = stream.is_some_and(|stream| stream.is_pattern());
    }
}

/// A player in the waiting room.
struct Guest {
    place: Place,
    patience: Duration,
    query: Option<String>,
    stream: String,
    outcomes: Arc<Outcomes>,
}

/// What one request is told. Takes the slot that a redirect promises, and counts for the stream.
/// Tells `names`, if somebody wants to know, what it is about.
fn decide(
    state: &State,
    head: &Parts,
    peer: Peer,
    rng: &mut fastrand::Rng,
    mut names: Option<&mut Names>,
) -> Step {
    let snapshot = &state.load();
    let origin = origin(peer, &head.headers, &snapshot.fleet.proxies.trusted);
    let arrival = Arrival { origin, at: state.now() };
    if let Some(names) = &mut names {
        names.client = origin.address;
    }
    let ask = match request::check(head) {
        Ok(ask) => ask,
        Err(reply) => return Step::Told(reply),
    };
    // Only a line of the configuration can take the place of the list, and no relay.
    let is_list = ask.path == playlist::STREAMLIST && snapshot.fleet.streamlist;
    if is_list && !snapshot.fleet.paths.contains_key(ask.path) {
        return Step::Told(playlist::streamlist(snapshot));
    }
    let Some((stream, list)) = wanted(snapshot, &ask) else {
        return Step::Told(Reply::NotFound);
    };
    let Some(format) = list else {
        return place(state, snapshot, stream, ask, arrival, rng, names);
    };
    if let Some(names) = names {
        names.are_of(snapshot, stream);
    }
    let ask = known(state, snapshot, stream, ask, arrival).0;
    let reply = playlist::reply(snapshot, stream, &ask, arrival.at, format);
    count(snapshot, stream, &reply);
    Step::Told(reply)
}

/// The same request, with all that is known of who asks; and who that is.
fn known<'a>(
    state: &State,
    snapshot: &Snapshot,
    stream: StreamId,
    mut ask: Ask<'a>,
    Arrival { origin, at }: Arrival,
) -> (Ask<'a>, Visitor) {
    ask.client.https = origin.https;
    ask.client = ask.client.at(origin.address, &snapshot.fleet);
    let visitor = state.recent.visitor(origin.address, ask.agent, stream);
    ask.client.came_from = state.recent.last(visitor, at);
    (ask, visitor)
}

/// What becomes of a player of `stream`, whichever door it came through.
fn place(
    state: &State,
    snapshot: &Snapshot,
    stream: StreamId,
    ask: Ask<'_>,
    arrival: Arrival,
    rng: &mut fastrand::Rng,
    mut names: Option<&mut Names>,
) -> Step {
    if let Some(names) = &mut names {
        names.are_of(snapshot, stream);
    }
    let (ask, visitor) = known(state, snapshot, stream, ask, arrival);
    let now = arrival.at;
    let take = ask.takes;
    if take && waiting::is_behind(snapshot, stream, ask.client) {
        // Nobody overtakes those who wait.
        if let Some(guest) = Guest::enter(snapshot, stream, &ask) {
            return Step::Waits(guest);
        }
    }
    let mut pause = Duration::ZERO;
    let reply = match assign(snapshot, stream, ask.client, now, rng, take) {
        Decision::Mount(mount) => {
            if let Some(names) = names {
                names.server = Some((*mount.server.name).into());
            }
            if take {
                mount.redirects.increment();
                state.recent.sent(visitor, mount.config.server, now);
                pause = mount.turn(snapshot.fleet.balance.settle, now);
            }
            Reply::Found(with_query(mount.config.location(ask.client.https), ask.query))
        }
        Decision::Elsewhere(url) => Reply::Found(with_query(url, ask.query)),
        Decision::Refused(refusal) => {
            if take
                && refusal == Refusal::Full
                && let Some(guest) = Guest::enter(snapshot, stream, &ask)
            {
                return Step::Waits(guest);
            }
            let path = snapshot.fleet.streams.get(stream).map_or("", |stream| &stream.path);
            Reply::Unavailable(refusal, path.to_owned())
        }
    };
    count(snapshot, stream, &reply);
    if pause.is_zero() { Step::Told(reply) } else { Step::Paced(reply, pause) }
}

/// The stream that is asked for and, where that is not the stream itself but a list of its relays,
/// the format of the list. A path that a stream owns is the stream's, whatever it ends in; where no
/// relay lists what is asked for under a pattern, it is the pattern's entry.
fn wanted(snapshot: &Snapshot, ask: &Ask<'_>) -> Option<(StreamId, Option<Format>)> {
    let fleet = &snapshot.fleet;
    // Most paths are written as they are.
    let path = if ask.path.bytes().any(|byte| byte == b'%') {
        percent_decode_str(ask.path).decode_utf8().ok()?
    } else {
        Cow::Borrowed(ask.path)
    };
    if let Some(stream) = fleet.stream_at(&path) {
        return Some((stream, ask.prefers_json.then_some(Format::Json)));
    }
    let listed = Format::by_suffix(&path)
        .and_then(|(path, format)| Some((fleet.stream_at(path)?, Some(format))));
    listed.or_else(|| Some((fleet.pattern_at(&path)?, None)))
}

/// Counts what a player of `stream` is told.
fn count(snapshot: &Snapshot, stream: StreamId, reply: &Reply) {
    if let (Some(outcomes), Some(outcome)) = (snapshot.outcomes(stream), reply.outcome()) {
        outcomes.of(outcome).increment();
    }
}

impl Guest {
    /// Takes a place in the waiting room, if there is one and it has room.
    fn enter(snapshot: &Snapshot, stream: StreamId, ask: &Ask<'_>) -> Option<Self> {
        let (place, patience) = waiting::enter(snapshot, stream, ask.client)?;
        Some(Self {
            place,
            patience,
            query: ask.query.map(str::to_owned),
            stream: snapshot.fleet.streams.get(stream)?.path.clone(),
            outcomes: Arc::clone(snapshot.outcomes(stream)?),
        })
    }

    /// Waits to be told.
    async fn called(self, names: Option<&mut Names>) -> Reply {
        let reply = match self.place.called(self.patience).await {
            Ok(invitation) => {
                if let Some(names) = names {
                    names.server = invitation.server;
                }
                Reply::Found(with_query(&invitation.location, self.query.as_deref()))
            }
            Err(refusal) => Reply::Unavailable(refusal, self.stream),
        };
        if let Some(outcome) = reply.outcome() {
            self.outcomes.of(outcome).increment();
        }
        reply
    }
}

/// The URL with the request's query string, unchanged.
fn with_query(location: &HeaderValue, query: Option<&str>) -> HeaderValue {
    let Some(query) = query else { return location.clone() };
    let url = location.as_bytes();
    // A fallback outside may have a query of its own, and a fragment.
    let end = url.iter().position(|byte| *byte == b'#').unwrap_or(url.len());
    let (base, fragment) = url.split_at(end);
    let mut bytes = Vec::with_capacity(url.len() + 1 + query.len());
    bytes.extend_from_slice(base);
    bytes.push(if base.contains(&b'?') { b'&' } else { b'?' });
    bytes.extend_from_slice(query.as_bytes());
    bytes.extend_from_slice(fragment);
    // The query was checked byte by byte, so this cannot fail; if it did, the stream would still
    // be worth more than its query.
    HeaderValue::from_maybe_shared(bytes::Bytes::from(bytes)).unwrap_or_else(|_| location.clone())
}

/// A request as the access log tells of it.
fn access(
    line: Line<'_>,
    names: Names,
    outcome: Option<Outcome>,
    status: StatusCode,
    took: Duration,
) -> Access {
    let is_no_stream = names.stream.is_none() || names.is_pattern;
    let path = is_no_stream.then(|| logs::cut(line.path.as_bytes())).flatten();
    Access {
        at: clock::now(),
        client: names.client,
        method: line.method,
        stream: names.stream,
        server: names.server,
        outcome: outcome.map_or("preflight", Outcome::label),
        status: status.as_u16(),
        took,
        path,
        agent: logs::cut(line.agent),
    }
}

fn refused(refusal: Refusal) -> Outcome {
    match refusal {
        Refusal::Full => Outcome::Full,
        Refusal::Offline => Outcome::Offline,
        // To this player none can be reached.
        Refusal::Unreachable | Refusal::Insecure | Refusal::ForOthers | Refusal::OnlyBy(_) => {
            Outcome::Unreachable
        }
    }
}

#[cfg(test)]
mod tests;
