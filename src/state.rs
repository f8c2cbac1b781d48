//! The one pointer: what the configuration means and what is known of it, taken together.
//!
//! A request loads the [`Snapshot`] once and sees one consistent world to its end. A reload builds
//! the next snapshot aside, carries over the ledger and the counters of everything that stays, and
//! publishes it last. Streams that are found under a pattern come and go in the same way. Each
//! replacement begins with the snapshot that is in force, so that none undoes another.

mod succession;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::counters::{Counter, Outcomes, Totals};
use crate::fleet::patterns::{Find, Pattern};
use crate::fleet::{Fleet, Mount, Server, ServerId, Stream, StreamId};
use crate::members::Members;
use crate::queue::Queue;
use crate::recent::Recent;
use crate::slots::{Listed, Moment, MountSlots, ServerSlots, Terms, seats_terms};

/// The handle that everybody shares.
#[derive(Debug)]
pub struct State {
    current: ArcSwap<Snapshot>,
    /// Held by whoever makes the next snapshot, from what is in force until it is replaced. Requests
    /// never come here. In it are snapshots that were replaced and that somebody may still have.
    replacing: Mutex<Vec<Arc<Snapshot>>>,
    replaced: watch::Sender<()>,
    started: Instant,
    reloads: Mutex<Reloads>,
    /// Whether our own network is taken to be at fault.
    network_hold: AtomicBool,
    /// Who was sent where within the last seconds.
    pub recent: Recent,
    /// What is known of the other replicas.
    pub members: Members,
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
    /// How many wait for a slot of any stream.
    waiting: Arc<AtomicUsize>,
    /// The list of all streams, from when somebody asks for it.
    list: OnceLock<Arc<[u8]>>,
}

/// How the configuration came to be what it is.
#[derive(Debug, Clone, Default)]
pub struct Reloads {
    /// The file or directory that the configuration is read from.
    pub file: String,
    /// The diagnostics of a configuration that was refused and still stands in the file.
    pub refused: Option<String>,
    /// Time of day when it was refused, in seconds since 1970.
    pub refused_unix: Option<f64>,
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
    /// Whether it makes a stream that was found.
    is_found: bool,
}

#[derive(Debug)]
struct StreamState {
    /// A stream that was found shares its pattern's.
    outcomes: Arc<Outcomes>,
    fallbacks: Arc<Counter>,
    /// The pattern's, of a stream that was found.
    fallbacks_of_pattern: Option<Arc<Counter>>,
    queue: Arc<Queue>,
    mounts: Vec<MountState>,
    /// `None`: who prefers whom has to be asked of all.
    sampling: Option<Sampling>,
    /// Of a pattern: its servers.
    places: Vec<Arc<PlaceState>>,
}

/// A server of a pattern.
#[derive(Debug, Default)]
struct PlaceState {
    /// How many players were sent there for any of the pattern's streams.
    sent: Counter,
    /// How many of them beyond a limit.
    overflows: Counter,
    /// Mounts that it lists and that are left out, since the pattern is full.
    left_out: AtomicU64,
}

#[derive(Debug)]
struct MountState {
    slots: Arc<MountSlots>,
    redirects: Arc<Counter>,
    overflows: Arc<Counter>,
    /// The pattern's, of a stream that was found: it outlives the stream.
    of_pattern: Option<Arc<PlaceState>>,
}

/// A mount of a stream with everything that belongs to it.
#[derive(Debug, Clone, Copy)]
pub struct MountView<'a> {
    /// What the configuration says of it.
    pub config: &'a Mount,
    /// What is known of it.
    pub slots: &'a MountSlots,
    /// How many players were sent to it for this stream.
    pub redirects: Tally<'a>,
    /// How many of them beyond its limit.
    pub overflows: Tally<'a>,
    /// What the configuration says of its server.
    pub server: &'a Server,
    /// What is known of its server.
    pub server_slots: &'a ServerSlots,
}

/// What has to be known of all mounts of a stream to draw some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// How many there are.
    pub mounts: usize,
    /// The lowest tier of any.
    pub tier: u32,
    /// The greatest weight of any.
    pub weight: u32,
}

/// A count of a stream's, which its pattern counts as well.
#[derive(Debug, Clone, Copy)]
pub struct Tally<'a> {
    own: &'a Counter,
    of_pattern: Option<&'a Counter>,
}

impl Tally<'_> {
    /// One more, for the stream and for the pattern that it was found under.
    pub fn increment(self) {
        self.own.increment();
        if let Some(counter) = self.of_pattern {
            counter.increment();
        }
    }

    /// The count so far.
    pub fn get(self) -> u64 {
        self.own.get()
    }
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

    /// Whether something that other replicas have lent us of what it occupies has ended unspent, and is
    /// not off the books.
    pub fn is_overdue(&self, now: Moment) -> bool {
        let server = self.server_slots;
        [&self.slots.seats, &server.seats, &server.bandwidth]
            .iter()
            .any(|account| account.is_overdue(now))
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
        self.server_slots.pace.turn(self.server.max_joins_per_second, now, longest_turn(settle))
    }

    /// How long a listener who was sent there now would wait for its turn.
    pub fn wait_for_turn(&self, settle: Duration, now: Moment) -> Duration {
        self.server_slots.pace.wait(self.server.max_joins_per_second, now, longest_turn(settle))
    }
}

