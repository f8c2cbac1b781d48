//! How one snapshot follows another: what is made anew, and what is taken over from the one before.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::counters::{Counter, Outcomes};
use crate::fleet::patterns::{Find, Pattern};
use crate::fleet::{Fleet, Headroom, Mount, Origin, Server, ServerId, Stream};
use crate::queue::Queue;
use crate::slots::{LOANS_LAST, MountSlots, ServerSlots, Sharing, Terms, seats_terms};

use super::{MountState, PlaceState, Sampling, ServerState, SharedMount, Snapshot, StreamState};

/// What `fleet` means, with everything known of it that the snapshot `before` knew.
pub(super) fn build(fleet: Fleet, digest: String, before: Option<&Snapshot>) -> Snapshot {
    let heritage = before.map(|before| Heritage::new(before, &fleet));
    let heritage = heritage.as_ref();
    let sharing = sharing(&fleet);
    let waiting = before.map(|before| Arc::clone(&before.waiting)).unwrap_or_default();
    let servers = fleet.servers.iter().enumerate();
    let servers = servers.map(|(id, server)| server_state(id, server, sharing, heritage));
    let mut servers: Vec<ServerState> = servers.collect();
    let mut streams: Vec<StreamState> = Vec::with_capacity(fleet.streams.len());
    for stream in &fleet.streams {
        // The entries of patterns come before the streams that were found under them.
        let pattern = fleet.pattern_of(stream);
        let entry = pattern.and_then(|pattern| Some((pattern, streams.get(pattern.stream)?)));
        let state = stream_state(stream, entry, &fleet, &mut servers, heritage, &waiting);
        streams.push(state);
    }
    Snapshot { fleet, digest, servers, streams, waiting, list: OnceLock::new() }
}

/// The mounts that the servers of `fleet` have listed, as far as `before` knows them.
pub(super) fn finds<'a>(before: &'a Snapshot, fleet: &Fleet) -> Vec<Find<'a>> {
    let kept = Heritage::new(before, fleet).kept.into_iter().enumerate();
    let kept = kept.filter_map(|(server, kept)| Some((server, kept?)));
    kept.flat_map(|(server, kept)| {
        let listed = kept.mounts.iter().filter(|(_, mount)| mount.slots.last_listed().is_some());
        listed.map(move |(mount, _)| Find { server, mount })
    })
    .collect()
}

/// What the next snapshot can take over, by the numbers that its servers have there.
struct Heritage<'a> {
    before: &'a Snapshot,
    /// The number that the server of the same name had.
    numbers: Vec<Option<ServerId>>,
    /// What was known of it, if it is still the same relay.
    kept: Vec<Option<&'a ServerState>>,
}

/// A stream of the snapshot before.
#[derive(Clone, Copy)]
struct Known<'a> {
    stream: &'a Stream,
    state: &'a StreamState,
}

impl<'a> Heritage<'a> {
    fn new(before: &'a Snapshot, fleet: &Fleet) -> Self {
        let known = before.fleet.servers.iter().enumerate();
        let known: HashMap<&str, (ServerId, &Server)> =
            known.map(|(id, server)| (server.name.as_str(), (id, server))).collect();
        let found = fleet.servers.iter().map(|server| {
            let (id, known) = *known.get(server.name.as_str())?;
            let same = known.url == server.url && known.stats.url == server.stats.url;
            Some((id, before.servers.get(id).filter(|_| same)))
        });
        let found: Vec<_> = found.collect();
        Self {
            before,
            numbers: found.iter().map(|found| found.map(|(id, _)| id)).collect(),
            kept: found.iter().map(|found| found.and_then(|(_, kept)| kept)).collect(),
        }
    }

    /// What was known of a server, if it is still the same relay.
    fn kept(&self, server: ServerId) -> Option<&'a ServerState> {
        self.kept.get(server).copied().flatten()
    }

    /// The stream of the same name.
    fn known(&self, stream: &Stream) -> Option<Known<'a>> {
        let fleet = &self.before.fleet;
        let id = fleet.stream_at(&stream.path)?;
        let known = Known { stream: fleet.streams.get(id)?, state: self.before.streams.get(id)? };
        // The path may have been another stream's alias.
        (known.stream.path == stream.path).then_some(known)
    }

    /// The place that a server had among `mounts` of the snapshot before.
    fn place(&self, server: ServerId, mounts: &[Mount]) -> Option<usize> {
        let number = self.numbers.get(server).copied().flatten()?;
        mounts.iter().position(|mount| mount.server == number)
    }

    /// What was counted of a server for a pattern.
    fn pattern_place(&self, known: Known<'_>, server: ServerId) -> Option<Arc<PlaceState>> {
        let pattern = self.before.fleet.pattern_of(known.stream)?;
        known.state.places.get(self.place(server, &pattern.mounts)?).map(Arc::clone)
    }

    /// What was known of a stream's mount on a server.
    fn mount(&self, known: Known<'a>, server: ServerId) -> Option<&'a MountState> {
        known.state.mounts.get(self.place(server, &known.stream.mounts)?)
    }
}

fn server_state(
    id: ServerId,
    server: &Server,
    sharing: Sharing,
    heritage: Option<&Heritage<'_>>,
) -> ServerState {
    let kept = heritage.and_then(|heritage| heritage.kept(id));
    let new = || {
        let seats = seats_terms(server.max_listeners, sharing);
        Arc::new(ServerSlots::new(seats, bandwidth_terms(server, sharing)))
    };
    let slots = kept.map_or_else(new, |kept| Arc::clone(&kept.slots));
    ServerState { slots, mounts: HashMap::new() }
}

