//! What matters of a player, and why it can be refused.

use std::fmt;
use std::net::IpAddr;

use crate::country::Country;
use crate::fleet::{Family, Fleet, ServerId};

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

/// Why nobody gets the listener. Of several reasons the last of these is told: what may change soon
/// outweighs what will not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Every relay can be reached by this address family only, and the player came by the other.
    OnlyBy(Family),
    /// Every relay that it can reach is for listeners from elsewhere alone.
    ForOthers,
    /// No relay answers.
    Unreachable,
    /// It came by https, and no relay answers that is reached by that.
    Insecure,
    /// No relay that answers has the mount.
    Offline,
    /// Every mount that is present is full.
    Full,
}

impl Client {
    /// A player of which nothing is known.
    pub const ANY: Self =
        Self { connections: 1, came_from: None, https: false, address: None, country: None };

    /// The same player, whose program says this of itself (`User-Agent`).
    ///
    /// VLC and xine connect to the relay a second time while it still counts the first connection, and
    /// fail on a relay that has but one slot for them.
    #[must_use]
    pub fn with_agent(self, agent: &[u8]) -> Self {
        let twice = [&b"VLC/"[..], b"xine/"].into_iter().any(|name| agent.starts_with(name));
        Self { connections: if twice { 2 } else { 1 }, ..self }
    }

    /// The same player, who asks from `address`.
    #[must_use]
    pub fn at(self, address: IpAddr, fleet: &Fleet) -> Self {
        let address = address.to_canonical();
        let country = fleet.countries.as_ref().and_then(|known| known.country_of(address));
        Self { address: Some(address), country, ..self }
    }
}

impl Refusal {
    /// The line that a player of the stream at `path` is told.
    pub fn told(self, path: &str) -> String {
        match self {
            Self::Full => format!("full: no relay has a free slot for {path}"),
            Self::Offline => format!("offline: {path} has no source at the moment"),
            Self::Unreachable => format!("unreachable: no relay of {path} answers at the moment"),
            Self::ForOthers => {
                format!("unreachable: the relays of {path} are for listeners from elsewhere only")
            }
            Self::OnlyBy(family) => {
                let came = family.other();
                format!(
                    "unreachable: the relays of {path} are reached by {family} only, and you came \
                     by {came}"
                )
            }
            Self::Insecure => format!(
                "unreachable: no relay of {path} is reached by https at the moment; by plain http \
                 there may be one"
            ),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Offline => "offline",
            Self::Unreachable | Self::ForOthers | Self::OnlyBy(_) => "unreachable",
            Self::Insecure => "unreachable by https",
        })
    }
}
