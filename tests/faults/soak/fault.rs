//! What breaks during a soak, and how it is made whole again.

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::stage::{Air, RADIO, fleet};
use crate::support::balancer::{PUBLIC, addressed};
use crate::support::icecast::address;
use crate::support::source::Source;
use crate::support::wall::Wall;
use crate::support::web;

use super::{CROWD, MUTE, RELAYS, SETTINGS};

/// Something that breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A relay is killed, and started again.
    Killed,
    /// A relay hangs.
    Hung,
    /// Packets to a relay vanish.
    Blackholed,
    /// A relay resets connections.
    Resets,
    /// A third of the packets to a relay are lost.
    Loss,
    /// A relay loses its source.
    Silent,
    /// A relay is drained by the configuration.
    Drained,
    /// The configuration is nonsense.
    Nonsense,
    /// Fifty hang-up signals.
    Hangups,
    /// Clients that connect and say nothing.
    Mute,
    /// Listeners who come at once.
    Crowd,
    /// The balancer itself stands still for two seconds.
    Paused,
}

const KINDS: [Kind; 12] = [
    Kind::Killed,
    Kind::Hung,
    Kind::Blackholed,
    Kind::Resets,
    Kind::Loss,
    Kind::Silent,
    Kind::Drained,
    Kind::Nonsense,
    Kind::Hangups,
    Kind::Mute,
    Kind::Crowd,
    Kind::Paused,
];

/// One that goes on, or is over.
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// The relay it is about.
    relay: u8,
    began: Instant,
    /// When it is to be made whole.
    ends: Instant,
    /// When it was.
    healed: Option<Instant>,
    mute: Vec<TcpStream>,
}

impl Fault {
    /// Breaks something by chance.
    pub(super) fn begin(rng: &mut fastrand::Rng, air: &mut Air, wall: &Wall) -> Self {
        let kind = KINDS[rng.usize(..KINDS.len())];
        let relay = rng.u8(1..=RELAYS);
        let at = usize::from(relay) - 1;
        let lasts = Duration::from_secs_f64(3.5 + 3.0 * rng.f64());
        let mut mute = Vec::new();
        // What takes time to begin, such as a signal to many, began before.
        let began = Instant::now();
        match kind {
            Kind::Killed => air.relays[at].kill(),
            Kind::Hung => air.relays[at].hang(),
            Kind::Blackholed => wall.swallow(relay),
            Kind::Resets => wall.reset(relay),
            Kind::Loss => wall.lose(relay),
            Kind::Silent => air.sources[at] = None,
            Kind::Drained => {
                let active = format!("  r{relay}: http://{}\n", address(relay));
                let draining = format!(
                    "  r{relay}: {{url: \"http://{}\", state: draining}}\n",
                    address(relay)
                );
                write(air, &config().replace(&active, &draining));
            }
            Kind::Nonsense => write(air, "servers: {vienna: [}\n"),
            Kind::Hangups => (0..50).for_each(|_| air.door.balancer().process.signal(Signal::HUP)),
            Kind::Mute => mute.extend((0..MUTE).filter_map(|_| web::connect(PUBLIC).ok())),
            Kind::Crowd => {}
            Kind::Paused => {
                air.door.balancer().process.signal(Signal::STOP);
                std::thread::sleep(Duration::from_secs(2));
                air.door.balancer().process.signal(Signal::CONT);
            }
        }
        Self { kind, relay, began, ends: began + lasts, healed: None, mute }
    }

    /// Makes it whole when its time has come.
    pub(super) fn heal_if_due(&mut self, air: &mut Air, wall: &Wall) {
        if self.healed.is_none() && self.ends <= Instant::now() {
            self.heal(air, wall);
        }
    }

    /// Makes it whole.
    pub(super) fn heal(&mut self, air: &mut Air, wall: &Wall) {
        if self.healed.is_some() {
            return;
        }
        self.healed = Some(Instant::now());
        let at = usize::from(self.relay) - 1;
        match self.kind {
            Kind::Killed => air.relays[at].restart(),
            Kind::Hung => air.relays[at].wake(),
            Kind::Blackholed | Kind::Resets | Kind::Loss => wall.open(),
            Kind::Silent => air.sources[at] = Some(Source::start(&air.relays[at], RADIO)),
            Kind::Drained | Kind::Nonsense => write(air, &config()),
            Kind::Mute => self.mute.clear(),
            Kind::Hangups | Kind::Crowd | Kind::Paused => {}
        }
        // Sources connect again by themselves.
        air.relays[at].wait_for(RADIO);
    }

    /// How many come at once because of it.
    pub(super) fn crowd(&self) -> usize {
        if self.kind == Kind::Crowd { CROWD } else { 0 }
    }

    /// What it was, and how long before or after the moment `at` it began, for people.
    pub(super) fn told(&self, at: Instant) -> String {
        let (kind, relay) = (self.kind, self.relay);
        let before = at.saturating_duration_since(self.began).as_secs_f64();
        let after = self.began.saturating_duration_since(at).as_secs_f64();
        format!("{kind:?} of r{relay} {:.1} s before", before - after)
    }

    /// Whether somebody who asked `at` that moment must not be sent to the relay at `address`.
    pub(super) fn forbids(&self, sent_to: &str, at: Instant) -> bool {
        // An interval of looks, a look in vain, or the two seconds of a reload; and a busy machine.
        let known = match self.kind {
            Kind::Killed | Kind::Resets | Kind::Silent => 3.0,
            Kind::Hung | Kind::Blackholed | Kind::Drained => 4.0,
            _ => return false,
        };
        sent_to == address(self.relay)
            && at >= self.began + Duration::from_secs_f64(known)
            // The answer to who asked just before may have come after.
            && self.healed.is_none_or(|healed| at + Duration::from_millis(500) < healed)
    }

    /// Whether it explains that somebody who asked `at` that moment, and waited for so long, was
    /// not served by the relay at `address`.
    pub(super) fn explains(&self, sent_to: &str, at: Instant, took: Duration) -> bool {
        let hurts = matches!(
            self.kind,
            Kind::Killed | Kind::Hung | Kind::Blackholed | Kind::Resets | Kind::Loss | Kind::Silent
        );
        // It takes a relay moments until it serves again, and its kernel to send again.
        let over = self.healed.is_some_and(|healed| at > healed + Duration::from_secs(4));
        hurts && sent_to == address(self.relay) && at + took >= self.began && !over
    }
}

/// The configuration, as it is when nothing is broken.
fn config() -> String {
    format!("{SETTINGS}{}", fleet(1..=RELAYS))
}

fn write(air: &Air, config: &str) {
    fs::write(&air.door.balancer().file, addressed(config)).unwrap();
}
