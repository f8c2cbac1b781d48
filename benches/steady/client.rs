//! Players who come at a steady rate, whatever becomes of those before them.
//!
//! Latency counts from the moment in which a request was due. A server that stops for a while is
//! then charged for everybody who came meanwhile, and not for one request alone.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::quantile::quantile;
use crate::wire::{Answer, ask, connect};

/// After so long without an answer a player gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many connections the requests on open connections are spread over.
const KEPT: usize = 100;

/// How long before the first request the connections that stay are opened.
const CONNECTING: Duration = Duration::from_millis(100);

/// How many requests come in a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Each on a connection of its own.
    pub(crate) fresh: f64,
    /// On connections that stay open.
    pub(crate) kept: f64,
}

/// Players, and the threads they run on.
pub(crate) struct Client {
    runtime: Runtime,
}

/// What became of the players of one round.
#[derive(Debug)]
pub(crate) struct Tally {
    /// When each was due, since the round began, and how many milliseconds its answer took.
    pub(crate) answers: Vec<(Duration, f64)>,
    /// What went wrong, and how often.
    pub(crate) failures: BTreeMap<String, usize>,
    /// The server that each was sent to, by its authority.
    pub(crate) sent_to: BTreeMap<String, usize>,
    /// How many came in a second, as far as the client was able to send them.
    pub(crate) offered: f64,
}

/// What the players of one round share.
#[derive(Debug)]
struct Round {
    to: SocketAddr,
    path: &'static str,
    begun: Instant,
    tally: Mutex<Tally>,
}

/// Whether players stay for their answers when the round ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// They stay until they are answered or their patience ends.
    Patient,
    /// All of them go home in that moment.
    Abrupt,
}

impl Client {
    /// A client of its own threads.
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Self { runtime: runtime.expect("a runtime") }
    }

    /// Lets players come to `to` for so long, and tells what became of them.
    pub(crate) fn play(
        &self,
        to: SocketAddr,
        path: &'static str,
        rates: Rates,
        length: Duration,
        ending: Ending,
    ) -> Tally {
        static PEOPLE: AtomicUsize = AtomicUsize::new(0);
        let _here = self.runtime.enter();
        let begun = Instant::now() + CONNECTING;
        let round = Arc::new(Round { to, path, begun, tally: Mutex::new(Tally::new()) });
        let mut players = JoinSet::new();
        let mut kept = Vec::new();
        if rates.kept > 0.0 {
            for person in 0..KEPT {
                kept.push(keep(&mut players, &round, person));
            }
        }
        let total = rates.fresh + rates.kept;
        let share = rates.fresh / total;
        let gap = Duration::from_secs_f64(1.0 / total);
        let (mut fresh, mut turn, mut came) = (0.0, 0, 0.0);
        let mut at = begun;
        while at < begun + length {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            // Both kinds are mixed evenly, whatever their shares.
            fresh += share;
            if fresh >= 1.0 {
                fresh -= 1.0;
                let person = KEPT + PEOPLE.fetch_add(1, Ordering::Relaxed);
                players.spawn(visit(Arc::clone(&round), person, at));
            } else if !kept.is_empty() {
                kept[turn % kept.len()].send(at).expect("it stays until nothing more is due");
                turn += 1;
            }
            at += gap;
            came += 1.0;
        }
        let offered = came / begun.elapsed().as_secs_f64();
        drop(kept);
        self.runtime.block_on(async {
            match ending {
                Ending::Patient => while players.join_next().await.is_some() {},
                Ending::Abrupt => players.shutdown().await,
            }
        });
        let tally = std::mem::replace(&mut *round.lock(), Tally::new());
        Tally { offered, ..tally }
    }
}

/// Opens a connection that stays; requests that are due come by the channel.
fn keep(players: &mut JoinSet<()>, round: &Arc<Round>, person: usize) -> UnboundedSender<Instant> {
    let (due, requests) = unbounded_channel();
    players.spawn(stay(Arc::clone(round), person, requests));
    due
}

/// A player with one request on a connection of its own.
async fn visit(round: Arc<Round>, person: usize, due: Instant) {
    let asking = async {
        let mut connection = connect(round.to, person).await?;
        ask(&mut connection, round.path).await
    };
    let outcome = timeout(PATIENCE, asking).await;
    round.note(due, outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())));
}

/// A player that asks again and again on one connection, and makes a new one if that breaks.
async fn stay(round: Arc<Round>, person: usize, mut requests: UnboundedReceiver<Instant>) {
    let mut connection: Option<TcpStream> = connect(round.to, person).await.ok();
    while let Some(due) = requests.recv().await {
        let asking = async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => connect(round.to, person).await?,
            };
            let answer = ask(&mut open, round.path).await?;
            connection = Some(open);
            Ok(answer)
        };
        let outcome = timeout(PATIENCE, asking).await;
        round.note(due, outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())));
    }
}

impl Round {
    fn note(&self, due: Instant, outcome: io::Result<Answer>) {
        let took = due.elapsed();
        let mut tally = self.lock();
        match outcome {
            Ok(answer) if answer.status == 302 => {
                tally.answers.push((due - self.begun, took.as_secs_f64() * 1000.0));
                let to = answer.header("location").and_then(|url| url.split('/').nth(2));
                *tally.sent_to.entry(to.unwrap_or_default().to_owned()).or_default() += 1;
            }
            Ok(answer) => tally.fail(format!("{} instead of 302", answer.status)),
            Err(error) => tally.fail(error.kind().to_string()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().expect("nobody panicked")
    }
}

impl Tally {
    fn new() -> Self {
        Self {
            answers: Vec::new(),
            failures: BTreeMap::new(),
            sent_to: BTreeMap::new(),
            offered: 0.0,
        }
    }

    fn fail(&mut self, why: String) {
        *self.failures.entry(why).or_default() += 1;
    }

    /// How many got no redirect.
    pub(crate) fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    /// Milliseconds within which this share of all redirects were answered; endless if none was.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        if self.answers.is_empty() {
            return f64::INFINITY;
        }
        let mut all: Vec<f64> = self.answers.iter().map(|(_, took)| *took).collect();
        quantile(&mut all, share)
    }
}
