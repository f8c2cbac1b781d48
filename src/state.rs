//! The one pointer: what the configuration means and what is known of it, taken together.
//!
//! A request loads the [`Snapshot`] once and sees one consistent world to its end. A reload builds
//! the next snapshot aside, carries over the ledger and the counters of everything that stays, and
//! publishes it last.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::counters::{Counter, Outcomes, Totals};
use crate::fleet::{Fleet, Headroom, Mount, Server, ServerId, Stream, StreamId};
use crate::queue::Queue;
use crate::recent::Recent;
use crate::slots::{Listed, Moment, MountSlots, ServerSlots, Terms, seats_terms};

/// The handle that everybody shares.
#[derive(Debug)]
pub struct State {
    current: ArcSwap<Snapshot>,
    replaced: watch::Sender<()>,
    started: Instant,
    reloads: Mutex<Reloads>,
    /// Whether our own network is taken to be at fault.
    network_hold: AtomicBool,
    /// Who was sent where within the last seconds.
    pub recent: Recent,
    /// What is counted beside streams and servers.
    pub totals: Totals,
}

/// One configuration with everything known of it.
#[derive(Debug)]
pub struct Snapshot {
    /// What the configuration means.
    pub fleet: Fleet,
    /// SHA-256 of the configuration's text, in hexadecimal.
    pub digest: String,
    servers: Vec<ServerState>,
    streams: Vec<StreamState>,
}

/// How the configuration came to be what it is.
#[derive(Debug, Clone, Default)]
pub struct Reloads {
    /// The diagnostics of a configuration that was refused and still stands in the file.
    pub refused: Option<String>,
    /// Time of day when the configuration in force was put there, in seconds since 1970.
    pub last_success_unix: f64,
    /// Whether changes of the file are noticed at once.
    pub watching: bool,
    /// Keys that were changed in the file and take effect only after a restart.
    pub restart_required: Vec<&'static str>,
}

#[derive(Debug)]
struct ServerState {
    slots: Arc<ServerSlots>,
    /// Every path of the server that some stream uses.
    mounts: HashMap<String, SharedMount>,
}

/// A mount, however many streams use it.
#[derive(Debug)]
struct SharedMount {
    slots: Arc<MountSlots>,
    terms: Terms,
    bitrate: u64,
}

#[derive(Debug)]
struct StreamState {
    outcomes: Arc<Outcomes>,
    fallbacks: Arc<Counter>,
    queue: Arc<Queue>,
    mounts: Vec<MountState>,
}

#[derive(Debug)]
struct MountState {
    slots: Arc<MountSlots>,
    redirects: Arc<Counter>,
    overflows: Arc<Counter>,
}

/// A mount of a stream with everything that belongs to it.
#[derive(Debug, Clone, Copy)]
pub struct MountView<'a> {
    /// What the configuration says of it.
    pub config: &'a Mount,
    /// What is known of it.
    pub slots: &'a MountSlots,
    /// How many players were sent to it for this stream.
    pub redirects: &'a Counter,
    /// How many of them beyond its limit.
    pub overflows: &'a Counter,
    /// What the configuration says of its server.
    pub server: &'a Server,
    /// What is known of its server.
    pub server_slots: &'a ServerSlots,
}

impl MountView<'_> {
    /// The most listeners it may have, every limit it shares with others counted; `None`:
    /// unlimited.
    pub fn room(&self) -> Option<u64> {
        let bits = self.server_slots.bandwidth.room();
        let by_bandwidth = bits.and_then(|bits| bits.checked_div(self.config.bitrate));
        let limits = [self.slots.seats.room(), self.server_slots.seats.room(), by_bandwidth];
        limits.into_iter().flatten().min()
    }

    /// Slots of this mount that can still be given away, every limit it shares with others
    /// counted; `None`: unlimited.
    pub fn free(&self) -> Option<u64> {
        let bits = self.server_slots.bandwidth.free();
        let by_bandwidth = bits.and_then(|bits| bits.checked_div(self.config.bitrate));
        let limits = [self.slots.seats.free(), self.server_slots.seats.free(), by_bandwidth];
        limits.into_iter().flatten().min()
    }

    /// Takes the turn of a listener who is sent there: how long to hold back the redirect, so that a
    /// crowd does not overrun the relay's accept queue. The reservation runs meanwhile, and half of
    /// its time, which is `settle`, must be left to arrive.
    pub fn turn(&self, settle: Duration, now: Moment) -> Duration {
        let longest = (settle / 2).min(LONGEST_TURN);
        self.server_slots.pace.turn(self.server.max_joins_per_second, now, longest)
    }
}

/// No player is held back longer for its turn, whatever `settle` is: some hang up after ten
/// seconds.
const LONGEST_TURN: Duration = Duration::from_secs(5);

