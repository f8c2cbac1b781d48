//! Networks of IP addresses, such as `192.0.2.0/24`, and whether an address is in one of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// A network. One that is written in the form of IPv4 addresses mapped to IPv6 is the IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

/// Any number of networks, as the addresses that are in them: how many there are hardly matters to who
/// asks for one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    v4: Ranges<Ipv4Addr>,
    v6: Ranges<Ipv6Addr>,
}

/// The first and the last address of each range, in order. No two of them overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ranges<A>(Vec<(A, A)>);

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
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.contain(address),
            IpAddr::V6(address) => self.v6.contain(address),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.v4.0.is_empty() && self.v6.0.is_empty()
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<T: IntoIterator<Item = Network>>(networks: T) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for Network(network) in networks {
            match network {
                IpNet::V4(network) => v4.push((network.network(), network.broadcast())),
                IpNet::V6(network) => v6.push((network.network(), network.broadcast())),
            }
        }
        Self { v4: Ranges::of(v4), v6: Ranges::of(v6) }
    }
}

impl<A: Copy + Ord> Ranges<A> {
    /// The ranges of networks. Of two networks that overlap one holds the other, so that whatever
    /// begins within a range ends there as well.
    fn of(mut networks: Vec<(A, A)>) -> Self {
        networks.sort_unstable();
        let mut ranges: Vec<(A, A)> = Vec::with_capacity(networks.len());
        for (first, last) in networks {
            match ranges.last_mut() {
                Some((_, end)) if first <= *end => *end = last.max(*end),
                _ => ranges.push((first, last)),
            }
        }
        Self(ranges)
    }

    fn contain(&self, address: A) -> bool {
        let begun = self.0.partition_point(|(first, _)| *first <= address);
        let last_begun = begun.checked_sub(1).and_then(|index| self.0.get(index));
        last_begun.is_some_and(|(_, last)| address <= *last)
    }
}

impl<A> Default for Ranges<A> {
    fn default() -> Self {
        Self(Vec::new())
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
    use ipnet::Ipv6Net;
    use proptest::prelude::*;

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

    /// A network around an address, IPv4 or IPv6, near to those of others.
    fn any_network() -> impl Strategy<Value = Network> {
        let v4 = (any::<[u8; 2]>(), 0..=32_u8).prop_map(|([a, b], prefix)| {
            IpNet::V4(Ipv4Net::new(Ipv4Addr::new(10, a & 3, 0, b), prefix).unwrap().trunc())
        });
        let v6 = (any::<[u8; 2]>(), 0..=128_u8).prop_map(|([a, b], prefix)| {
            let address = Ipv6Addr::new(0x2001, 0xdb8, u16::from(a & 3), 0, 0, 0, 0, b.into());
            IpNet::V6(Ipv6Net::new(address, prefix).unwrap().trunc())
        });
        prop_oneof![v4, v6].prop_map(Network)
    }

    /// The addresses at the edges of a network and just beyond them.
    fn edges(Network(network): &Network) -> Vec<IpAddr> {
        match network {
            IpNet::V4(network) => {
                let (first, last) = (network.network().to_bits(), network.broadcast().to_bits());
                [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
                    .map(|bits| Ipv4Addr::from_bits(bits).into())
                    .to_vec()
            }
            IpNet::V6(network) => {
                let (first, last) = (network.network().to_bits(), network.broadcast().to_bits());
                [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
                    .map(|bits| Ipv6Addr::from_bits(bits).into())
                    .to_vec()
            }
        }
    }

    proptest! {
        #[test]
        fn networks_contain_what_one_of_them_contains(
            all in proptest::collection::vec(any_network(), 0..40),
            few in proptest::collection::vec((any_network(), 24..=32_u8), 0..40),
        ) {
            // Without the widest of them, which hold all others.
            let few = few.into_iter().filter(|(network, least)| network.0.prefix_len() >= *least);
            let few: Vec<Network> = few.map(|(network, _)| network).collect();
            for networks in [&all, &few] {
                let together: Networks = networks.iter().copied().collect();
                prop_assert_eq!(together.is_empty(), networks.is_empty());
                for address in all.iter().chain(&few).flat_map(edges) {
                    let one_by_one = networks.iter().any(|network| network.contains(address));
                    prop_assert_eq!(together.contain(address), one_by_one, "{}", address);
                }
            }
        }
    }

    #[test]
    fn networks_are_the_same_in_any_order_and_within_one_another() {
        let networks =
            |texts: &[&str]| texts.iter().map(|text| network(text)).collect::<Networks>();
        assert_eq!(
            networks(&["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"]),
            networks(&["2001:db8::/32", "10.255.255.255", "10.0.0.0/8"])
        );
        assert_ne!(networks(&["10.0.0.0/8"]), networks(&["10.0.0.0/9"]));
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
