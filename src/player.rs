//! What matters of a player, and why it can be refused.

use std::fmt;
use std::net::IpAddr;

use crate::country::Country;
use crate::fleet::ServerId;

/// What matters of a listener's player.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Connections it opens to a relay while the first still counts, at least 1.
    pub connections: u64,
    /// The server that it was sent to a moment ago, and seems to have come back from.
    pub came_from: Option<ServerId>,
    /// Whether it came by https, and should stay with it.
    pub https: bool,
    /// Where it asks from, as far as proxies are believed about it; IPv4 is never mapped to IPv6.
    /// `None`: nobody in particular, whom every server takes.
    pub address: Option<IpAddr>,
    /// The country of that address, if it is known and matters.
    pub country: Option<Country>,
}

/// Why nobody gets the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Every mount that is present is full.
    Full,
    /// No relay that answers has the mount.
    Offline,
    /// No relay answers.
    Unreachable,
}

impl Client {
    /// A player of which nothing is known.
    pub const ANY: Self =
        Self { connections: 1, came_from: None, https: false, address: None, country: None };
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Offline => "offline",
            Self::Unreachable => "unreachable",
        })
    }
}
