//! What a relay knows and counts: its mounts, their listeners, and how it is told to misbehave.
//!
//! Every number is changed under one lock and given back by a guard's drop, so the statistics
//! cannot disagree with the listeners that are really served.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::broadcast;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::feed::Word;
use super::station::Station;
use super::stats::{Document, MountView, View};

/// How long an on-demand mount takes to fetch its stream, or to find out that it cannot.
pub const START: Duration = Duration::from_millis(300);

/// Words that a feed may be behind; one that is further behind looks at what is true now.
const FEED_BACKLOG: usize = 256;

/// Requests that are remembered; the oldest are forgotten first.
const REQUESTS: usize = 20_000;

/// Where a mount's sound comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It is always there.
    Live,
    /// It comes with the first listener, a moment later, and goes with the last.
    OnDemand,
    /// On demand, but whoever comes gets 404: the master is dead. It is still listed.
    Dead,
}

/// How a relay misbehaves.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It accepts connections and never answers.
    Hang,
    /// Its statistics never answer; players are served.
    HangStatistics,
    /// Its statistics tell for ever what was true once.
    Frozen(View),
    /// Its statistics answer this status and body.
    Answer(u16, String),
}

/// A request that reached the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` and the like.
    pub method: String,
    /// The path with its query string, as it was sent.
    pub target: String,
    /// The whole head as it was sent, with the empty line at its end.
    pub head: String,
}

/// Everything about a relay that outlives a connection.
#[derive(Debug)]
pub struct Shared {
    /// What `Server` names in titles.
    pub name: String,
    /// The administrator's `user:password`.
    pub admin: Option<String>,
    /// How much later than it happens the statistics tell of a listener.
    pub statistics_delay: Duration,
    state: Mutex<State>,
    feeds: broadcast::Sender<Word>,
}

/// What the lock of [`Shared`] guards.
#[derive(Debug)]
pub struct State {
    /// The address in use, once there is one.
    pub addr: Option<SocketAddr>,
    /// The moment that `server_start` tells, on both clocks.
    pub began: (Instant, SystemTime),
    /// The relay's own `<limits><clients>`.
    pub clients_limit: Option<u64>,
    /// The statistics that are offered.
    pub documents: BTreeSet<Document>,
    /// What is wrong with the relay.
    pub fault: Option<Fault>,
    /// By path.
    pub mounts: BTreeMap<String, Mount>,
    /// What was asked, oldest first.
    pub requests: VecDeque<Request>,
    /// Requests for statistics since the relay was built.
    pub polls: u64,
    /// Live feeds that are open.
    pub feeds: u64,
    /// Players that got no sound since the relay was built.
    pub refused: u64,
    connections: u64,
    connections_ever: u64,
    listeners_ever: u64,
}

/// A path that can be listened to.
#[derive(Debug)]
pub struct Mount {
    /// Its `<max-listeners>`.
    pub limit: Option<u64>,
    /// The most listeners there ever were at once.
    pub peak: u64,
    /// Listeners that are only pretended.
    pub held: u64,
    source: Source,
    real: u64,
    station: Arc<Station>,
    gone: CancellationToken,
    /// When its stream begins or began, if it has one.
    started: Option<Instant>,
    /// What the number of listeners became when, for statistics that lag behind.
    history: VecDeque<(Instant, u64)>,
}

/// An open connection; dropping it ends its being counted.
#[derive(Debug)]
pub struct Connection(Arc<Shared>);

/// An open live feed; dropping it ends its being counted.
#[derive(Debug)]
pub struct Open(Arc<Shared>);

/// A listener's place on a mount; dropping it frees the place.
#[derive(Debug)]
pub struct Seat {
    shared: Arc<Shared>,
    path: String,
    /// What is played here.
    pub station: Arc<Station>,
    /// Fires when the mount is removed.
    pub gone: CancellationToken,
    /// When the sound begins.
    pub from: Instant,
}

/// Why there was no [`Seat`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such mount.
    Missing,
    /// The mount has as many listeners as it takes.
    Full,
    /// The mount has no stream; found out after [`START`].
    Unavailable,
}

impl Shared {
    /// A relay without mounts.
    pub fn new(name: String, admin: Option<String>, statistics_delay: Duration) -> Self {
        let state = State {
            addr: None,
            began: (Instant::now(), wall_clock()),
            clients_limit: None,
            documents: BTreeSet::new(),
            fault: None,
            mounts: BTreeMap::new(),
            requests: VecDeque::new(),
            polls: 0,
            feeds: 0,
            refused: 0,
            connections: 0,
            connections_ever: 0,
            listeners_ever: 0,
        };
        let feeds = broadcast::Sender::new(FEED_BACKLOG);
        Self { name, admin, statistics_delay, state: Mutex::new(state), feeds }
    }

    /// Reaches every live feed that is open, if there is one.
    pub fn tell_feeds(&self, word: Word) {
        // An error means that nobody listens.
        drop(self.feeds.send(word));
    }

    /// Opens a live feed, for as long as the guard is kept.
    pub fn open_feed(self: &Arc<Self>) -> (Open, broadcast::Receiver<Word>) {
        self.lock().feeds += 1;
        let words = self.feeds.subscribe();
        self.tell_feeds(Word::Changed);
        (Open(Arc::clone(self)), words)
    }