/// A stream's state; `entry` is the pattern's that it belongs to, if it was found under one.
fn stream_state(
    stream: &Stream,
    entry: Option<(&Pattern, &StreamState)>,
    fleet: &Fleet,
    servers: &mut [ServerState],
    heritage: Option<&Heritage<'_>>,
    waiting: &Arc<AtomicUsize>,
) -> StreamState {
    let known = heritage.and_then(|heritage| Some((heritage, heritage.known(stream)?)));
    let mounts = stream.mounts.iter().filter_map(|mount| {
        let of_pattern = entry.and_then(|(pattern, state)| {
            state.places.get(pattern.place(mount.server)?).map(Arc::clone)
        });
        let known = known.and_then(|(heritage, known)| heritage.mount(known, mount.server));
        Some(MountState {
            slots: shared_mount(mount, stream.is_found(), fleet, servers, heritage)?,
            redirects: counter(known.map(|known| &known.redirects)),
            overflows: counter(known.map(|known| &known.overflows)),
            of_pattern,
        })
    });
    let mounts = mounts.collect();
    // Those of a stream that was found are its pattern's.
    let own = known.map(|(_, known)| known).filter(|known| !known.stream.is_found());
    let outcomes: Option<&Arc<Outcomes>> = match entry {
        Some((_, entry)) => Some(&entry.outcomes),
        None => own.map(|known| &known.state.outcomes),
    };
    let places = match stream.origin {
        Origin::Pattern(id) => fleet.patterns.get(id).map_or(&[][..], |pattern| &pattern.mounts),
        Origin::Named | Origin::Found(_) => &[],
    };
    let places = places.iter().map(|mount| {
        let kept = known.and_then(|(heritage, known)| heritage.pattern_place(known, mount.server));
        kept.unwrap_or_default()
    });
    StreamState {
        outcomes: outcomes.map(Arc::clone).unwrap_or_default(),
        fallbacks: counter(known.map(|(_, known)| &known.state.fallbacks)),
        fallbacks_of_pattern: entry.map(|(_, entry)| Arc::clone(&entry.fallbacks)),
        queue: known.map_or_else(
            || Arc::new(Queue::among(Arc::clone(waiting))),
            |(_, known)| Arc::clone(&known.state.queue),
        ),
        mounts,
        sampling: sampling(stream, fleet),
        places: places.collect(),
    }
}

/// What has to be known to draw some of a stream's mounts: nothing else is worth while where some
/// server prefers somebody.
fn sampling(stream: &Stream, fleet: &Fleet) -> Option<Sampling> {
    let is_picky = |mount: &Mount| {
        fleet.servers.get(mount.server).is_some_and(|server| server.clients.is_some())
    };
    let mounts = &stream.mounts;
    if mounts.iter().any(is_picky) {
        return None;
    }
    Some(Sampling {
        mounts: mounts.len(),
        tier: mounts.iter().map(|mount| mount.tier).min()?,
        weight: mounts.iter().map(|mount| mount.weight).max()?,
    })
}

/// The counter that was known, or a new one.
fn counter(known: Option<&Arc<Counter>>) -> Arc<Counter> {
    known.map(Arc::clone).unwrap_or_default()
}

/// The ledger of a mount: the one that another stream uses already, the one that was known before,
/// or a new one. Where streams differ about a shared mount, the stricter word holds.
fn shared_mount(
    mount: &Mount,
    is_found: bool,
    fleet: &Fleet,
    servers: &mut [ServerState],
    heritage: Option<&Heritage<'_>>,
) -> Option<Arc<MountSlots>> {
    let (headroom, sharing) = (fleet.balance.headroom, sharing(fleet));
    let terms = Terms { max: mount.max_listeners, headroom, sharing };
    let mounts = &mut servers.get_mut(mount.server)?.mounts;
    if let Some(shared) = mounts.get_mut(&mount.path) {
        shared.terms.max = shared.terms.max.into_iter().chain(terms.max).min();
        shared.bitrate = shared.bitrate.max(mount.bitrate);
        shared.is_found |= is_found;
        return Some(Arc::clone(&shared.slots));
    }
    let slots = heritage
        .and_then(|heritage| heritage.kept(mount.server))
        .and_then(|kept| kept.mounts.get(&mount.path))
        .map_or_else(|| Arc::new(MountSlots::new(terms)), |kept| Arc::clone(&kept.slots));
    let shared = SharedMount { slots: Arc::clone(&slots), terms, bitrate: mount.bitrate, is_found };
    mounts.insert(mount.path.clone(), shared);
    Some(slots)
}

pub(super) fn bandwidth_terms(server: &Server, sharing: Sharing) -> Terms {
    Terms { max: server.max_bandwidth, headroom: Headroom::Slots(0), sharing }
}

/// Who else gives away what the servers of `fleet` have free.
pub(super) fn sharing(fleet: &Fleet) -> Sharing {
    let transit = fleet.engine.as_ref().map_or(Duration::ZERO, |_| LOANS_LAST);
    Sharing::among(fleet.replicas, fleet.poll.stale_after, fleet.balance.settle, transit)
}