impl State {
    /// Begins with the first snapshot.
    pub fn new(first: Snapshot) -> Self {
        first.adopt_terms();
        Self {
            current: ArcSwap::from_pointee(first),
            replaced: watch::Sender::new(()),
            started: Instant::now(),
            reloads: Mutex::default(),
            network_hold: AtomicBool::new(false),
            recent: Recent::default(),
            totals: Totals::default(),
        }
    }

    /// The snapshot in force.
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// The snapshot in force, to be held for longer than a request.
    pub fn load_full(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts the next snapshot in force.
    pub fn replace(&self, next: Snapshot) {
        next.adopt_terms();
        self.current.store(Arc::new(next));
        self.replaced.send_replace(());
    }

    /// Tells of every replacement.
    pub fn replacements(&self) -> watch::Receiver<()> {
        self.replaced.subscribe()
    }

    /// This moment of the monotonic clock.
    pub fn now(&self) -> Moment {
        self.started.elapsed()
    }

    /// Whether our own network is taken to be at fault, since most relays fail at once.
    pub fn network_hold(&self) -> bool {
        self.network_hold.load(Relaxed)
    }

    /// Says whether our own network is taken to be at fault; returns whether that is news.
    pub fn hold_network(&self, hold: bool) -> bool {
        self.network_hold.swap(hold, Relaxed) != hold
    }

    /// How the configuration came to be what it is.
    pub fn reloads(&self) -> Reloads {
        self.lock_reloads().clone()
    }

    /// Changes what is told of reloads.
    pub fn note_reload(&self, change: impl FnOnce(&mut Reloads)) {
        change(&mut self.lock_reloads());
    }

    fn lock_reloads(&self) -> MutexGuard<'_, Reloads> {
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    /// What `fleet` means with nothing known of it yet.
    pub fn first(fleet: Fleet, digest: String) -> Self {
        Self::build(fleet, digest, None)
    }

    /// What `fleet` means with everything known of it that this snapshot knew already.
    #[must_use]
    pub fn successor(&self, fleet: Fleet, digest: String) -> Self {
        Self::build(fleet, digest, Some(self))
    }

    /// The ledger of a server.
    ///
    /// `None` only for an index of another fleet.
    pub fn server(&self, id: ServerId) -> Option<&Arc<ServerSlots>> {
        self.servers.get(id).map(|server| &server.slots)
    }

    /// Each server with its ledger, in the configuration's order.
    pub fn servers(&self) -> impl Iterator<Item = (&Server, &ServerSlots)> {
        self.fleet.servers.iter().zip(self.servers.iter().map(|server| &*server.slots))
    }

    /// The mounts of a server as the ledger's writer needs them.
    pub fn listed(&self, id: ServerId) -> Vec<Listed<'_>> {
        let Some(server) = self.servers.get(id) else { return Vec::new() };
        server
            .mounts
            .iter()
            .map(|(path, mount)| Listed { path, slots: &mount.slots, bitrate: mount.bitrate })
            .collect()
    }

    /// The ledger of the mount at `path` of a server; `None` if no stream uses it.
    pub fn mount_at(&self, id: ServerId, path: &str) -> Option<&MountSlots> {
        self.servers.get(id)?.mounts.get(path).map(|mount| &*mount.slots)
    }

    /// Each stream with its requests by outcome, in the configuration's order.
    pub fn streams(&self) -> impl Iterator<Item = (StreamId, &Stream, &Outcomes)> {
        let outcomes = self.streams.iter().map(|stream| &*stream.outcomes);
        self.fleet.streams.iter().zip(outcomes).enumerate().map(|(id, (stream, o))| (id, stream, o))
    }

    /// The requests of a stream by outcome.
    pub fn outcomes(&self, id: StreamId) -> Option<&Arc<Outcomes>> {
        self.streams.get(id).map(|stream| &stream.outcomes)
    }

    /// How many players of a stream were sent to its fallback.
    pub fn fallbacks(&self, id: StreamId) -> Option<&Counter> {
        self.streams.get(id).map(|stream| &*stream.fallbacks)
    }

    /// Those who wait for a slot of a stream.
    pub fn queue(&self, id: StreamId) -> Option<&Arc<Queue>> {
        self.streams.get(id).map(|stream| &stream.queue)
    }

