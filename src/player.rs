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

    /// The same player, who asks from `address`.
    #[must_use]
    pub fn at(self, address: IpAddr, fleet: &Fleet) -> Self {
        let address = address.to_canonical();
        let country = fleet.countries.as_ref().and_then(|known| known.country_of(address));
        Self { address: Some(address), country, ..self }
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
