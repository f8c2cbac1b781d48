//! Streams come and go under patterns as relays list their mounts.
//!
//! A good look at a relay may see mounts that a pattern wants and that are no streams yet, or tell
//! that one is gone for long. Both are noted here and put in force together, as a snapshot that
//! follows the one in force: players notice nothing, and what is known of everything else stays.
//! That costs time for every mount there is, so it is done now and then, and not for each look.
//!
//! A stream is forgotten when no relay has listed it for a while, and only by looks that see that:
//! a relay that does not answer keeps its mounts. Nothing here depends on what players ask for.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
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
    /// The servers whose news are being put in force.
    under_way: HashSet<String>,
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
    /// The server's name.
    server: String,
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
            let (name, slots) = (server.name.clone(), Arc::clone(slots));
            let news = News { slots, server: name.clone(), began, mounts };
            notes.news.insert(name, news);
            self.bell.notify_one();
        }
    }

    /// Waits until what was noted of a server is in force.
    pub async fn settled(&self, server: &str) {
        let mut done = self.done.subscribe();
        while self.notes().is_open(server) {
            if done.changed().await.is_err() {
                return;
            }
        }
    }

    /// Puts in force what is noted, now and then, for ever.
    pub async fn run(self: Arc<Self>, state: Arc<State>) {
        loop {
            self.bell.notified().await;
            let began = Instant::now();
            let (discovery, shared) = (Arc::clone(&self), Arc::clone(&state));
            let forgotten = state.now().saturating_sub(REMEMBERED);
            // A large fleet takes a while, in which looks go on. Should it panic over what some relay
            // lists, then that is not put in force; that it happened is in the log.
            drop(spawn_blocking(move || discovery.publish(&shared, forgotten)).await);
            self.notes().under_way.clear();
            self.done.send_replace(());
            sleep(PAUSE.max(began.elapsed() * SHARE)).await;
        }
    }

    /// Puts in force what is noted.
    fn publish(&self, state: &State, forgotten: Moment) {
        let news = self.notes().take();
        state.refine(|before| {
            let news = News::of(&news, before);
            let finds = news.iter().flat_map(|(server, news)| news.finds(*server));
            let next = before.with_finds(finds, forgotten);
            self.notes().tell_of_limits(&next);
            if same_streams(before, &next) {
                self.notes().note_in_vain(before, &news);
                return None;
            }
            for (server, news) in &news {
                news.enter(*server, &next);
            }
            let (was, is) = (before.fleet.streams.len(), next.fleet.streams.len());
            debug!(was, is, "the streams under patterns have changed");
            Some(next)
        });
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    /// Whether there is news of a server that is not in force yet.
    fn is_open(&self, server: &str) -> bool {
        self.news.contains_key(server) || self.under_way.contains(server)
    }

    /// The news, which are under way from now on.
    fn take(&mut self) -> Vec<News> {
        self.under_way.extend(self.news.keys().cloned());
        self.news.drain().map(|(_, news)| news).collect()
    }

    /// Notes that what was seen changes nothing of `snapshot`.
    fn note_in_vain(&mut self, snapshot: &Arc<Snapshot>, news: &[(ServerId, &News)]) {
        self.in_vain.retain(|_, (with, _)| with.strong_count() > 0);
        self.in_vain.extend(news.iter().map(|(_, news)| {
            (news.server.clone(), (Arc::downgrade(snapshot), hash_of(&news.mounts)))
        }));
    }

    /// Says once where there are more mounts than a pattern may have streams.
    fn tell_of_limits(&mut self, snapshot: &Snapshot) {
        for (_, pattern) in snapshot.fleet.patterns.iter() {
            let most = pattern.max_streams;
            let Some(entry) = snapshot.fleet.streams.get(pattern.stream) else { continue };
            if pattern.left_out() > 0 && self.told.insert(entry.path.clone(), most) != Some(most) {
                warn!(
                    pattern = %entry.path, max_streams = most,
                    "relays list more mounts than the pattern may have streams: the others are \
                     left out; raise max_streams, or make the prefix longer"
                );
            }
        }
    }
}

impl News {
    /// Those of servers that `snapshot` still has, with their numbers there.
    fn of<'n>(all: &'n [Self], snapshot: &Snapshot) -> Vec<(ServerId, &'n Self)> {
        let here = all.iter().filter_map(|news| {
            let id = snapshot.fleet.server_named(&news.server)?;
            Arc::ptr_eq(snapshot.server(id)?, &news.slots).then_some((id, news))
        });
        here.collect()
    }

    fn finds(&self, server: ServerId) -> impl Iterator<Item = Find<'_>> {
        self.mounts.iter().map(move |mount| Find { server, mount: &mount.name })
    }

    /// Enters what was seen of the mounts that are streams in `snapshot`.
    fn enter(&self, server: ServerId, snapshot: &Snapshot) {
        for mount in &self.mounts {
            if let Some(slots) = snapshot.mount_at(server, &mount.name) {
                welcome(slots, mount, self.began, snapshot.fleet.balance.settle);
            }
        }
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

#[cfg(test)]
mod tests;
