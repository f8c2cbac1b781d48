//! Whose listeners a server is for.

use std::fmt;
use std::net::IpAddr;

use crate::country::Country;
use crate::network::Networks;

/// `clients` of a server: at least one country or network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clients {
    /// Listeners from there are meant,
    pub countries: Vec<Country>,
    /// and from there.
    pub networks: Networks,
    /// Whether nobody else is sent to the server.
    pub only: bool,
}

impl Clients {
    /// Whether somebody at `address`, which is in `country` as far as that is known, is meant.
    pub fn include(&self, address: IpAddr, country: Option<Country>) -> bool {
        self.by(address, country).is_some()
    }

    /// By what somebody at `address`, which is in `country` as far as that is known, is meant.
    pub fn by(&self, address: IpAddr, country: Option<Country>) -> Option<By> {
        if self.networks.contain(address) {
            return Some(By::Network);
        }
        country.is_some_and(|country| self.countries.contains(&country)).then_some(By::Country)
    }
}

/// By what a listener is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// One of the networks has its address.
    Network,
    /// Its country is one of them.
    Country,
}

/// An address family: `ip` of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4, also where it is mapped to IPv6.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family that `address` is of.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_of_ipv4() {
        let family = |address: &str| Family::of(address.parse().unwrap());
        assert_eq!(family("192.0.2.1"), Family::V4);
        assert_eq!(family("::ffff:192.0.2.1"), Family::V4);
        assert_eq!(family("2001:db8::1"), Family::V6);
    }

    #[test]
    fn a_network_or_a_country_is_enough() {
        let clients = Clients {
            countries: vec!["AT".parse().unwrap()],
            networks: ["198.51.100.0/24".parse().unwrap()].into_iter().collect(),
            only: false,
        };
        let (austria, germany) = ("AT".parse().ok(), "DE".parse().ok());
        let include = |address: &str, country| clients.include(address.parse().unwrap(), country);
        assert!(include("192.0.2.1", austria));
        assert!(include("198.51.100.1", germany));
        assert!(include("198.51.100.1", None));
        assert!(!include("192.0.2.1", germany));
        assert!(!include("192.0.2.1", None));
        let by = |address: &str| clients.by(address.parse().unwrap(), austria);
        assert_eq!([by("192.0.2.1"), by("198.51.100.1")], [Some(By::Country), Some(By::Network)]);
    }
}
