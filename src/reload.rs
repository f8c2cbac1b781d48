//! Follows the configuration file: notice, wait for quiet, read, compare, build, swap or refuse.
//!
//! An event is only a hint that something may have changed; the bytes decide. Every way to write a
//! file ends here: in place, by rename, by `git pull`, by the swap of a directory link as
//! Kubernetes does it. Where no event comes at all, the file is compared every ten seconds anyway.
//! Whatever is wrong with a new configuration, the one in force stays in force.

mod aside;
pub mod reading;
mod watch;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock::unix_now;
use crate::config::source::Sources;
use crate::files;
use crate::fleet::Fleet;
use crate::fleet::changes::Changes;
use crate::problem::{Problem, Problems};
use crate::state::{Reloads, State};

use aside::aside;
use reading::{Reading, Trace};
use watch::{Hint, Watch};

/// Reads the configuration, and puts it in force where it is good.
#[derive(Debug)]
pub struct Reloader {
    path: PathBuf,
    state: Arc<State>,
    /// The addresses that were taken at start.
    bound: Bound,
    /// What the configuration in force was made of.
    in_force: Trace,
    /// What the configuration was made of that was refused last.
    refused: Option<Trace>,
    requests: mpsc::Receiver<oneshot::Sender<Outcome>>,
}

/// Addresses that take effect at a start alone.
#[derive(Debug)]
struct Bound {
    listen: Vec<SocketAddr>,
    tls_listen: Vec<SocketAddr>,
    admin: SocketAddr,
}

/// Asks for a reload.
#[derive(Debug, Clone)]
pub struct ReloadHandle(mpsc::Sender<oneshot::Sender<Outcome>>);

/// How a reload ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The files are those in force.
    Unchanged,
    /// What changed.
    Applied(Changes),
    /// What is wrong; the configuration in force stays.
    Rejected(String),
}

/// Why the configuration is read.
enum Trigger {
    /// Something happened where it is.
    Hint,
    /// It was not compared for a while.
    Time,
    /// Somebody wants to know.
    Request(oneshot::Sender<Outcome>),
}

/// A configuration that was read and is good.
#[derive(Debug)]
pub struct Loaded {
    /// What it means.
    pub fleet: Fleet,
    /// SHA-256 of its text, in hexadecimal.
    pub digest: String,
    /// By which a change is noticed.
    pub trace: Trace,
}

/// Quiet for this long after the last event, and the writer is done.
const QUIET: Duration = Duration::from_millis(100);

/// A writer that has the file still open gets this long between two writes.
const QUIET_WHILE_WRITING: Duration = Duration::from_millis(800);

/// However much goes on in the folder, the file is read after this long.
const LONGEST_WAIT: Duration = Duration::from_millis(1200);

/// Two readings this far apart must agree.
const BETWEEN_READINGS: Duration = Duration::from_millis(50);

/// How often the file is compared without any event.
const RECHECK: Duration = Duration::from_secs(10);

/// A file that is being replaced may be missing for a moment; it is missed after this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads and checks the configuration at `path`, a file or a directory.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    loaded(files::read(path))
}

/// The same for `path` as nobody will follow it: it may be a pipe.
pub fn load_once(path: &Path) -> Result<Loaded, Problems> {
    loaded(files::read_once(path))
}

fn loaded(sources: Result<Sources, Problems>) -> Result<Loaded, Problems> {
    let Reading { trace, meaning } = Reading::of(sources, &[]);
    meaning.map(|(fleet, digest)| Loaded { fleet, digest, trace })
}

impl ReloadHandle {
    /// Has the configuration read now, whatever was noticed; `None` while the program ends.
    pub async fn reload(&self) -> Option<Outcome> {
        let (reply, outcome) = oneshot::channel();
        self.0.send(reply).await.ok()?;
        outcome.await.ok()
    }
}

impl Bound {
    fn of(fleet: &Fleet) -> Self {
        Self {
            listen: fleet.listen.clone(),
            tls_listen: fleet.tls.as_ref().map(|tls| tls.listen.clone()).unwrap_or_default(),
            admin: fleet.admin,
        }
    }
}

impl Reloader {
    /// Follows the configuration at `path`, whose contents at `in_force` made what `state` holds.
    pub fn new(path: PathBuf, state: Arc<State>, in_force: Trace) -> (Self, ReloadHandle) {
        let (sender, requests) = mpsc::channel(16);
        let snapshot = state.load_full();
        let bound = Bound::of(&snapshot.fleet);
        let reloader = Self { path, state, bound, in_force, refused: None, requests };
        (reloader, ReloadHandle(sender))
    }

