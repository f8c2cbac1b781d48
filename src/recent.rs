//! Who was sent where within the last seconds, so that a player who comes back at once is sent
//! elsewhere.
//!
//! Whoever asks again within seconds has most likely found no stream where it was sent. Players
//! have no names: an address with the same program asking for the same stream is taken for the same player. Behind
//! one address there may be many, of whom the next is nobody who came back; so an address that asks
//! often is not told apart at all. The table has a fixed size, takes no lock, forgets by being
//! overwritten, and holds salted hashes instead of addresses.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use foldhash::quality::RandomState;

use crate::fleet::{ServerId, StreamId};
use crate::slots::Moment;

/// The last redirect of some thousands of players.
#[derive(Debug)]
pub struct Recent {
    cells: Box<[AtomicU64]>,
    salt: RandomState,
}

/// A player as far as it can be told from others.
#[derive(Debug, Clone, Copy)]
pub struct Visitor {
    cell: usize,
    tag: u64,
}

/// What one cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Visit {
    tag: u64,
    /// Requests without a longer pause between them.
    times: u64,
    server: u64,
    /// In tenths of a second.
    at: u64,
}

const CELLS: usize = 4096;

/// Whoever comes later comes anew.
const SECONDS: u64 = 10;

/// An address that asks more often than this without a pause is taken for many players.
const OFTEN: u64 = 3;

const TAG_BITS: u32 = 20;
const TIMES_BITS: u32 = 4;
const SERVER_BITS: u32 = 16;
const AT_BITS: u32 = 24;

impl Recent {
    /// The player at an address that says so of its program and asks for a stream.
    pub fn visitor(&self, address: IpAddr, agent: &[u8], stream: StreamId) -> Visitor {
        let hash = self.salt.hash_one((network(address), agent, stream));
        let tag = hash >> (u64::BITS - TAG_BITS);
        Visitor { cell: usize::try_from(hash % CELLS as u64).unwrap_or(0), tag }
    }

    /// The relay that it was sent to a moment ago.
    pub fn last(&self, visitor: Visitor, now: Moment) -> Option<ServerId> {
        let visit = Visit::unpack(self.cells.get(visitor.cell)?.load(Relaxed));
        let lately = visit.tag == visitor.tag && visit.is_recent(tenths(now));
        let is_one = (1..=OFTEN).contains(&visit.times);
        (lately && is_one).then(|| usize::try_from(visit.server).ok()).flatten()
    }

    /// Remembers where it is sent now. Two that come at once may overwrite each other; then one of
    /// them is forgotten.
    pub fn sent(&self, visitor: Visitor, server: ServerId, now: Moment) {
        let Some(cell) = self.cells.get(visitor.cell) else { return };
        let before = Visit::unpack(cell.load(Relaxed));
        let again = before.tag == visitor.tag && before.is_recent(tenths(now));
        let visit = Visit {
            tag: visitor.tag,
            times: if again { (before.times + 1).min(OFTEN + 1) } else { 1 },
            server: server as u64,
            at: tenths(now),
        };
        cell.store(visit.pack(), Relaxed);
    }
}

/// A provider gives a household a network of IPv6, not an address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

fn tenths(now: Moment) -> u64 {
    let tenths = u64::from(now.subsec_millis()) / 100;
    now.as_secs().wrapping_mul(10).wrapping_add(tenths) & mask(AT_BITS)
}

fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

impl Visit {
    fn is_recent(&self, now: u64) -> bool {
        now.wrapping_sub(self.at) & mask(AT_BITS) < SECONDS * 10
    }

    fn pack(self) -> u64 {
        let tag = self.tag & mask(TAG_BITS);
        let times = self.times & mask(TIMES_BITS);
        let server = self.server & mask(SERVER_BITS);
        (((((tag << TIMES_BITS) | times) << SERVER_BITS) | server) << AT_BITS) | self.at
    }

    fn unpack(packed: u64) -> Self {
        Self {
            tag: packed >> (TIMES_BITS + SERVER_BITS + AT_BITS),
            times: (packed >> (SERVER_BITS + AT_BITS)) & mask(TIMES_BITS),
            server: (packed >> AT_BITS) & mask(SERVER_BITS),
            at: packed & mask(AT_BITS),
        }
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            cells: (0..CELLS).map(|_| AtomicU64::new(0)).collect(),
            salt: RandomState::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Moment = Duration::from_secs(100);

    fn visitor(recent: &Recent, address: &str) -> Visitor {
        recent.visitor(address.parse().unwrap(), b"VLC/3.0.24", 0)
    }

    #[test]
    fn nobody_was_sent_anywhere_at_first() {
        let recent = Recent::default();
        assert_eq!(recent.last(visitor(&recent, "192.0.2.1"), Duration::ZERO), None);
    }

    #[test]
    fn who_comes_back_within_seconds_is_known() {
        let recent = Recent::default();
        let visitor = visitor(&recent, "192.0.2.1");
        recent.sent(visitor, 7, NOW);
        assert_eq!(recent.last(visitor, NOW + Duration::from_secs(9)), Some(7));
        assert_eq!(recent.last(visitor, NOW + Duration::from_millis(9_999)), Some(7));
        assert_eq!(recent.last(visitor, NOW + Duration::from_secs(10)), None);
    }

    #[test]
    fn another_stream_another_program_and_another_address_are_another_player() {
        let recent = Recent::default();
        recent.sent(visitor(&recent, "192.0.2.1"), 7, NOW);
        let address = "192.0.2.1".parse().unwrap();
        for other in [
            visitor(&recent, "192.0.2.2"),
            recent.visitor(address, b"mpv", 0),
            recent.visitor(address, b"VLC/3.0.24", 1),
        ] {
            assert_eq!(recent.last(other, NOW), None);
        }
    }

    #[test]
    fn a_household_has_one_network_of_ipv6() {
        let recent = Recent::default();
        recent.sent(visitor(&recent, "2001:db8::1"), 7, NOW);
        assert_eq!(recent.last(visitor(&recent, "2001:db8::2:2"), NOW), Some(7));
        assert_eq!(recent.last(visitor(&recent, "2001:db8:0:1::1"), NOW), None);
        recent.sent(visitor(&recent, "192.0.2.9"), 8, NOW);
        assert_eq!(recent.last(visitor(&recent, "::ffff:192.0.2.9"), NOW), Some(8));
    }

    #[test]
    fn an_address_that_asks_often_is_many_players() {
        let recent = Recent::default();
        let visitor = visitor(&recent, "192.0.2.1");
        let mut known = Vec::new();
        for second in 0..6 {
            let now = NOW + Duration::from_secs(second);
            known.push(recent.last(visitor, now));
            recent.sent(visitor, 7, now);
        }
        assert_eq!(known, [None, Some(7), Some(7), Some(7), None, None]);
        let after_a_pause = NOW + Duration::from_secs(60);
        recent.sent(visitor, 8, after_a_pause);
        assert_eq!(recent.last(visitor, after_a_pause), Some(8));
    }

    #[test]
    fn a_visit_is_unpacked_as_it_was_packed() {
        let visit = Visit { tag: 0xf_ffff, times: 4, server: 65_535, at: 0xff_ffff };
        assert_eq!(Visit::unpack(visit.pack()), visit);
    }
}
