//! Made-up relays: they count, refuse whom their limits do not allow, and can die.

use crate::fleet::{Fleet, ServerId, StreamId, WhenFull};
use crate::icecast::{Activity, Limit, MountReport, Report};

use super::Listener;

/// All relays of a configuration, in its order.
pub(super) struct Relays(Vec<Relay>);

struct Relay {
    mounts: Vec<Mount>,
    max_clients: Option<u64>,
    /// Whether it tells its listeners.
    counts: bool,
    dead: bool,
    /// How often it has died.
    life: u32,
}

struct Mount {
    path: String,
    limit: Option<u64>,
    /// Whether it takes more than the limit: what it is for where a stream overflows.
    bears_more: bool,
    /// How many listen, by the stream that they asked for.
    listeners: Vec<(StreamId, u64)>,
}

/// What becomes of a listener who comes to a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Plays,
    Full,
    Dead,
}

impl Relays {
    /// Relays that have the mounts and the limits that the configuration says.
    pub(super) fn of(fleet: &Fleet) -> Self {
        let relays = fleet.servers.iter().enumerate().map(|(id, server)| {
            let mut relay = Relay {
                mounts: Vec::new(),
                max_clients: server.max_listeners,
                counts: server.stats.counts_listeners(),
                dead: false,
                life: 0,
            };
            let mounts = fleet.streams.iter().flat_map(|stream| {
                let overflows = stream.when_full == WhenFull::Overflow;
                stream.mounts.iter().map(move |mount| (mount, overflows))
            });
            for (mount, bears_more) in mounts.filter(|(mount, _)| mount.server == id) {
                let limit = mount.max_listeners;
                match relay.mounts.iter_mut().find(|known| known.path == mount.path) {
                    Some(known) => {
                        known.limit = known.limit.into_iter().chain(limit).min();
                        known.bears_more |= bears_more;
                    }
                    None => relay.mounts.push(Mount {
                        path: mount.path.clone(),
                        limit,
                        bears_more,
                        listeners: Vec::new(),
                    }),
                }
            }
            relay
        });
        Self(relays.collect())
    }

    /// The place of a mount among those of its server, and which life of the server this is.
    pub(super) fn mount(&self, server: ServerId, path: &str) -> Option<(usize, u32)> {
        let relay = self.0.get(server)?;
        Some((relay.mounts.iter().position(|mount| mount.path == path)?, relay.life))
    }

    /// Lets a listener in, if there is room.
    pub(super) fn enter(&mut self, listener: &Listener) -> Entry {
        let Some(relay) = self.0.get_mut(listener.server) else { return Entry::Dead };
        if relay.dead {
            return Entry::Dead;
        }
        let full = relay.max_clients.is_some_and(|most| relay.clients() >= most);
        let Some(mount) = relay.mounts.get_mut(listener.mount) else { return Entry::Dead };
        let full = full || mount.limit.is_some_and(|limit| mount.count() >= limit);
        if full && !mount.bears_more {
            return Entry::Full;
        }
        match mount.listeners.iter_mut().find(|(stream, _)| *stream == listener.stream) {
            Some((_, count)) => *count += 1,
            None => mount.listeners.push((listener.stream, 1)),
        }
        Entry::Plays
    }

    /// Lets a listener go, who may have been thrown out before.
    pub(super) fn leave(&mut self, listener: &Listener) {
        let Some(relay) = self.0.get_mut(listener.server) else { return };
        if relay.life != listener.life {
            return;
        }
        let Some(mount) = relay.mounts.get_mut(listener.mount) else { return };
        let known = mount.listeners.iter_mut().find(|(stream, _)| *stream == listener.stream);
        if let Some((_, count)) = known {
            *count = count.saturating_sub(1);
        }
    }

    /// How many listen on a relay.
    pub(super) fn listeners(&self, server: ServerId) -> u64 {
        self.0.get(server).map_or(0, Relay::listeners)
    }

    /// What it tells when it is looked at; `None`: it is dead.
    pub(super) fn report(&self, server: ServerId) -> Option<Report> {
        let relay = self.0.get(server).filter(|relay| !relay.dead)?;
        let mounts = relay.mounts.iter().map(|mount| MountReport {
            name: mount.path.clone(),
            listeners: relay.counts.then(|| mount.count()),
            limit: match (relay.counts, mount.limit) {
                (false, _) => Limit::Unknown,
                (true, None) => Limit::Unlimited,
                (true, Some(limit)) => Limit::Listeners(limit),
            },
            activity: if relay.counts { Activity::Active } else { Activity::Answers },
            bytes: None,
        });
        let clients = relay.counts.then(|| relay.clients());
        Some(Report { clients, mounts: mounts.collect() })
    }

    /// Ends a relay; tells how many listened, by stream.
    pub(super) fn kill(&mut self, server: ServerId) -> Vec<(StreamId, u64)> {
        let Some(relay) = self.0.get_mut(server) else { return Vec::new() };
        relay.dead = true;
        relay.life += 1;
        relay.mounts.iter_mut().flat_map(|mount| mount.listeners.drain(..)).collect()
    }
}

impl Relay {
    fn listeners(&self) -> u64 {
        self.mounts.iter().map(Mount::count).sum()
    }

    /// Icecast holds sources against its limit as well.
    fn clients(&self) -> u64 {
        self.listeners() + self.mounts.len() as u64
    }
}

impl Mount {
    fn count(&self) -> u64 {
        self.listeners.iter().map(|(_, count)| count).sum()
    }
}
