//! The policies that are compared, and the doors they open: where a crowd asks, and how an
//! operator closes a relay to newcomers there.

mod haproxy;
mod most_free;
mod ours;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::station::Station;
use crate::support::lab::Lab;

use haproxy::Haproxy;
use most_free::MostFree;
use ours::Balancer;

/// One way to spread a crowd over relays.
#[derive(Debug)]
pub(crate) struct Policy {
    /// Its name on the command line.
    pub(crate) key: &'static str,
    /// Its name in tables and pictures.
    pub(crate) title: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Name,
    MostFree { every: Duration },
    Haproxy,
    Ours { stats: &'static str },
}

/// All of them, in the order in which they are tried.
pub(crate) const POLICIES: &[Policy] = &[
    Policy { key: "dns", title: "DNS round robin", kind: Kind::Name },
    Policy {
        key: "2010-60s",
        title: "most free slots, polled each 60 s",
        kind: Kind::MostFree { every: Duration::from_secs(60) },
    },
    Policy {
        key: "2010-5s",
        title: "most free slots, polled each 5 s",
        kind: Kind::MostFree { every: Duration::from_secs(5) },
    },
    Policy { key: "haproxy", title: "HAProxy redir, random(2)", kind: Kind::Haproxy },
    Policy { key: "slots", title: "icecast-balancer, slots", kind: Kind::Ours { stats: "slots" } },
    Policy { key: "live", title: "icecast-balancer, live", kind: Kind::Ours { stats: "live" } },
];

/// Where people ask.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entrance {
    /// A name with the addresses of all relays, of which everybody gets the next one first.
    Name,
    /// A balancer.
    Balancer(SocketAddr),
}

/// An open door. Dropping it ends its program.
pub(crate) enum Door {
    /// Of the name server.
    Name,
    /// Of the balancer of 2010.
    MostFree(MostFree),
    /// Of HAProxy.
    Haproxy(Haproxy),
    /// Of this project's balancer.
    Ours(Balancer),
}

impl Policy {
    /// Opens its door before `station`.
    pub(crate) fn open(&self, lab: &Lab, runtime: &Runtime, station: &Station) -> Door {
        let relays = station.addresses();
        match self.kind {
            Kind::Name => Door::Name,
            Kind::MostFree { every } => Door::MostFree(MostFree::start(runtime, relays, every)),
            Kind::Haproxy => Door::Haproxy(Haproxy::start(lab, &relays)),
            Kind::Ours { stats } => Door::Ours(Balancer::start(lab, relays, stats)),
        }
    }

    /// The source of statistics, if it is a policy of this project's balancer.
    pub(crate) fn stats(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Ours { stats } => Some(stats),
            Kind::Name | Kind::MostFree { .. } | Kind::Haproxy => None,
        }
    }
}

impl Entrance {
    /// Whether people have the addresses of all relays.
    pub(crate) fn is_name(self) -> bool {
        matches!(self, Self::Name)
    }
}

impl Door {
    /// Where people ask.
    pub(crate) fn entrance(&self) -> Entrance {
        match self {
            Self::Name => Entrance::Name,
            Self::MostFree(door) => Entrance::Balancer(door.address()),
            Self::Haproxy(door) => Entrance::Balancer(door.address()),
            Self::Ours(door) => Entrance::Balancer(door.address()),
        }
    }

    /// Lets nobody more to this relay, in the way that this policy has. A name server has none
    /// that works within minutes: its answers are remembered everywhere.
    pub(crate) fn drain(&self, relay: usize) {
        match self {
            Self::Name => {}
            Self::MostFree(door) => door.drain(relay),
            Self::Haproxy(door) => door.drain(relay),
            Self::Ours(door) => door.drain(relay),
        }
    }
}