    /// The counts. Never held across an `await`.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection, unless the relay has as many clients as it takes.
    pub fn connect(self: &Arc<Self>) -> (Connection, Result<(), Full>) {
        let mut state = self.lock();
        state.connections += 1;
        state.connections_ever += 1;
        let held: u64 = state.mounts.values().map(|mount| mount.held).sum();
        let clients = state.connections + held + state.sources(Instant::now());
        let room = match state.clients_limit {
            Some(limit) if clients > limit => Err(Full),
            _ => Ok(()),
        };
        (Connection(Arc::clone(self)), room)
    }

    /// Takes a place on the mount at `path`.
    pub fn sit_down(self: &Arc<Self>, path: &str) -> Result<Seat, Refusal> {
        let mut state = self.lock();
        let now = Instant::now();
        let mount = state.mounts.get_mut(path).ok_or(Refusal::Missing)?;
        if mount.limit.is_some_and(|limit| mount.listeners() >= limit) {
            return Err(Refusal::Full);
        }
        if mount.source == Source::Dead {
            return Err(Refusal::Unavailable);
        }
        let from = *mount.started.get_or_insert(now + START);
        mount.real += 1;
        mount.count_changed(now);
        let seat = Seat {
            shared: Arc::clone(self),
            path: path.to_owned(),
            station: Arc::clone(&mount.station),
            gone: mount.gone.clone(),
            from,
        };
        state.listeners_ever += 1;
        drop(state);
        self.tell_feeds(Word::Changed);
        Ok(seat)
    }

    /// What the statistics tell, if nothing is wrong with them.
    pub fn view(&self) -> View {
        let state = self.lock();
        let now = Instant::now();
        let seen = now.checked_sub(self.statistics_delay).unwrap_or(now);
        let mounts = state.mounts.iter().map(|(path, mount)| MountView {
            path: path.clone(),
            listeners: mount.listeners_at(seen),
            peak: mount.peak,
            limit: mount.limit,
            on_demand: mount.source != Source::Live,
            stream_start: mount.started.filter(|&at| at <= now).map(|at| state.time_of_day(at)),
        });
        View {
            address: state.addr.map(|addr| addr.to_string()).unwrap_or_default(),
            server_start: state.began.1,
            sources: state.sources(now),
            feeds: state.feeds,
            connections: state.connections_ever,
            listener_connections: state.listeners_ever,
            mounts: mounts.collect(),
        }
    }
}

/// The relay has as many clients as it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl State {
    /// Mounts that have a stream.
    fn sources(&self, now: Instant) -> u64 {
        let active = |mount: &&Mount| mount.started.is_some_and(|at| at <= now);
        self.mounts.values().filter(active).count() as u64
    }

    /// Counts from zero and from now on, as a restarted relay does.
    pub fn begin_anew(&mut self) {
        self.began = (Instant::now(), wall_clock());
        self.connections_ever = 0;
        self.listeners_ever = 0;
    }

    /// Remembers a request.
    pub fn record(&mut self, request: Request) {
        if self.requests.len() == REQUESTS {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    fn time_of_day(&self, at: Instant) -> SystemTime {
        self.began.1 + at.saturating_duration_since(self.began.0)
    }
}

impl Mount {
    /// A mount without listeners.
    pub fn new(limit: Option<u64>, source: Source, station: Station) -> Self {
        Self {
            limit,
            peak: 0,
            held: 0,
            source,
            real: 0,
            station: Arc::new(station),
            gone: CancellationToken::new(),
            started: (source == Source::Live).then(Instant::now),
            history: VecDeque::new(),
        }
    }

    /// Changes where the sound comes from, for the listeners to come.
    pub fn set_source(&mut self, source: Source) {
        self.source = source;
        let has_stream = source == Source::Live || self.real > 0;
        self.started = has_stream.then(|| self.started.unwrap_or_else(Instant::now));
    }

    /// Pretends that there are `held` listeners besides the real ones.
    pub fn hold(&mut self, held: u64) {
        self.held = held;
        self.count_changed(Instant::now());
    }

    /// Listeners now.
    pub fn listeners(&self) -> u64 {
        self.real + self.held
    }

    /// Ends the connections of all its listeners.
    pub fn close(&self) {
        self.gone.cancel();
    }

    fn listeners_at(&self, then: Instant) -> u64 {
        self.history.iter().rev().find(|(at, _)| *at <= then).map_or(0, |(_, listeners)| *listeners)
    }

    fn count_changed(&mut self, now: Instant) {
        let listeners = self.listeners();
        self.peak = self.peak.max(listeners);
        self.history.push_back((now, listeners));
        // The longest delay of a statistic is far below a minute; one older entry tells what was
        // true before.
        let old = |entry: Option<&(Instant, u64)>| {
            entry.is_some_and(|(at, _)| now.saturating_duration_since(*at) > LONGEST_DELAY)
        };
        while old(self.history.get(1)) {
            self.history.pop_front();
        }
    }
}

/// The longest delay of statistics that [`Mount::listeners_at`] can answer for.
pub const LONGEST_DELAY: Duration = Duration::from_secs(60);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.lock().connections -= 1;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lock().feeds -= 1;
        self.0.tell_feeds(Word::Changed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let Some(mount) = state.mounts.get_mut(&self.path) else { return };
        // Another mount may have taken the removed one's path since.
        if !Arc::ptr_eq(&mount.station, &self.station) {
            return;
        }
        mount.real -= 1;
        mount.count_changed(Instant::now());
        if mount.real == 0 && mount.source != Source::Live {
            mount.started = None;
        }
        drop(state);
        self.shared.tell_feeds(Word::Changed);
    }
}

/// The time of day, for dates that Icecast tells; nothing is decided by it.
#[expect(clippy::disallowed_methods, reason = "Icecast tells the time of day")]
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}
