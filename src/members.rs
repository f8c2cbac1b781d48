//! What is known of the other replicas, and of the engine that is between them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::counters::Counter;
use crate::slots::Moment;

/// What is told of the engine and of who speaks with it; nothing is decided by it.
#[derive(Debug, Default)]
pub struct Members {
    engine_up: AtomicBool,
    count: AtomicU64,
    known: Mutex<Known>,
    /// Slots that were lent to others.
    pub lent: Counter,
    /// Slots that others have lent us.
    pub borrowed: Counter,
}

/// What only people want to know.
#[derive(Debug, Default)]
struct Known {
    members: Vec<Member>,
    /// Why the engine does not answer.
    trouble: Option<String>,
}

/// A replica that the engine has heard of lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its process: no two have the same.
    pub name: String,
    /// The name of its machine, as that calls itself.
    pub host: String,
    /// The beginning of the digest of its configuration.
    pub config: String,
    /// When the engine heard of it last, by our own clock.
    pub heard: Moment,
    /// Whether it is this one.
    pub is_self: bool,
}

impl Members {
    /// Whether the engine answers.
    pub fn is_engine_up(&self) -> bool {
        self.engine_up.load(Relaxed)
    }

    /// How many replicas the engine knows, this one included; as many as it knew last while it does
    /// not answer.
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// The replicas that the engine knows, or knew last, in an order that stays.
    pub fn all(&self) -> Vec<Member> {
        self.known().members.clone()
    }

    /// Why the engine does not answer; `None` while it does, or has not been asked yet.
    pub fn trouble(&self) -> Option<String> {
        self.known().trouble.clone()
    }

    /// The engine has answered, and knows so many replicas, these among them. Returns whether it did not
    /// answer before.
    pub fn found(&self, count: u64, mut members: Vec<Member>) -> bool {
        members.sort_by(|one, other| (&one.host, &one.name).cmp(&(&other.host, &other.name)));
        self.count.store(count, Relaxed);
        *self.known() = Known { members, trouble: None };
        !self.engine_up.swap(true, Relaxed)
    }

    /// The engine does not answer, and why. Returns whether it did before.
    pub fn lost(&self, why: Option<String>) -> bool {
        self.known().trouble = why;
        self.engine_up.swap(false, Relaxed)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
