//! Players who ask again and again while something breaks, and remember every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::process::promise;
use super::web;

/// Somebody who asks all the time.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<Vec<Asked>>,
}

/// One question and its answer.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// When it was asked.
    pub(crate) at: Instant,
    /// How long the answer took.
    pub(crate) took: Duration,
    /// The status, or why there is none.
    pub(crate) status: Result<u16, String>,
    /// Where it sends to.
    pub(crate) sent_to: String,
}

/// All that was asked.
pub(crate) struct Record(pub(crate) Vec<Asked>);

impl Watch {
    /// Asks the door for `path` every so often. It asks by `HEAD`, which takes no slot.
    pub(crate) fn start(path: &str, every: Duration) -> Self {
        Self::of("HEAD", super::balancer::PUBLIC, path, every)
    }

    /// Asks `address` for `path` by `method` every so often.
    pub(crate) fn of(method: &'static str, address: &str, path: &str, every: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, address, path) = (Arc::clone(&stop), address.to_owned(), path.to_owned());
        let asking = thread::spawn(move || {
            let mut record = Vec::new();
            while !told.load(Relaxed) {
                let at = Instant::now();
                let answer = web::ask(method, &address, &path, "");
                record.push(Asked {
                    at,
                    took: at.elapsed(),
                    sent_to: answer.as_ref().map_or(String::new(), |a| a.sent_to().to_owned()),
                    status: answer.map(|answer| answer.status).map_err(|error| error.to_string()),
                });
                thread::sleep(every.saturating_sub(at.elapsed()));
            }
            record
        });
        Self { stop, asking }
    }

    /// Stops asking.
    pub(crate) fn stop(self) -> Record {
        self.stop.store(true, Relaxed);
        Record(self.asking.join().expect("the watch does not fail"))
    }
}

impl Record {
    /// How many were asked.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many got something else than a redirect.
    pub(crate) fn not_redirected(&self) -> usize {
        self.0.iter().filter(|asked| asked.status != Ok(302)).count()
    }

    /// How many were sent to `address` after the moment `since`.
    pub(crate) fn sent_to(&self, address: &str, since: Instant) -> usize {
        self.0.iter().filter(|asked| asked.at >= since && asked.sent_to == address).count()
    }

    /// When somebody was sent to `address` for the last time, counted from `since`.
    pub(crate) fn last_sent_to(&self, address: &str, since: Instant) -> Duration {
        let last = self.0.iter().filter(|asked| asked.at >= since && asked.sent_to == address);
        last.map(|asked| asked.at - since).max().unwrap_or_default()
    }

    /// Fails unless every single one was redirected.
    #[track_caller]
    pub(crate) fn assert_all_redirected(&self) {
        let bad: Vec<_> = self.0.iter().filter(|asked| asked.status != Ok(302)).collect();
        let some: Vec<_> = bad.iter().take(3).map(|asked| &asked.status).collect();
        promise(bad.is_empty(), || {
            format!("{} of {} not redirected: {some:?}", bad.len(), self.len())
        });
    }

    /// The answer time that 99 of 100 stay below.
    pub(crate) fn p99(&self) -> Duration {
        let mut times: Vec<_> = self.0.iter().map(|asked| asked.took).collect();
        times.sort_unstable();
        times.get(times.len() * 99 / 100).copied().unwrap_or_default()
    }
}
