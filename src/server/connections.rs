//! How many connections there are, of everybody and of each client.

use std::array;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;

use super::{Shed, Terms};

/// The connections of one port, or of several that share their bounds.
#[derive(Debug, Default)]
pub struct Connections {
    open: AtomicUsize,
    busy: AtomicUsize,
    clients: Clients,
}

/// A connection that counts for as long as this lives.
#[derive(Debug)]
pub(super) struct Open {
    connections: Arc<Connections>,
    /// Where it counts as one of a client's.
    client: Option<IpAddr>,
}

/// A request that counts for as long as this lives.
#[derive(Debug)]
pub(super) struct Busy<'a>(&'a Connections);

/// How many connections each client has. Touched when a connection begins and ends, never by a
/// request; in shards, so that those who leave seldom wait for those who come.
#[derive(Debug)]
struct Clients {
    shards: [Mutex<Counts>; SHARDS],
    /// Finds the shard, by chance. Whoever could make addresses meet in one would make them wait there for
    /// a moment; in the table itself, which anybody fills, the standard library's hash prevents worse.
    shard: RandomState,
}

/// Connections of each.
type Counts = HashMap<IpAddr, usize>;

const SHARDS: usize = 16;

impl Connections {
    /// How many there are.
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// How many of them have a request under way.
    pub fn busy(&self) -> usize {
        self.busy.load(Relaxed)
    }

    /// One more, of `peer`, if its terms allow it.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr, terms: &Terms) -> Result<Open, Shed> {
        if self.open() >= terms.max_connections {
            return Err(Shed::MaxConnections);
        }
        let mut client = None;
        if let Some(most) = terms.per_client {
            let peer = client_of(peer);
            if !self.clients.enter(peer, most) {
                return Err(Shed::PerClient);
            }
            client = Some(peer);
        }
        self.open.fetch_add(1, Relaxed);
        Ok(Open { connections: Arc::clone(self), client })
    }

    /// One more request.
    pub(super) fn work(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Relaxed);
        Busy(self)
    }
}

/// The client that an address belongs to: whoever has one IPv6 address has the 2^64 of its network.
fn client_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

impl Clients {
    /// One more of `client`, unless it has `most` already.
    fn enter(&self, client: IpAddr, most: usize) -> bool {
        self.with(client, |clients| {
            match clients.entry(client) {
                Entry::Occupied(count) if *count.get() >= most => return false,
                Entry::Occupied(count) => *count.into_mut() += 1,
                Entry::Vacant(_) if most == 0 => return false,
                Entry::Vacant(first) => {
                    first.insert(1);
                }
            }
            true
        })
    }

    /// One less.
    fn leave(&self, client: IpAddr) {
        self.with(client, |clients| {
            if let Entry::Occupied(mut count) = clients.entry(client) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        });
    }

    fn with<T: Default>(&self, client: IpAddr, act: impl FnOnce(&mut Counts) -> T) -> T {
        let shard = usize::try_from(self.shard.hash_one(client) % SHARDS as u64).unwrap_or(0);
        let Some(shard) = self.shards.get(shard) else { return T::default() };
        act(&mut shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Clients {
    fn default() -> Self {
        Self { shards: array::from_fn(|_| Mutex::default()), shard: RandomState::default() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Relaxed);
        if let Some(client) = self.client {
            self.connections.clients.leave(client);
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn terms(max_connections: usize, per_client: Option<usize>) -> Terms {
        Terms {
            max_connections,
            per_client,
            header_timeout: Duration::from_secs(5),
            proxy_header: false,
        }
    }

    fn admit(
        connections: &Arc<Connections>,
        peer: &str,
        per_client: Option<usize>,
    ) -> Result<Open, Shed> {
        connections.admit(peer.parse().unwrap(), &terms(8, per_client))
    }

    #[test]
    fn a_client_has_so_many_and_those_who_leave_make_room() {
        let connections = Arc::new(Connections::default());
        let first = admit(&connections, "192.0.2.1", Some(2)).unwrap();
        let _second = admit(&connections, "192.0.2.1", Some(2)).unwrap();
        for _ in 0..10 {
            assert_eq!(admit(&connections, "192.0.2.1", Some(2)).unwrap_err(), Shed::PerClient);
        }
        let _other = admit(&connections, "192.0.2.2", Some(2)).unwrap();
        assert_eq!(connections.open(), 3);
        drop(first);
        admit(&connections, "192.0.2.1", Some(2)).unwrap();
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_client() {
        let connections = Arc::new(Connections::default());
        let _one = admit(&connections, "2001:db8::1", Some(1)).unwrap();
        let same = admit(&connections, "2001:db8::ffff:ffff:ffff:ffff", Some(1));
        assert_eq!(same.unwrap_err(), Shed::PerClient);
        admit(&connections, "2001:db8:0:1::1", Some(1)).unwrap();
    }

    #[test]
    fn an_ipv4_address_is_one_client_on_a_port_for_both_too() {
        let connections = Arc::new(Connections::default());
        let _one = admit(&connections, "::ffff:192.0.2.1", Some(1)).unwrap();
        assert_eq!(admit(&connections, "192.0.2.1", Some(1)).unwrap_err(), Shed::PerClient);
        admit(&connections, "::ffff:192.0.2.2", Some(1)).unwrap();
    }

    #[test]
    fn who_is_exempt_is_bound_by_the_sum_alone() {
        let connections = Arc::new(Connections::default());
        let open: Vec<_> =
            (0..8).map(|_| admit(&connections, "192.0.2.1", None).unwrap()).collect();
        let one_more = admit(&connections, "192.0.2.1", None);
        assert_eq!(one_more.unwrap_err(), Shed::MaxConnections);
        drop(open);
        assert_eq!(connections.open(), 0);
    }

    #[test]
    fn nothing_is_remembered_of_clients_who_left() {
        let connections = Arc::new(Connections::default());
        let (clients, all) = (4_000_u32, terms(usize::MAX, Some(4)));
        let open: Vec<_> = (0..4 * clients)
            .map(|number| connections.admit(IpAddr::from((number % clients).to_be_bytes()), &all))
            .collect();
        assert!(open.iter().all(Result::is_ok));
        let known = || {
            let shards = connections.clients.shards.iter();
            shards.map(|shard| shard.lock().unwrap().len()).collect::<Vec<_>>()
        };
        assert_eq!(known().iter().sum::<usize>(), 4_000);
        assert!(known().iter().all(|shard| (100..500).contains(shard)), "{:?}", known());
        drop(open);
        assert_eq!(known().iter().sum::<usize>(), 0);
    }
}
