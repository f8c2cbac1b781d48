//! What a configuration makes of a crowd, played through in no time.
//!
//! Arrivals, looks, and whatever happens to relays are put into one order and played one after the
//! other against the very selection and the very ledger that answer players; only the relays and
//! the clock are made up. So what comes out is what the balancer would do, as far as relays keep
//! to their configured limits and listeners come as they were said to.

mod outcome;
mod picture;
mod plan;
mod relays;
mod series;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::fleet::{Fleet, ServerId, ServerState, StreamId, WhenFull};
use crate::player::{Client, Refusal};
use crate::select::{Decision, assign};
use crate::slots::{Evidence, Moment, Rules, begin_look, record, wants_look};
use crate::state::Snapshot;

pub use outcome::{Outcome, RelayOutcome, StreamOutcome};
pub use picture::Picture;
pub use plan::{Arrival, Event, EventKind, Plan, PlanError, Start, Who};
pub use series::Series;

use relays::{Entry, Relays};

/// From the redirect to the moment in which a relay counts the listener: a median of real ones.
const JOINING: Duration = Duration::from_millis(300);

/// Listeners of a relay that dies ask again within so long; those whose players do not are gone.
const RETURNING: Duration = Duration::from_secs(5);

/// How long is watched after the last arrival, so that those who were sent are seen to arrive.
const AFTERWARDS: Duration = Duration::from_secs(15);

/// Whoever watches a play is told of so many happenings at once.
const AT_ONCE: u64 = 4096;

/// Plays `plan` against what `fleet` means.
pub fn play(fleet: Fleet, plan: &Plan) -> Outcome {
    play_watched(fleet, plan, &mut |_| ())
}

/// The same, and tells now and then how much of the time is over, as a share of 1.
pub fn play_watched(fleet: Fleet, plan: &Plan, watch: &mut dyn FnMut(f64)) -> Outcome {
    let mut stage = Stage::new(fleet, plan);
    let mut happened: u64 = 0;
    while let Some(Reverse(next)) = stage.agenda.pop() {
        if next.at > stage.end {
            break;
        }
        stage.now = next.at;
        stage.happen(next.what);
        happened += 1;
        if happened.is_multiple_of(AT_ONCE) {
            watch(stage.outcome.share(stage.now));
        }
    }
    stage.outcome.waiting_at_the_end = stage.waiting.iter().map(|queue| queue.len() as u64).sum();
    stage.outcome
}

/// Something that is due; whatever was put down first comes first at the same moment.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Moment,
    order: u64,
    what: Happening,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrives { stream: StreamId, came_from: Option<ServerId> },
    Joins(Listener),
    Leaves(Listener),
    MayBeLookedAt { server: ServerId, last: Moment },
    LosesPatience(StreamId),
    Changes(ServerId, EventKind),
}

/// Somebody who is on the way to a mount, or listens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Listener {
    stream: StreamId,
    server: ServerId,
    /// The mount's place among the server's.
    mount: usize,
    /// How often the relay had died by then: those who were there then are there no more.
    life: u32,
}

/// Somebody who waits for a slot.
struct Waiting {
    until: Moment,
}

struct Stage<'a> {
    plan: &'a Plan,
    snapshot: Snapshot,
    relays: Relays,
    agenda: BinaryHeap<Reverse<Due>>,
    order: u64,
    now: Moment,
    end: Moment,
    rng: fastrand::Rng,
    waiting: Vec<VecDeque<Waiting>>,
    outcome: Outcome,
}

impl<'a> Stage<'a> {
    fn new(fleet: Fleet, plan: &'a Plan) -> Self {
        // The crowd is that of all replicas together.
        let fleet = Fleet { replicas: 1, ..fleet };
        let relays = Relays::of(&fleet);
        let outcome = Outcome::of(&fleet, plan);
        let snapshot = Snapshot::first(fleet, String::new());
        let mut stage = Self {
            plan,
            relays,
            agenda: BinaryHeap::new(),
            order: 0,
            now: Moment::ZERO,
            end: plan.end() + AFTERWARDS,
            rng: fastrand::Rng::with_seed(plan.seed),
            waiting: snapshot.fleet.streams.iter().map(|_| VecDeque::new()).collect(),
            outcome,
            snapshot,
        };
        // The balancer has been running for a while when the first listener comes.
        for server in 0..stage.snapshot.fleet.servers.len() {
            stage.look(server);
        }
        for arrival in &plan.arrivals {
            let arrives = Happening::Arrives { stream: arrival.stream, came_from: None };
            stage.put_down(arrival.at, arrives);
        }
        for event in &plan.events {
            stage.put_down(event.at, Happening::Changes(event.server, event.kind));
        }
        stage
    }

