//! The public side: a player's request in, a redirect out.
//!
//! [`decide`] knows no socket: a request's head, the snapshot, the moment and chance go in, a
//! [`Reply`] comes out. Of the request only the query string reaches `Location`; everything else
//! in it was made when the configuration was loaded.

mod reply;
mod request;

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderValue, Method, Request};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use crate::counters::{Outcome, Outcomes};
use crate::fleet::{StreamId, WhenFull};
use crate::player::Refusal;
use crate::queue::Place;
use crate::select::{Decision, assign};
use crate::server::{Answer, Bounds, Service};
use crate::slots::Moment;
use crate::state::{MountView, Snapshot, State};

use reply::Reply;
use request::Ask;

/// The service of the public port.
#[derive(Debug)]
pub struct Redirector {
    state: Arc<State>,
}

thread_local! {
    static CHANCE: RefCell<fastrand::Rng> = RefCell::new(fastrand::Rng::new());
}

impl Redirector {
    /// A redirector over what `state` knows.
    pub fn new(state: Arc<State>) -> Self {
        Self { state }
    }
}

impl Service for Redirector {
    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        let began = Instant::now();
        let (head, _body_is_never_read) = request.into_parts();
        let step = CHANCE.with_borrow_mut(|rng| decide(&self.state, &head, peer.ip(), rng));
        let reply = match step {
            Step::Told(reply) => reply,
            Step::Paced(reply, pause) => {
                tokio::time::sleep(pause).await;
                reply
            }
            Step::Waits(guest) => guest.called().await,
        };
        if let Some(outcome) = reply.outcome() {
            self.state.totals.requests.of(outcome).increment();
        }
        self.state.totals.request_duration.record(began.elapsed());
        CHANCE.with_borrow_mut(|rng| reply.into_answer(&head, rng))
    }

    fn malformed(&self) {
        self.state.totals.requests.of(Outcome::BadRequest).increment();
    }

    fn shed(&self) {
        self.state.totals.shed_connections.increment();
    }

    fn bounds(&self) -> Bounds {
        let limits = &self.state.load().fleet.limits;
        Bounds { max_connections: limits.max_connections, header_timeout: limits.header_timeout }
    }
}

/// The answer to a request's head, without a socket: what a player with this address is told, all
/// that follows from it included, but for the pause that draws out a crowd. `None` if the player
/// would be held until a slot frees.
pub fn answer_head(
    state: &State,
    head: &Parts,
    address: IpAddr,
    rng: &mut fastrand::Rng,
) -> Option<Answer> {
    match decide(state, head, address, rng) {
        Step::Told(reply) | Step::Paced(reply, _) => Some(reply.into_answer(head, rng)),
        Step::Waits(_) => None,
    }
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

/// A player in the waiting room.
struct Guest {
    place: Place,
    patience: Duration,
    query: Option<String>,
    stream: String,
    outcomes: Arc<Outcomes>,
}

/// What one request is told. Takes the slot that a redirect promises, and counts for the stream.
fn decide(state: &State, head: &Parts, address: IpAddr, rng: &mut fastrand::Rng) -> Step {
    let mut ask = match request::check(head) {
        Ok(ask) => ask,
        Err(reply) => return Step::Told(reply),
    };
    let snapshot = &state.load();
    let now = state.now();
    let Some(stream) = stream_at(snapshot, ask.path) else { return Step::Told(Reply::NotFound) };
    let visitor = state.recent.visitor(address, ask.agent, stream);
    ask.client.came_from = state.recent.last(visitor, now);
    // A player that only wants to know takes no slot.
    let take = head.method == Method::GET;
    if take && snapshot.queue(stream).is_some_and(|queue| queue.waiting() > 0) {
        // Nobody overtakes those who wait.
        if let Some(guest) = Guest::enter(snapshot, stream, &ask) {
            return Step::Waits(guest);
        }
    }
    let mut pause = Duration::ZERO;
    let reply = match assign(snapshot, stream, ask.client, now, rng, take) {
        Decision::Mount(mount) => {
            if take {
                mount.redirects.increment();
                state.recent.sent(visitor, mount.config.server, now);
                pause = turn(snapshot, &mount, now);
            }
            Reply::Found(with_query(&mount.config.location, ask.query))
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
    if let (Some(outcomes), Some(outcome)) = (snapshot.outcomes(stream), reply.outcome()) {
        outcomes.of(outcome).increment();
    }
    if pause.is_zero() { Step::Told(reply) } else { Step::Paced(reply, pause) }
}

/// No player is held back longer for its turn, whatever `settle` is: some hang up after ten
/// seconds.
const LONGEST_TURN: Duration = Duration::from_secs(5);

/// How long to hold back a redirect, so that a crowd does not overrun the relay's accept queue. The
/// reservation runs meanwhile, and half of its time must be left to arrive.
fn turn(snapshot: &Snapshot, mount: &MountView<'_>, now: Moment) -> Duration {
    let longest = (snapshot.fleet.balance.settle / 2).min(LONGEST_TURN);
    mount.server_slots.pace.turn(mount.server.max_joins_per_second, now, longest)
}

impl Guest {
    /// Takes a place in the waiting room, if there is one and it has room.
    fn enter(snapshot: &Snapshot, stream: StreamId, ask: &Ask<'_>) -> Option<Self> {
        let WhenFull::Wait(patience) = snapshot.fleet.balance.when_full else { return None };
        // Those who wait must leave connections for those who need not.
        let most = snapshot.fleet.limits.max_connections / 2;
        Some(Self {
            place: snapshot.queue(stream)?.enter(ask.client, most)?,
            patience,
            query: ask.query.map(str::to_owned),
            stream: snapshot.fleet.streams.get(stream)?.path.clone(),
            outcomes: Arc::clone(snapshot.outcomes(stream)?),
        })
    }

    /// Waits to be told.
    async fn called(self) -> Reply {
        let reply = match self.place.called(self.patience).await {
            Ok(location) => Reply::Found(with_query(&location, self.query.as_deref())),
            Err(refusal) => Reply::Unavailable(refusal, self.stream),
        };
        if let Some(outcome) = reply.outcome() {
            self.outcomes.of(outcome).increment();
        }
        reply
    }
}

fn stream_at(snapshot: &Snapshot, path: &str) -> Option<usize> {
    if !path.contains('%') {
        return snapshot.fleet.stream_at(path);
    }
    match percent_decode_str(path).decode_utf8() {
        Ok(Cow::Borrowed(path)) => snapshot.fleet.stream_at(path),
        Ok(Cow::Owned(path)) => snapshot.fleet.stream_at(&path),
        Err(_) => None,
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

fn refused(refusal: Refusal) -> Outcome {
    match refusal {
        Refusal::Full => Outcome::Full,
        Refusal::Offline => Outcome::Offline,
        Refusal::Unreachable => Outcome::Unreachable,
    }
}
