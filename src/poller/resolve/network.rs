//! Which addresses are not of the internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address belongs to this machine, to a private network or to this link, where cloud
/// providers keep their metadata; or to nobody. The ranges are those of RFC 6890.
pub(super) fn is_internal(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_internal_v4(address),
        IpAddr::V6(address) => is_internal_v6(address),
    }
}

fn is_internal_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || first == 0
        || (first == 100 && (64..128).contains(&second))
        || (first == 192 && second == 0 && third == 0)
        || (first == 198 && (18..20).contains(&second))
        || first >= 240
}

fn is_internal_v6(address: Ipv6Addr) -> bool {
    let embedded = match address.segments() {
        // IPv4-mapped, and the prefix of NAT64.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)))
        }
        _ => None,
    };
    embedded.is_some_and(is_internal_v4)
        || address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn internal(address: &str) -> bool {
        is_internal(address.parse().expect("an address"))
    }

    #[test]
    fn addresses_of_this_machine_and_of_private_networks_are_internal() {
        let addresses = [
            "127.0.0.1",
            "127.255.255.254",
            "0.0.0.0",
            "10.8.0.5",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.8",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
        ];
        for address in addresses {
            assert!(internal(address), "{address}");
        }
    }

    #[test]
    fn addresses_of_the_internet_are_not() {
        let addresses = [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.2.7",
            "198.51.100.7",
            "203.0.113.7",
            "2001:db8::1",
            "2a01::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ];
        for address in addresses {
            assert!(!internal(address), "{address}");
        }
    }
}
