//! A small radio station: a source, the master it plays to, and relays with few slots.

use std::net::SocketAddr;
use std::time::Duration;

use crate::icecast::{Icecast, MOUNT, SOURCE_PASSWORD};
use crate::support::lab::Lab;
use crate::support::process::{Process, Program, eventually};

/// Dropping it ends all its programs.
pub(crate) struct Station {
    /// How many listeners each relay takes.
    pub(crate) slots_each: u64,
    relays: Vec<Icecast>,
    _source: Process,
    _master: Icecast,
}

impl Station {
    /// Starts all of it and waits until every relay plays.
    pub(crate) fn start(lab: &Lab, relays: usize, slots_each: u64) -> Self {
        let master = Icecast::master(lab);
        let source = source(lab, &master);
        master.wait_until_it_plays();
        let relay = |at| Icecast::relay(lab, &format!("relay{}", at + 1), &master, slots_each);
        let relays: Vec<_> = (0..relays).map(relay).collect();
        for relay in &relays {
            relay.wait_until_it_plays();
        }
        Self { slots_each, relays, _source: source, _master: master }
    }

    /// Where the relays listen.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.relays.iter().map(Icecast::address).collect()
    }

    /// How many relays there are.
    pub(crate) fn relays(&self) -> usize {
        self.relays.len()
    }

    /// The slots of all relays.
    pub(crate) fn slots(&self) -> u64 {
        self.slots_each * self.relays.len() as u64
    }

    /// The relay at this place.
    pub(crate) fn relay(&mut self, at: usize) -> &mut Icecast {
        &mut self.relays[at]
    }

    /// Waits until every relay plays and knows that nobody listens any more.
    pub(crate) fn wait_until_empty(&self) {
        for relay in &self.relays {
            let what = format!("nobody listens to {}", relay.address());
            eventually(&what, Duration::from_secs(30), || {
                (relay.listeners() == Some(0)).then_some(())
            });
        }
    }
}

/// Plays a tone into `master`: at 128 kbit/s, as most radio is.
fn source(lab: &Lab, master: &Icecast) -> Process {
    Program::new("ffmpeg", "ffmpeg")
        .words("-hide_banner -nostdin -loglevel warning -re -f lavfi")
        .words("-i sine=frequency=440:sample_rate=44100 -ac 1 -c:a libmp3lame -b:a 128k")
        .words("-content_type audio/mpeg -f mp3")
        .args([format!("icecast://source:{SOURCE_PASSWORD}@{}{MOUNT}", master.address())])
        .start(&lab.folder("source", "nobody"))
}