/// No player is held back longer for its turn, whatever `settle` is: some hang up after ten
/// seconds.
const LONGEST_TURN: Duration = Duration::from_secs(5);

fn longest_turn(settle: Duration) -> Duration {
    (settle / 2).min(LONGEST_TURN)
}

impl State {
    /// Begins with the first snapshot.
    pub fn new(first: Snapshot) -> Self {
        first.adopt_terms();
        Self {
            current: ArcSwap::from_pointee(first),
            replacing: Mutex::default(),
            replaced: watch::Sender::new(()),
            started: Instant::now(),
            reloads: Mutex::default(),
            network_hold: AtomicBool::new(false),
            recent: Recent::default(),
            members: Members::default(),
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

    /// Puts a configuration in force, with everything known that still belongs to it.
    pub fn replace(&self, fleet: Fleet, digest: String) {
        self.put(|before| Some(before.successor(fleet, digest)));
        self.replaced.send_replace(());
    }

    /// Puts the same configuration in force with more streams found, or fewer; `None`: it stays as
    /// it is. `next` is given what is in force, and nobody replaces it meanwhile.
    pub fn refine(&self, next: impl FnOnce(&Arc<Snapshot>) -> Option<Snapshot>) {
        self.put(next);
    }

    fn put(&self, next: impl FnOnce(&Arc<Snapshot>) -> Option<Snapshot>) {
        let mut replaced = self.lock_replacing();
        let before = self.load_full();
        if let Some(next) = next(&before) {
            next.adopt_terms();
            self.current.store(Arc::new(next));
            replaced.push(before);
        }
    }

    /// The snapshots that were replaced and that nobody has any more, to be dropped. A large one takes
    /// milliseconds to drop, which must not befall the request that was the last to have it.
    pub fn sweep(&self) -> Vec<Arc<Snapshot>> {
        let mut replaced = self.lock_replacing();
        replaced.extract_if(.., |snapshot| Arc::strong_count(snapshot) == 1).collect()
    }

    fn lock_replacing(&self) -> MutexGuard<'_, Vec<Arc<Snapshot>>> {
        self.replacing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of every new configuration.
    pub fn replacements(&self) -> watch::Receiver<()> {
        self.replaced.subscribe()
    }

    /// This moment of the monotonic clock.
    pub fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    /// A moment of the monotonic clock, as everything here counts it.
    pub fn moment(&self, at: Instant) -> Moment {
        at.saturating_duration_since(self.started)
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

impl Reloads {
    /// Forgets what was refused: it does not stand in the file any more.
    pub fn forgive(&mut self) {
        self.refused = None;
        self.refused_unix = None;
    }
}

impl Snapshot {
    /// What `fleet` means with nothing known of it yet.
    pub fn first(fleet: Fleet, digest: String) -> Self {
        succession::build(fleet, digest, None)
    }

    /// What `fleet` means with everything known of it that this snapshot knew already: the ledger of
    /// what stays, and the streams that are found under its patterns in that ledger.
    #[must_use]
    pub fn successor(&self, fleet: Fleet, digest: String) -> Self {
        let finds = succession::finds(self, &fleet);
        let fleet = fleet.with_found(finds, &self.fleet);
        succession::build(fleet, digest, Some(self))
    }

    /// The same configuration with these finds as well, and without the mounts that a pattern has
    /// and that their servers have not listed since `forgotten`.
    #[must_use]
    pub fn with_finds<'a>(
        &'a self,
        finds: impl IntoIterator<Item = Find<'a>>,
        forgotten: Moment,
    ) -> Self {
        let known = self.servers.iter().enumerate().flat_map(|(server, known)| {
            let mounts = known
                .mounts
                .iter()
                .filter(move |(_, mount)| mount.is_found && !mount.slots.is_gone_since(forgotten));
            mounts.map(move |(mount, _)| Find { server, mount })
        });
        let fleet = self.fleet.clone().with_found(known.chain(finds), &self.fleet);
        succession::build(fleet, self.digest.clone(), Some(self))
    }

    /// Whether a pattern has a mount of this server that it has not listed since `forgotten`.
    pub fn has_gone(&self, id: ServerId, forgotten: Moment) -> bool {
        self.servers.get(id).is_some_and(|server| {
            server.mounts.values().any(|m| m.is_found && m.slots.is_gone_since(forgotten))
        })
    }

    /// The list of all streams, which `make` makes of the configuration once.
    pub fn list(&self, make: impl FnOnce(&Fleet) -> String) -> Arc<[u8]> {
        Arc::clone(self.list.get_or_init(|| make(&self.fleet).into_bytes().into()))
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

    /// The bitrate of the mount of a server that takes most, in bits a second; 0 where none is known.
    pub fn highest_bitrate(&self, id: ServerId) -> u64 {
        let mounts = self.servers.get(id).into_iter().flat_map(|server| server.mounts.values());
        mounts.map(|mount| mount.bitrate).max().unwrap_or(0)
    }

    /// The ledger of the mount at `path` of a server; `None` if no stream uses it.
    pub fn mount_at(&self, id: ServerId, path: &str) -> Option<&MountSlots> {
        self.servers.get(id)?.mounts.get(path).map(|mount| &*mount.slots)
    }

    /// Whether the mount at `path` of a server makes a stream that was found.
    pub fn is_found(&self, id: ServerId, path: &str) -> bool {
        self.servers.get(id).and_then(|server| server.mounts.get(path)).is_some_and(|m| m.is_found)
    }

    /// Each stream with its requests by outcome, in the configuration's order.
    pub fn streams(&self) -> impl Iterator<Item = (StreamId, &Stream, &Outcomes)> {
        let outcomes = self.streams.iter().map(|stream| &*stream.outcomes);
        let streams = self.fleet.streams.iter().map(|stream| &**stream);
        streams.zip(outcomes).enumerate().map(|(id, (stream, outcomes))| (id, stream, outcomes))
    }

    /// The requests of a stream by outcome.
    pub fn outcomes(&self, id: StreamId) -> Option<&Arc<Outcomes>> {
        self.streams.get(id).map(|stream| &stream.outcomes)
    }

    /// How many players of a stream were sent to its fallback.
    pub fn fallbacks(&self, id: StreamId) -> Option<Tally<'_>> {
        self.streams.get(id).map(|stream| Tally {
            own: &stream.fallbacks,
            of_pattern: stream.fallbacks_of_pattern.as_deref(),
        })
    }

    /// How many wait for a slot, of whichever stream.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Those who wait for a slot of a stream.
    pub fn queue(&self, id: StreamId) -> Option<&Arc<Queue>> {
        self.streams.get(id).map(|stream| &stream.queue)
    }

    /// The servers of a pattern, each with how many players were sent there for its streams, and how
    /// many of them beyond a limit, those included that are forgotten; in the configuration's order.
    pub fn sent<'a>(
        &'a self,
        pattern: &'a Pattern,
    ) -> impl Iterator<Item = (&'a Server, u64, u64)> {
        let places = self.places(pattern).iter();
        pattern.mounts.iter().zip(places).filter_map(|(mount, place)| {
            let server = self.fleet.servers.get(mount.server)?;
            Some((server, place.sent.get(), place.overflows.get()))
        })
    }

    /// How many mounts the servers of a pattern list beyond what it may have.
    pub fn left_out(&self, pattern: &Pattern) -> u64 {
        self.places(pattern).iter().map(|place| place.left_out.load(Relaxed)).sum()
    }

    /// Notes how many mounts of a server are left out by a pattern.
    pub fn note_left_out(&self, pattern: &Pattern, server: ServerId, count: u64) {
        let place = pattern.place(server).and_then(|place| self.places(pattern).get(place));
        if let Some(place) = place {
            place.left_out.store(count, Relaxed);
        }
    }

    fn places(&self, pattern: &Pattern) -> &[Arc<PlaceState>] {
        self.streams.get(pattern.stream).map_or(&[], |entry| &entry.places)
    }

    /// The mounts of a stream, in the configuration's order.
    pub fn mounts(&self, id: StreamId) -> impl Iterator<Item = MountView<'_>> {
        let config = self.fleet.streams.get(id).map(|stream| stream.mounts.iter());
        let known = self.streams.get(id).map(|stream| stream.mounts.iter());
        let pairs = config.into_iter().flatten().zip(known.into_iter().flatten());
        pairs.filter_map(|(config, known)| self.view(config, known))
    }

    /// One of them, by its place.
    pub fn mount(&self, id: StreamId, at: usize) -> Option<MountView<'_>> {
        let config = self.fleet.streams.get(id)?.mounts.get(at)?;
        self.view(config, self.streams.get(id)?.mounts.get(at)?)
    }

