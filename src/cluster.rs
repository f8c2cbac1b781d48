//! Several balancers act as one: they lend one another slots through an engine, Valkey or Redis.
//!
//! What a replica may give away is decided in its own ledger, by its share ([`crate::slots`]), and
//! nothing else: the engine is where replicas that are asked for much say what they want, and where
//! others leave for them what they can spare. So no slot comes from there that was not somebody's, and an
//! engine that is slow, hangs, dies or comes back empty costs nothing but the lending.
//!
//! Nobody who asks for a stream waits for any of this. One task speaks with the engine, in beats: each
//! carries our word that we live, what we want and what we lend, and brings what others want and what
//! was lent to us.

mod demand;
mod lender;
mod line;
mod link;
mod message;
mod offers;
mod pool;
mod pulse;
mod sentinel;
mod trade;
mod trouble;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::fleet::Engine;
use crate::members::Member;
use crate::slots::Moment;
use crate::state::{Snapshot, State};
use crate::waiting;

use lender::busiest;
use link::Link;
use message::{About, Beat, Heard};
use offers::Offers;
use trade::Trade;
use trouble::Trouble;

/// So often each replica speaks with the engine.
const BEAT: Duration = Duration::from_millis(50);

/// At most so often, while somebody wants something: as often as listeners come. Who lends something says so
/// at once.
const SHORTEST_BEAT: Duration = Duration::from_millis(5);

/// An engine that takes longer to answer is taken for dead.
const PATIENCE: Duration = Duration::from_millis(300);

/// The same of one that is being connected to.
const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(1);

/// A dead engine is tried again after about this long.
const RETRY: Duration = Duration::from_millis(500);

/// So long before its end what was borrowed is given up, for this is done in beats.
const EARLY: Duration = Duration::from_millis(120);

/// Lends and borrows as the configuration in force says, until `stop`.
pub async fn run(state: Arc<State>, stop: CancellationToken) {
    let replica = Replica::new(state);
    tokio::select! {
        () = stop.cancelled() => {}
        () = replica.end_loans() => {}
        () = replica.follow() => {}
    }
}

/// A name for this process that no other has.
fn name() -> String {
    format!("{:08x}{:08x}", fastrand::u32(..), std::process::id())
}

/// What beats are exchanged with: an engine.
trait Exchange {
    /// One beat there, and what is said to it.
    async fn beat(&mut self, beat: &Beat) -> Result<Heard, Trouble>;
}

struct Replica {
    state: Arc<State>,
    name: String,
    host: String,
    trade: Mutex<Trade>,
}

impl Replica {
    fn new(state: Arc<State>) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { state, name: name(), host, trade: Mutex::default() }
    }

    /// Gives up what was borrowed when it ends, whether or not there is an engine by then.
    async fn end_loans(&self) {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            let snapshot = self.state.load_full();
            self.trade().end_loans(&snapshot, self.state.now() + EARLY);
        }
    }

    /// Speaks with whatever engine the configuration names.
    async fn follow(&self) {
        let mut replacements = self.state.replacements();
        loop {
            let engine = self.state.load().fleet.engine.clone();
            let changed = async {
                loop {
                    if replacements.changed().await.is_err() {
                        return std::future::pending().await;
                    }
                    if self.state.load().fleet.engine != engine {
                        return;
                    }
                }
            };
            tokio::select! {
                () = changed => {}
                () = self.keep_to(engine.as_ref()) => {}
            }
            self.state.members.lost(None);
        }
    }

    /// Speaks with one engine, again and again.
    async fn keep_to(&self, engine: Option<&Engine>) {
        let Some(engine) = engine else { return std::future::pending().await };
        let mut told = false;
        for connection in 0_u64.. {
            let name = format!("{}.{connection}", self.name);
            let Err(trouble) = self.speak(engine, name, &mut told).await;
            let trouble = trouble.told(engine);
            if self.state.members.lost(Some(trouble.clone())) || !told {
                warn!(%engine, "the engine does not answer, so that nothing is lent: {trouble}");
                told = true;
            }
            sleep(RETRY.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
        }
    }

    /// Connects to an engine and speaks with it, until it does not answer.
    async fn speak(
        &self,
        engine: &Engine,
        name: String,
        told: &mut bool,
    ) -> Result<Infallible, Trouble> {
        let address = sentinel::find(engine).await?;
        let link = Link::to(engine, &address, name, &self.name);
        let link = timeout(PATIENCE_TO_CONNECT, link).await;
        let mut link = link.unwrap_or(Err(Trouble::Slow))?;
        self.deal(&mut link, engine, told).await
    }

    /// Exchanges beats with an engine that nothing was said to yet, until it does not answer.
    async fn deal(
        &self,
        link: &mut impl Exchange,
        engine: &Engine,
        told: &mut bool,
    ) -> Result<Infallible, Trouble> {
        self.trade().begin();
        let mut offers = Offers::default();
        loop {
            let sent = self.state.now();
            let snapshot = self.state.load_full();
            let mut beat = self.trade().beat(&snapshot, sent, &offers);
            beat.about = About::new(&snapshot.digest, &self.host);
            drop(snapshot);
            let heard = timeout(PATIENCE, link.beat(&beat)).await.unwrap_or(Err(Trouble::Slow))?;
            let received = self.state.now();
            offers.settle(&heard.taken);
            self.meet(engine, &heard, received, told);
            let snapshot = self.state.load_full();
            let deal = self.trade().hear(&snapshot, sent, received, &heard);
            let deal = deal.map_err(|_jumped| Trouble::Clock)?;
            self.state.members.borrowed.add(deal.borrowed);
            self.state.members.lent.add(deal.offers.slots());
            if deal.has_borrowed {
                waiting::usher(&self.state, self.state.now());
            }
            offers = deal.offers;
            if let Some(pause) = pause(&snapshot, &beat, &heard, &offers) {
                sleep(pause).await;
            }
        }
    }

    fn meet(&self, engine: &Engine, heard: &Heard, received: Moment, told: &mut bool) {
        let (members, replicas) = (&self.state.members, heard.replicas);
        let before = members.count();
        let present = heard.present.iter().map(|member| Member {
            name: member.process.clone(),
            host: member.about.host.clone(),
            config: member.about.config.clone(),
            heard: received.saturating_sub(age(heard.time, member.last)),
            is_self: member.process == self.name,
        });
        if members.found(replicas, present.collect()) {
            info!(%engine, replicas, "slots are lent between the replicas");
            *told = true;
        }
        let most = self.state.load().fleet.replicas;
        if replicas > most && before <= most {
            warn!(
                "there are {replicas} balancers, and cluster.replicas is {most}: slots can be given \
                 away twice until it is raised"
            );
        }
    }

    fn trade(&self) -> MutexGuard<'_, Trade> {
        self.trade.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For how long to be silent after a beat and its answer, if that has led to these offers.
fn pause(snapshot: &Snapshot, beat: &Beat, heard: &Heard, offers: &Offers) -> Option<Duration> {
    if beat.loans.is_empty() && !offers.is_empty() {
        return None;
    }
    let others = heard.wants.iter().map(|(_, wants)| wants);
    let wants = others.chain([&beat.wants]).flat_map(|wants| &wants.wants);
    let one_comes = Duration::try_from_secs_f64(1.0 / busiest(snapshot, wants)).unwrap_or(BEAT);
    Some(one_comes.clamp(SHORTEST_BEAT, BEAT))
}

/// How long ago a moment of the engine's clock was.
fn age(now: u64, then: u64) -> Duration {
    Duration::from_millis(now.saturating_sub(then))
}

#[cfg(test)]
mod tests;