    /// The mounts of a stream, in the configuration's order.
    pub fn mounts(&self, id: StreamId) -> impl Iterator<Item = MountView<'_>> {
        let config = self.fleet.streams.get(id).map(|stream| stream.mounts.iter());
        let known = self.streams.get(id).map(|stream| stream.mounts.iter());
        let pairs = config.into_iter().flatten().zip(known.into_iter().flatten());
        pairs.filter_map(|(config, known)| {
            Some(MountView {
                config,
                slots: &known.slots,
                redirects: &known.redirects,
                overflows: &known.overflows,
                server: self.fleet.servers.get(config.server)?,
                server_slots: &self.servers.get(config.server)?.slots,
            })
        })
    }

    fn build(fleet: Fleet, digest: String, before: Option<&Self>) -> Self {
        let mut servers: Vec<ServerState> =
            fleet.servers.iter().map(|server| ServerState::of(server, before)).collect();
        let streams = fleet
            .streams
            .iter()
            .map(|stream| StreamState::of(stream, &fleet, &mut servers, before))
            .collect();
        Self { fleet, digest, servers, streams }
    }

    /// The ledger of the server of that name, if it is still the same relay.
    fn kept(&self, server: &Server) -> Option<&ServerState> {
        let id = self.fleet.server_named(&server.name)?;
        let known = self.fleet.servers.get(id)?;
        let same = known.url == server.url && known.stats.url == server.stats.url;
        self.servers.get(id).filter(|_| same)
    }

    /// Lets the accounts that this snapshot shares with an older one follow its configuration.
    fn adopt_terms(&self) {
        for (config, known) in self.fleet.servers.iter().zip(&self.servers) {
            known.slots.seats.adopt(seats_terms(config.max_listeners));
            known.slots.bandwidth.adopt(bandwidth_terms(config));
            for mount in known.mounts.values() {
                mount.slots.seats.adopt(mount.terms);
            }
        }
    }
}

impl ServerState {
    fn of(server: &Server, before: Option<&Snapshot>) -> Self {
        let slots = match before.and_then(|before| before.kept(server)) {
            Some(kept) => Arc::clone(&kept.slots),
            None => Arc::new(ServerSlots::new(
                seats_terms(server.max_listeners),
                bandwidth_terms(server),
            )),
        };
        Self { slots, mounts: HashMap::new() }
    }
}

impl StreamState {
    fn of(
        stream: &Stream,
        fleet: &Fleet,
        servers: &mut [ServerState],
        before: Option<&Snapshot>,
    ) -> Self {
        let known = before.and_then(|before| {
            let id = before.fleet.streams.iter().position(|known| known.path == stream.path)?;
            Some((before, id))
        });
        let known_on = |server: &Server| {
            let (before, id) = known?;
            let at = before.mounts(id).position(|mount| mount.server.name == server.name)?;
            before.streams.get(id)?.mounts.get(at)
        };
        let counter = |known: Option<&Arc<Counter>>| known.map(Arc::clone).unwrap_or_default();
        let mounts = stream.mounts.iter().filter_map(|mount| {
            let server = fleet.servers.get(mount.server)?;
            let known = known_on(server);
            Some(MountState {
                slots: shared_mount(mount, server, fleet, servers, before)?,
                redirects: counter(known.map(|known| &known.redirects)),
                overflows: counter(known.map(|known| &known.overflows)),
            })
        });
        let mounts = mounts.collect();
        let known = known.and_then(|(before, id)| before.streams.get(id));
        Self {
            outcomes: known.map(|known| Arc::clone(&known.outcomes)).unwrap_or_default(),
            fallbacks: counter(known.map(|known| &known.fallbacks)),
            queue: known.map(|known| Arc::clone(&known.queue)).unwrap_or_default(),
            mounts,
        }
    }
}

/// The ledger of a mount: the one that another stream uses already, the one that was known before,
/// or a new one. Where streams differ about a shared mount, the stricter word holds.
fn shared_mount(
    mount: &Mount,
    server: &Server,
    fleet: &Fleet,
    servers: &mut [ServerState],
    before: Option<&Snapshot>,
) -> Option<Arc<MountSlots>> {
    let terms = Terms { max: mount.max_listeners, headroom: fleet.balance.headroom };
    let mounts = &mut servers.get_mut(mount.server)?.mounts;
    if let Some(shared) = mounts.get_mut(&mount.path) {
        shared.terms.max = shared.terms.max.into_iter().chain(terms.max).min();
        shared.bitrate = shared.bitrate.max(mount.bitrate);
        return Some(Arc::clone(&shared.slots));
    }
    let slots = before
        .and_then(|before| before.kept(server))
        .and_then(|kept| kept.mounts.get(&mount.path))
        .map_or_else(|| Arc::new(MountSlots::new(terms)), |kept| Arc::clone(&kept.slots));
    let shared = SharedMount { slots: Arc::clone(&slots), terms, bitrate: mount.bitrate };
    mounts.insert(mount.path.clone(), shared);
    Some(slots)
}

fn bandwidth_terms(server: &Server) -> Terms {
    Terms { max: server.max_bandwidth, headroom: Headroom::Slots(0) }
}