    /// What has to be known of them to draw some; `None`: all have to be asked.
    pub fn sampling(&self, id: StreamId) -> Option<Sampling> {
        self.streams.get(id)?.sampling
    }

    fn view<'a>(&'a self, config: &'a Mount, known: &'a MountState) -> Option<MountView<'a>> {
        Some(MountView {
            config,
            slots: &known.slots,
            redirects: Tally {
                own: &known.redirects,
                of_pattern: known.of_pattern.as_ref().map(|place| &place.sent),
            },
            overflows: Tally {
                own: &known.overflows,
                of_pattern: known.of_pattern.as_ref().map(|place| &place.overflows),
            },
            server: self.fleet.servers.get(config.server)?,
            server_slots: &self.servers.get(config.server)?.slots,
        })
    }

    /// Lets the accounts that this snapshot shares with an older one follow its configuration.
    fn adopt_terms(&self) {
        let sharing = succession::sharing(&self.fleet);
        for (config, known) in self.fleet.servers.iter().zip(&self.servers) {
            known.slots.seats.adopt(seats_terms(config.max_listeners, sharing));
            known.slots.bandwidth.adopt(succession::bandwidth_terms(config, sharing));
            for mount in known.mounts.values() {
                mount.slots.seats.adopt(mount.terms);
            }
        }
    }
}