    fn put_down(&mut self, at: Moment, what: Happening) {
        self.order += 1;
        self.agenda.push(Reverse(Due { at, order: self.order, what }));
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Arrives { stream, came_from } => self.arrive(stream, came_from),
            Happening::Joins(listener) => self.join(listener),
            Happening::Leaves(listener) => {
                self.relays.leave(&listener);
                self.note_load(listener.server);
            }
            Happening::MayBeLookedAt { server, last } => self.may_look(server, last),
            Happening::LosesPatience(stream) => self.lose_patience(stream),
            Happening::Changes(server, kind) => self.change(server, kind),
        }
    }

    fn arrive(&mut self, stream: StreamId, came_from: Option<ServerId>) {
        self.outcome.arrived(stream);
        if self.waiting.get(stream).is_some_and(|queue| !queue.is_empty()) {
            // Nobody overtakes those who wait.
            self.wait(stream);
            return;
        }
        match self.send(stream, came_from) {
            Ok(()) => {}
            Err(Refusal::Full) if self.patience(stream).is_some() => self.wait(stream),
            Err(refusal) => self.outcome.refused(stream, refusal, self.now),
        }
    }

    /// Decides for one player, as for one that asks the balancer.
    fn send(&mut self, stream: StreamId, came_from: Option<ServerId>) -> Result<(), Refusal> {
        let client = Client { came_from, ..Client::ANY };
        let rng = &mut self.rng;
        match assign(&self.snapshot, stream, client, self.now, rng, true) {
            Decision::Mount(mount) => {
                let pause = mount.turn(self.snapshot.fleet.balance.settle, self.now);
                let server = mount.config.server;
                let found = self.relays.mount(server, &mount.config.path);
                let Some((mount, life)) = found else { return Err(Refusal::Offline) };
                let listener = Listener { stream, server, mount, life };
                self.put_down(self.now + pause + JOINING, Happening::Joins(listener));
                Ok(())
            }
            Decision::Elsewhere(_) => {
                self.outcome.sent_elsewhere(stream);
                Ok(())
            }
            Decision::Refused(refusal) => Err(refusal),
        }
    }

    fn join(&mut self, listener: Listener) {
        match self.relays.enter(&listener) {
            Entry::Plays => {
                self.outcome.plays(listener.stream);
                self.note_load(listener.server);
                if let Some(mean) = self.plan.stay {
                    // As long as each other moment: an exponential distribution.
                    let stay = mean.mul_f64(-(1.0 - self.rng.f64()).ln());
                    self.put_down(self.now + stay, Happening::Leaves(listener));
                }
            }
            Entry::Full => {
                self.outcome.refused_by_relay(listener.stream, listener.server, self.now);
            }
            Entry::Dead => self.outcome.lost(listener.stream, listener.server, self.now),
        }
    }

    fn note_load(&mut self, server: ServerId) {
        let listeners = self.relays.listeners(server);
        self.outcome.load(server, listeners, self.now);
    }

    /// Looks at a relay if that is due, as its poll task would.
    fn may_look(&mut self, server: ServerId, last: Moment) {
        let due = self.now.saturating_sub(last) >= self.snapshot.fleet.poll.interval;
        let mounts = self.snapshot.listed(server);
        let wanted =
            self.snapshot.server(server).is_some_and(|slots| due || wants_look(slots, &mounts));
        if wanted {
            self.look(server);
            self.usher();
        } else {
            self.look_later(server, last);
        }
    }

    fn look_later(&mut self, server: ServerId, last: Moment) {
        let jitter = 0.9 + 0.2 * self.rng.f64();
        let pause = self.snapshot.fleet.poll.fast_interval.mul_f64(jitter);
        self.put_down(self.now + pause, Happening::MayBeLookedAt { server, last });
    }

    /// One look at a relay.
    fn look(&mut self, server: ServerId) {
        let fleet = &self.snapshot.fleet;
        let Some(config) = fleet.servers.get(server) else { return };
        if config.state == ServerState::Disabled {
            return;
        }
        let Some(slots) = self.snapshot.server(server) else { return };
        let mounts = self.snapshot.listed(server);
        let look = begin_look(slots, &mounts, self.now);
        let evidence = match self.relays.report(server) {
            Some(report) => {
                record(slots, &mounts, look, &report, fleet.balance.settle);
                Evidence::Good
            }
            None => Evidence::Hard,
        };
        let poll = &fleet.poll;
        let rules =
            Rules { rise: poll.rise, fall: poll.fall, slow_start: poll.slow_start, hold: false };
        slots.judge(evidence, self.now, rules);
        self.look_later(server, self.now);
    }

    fn patience(&self, stream: StreamId) -> Option<Duration> {
        match self.snapshot.fleet.streams.get(stream)?.when_full {
            WhenFull::Wait(patience) => Some(patience),
            WhenFull::Reject | WhenFull::Overflow | WhenFull::Fallback => None,
        }
    }

    fn wait(&mut self, stream: StreamId) {
        let until = self.now + self.patience(stream).unwrap_or_default();
        if let Some(queue) = self.waiting.get_mut(stream) {
            queue.push_back(Waiting { until });
            self.put_down(until, Happening::LosesPatience(stream));
        }
    }

    /// Hands out to those who wait what a look found free.
    fn usher(&mut self) {
        for stream in 0..self.waiting.len() {
            while self.waiting.get(stream).is_some_and(|queue| !queue.is_empty()) {
                let sent = self.send(stream, None);
                if sent == Err(Refusal::Full) {
                    break;
                }
                if let Some(queue) = self.waiting.get_mut(stream) {
                    queue.pop_front();
                }
                if let Err(refusal) = sent {
                    self.outcome.refused(stream, refusal, self.now);
                }
            }
        }
    }

    fn lose_patience(&mut self, stream: StreamId) {
        let now = self.now;
        let Some(queue) = self.waiting.get_mut(stream) else { return };
        while queue.front().is_some_and(|first| first.until <= now) {
            queue.pop_front();
            self.outcome.refused(stream, Refusal::Full, now);
        }
    }

    fn change(&mut self, server: ServerId, kind: EventKind) {
        match kind {
            EventKind::Drain => {
                if let Some(config) = self.snapshot.fleet.servers.get_mut(server) {
                    config.state = ServerState::Draining;
                }
            }
            EventKind::Kill => {
                for (stream, listeners) in self.relays.kill(server) {
                    self.outcome.thrown_out(server, listeners);
                    for _ in 0..listeners {
                        let at = self.now + RETURNING.mul_f64(self.rng.f64());
                        let again = Happening::Arrives { stream, came_from: Some(server) };
                        self.put_down(at, again);
                    }
                }
                self.note_load(server);
            }
        }
    }
}

#[cfg(test)]
mod tests;
