//! Streams come and go under patterns as relays list their mounts.
//!
//! A good look at a relay may see mounts that a pattern wants and that are no streams yet, or tell
//! that one is gone for long. Both are noted here and put in force together, as a snapshot that
//! follows the one in force: players notice nothing, and what is known of everything else stays.
//! That costs time for every mount there is, so it is done now and then, and not for each look.
//!
//! A stream is forgotten when no relay has listed it for a while, and only by looks that see that:
//! a relay that does not answer keeps its mounts. Nothing here depends on what players ask for.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::fleet::ServerId;
use crate::fleet::patterns::Find;
use crate::icecast::{MountReport, Report};
use crate::slots::{Moment, ServerSlots, welcome};
use crate::state::{Snapshot, State};

/// How long a stream is remembered that no relay lists: a source that starts again within that
/// time finds its ledger as it was.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Between two snapshots at least so long passes.
const PAUSE: Duration = Duration::from_millis(100);

/// And at least so many times as long as it took to make the last one, so that a large fleet, or a
/// relay that lists other names at each look, takes no more than a tenth of a processor.
const SHARE: u32 = 10;

/// What looks have seen and is not in force yet.
#[derive(Debug, Default)]
pub struct Discovery {
    notes: Mutex<Notes>,
    bell: Notify,
    done: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Notes {
    /// By the server's name.
    news: HashMap<String, News>,
    /// For each server the names that were considered in vain, and with which snapshot: nothing has
    /// to be done before one of them changes.
    in_vain: HashMap<String, (Weak<Snapshot>, u64)>,
    /// For each pattern that had to leave mounts out, how many streams it had then: that is said
    /// once.
    told: HashMap<String, usize>,
}

/// What one look at a server saw.
#[derive(Debug)]
struct News {
    /// The ledger of the relay that was looked at: another one may have its name by now.
    slots: Arc<ServerSlots>,
    began: Moment,
    /// Mounts that a pattern wants and that are no streams yet.
    mounts: Vec<MountReport>,
}

impl Discovery {
    /// Takes in what a good look saw that began at `began`, when `snapshot` was in force.
    pub fn look(&self, snapshot: &Arc<Snapshot>, id: ServerId, began: Moment, report: &Report) {
        if snapshot.fleet.patterns.is_empty() {
            return;
        }
        let (Some(server), Some(slots)) = (snapshot.fleet.servers.get(id), snapshot.server(id))
        else {
            return;
        };
        let mounts = fresh(snapshot, id, report);
        if mounts.is_empty() && !snapshot.has_gone(id, began.saturating_sub(REMEMBERED)) {
            return;
        }
        let mut notes = self.notes();
        let in_vain = notes.in_vain.get(&server.name);
        let is_considered = in_vain.is_some_and(|(with, names)| {
            std::ptr::eq(with.as_ptr(), Arc::as_ptr(snapshot)) && *names == hash_of(&mounts)
        });
        if !is_considered {
            let news = News { slots: Arc::clone(slots), began, mounts };
            notes.news.insert(server.name.clone(), news);
            self.bell.notify_one();
        }
    }

    /// Waits until what was noted of a server is in force.
    pub async fn settled(&self, server: &str) {
        let mut done = self.done.subscribe();
        while self.notes().news.contains_key(server) {
            if done.changed().await.is_err() {
                return;
            }
        }
    }

    /// Puts in force what is noted, now and then, for ever.
    pub async fn run(&self, state: &State) {
        loop {
            self.bell.notified().await;
            let began = Instant::now();
            self.publish(state);
            sleep(PAUSE.max(began.elapsed() * SHARE)).await;
        }
    }

    /// Puts in force what is noted.
    fn publish(&self, state: &State) {
        let mut notes = self.notes();
        let forgotten = state.now().saturating_sub(REMEMBERED);
        state.refine(|before| notes.next(before, forgotten));
        notes.news.clear();
        drop(notes);
        self.done.send_replace(());
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    /// The snapshot that follows, if there is anything that `before` does not have.
    fn next(&mut self, before: &Arc<Snapshot>, forgotten: Moment) -> Option<Snapshot> {
        let ids = self.news.iter().filter_map(|(name, news)| {
            let id = before.fleet.server_named(name)?;
            Arc::ptr_eq(before.server(id)?, &news.slots).then_some((id, name, news))
        });
        let news: Vec<(ServerId, &String, &News)> = ids.collect();
        let finds = news.iter().flat_map(|(server, _, news)| {
            news.mounts.iter().map(|mount| Find { server: *server, mount: &mount.name })
        });
        let next = before.with_finds(finds, forgotten);
        tell_of_limits(&next, &mut self.told);
        if same_streams(before, &next) {
            let in_vain = news.iter().map(|(_, name, news)| {
                ((*name).clone(), (Arc::downgrade(before), hash_of(&news.mounts)))
            });
            self.in_vain.retain(|_, (with, _)| with.strong_count() > 0);
            self.in_vain.extend(in_vain);
            return None;
        }
        for (server, _, news) in &news {
            for mount in &news.mounts {
                if let Some(slots) = next.mount_at(*server, &mount.name) {
                    welcome(slots, mount, news.began, next.fleet.balance.settle);
                }
            }
        }
        let (was, is) = (before.fleet.streams.len(), next.fleet.streams.len());
        debug!(was, is, "the streams under patterns have changed");
        Some(next)
    }
}

/// The mounts of a report that a pattern wants and that are no streams yet. For patterns that are
/// full, their number is noted.
fn fresh(snapshot: &Snapshot, id: ServerId, report: &Report) -> Vec<MountReport> {
    let mut left_out: HashMap<usize, u64> = HashMap::new();
    let unknown = report.mounts.iter().filter(|mount| !snapshot.is_found(id, &mount.name));
    let wanted = unknown.filter(|mount| {
        let mut wanted = false;
        for pattern in snapshot.fleet.wanting(id, &mount.name) {
            *left_out.entry(pattern.stream).or_default() += u64::from(pattern.is_full());
            wanted = true;
        }
        wanted
    });
    let wanted = wanted.cloned().collect();
    for (_, pattern) in snapshot.fleet.patterns.iter() {
        let count = left_out.get(&pattern.stream).copied().unwrap_or_default();
        snapshot.note_left_out(pattern, id, count);
    }
    wanted
}

fn hash_of(mounts: &[MountReport]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for mount in mounts {
        mount.name.hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether both have the same streams on the same servers.
fn same_streams(one: &Snapshot, other: &Snapshot) -> bool {
    let (one, other) = (&one.fleet.streams, &other.fleet.streams);
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| Arc::ptr_eq(one, other))
}

/// Says once where there are more mounts than a pattern may have streams.
fn tell_of_limits(snapshot: &Snapshot, told: &mut HashMap<String, usize>) {
    for (_, pattern) in snapshot.fleet.patterns.iter() {
        let most = pattern.max_streams;
        let Some(entry) = snapshot.fleet.streams.get(pattern.stream) else { continue };
        if pattern.left_out() > 0 && told.insert(entry.path.clone(), most) != Some(most) {
            warn!(
                pattern = %entry.path, max_streams = most,
                "relays list more mounts than the pattern may have streams: the others are left \
                 out; raise max_streams, or make the prefix longer"
            );
        }
    }
}

#[cfg(test)]
mod tests;