    /// Follows until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow() => {}
        }
    }

    /// Follows until nobody can ask for a reload any more.
    async fn follow(&mut self) {
        let (hints, mut hinted) = mpsc::channel(256);
        let mut paths = self.paths();
        let mut watch = self.watch(&paths, &hints);
        let mut missing_since = None;
        let mut was_replaced = false;
        // The file may have changed between being loaded and being watched.
        let mut recheck = Instant::now();
        loop {
            let trigger = tokio::select! {
                Some(hint) = hinted.recv() => tokio::select! {
                    () = wait_for_quiet(hint, &mut hinted) => Trigger::Hint,
                    // Who asks has finished writing.
                    Some(request) = self.requests.recv() => Trigger::Request(request),
                },
                () = sleep_until(recheck) => Trigger::Time,
                request = self.requests.recv() => match request {
                    Some(request) => Trigger::Request(request),
                    None => return,
                },
            };
            // What is watched may have been replaced. It is watched anew before it is read, so
            // that no change falls between.
            drop(watch);
            paths = self.paths();
            let watched = identities(&paths);
            watch = self.watch(&paths, &hints);
            let sources = match trigger {
                Trigger::Request(_) => self.read().await,
                Trigger::Hint | Trigger::Time => self.read_settled().await,
            };
            recheck = Instant::now() + RECHECK;
            match trigger {
                Trigger::Request(request) => {
                    missing_since = None;
                    let reading = self.understand(sources).await;
                    let outcome = self.consider(reading, true).await;
                    // Whoever asked may have gone; it happened all the same.
                    drop(request.send(outcome));
                }
                // A writer has just begun: its hints will tell when it is done.
                Trigger::Time if !hinted.is_empty() => {}
                Trigger::Hint | Trigger::Time if !self.path.exists() => {
                    let since = *missing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() < PATIENCE {
                        recheck = since + PATIENCE;
                    } else {
                        let reading = self.understand(sources).await;
                        self.consider(reading, false).await;
                    }
                }
                Trigger::Hint | Trigger::Time => {
                    missing_since = None;
                    let reading = self.understand(sources).await;
                    self.consider(reading, false).await;
                }
            }
            // It names files that are not watched yet, or one that is was replaced, or another was
            // mounted over it, since it was watched: there may be changes that nobody heard. Once
            // only: some file systems number a file anew for whoever asks.
            let replaced = identities(&paths) != watched;
            if self.paths() != paths || replaced && !was_replaced {
                recheck = Instant::now();
            }
            was_replaced = replaced;
        }
    }

    /// Decides over what was read. What was refused before is refused in silence, unless somebody
    /// asked.
    async fn consider(&mut self, reading: Reading, asked: bool) -> Outcome {
        let Reading { trace, meaning } = reading;
        if trace == self.in_force {
            if self.refused.take().is_some() {
                info!("the configuration on disk is the one in force again");
                self.state.note_reload(Reloads::forgive);
            }
            if asked {
                self.state.totals.reloads_unchanged.increment();
            }
            // The same, but it may know better when its database was last written to.
            self.in_force = trace;
            return Outcome::Unchanged;
        }
        if self.refused.as_ref() == Some(&trace)
            && !asked
            && let Some(refused) = self.state.reloads().refused
        {
            self.refused = Some(trace);
            return Outcome::Rejected(refused);
        }
        let (fleet, digest) = match meaning {
            Ok(meaning) => meaning,
            Err(problems) => return self.refuse(trace, &problems),
        };
        match self.apply(Loaded { fleet, digest, trace: trace.clone() }).await {
            Some(changes) => Outcome::Applied(changes),
            None => self.refuse(trace, &self.broken()),
        }
    }

    /// Leaves the configuration in force as it is.
    fn refuse(&mut self, trace: Trace, problems: &Problems) -> Outcome {
        self.state.totals.reloads_rejected.increment();
        self.refused = Some(trace);
        let why = problems.to_string();
        error!("the configuration is refused, the one before stays in force\n{why}");
        self.state.note_reload(|reloads| {
            reloads.refused = Some(why.clone());
            reloads.refused_unix = Some(unix_now());
        });
        Outcome::Rejected(why)
    }

    /// Puts a good configuration in force; `None`: that broke, and the one before is in force.
    ///
    /// What is in force is compared and replaced on a thread of its own: with a million mounts that
    /// takes seconds, in which relays are looked at and operators answered.
    async fn apply(&mut self, mut loaded: Loaded) -> Option<Changes> {
        let restart_required = self.restart_required(&loaded.fleet);
        for warning in &loaded.fleet.warnings {
            warn!("{warning}");
        }
        if !restart_required.is_empty() {
            let keys = restart_required.join(", ");
            warn!("the configuration changes {keys}: that needs a restart, the rest is in force");
        }
        let state = Arc::clone(&self.state);
        let replacing = aside(move || {
            let before = state.load_full();
            let changes = Changes::between(&before.fleet, &loaded.fleet);
            info!(sha256 = %loaded.digest, "configuration reloaded: {}", changes.in_one_line());
            if loaded.fleet.tls.is_none() {
                // Its port is open until the restart that this needs, and goes on serving.
                loaded.fleet.tls.clone_from(&before.fleet.tls);
            }
            drop(before);
            state.replace(loaded.fleet, loaded.digest);
            // At once: who sees the new one is not to be told that it is refused.
            state.note_reload(|reloads| {
                reloads.forgive();
                reloads.restart_required = restart_required;
                reloads.last_success_unix = unix_now();
            });
            (changes, loaded.trace)
        });
        let (changes, trace) = replacing.await?;
        self.in_force = trace;
        self.refused = None;
        self.state.totals.reloads_ok.increment();
        Some(changes)
    }

    fn restart_required(&self, next: &Fleet) -> Vec<&'static str> {
        let (bound, next) = (&self.bound, Bound::of(next));
        let listen = (next.listen != bound.listen).then_some("listen");
        let tls = (next.tls_listen != bound.tls_listen).then_some("tls.listen");
        let admin = (next.admin != bound.admin).then_some("admin");
        listen.into_iter().chain(tls).chain(admin).collect()
    }

    /// Everything that the configuration in force and the refused one are made of.
    fn paths(&self) -> Vec<PathBuf> {
        let mut paths = vec![self.path.clone()];
        for trace in self.refused.iter().chain([&self.in_force]) {
            paths.extend(trace.files.iter().filter(|file| **file != self.path).cloned());
        }
        paths
    }

    fn watch(&self, paths: &[PathBuf], hints: &mpsc::Sender<Hint>) -> Option<Watch> {
        let (watch, armed) = Watch::over(paths, hints);
        let watching = armed.is_ok();
        if let Err(error) = armed
            && self.state.reloads().watching
        {
            let seconds = RECHECK.as_secs();
            warn!(%error, "changes of the configuration are noticed only every {seconds} s");
        }
        self.state.note_reload(|reloads| reloads.watching = watching);
        watch
    }

    /// Reads until two readings agree, for a writer that was caught in the act.
    async fn read_settled(&self) -> Result<Sources, Problems> {
        let deadline = Instant::now() + LONGEST_WAIT;
        let mut sources = self.read().await;
        loop {
            sleep(BETWEEN_READINGS).await;
            let again = self.read().await;
            let agree = match (&sources, &again) {
                (Ok(one), Ok(other)) => one.digest() == other.digest(),
                (Err(_), Err(_)) => true,
                _ => false,
            };
            if agree || Instant::now() >= deadline {
                return again;
            }
            sources = again;
        }
    }

    /// Reads on a thread of its own: a disk that hangs must not hold up polls and operators.
    async fn read(&self) -> Result<Sources, Problems> {
        let path = self.path.clone();
        aside(move || files::read(&path)).await.unwrap_or_else(|| Err(self.broken()))
    }

    /// Understands on a thread of its own: should it panic over some text, then that text is
    /// refused, and that is all.
    async fn understand(&self, sources: Result<Sources, Problems>) -> Reading {
        let traces = [Some(&self.in_force), self.refused.as_ref()].into_iter().flatten();
        let known: Vec<_> = traces.filter_map(|trace| trace.database.clone()).collect();
        let reading = aside(move || Reading::of(sources, &known)).await;
        reading.unwrap_or_else(|| Reading::of(Err(self.broken()), &[]))
    }

    /// What a panic says may quote the text that it happened over, and so a password in it.
    fn broken(&self) -> Problems {
        let message = "it cannot be read for a fault of this program; the log tells where";
        Problem::with_file(self.path.display().to_string(), message).into()
    }
}

/// The device and the number of each file, as far as it is there: a watch is on that, and not on a
/// name.
fn identities(paths: &[PathBuf]) -> Vec<Option<(u64, u64)>> {
    let identity = |path: &PathBuf| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    paths.iter().map(identity).collect()
}

/// Waits until nothing has happened for a while.
async fn wait_for_quiet(first: Hint, hinted: &mut mpsc::Receiver<Hint>) {
    let deadline = Instant::now() + LONGEST_WAIT;
    let mut last = first;
    while Instant::now() < deadline {
        let quiet = match last {
            Hint::Done => QUIET,
            Hint::Writing => QUIET_WHILE_WRITING,
        };
        match timeout(quiet, hinted.recv()).await {
            Ok(Some(hint)) => last = hint,
            Ok(None) | Err(_) => return,
        }
    }
}
