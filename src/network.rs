//! Networks of IP addresses, such as `192.0.2.0/24`, and whether an address is in one of them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// A network. One that is written in the form of IPv4 addresses mapped to IPv6 is the IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

/// Any number of networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// Why a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotANetwork {
    /// It is not an address with or without the length of a prefix.
    Malformed,
    /// It is an address within this network, and not the network's own.
    Within(Network),
}

/// The bits before an IPv4 address that is mapped to IPv6.
const MAPPED: u8 = 96;

impl Network {
    /// Whether `address` is in it; IPv4 is the same mapped to IPv6 and not.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether every address of its family is in it.
    pub fn is_everybody(&self) -> bool {
        self.0.prefix_len() == 0
    }
}

impl Networks {
    /// Whether `address` is in one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<T: IntoIterator<Item = Network>>(networks: T) -> Self {
        Self(networks.into_iter().collect())
    }
}

/// `192.0.2.0/24`, `2001:db8::/32`, or one address.
impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let malformed = NotANetwork::Malformed;
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| malformed)?;
        let network = match prefix {
            None => IpNet::from(address),
            Some(prefix) => {
                let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
                let prefix = prefix.parse().ok().filter(|_| digits).ok_or(malformed)?;
                IpNet::new(address, prefix).map_err(|_| malformed)?
            }
        };
        if network.trunc() != network {
            return Err(NotANetwork::Within(Self(unmapped(network.trunc()))));
        }
        Ok(Self(unmapped(network)))
    }
}

/// The IPv4 network that a network of mapped addresses means.
fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let v4 = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED));
    v4.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok()).map_or(network, IpNet::V4)
}

/// As it is written: one address stands without its prefix.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            write!(f, "{}", self.0.addr())
        } else {
            write!(f, "{}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn contains(network_text: &str, address: &str) -> bool {
        network(network_text).contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_contains_its_first_and_its_last_address_and_no_more() {
        assert!(contains("192.0.2.0/24", "192.0.2.0"));
        assert!(contains("192.0.2.0/24", "192.0.2.255"));
        assert!(!contains("192.0.2.0/24", "192.0.1.255"));
        assert!(!contains("192.0.2.0/24", "192.0.3.0"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!contains("2001:db8::/32", "2001:db9::"));
    }

    #[test]
    fn one_address_is_a_network_of_its_own() {
        assert!(contains("192.0.2.7", "192.0.2.7"));
        assert!(!contains("192.0.2.7", "192.0.2.8"));
        assert!(contains("::1", "::1"));
    }

    #[test]
    fn ipv4_is_the_same_mapped_to_ipv6() {
        assert!(contains("192.0.2.0/24", "::ffff:192.0.2.9"));
        assert!(contains("::ffff:192.0.2.0/120", "192.0.2.9"));
        assert_eq!(network("::ffff:192.0.2.0/120"), network("192.0.2.0/24"));
        assert_eq!(network("::ffff:0:0/96"), network("0.0.0.0/0"));
    }

    #[test]
    fn a_family_is_not_in_the_networks_of_the_other() {
        assert!(!contains("::/0", "192.0.2.1"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(!contains("::/1", "::ffff:192.0.2.1"));
    }

    #[test]
    fn nothing_is_in_no_network() {
        assert!(!Networks::default().contain("127.0.0.1".parse().unwrap()));
        assert!(Networks::default().is_empty());
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/",
            "/8",
            "10",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
            "10.0.0.0/ 8",
            "010.0.0.0/8",
            "2001:db8::/129",
            "fe80::1%eth0",
            "everyone",
            "10.0.0.0/255.0.0.0",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork::Malformed), "{text}");
        }
    }

    #[test]
    fn an_address_with_a_prefix_that_cuts_it_is_told_its_network() {
        let within = |text: &str| match text.parse::<Network>() {
            Err(NotANetwork::Within(network)) => network.to_string(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(within("10.1.2.3/8"), "10.0.0.0/8");
        assert_eq!(within("2001:db8::1/32"), "2001:db8::/32");
        assert_eq!(within("::ffff:10.1.2.3/104"), "10.0.0.0/8");
    }
}
