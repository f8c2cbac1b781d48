//! What may go wrong while players are served.

mod controls;
mod engine;
mod hung;
mod reload;
mod replicas;
mod slow;
mod unread;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::balancer::Balancer;
use crate::options::Options;
use crate::support::lab::Lab;

use replicas::{How, Replicas};

/// Something that goes wrong, and can be ended again.
pub(crate) trait Fault {
    /// The balancer that it happens to.
    fn balancer(&self) -> &Balancer;

    /// All processes that take part in it.
    fn processes(&self) -> Vec<u32> {
        vec![self.balancer().id()]
    }

    /// Lets it happen from now on.
    fn begin(&mut self);

    /// Ends it; returns when everything is as before.
    fn end(&mut self);

    /// What was seen besides the players' answers.
    fn findings(&self) -> Vec<Finding>;
}

/// Something that was seen.
#[derive(Debug)]
pub(crate) struct Finding {
    /// What it is.
    pub(crate) text: String,
    /// Whether it is as it must be.
    pub(crate) good: bool,
}

/// The faults there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// None: the two rounds of a pair are alike, and the ratio is the machine's noise.
    Nothing,
    /// The balancer is stopped again and again: what a lock held by a slow part would look like.
    Pauses,
    /// The configuration changes five times a second.
    Reload,
    /// Half of the relays hang.
    Hung,
    /// Connections that never ask for anything.
    Slow,
    /// Nobody reads the log.
    Unread,
    /// The engine between balancers hangs.
    EngineHung,
    /// It is dead.
    EngineDead,
    /// Another replica on it is killed.
    Killed,
    /// The other replicas are replaced.
    Replaced,
    /// It is out of reach of this one.
    CutOff,
}

impl Kind {
    /// All of them, the controls first.
    pub(crate) const ALL: &[Self] = &[
        Self::Nothing,
        Self::Pauses,
        Self::Reload,
        Self::Hung,
        Self::Slow,
        Self::Unread,
        Self::EngineHung,
        Self::EngineDead,
        Self::Killed,
        Self::Replaced,
        Self::CutOff,
    ];

    /// Its name on the command line.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Pauses => "pauses",
            Self::Reload => "reload",
            Self::Hung => "hung",
            Self::Slow => "slow",
            Self::Unread => "unread",
            Self::EngineHung => "engine",
            Self::EngineDead => "engine-dead",
            Self::Killed => "killed",
            Self::Replaced => "replaced",
            Self::CutOff => "cut-off",
        }
    }

    /// Its name in tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Nothing => "control: nothing happens",
            Self::Pauses => "control: stopped for 20 ms, five times a second",
            Self::Reload => "five reloads a second, of 100 streams",
            Self::Hung => "25 of 50 relays hang",
            Self::Slow => "1,500 connections that never ask",
            Self::Unread => "an access log that nobody reads",
            Self::EngineHung => "the engine between balancers hangs",
            Self::EngineDead => "the engine between balancers is dead",
            Self::Killed => "one of three balancers on an engine is killed",
            Self::Replaced => "two of three balancers on an engine are replaced",
            Self::CutOff => "one of three balancers is cut off from the engine",
        }
    }

    /// How many times the quiet p99 the other one may be. A control must be above it.
    fn bound(self) -> f64 {
        match self {
            Self::Pauses | Self::Reload | Self::Slow => 2.0,
            _ => 1.2,
        }
    }

    /// What is promised.
    pub(crate) fn promise(self) -> String {
        let bound = self.bound();
        match self {
            Self::Pauses => format!("it is found: p99 > {bound} × quiet"),
            _ => format!("p99 ≤ {bound} × quiet, none fails"),
        }
    }

    /// Whether it was kept, with p99 so many times the quiet one.
    pub(crate) fn is_kept(self, ratio: f64, failed: usize) -> bool {
        match self {
            Self::Pauses => ratio > self.bound() && failed == 0,
            _ => ratio <= self.bound() && failed == 0,
        }
    }

    /// Starts what it needs. An error says why that cannot be.
    pub(crate) fn prepare(self, lab: &Lab, options: &Options) -> Result<Box<dyn Fault>, String> {
        Ok(match self {
            Self::Nothing => Box::new(controls::Nothing::prepare(lab, options)),
            Self::Pauses => Box::new(controls::Pauses::prepare(lab, options)),
            Self::Reload => Box::new(reload::Reload::prepare(lab, options)),
            Self::Hung => Box::new(hung::Hung::prepare(lab, options)),
            Self::Slow => Box::new(slow::Slow::prepare(lab, options)),
            Self::Unread => Box::new(unread::Unread::prepare(lab, options)?),
            Self::EngineHung => Box::new(engine::Gone::prepare(engine::How::Hangs, lab, options)),
            Self::EngineDead => Box::new(engine::Gone::prepare(engine::How::Dies, lab, options)),
            Self::Killed => Box::new(Replicas::prepare(How::Killed, lab, options)),
            Self::Replaced => Box::new(Replicas::prepare(How::Replaced, lab, options)),
            Self::CutOff => Box::new(Replicas::prepare(How::CutOff, lab, options)),
        })
    }
}

/// Something that is done again and again on a thread of its own, until dropped.
struct Again {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Again {
    fn each(gap: Duration, mut act: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut next = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                act();
                next += gap;
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported, and what it did is not done any more.
            drop(thread.join());
        }
    }
}
