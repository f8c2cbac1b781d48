//! The crowd: people who come at given moments, ask, follow, listen, and come again when their
//! relay dies. It remembers what happened to everybody.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout_at};

use crate::door::Entrance;
use crate::player::{Answer, ask, listen};

/// After so long without audio a person gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Something that happened to one of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    /// Since the doors opened.
    pub(crate) at: Duration,
    pub(crate) what: What,
}

/// What happened. Relays are given by their places.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    /// Was sent to a relay, by the balancer or by the name's addresses.
    Sent { relay: usize },
    /// Hears the first of the audio, so long after having asked.
    Plays { relay: usize, after: Duration },
    /// Was refused by the relay.
    Refused { relay: usize },
    /// Could not connect to the relay, and takes the next address.
    PassedOn { relay: usize },
    /// Could not connect to the relay, or heard nothing until patience ended.
    Unanswered { relay: usize },
    /// Was told by the balancer that there is no slot.
    TurnedAway,
    /// Got no answer from the balancer.
    NotServed,
    /// The relay died.
    CutOff { relay: usize },
}

/// People before the doors, and behind them.
pub(crate) struct Crowd {
    people: JoinSet<()>,
    memory: Arc<Memory>,
}

/// What they all share.
struct Memory {
    opened: Instant,
    entrance: Entrance,
    relays: Vec<SocketAddr>,
    /// How many have looked the name up so far.
    lookups: AtomicUsize,
    events: Mutex<Vec<Event>>,
}

impl Crowd {
    /// Opens the doors: moments are counted from now on.
    pub(crate) fn new(entrance: Entrance, relays: Vec<SocketAddr>) -> Self {
        let memory = Memory {
            opened: Instant::now(),
            entrance,
            relays,
            lookups: AtomicUsize::new(0),
            events: Mutex::default(),
        };
        Self { people: JoinSet::new(), memory: Arc::new(memory) }
    }

    /// Lets people come at these moments.
    pub(crate) fn expect(&mut self, runtime: &Runtime, arrivals: impl Iterator<Item = Duration>) {
        for at in arrivals {
            let person = person(Arc::clone(&self.memory), home(self.people.len()), at);
            self.people.spawn_on(person, runtime.handle());
        }
    }

    /// Waits until this moment.
    pub(crate) fn wait_until(&self, moment: Duration) {
        std::thread::sleep(moment.saturating_sub(self.memory.opened.elapsed()));
    }

    /// How often any of this has happened so far.
    pub(crate) fn count(&self, what: impl Fn(&What) -> bool) -> usize {
        let events = self.memory.events.lock().expect("nobody panicked");
        events.iter().filter(|event| what(&event.what)).count()
    }

    /// Sends everybody home, and tells what happened, in order.
    pub(crate) fn disperse(mut self, runtime: &Runtime) -> Vec<Event> {
        // They go home in this moment: those who are still on their way remember nothing more.
        let mut events = self.memory.events.lock().expect("nobody panicked").clone();
        runtime.block_on(self.people.shutdown());
        events.sort_by_key(|event| event.at);
        events
    }
}

/// Everybody has an address of their own, as at home; all of them are on loopback.
fn home(person: usize) -> Ipv4Addr {
    let number = u32::try_from(person).expect("a small crowd");
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 16, 0, 1).to_bits() + number)
}

/// Comes, and comes again each time its relay dies.
async fn person(memory: Arc<Memory>, home: Ipv4Addr, at: Duration) {
    sleep_until((memory.opened + at).into()).await;
    while visit(&memory, home).await {
        // Players that come back do so within a second; a few hundred never agree on the moment.
        sleep(Duration::from_millis(fastrand::u64(0..1000))).await;
    }
}

/// One visit. Returns whether the person was cut off, and wants to come again; who was refused
/// goes away, since plain players do not try again.
async fn visit(memory: &Memory, home: Ipv4Addr) -> bool {
    let came = Instant::now();
    let deadline = (came + PATIENCE).into();
    let Some(mut relay) = way_in(memory, home, deadline).await else { return false };
    memory.note(What::Sent { relay });
    let mut tried = 1;
    let answer = loop {
        match timeout_at(deadline, ask(memory.relays[relay], home)).await {
            // With a list of addresses, a player takes the next one if nobody is at home.
            Ok(Err(_)) if memory.entrance.is_name() && tried < memory.relays.len() => {
                memory.note(What::PassedOn { relay });
                relay = (relay + 1) % memory.relays.len();
                memory.note(What::Sent { relay });
                tried += 1;
            }
            Ok(Ok(answer)) => break Some(answer),
            Ok(Err(_)) | Err(_) => break None,
        }
    };
    match answer {
        Some(Answer::Audio(stream)) => {
            memory.note(What::Plays { relay, after: came.elapsed() });
            listen(stream).await;
            memory.note(What::CutOff { relay });
            true
        }
        Some(Answer::Refusal | Answer::Redirect(_)) => {
            memory.note(What::Refused { relay });
            false
        }
        None => {
            memory.note(What::Unanswered { relay });
            false
        }
    }
}

/// The relay that the next one is sent to; `None` if there is none.
async fn way_in(memory: &Memory, home: Ipv4Addr, deadline: tokio::time::Instant) -> Option<usize> {
    let balancer = match memory.entrance {
        Entrance::Name => {
            return Some(memory.lookups.fetch_add(1, Ordering::Relaxed) % memory.relays.len());
        }
        Entrance::Balancer(balancer) => balancer,
    };
    let what = match timeout_at(deadline, ask(balancer, home)).await {
        Ok(Ok(Answer::Redirect(to))) => {
            return memory.relays.iter().position(|relay| *relay == to);
        }
        Ok(Ok(Answer::Refusal)) => What::TurnedAway,
        _ => What::NotServed,
    };
    memory.note(what);
    None
}

impl Memory {
    fn note(&self, what: What) {
        let event = Event { at: self.opened.elapsed(), what };
        self.events.lock().expect("nobody panicked").push(event);
    }
}
