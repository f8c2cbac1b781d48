//! What is counted: plain atomics, owned by the streams and servers they tell of.
//!
//! They live behind the snapshot and are carried over a reload, so that a stream that stays keeps
//! its count and one that goes takes its series with it. Nothing here knows about Prometheus.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// How a request of a player ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Sent to a relay or to a fallback.
    Redirected,
    /// Every mount that is present is full.
    Full,
    /// No relay has the mount.
    Offline,
    /// No relay answers.
    Unreachable,
    /// No stream has this path.
    UnknownPath,
    /// Given a list: of relays, or of streams.
    Playlist,
    /// A method that players do not use.
    BadMethod,
    /// Not HTTP, or not what we accept of it.
    BadRequest,
}

/// How one look at a relay's statistics ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollResult {
    /// Read and understood.
    Ok,
    /// No whole answer in time.
    Timeout,
    /// No connection.
    Connect,
    /// An answer other than 200.
    HttpStatus,
    /// More than we read.
    TooLarge,
    /// Not statistics.
    Malformed,
    /// The password was refused.
    Unauthorized,
}

/// A distribution of durations over fixed buckets.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One count per bound, and one for what lies above the last.
    buckets: Box<[AtomicU64]>,
    sum_nanos: AtomicU64,
}

/// Requests of one stream, or of all of them, by outcome.
#[derive(Debug, Default)]
pub struct Outcomes([Counter; Outcome::ALL.len()]);

/// Looks at one relay, by result.
#[derive(Debug, Default)]
pub struct PollResults([Counter; PollResult::ALL.len()]);

/// Everything counted that belongs to no stream or server.
#[derive(Debug)]
pub struct Totals {
    /// All requests of players.
    pub requests: Outcomes,
    /// How long answering them took.
    pub request_duration: Histogram,
    /// Connections turned away because there were too many.
    pub shed_max_connections: Counter,
    /// Connections turned away because their client had too many.
    pub shed_per_client: Counter,
    /// Connections of trusted proxies closed because they did not begin with a PROXY header.
    pub shed_proxy_header: Counter,
    /// Connections closed because their TLS handshake failed.
    pub tls_handshake_failures: Counter,
    /// Reloads that put a new configuration in force.
    pub reloads_ok: Counter,
    /// Reloads refused for what stood in the file.
    pub reloads_rejected: Counter,
    /// Reloads that found nothing new.
    pub reloads_unchanged: Counter,
}

/// What is counted of the process as a whole, whichever balancers run in it.
#[derive(Debug)]
pub struct Process {
    /// Lines of any log that could not be written.
    pub log_lines_dropped: Counter,
    /// Panics, each of which is a fault of this program.
    pub panics: Counter,
}

/// The counts of this process: a panic, and what is lost of a log that everything writes to, belong
/// to no configuration.
pub static PROCESS: Process = Process { log_lines_dropped: Counter::new(), panics: Counter::new() };

impl Counter {
    /// Nothing counted yet.
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// That many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Outcome {
    /// Every outcome there is.
    pub const ALL: [Self; 8] = [
        Self::Redirected,
        Self::Full,
        Self::Offline,
        Self::Unreachable,
        Self::UnknownPath,
        Self::Playlist,
        Self::BadMethod,
        Self::BadRequest,
    ];

    /// The outcomes that a request for a known stream can have.
    pub const OF_STREAM: [Self; 5] =
        [Self::Redirected, Self::Full, Self::Offline, Self::Unreachable, Self::Playlist];

    /// Its name in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Redirected => "redirected",
            Self::Full => "full",
            Self::Offline => "offline",
            Self::Unreachable => "unreachable",
            Self::UnknownPath => "unknown_path",
            Self::Playlist => "playlist",
            Self::BadMethod => "bad_method",
            Self::BadRequest => "bad_request",
        }
    }
}

impl PollResult {
    /// Every result there is.
    pub const ALL: [Self; 7] = [
        Self::Ok,
        Self::Timeout,
        Self::Connect,
        Self::HttpStatus,
        Self::TooLarge,
        Self::Malformed,
        Self::Unauthorized,
    ];

    /// Its name in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::HttpStatus => "http_status",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Unauthorized => "unauthorized",
        }
    }
}

impl Outcomes {
    /// The counter of one outcome.
    pub fn of(&self, outcome: Outcome) -> &Counter {
        let [
            redirected,
            full,
            offline,
            unreachable,
            unknown_path,
            playlist,
            bad_method,
            bad_request,
        ] = &self.0;
        match outcome {
            Outcome::Redirected => redirected,
            Outcome::Full => full,
            Outcome::Offline => offline,
            Outcome::Unreachable => unreachable,
            Outcome::UnknownPath => unknown_path,
            Outcome::Playlist => playlist,
            Outcome::BadMethod => bad_method,
            Outcome::BadRequest => bad_request,
        }
    }
}

impl PollResults {
    /// The counter of one result.
    pub fn of(&self, result: PollResult) -> &Counter {
        let [ok, timeout, connect, http_status, too_large, malformed, unauthorized] = &self.0;
        match result {
            PollResult::Ok => ok,
            PollResult::Timeout => timeout,
            PollResult::Connect => connect,
            PollResult::HttpStatus => http_status,
            PollResult::TooLarge => too_large,
            PollResult::Malformed => malformed,
            PollResult::Unauthorized => unauthorized,
        }
    }
}

impl Histogram {
    /// An empty one whose buckets end at `bounds`, in rising order, in seconds.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_nanos: AtomicU64::new(0),
        }
    }

    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        let bucket = self.bounds.partition_point(|&bound| bound < duration.as_secs_f64());
        if let Some(count) = self.buckets.get(bucket) {
            count.fetch_add(1, Relaxed);
        }
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Relaxed);
    }

    /// Each bound with the count of everything up to it, the last bound being infinite.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(&self.buckets).scan(0, |total, (bound, count)| {
            *total += count.load(Relaxed);
            Some((bound, *total))
        })
    }

    /// The sum of all durations, in seconds.
    pub fn sum(&self) -> f64 {
        Duration::from_nanos(self.sum_nanos.load(Relaxed)).as_secs_f64()
    }
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            requests: Outcomes::default(),
            request_duration: Histogram::new(&[
                0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.01, 0.1,
            ]),
            shed_max_connections: Counter::default(),
            shed_per_client: Counter::default(),
            shed_proxy_header: Counter::default(),
            tls_handshake_failures: Counter::default(),
            reloads_ok: Counter::default(),
            reloads_rejected: Counter::default(),
            reloads_unchanged: Counter::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_a_duration_in_every_bucket_that_reaches_it() {
        let histogram = Histogram::new(&[0.1, 1.0]);
        for millis in [50, 100, 500, 5_000] {
            histogram.record(Duration::from_millis(millis));
        }
        let buckets: Vec<_> = histogram.cumulative().collect();
        assert_eq!(buckets, [(0.1, 2), (1.0, 3), (f64::INFINITY, 4)]);
        assert!((histogram.sum() - 5.65).abs() < 1e-9);
    }

    #[test]
    fn every_outcome_has_a_counter_of_its_own() {
        let outcomes = Outcomes::default();
        for outcome in Outcome::ALL {
            outcomes.of(outcome).increment();
            assert_eq!(outcomes.of(outcome).get(), 1, "{}", outcome.label());
        }
    }
}
