//! The same relay for the same listener: an order of servers for each network of listeners and each
//! stream, which everybody works out alike who has the same configuration.
//!
//! This is rendezvous hashing with weights. Each server draws a lot that depends on nothing but
//! the listener's network, the stream, the server's name and a key, and the servers stand in the
//! order of their lots. Who leaves takes only its own listeners along, and they spread over the
//! others; who comes back gets just these again. (Thaler and Ravishankar, Using Name-Based Mappings
//! to Increase Hit Rates; Schindelhauer and Schomaker, Weighted Distributed Hash Tables.)

use std::fmt;
use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

/// What the lots depend on beside names: replicas with the same salt draw the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    first: u64,
    second: u64,
}

/// A network of listeners who ask for one stream.
#[derive(Debug, Clone, Copy)]
pub struct Audience(SipHasher13);

impl Key {
    /// The key of a salt; the empty one is as good as any other as long as nobody may know.
    pub fn of(salt: &str) -> Self {
        let half = |number: u64| {
            let mut hasher = SipHasher13::new_with_keys(number, 0);
            hasher.write(salt.as_bytes());
            hasher.finish()
        };
        Self { first: half(0), second: half(1) }
    }

    /// The listeners near `address` who ask for `stream`.
    pub fn audience(self, address: IpAddr, stream: &str) -> Audience {
        let mut hasher = SipHasher13::new_with_keys(self.first, self.second);
        // Not the whole address: who is given another one by the same provider, or has one of the
        // many of IPv6 today and another tomorrow, is still at home in this network.
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [network @ .., _] = address.octets();
                hasher.write(&[4]);
                hasher.write(&network);
            }
            IpAddr::V6(address) => {
                let [network @ .., _, _, _, _, _, _, _, _, _] = address.octets();
                hasher.write(&[6]);
                hasher.write(&network);
            }
        }
        hasher.write(stream.as_bytes());
        // No name contains this byte, so that no two pairs of names run together to one.
        hasher.write(&[0xff]);
        Audience(hasher)
    }
}

impl Audience {
    /// The lot of a server: the highest comes first. In the long run a server of twice the weight
    /// is first twice as often.
    pub fn lot(self, server: &str, weight: u32) -> f64 {
        let Self(mut hasher) = self;
        hasher.write(server.as_bytes());
        // 53 bits, all that a float holds, and a half, so that it is between 0 and 1 and neither.
        let draw = ((hasher.finish() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -f64::from(weight) / draw.ln()
    }
}

/// The key gives away which network is sent where, to whoever can guess at networks.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
