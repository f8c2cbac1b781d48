//! The `STATS` feed of one relay: a doorbell beside the looks, and the eye that stays open when
//! the relay is so full that it refuses them.
//!
//! What the feed says is a hint (`icecast::feed` tells why): when it says of a mount of ours what
//! the ledger does not know yet, a look follows at once; and so it does when the feed ends, as the
//! feed of a relay that dies. Losing it loses nothing but that: looks go on at their own pace
//! whatever the feed does.
//!
//! Icecast drops what a slow reader does not take, so pieces are read as they come. Silence is
//! normal on an idle relay; TCP keepalive finds a peer that is gone.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};
use url::Url;

use crate::fleet::{Server, ServerId};
use crate::icecast::feed::{Event, Lines};
use crate::slots::{Heard, Moment, ServerSlots};
use crate::state::{Snapshot, State};

use super::exchange::{Answer, Question};
use super::fetch::Failure;

/// A relay's feed, between the one who reads it and the one who looks.
#[derive(Debug)]
pub(super) struct Feed {
    /// The relay's name in the configuration.
    server: String,
    bell: Notify,
    known: Mutex<Known>,
}

/// What the feed told of the mounts that are configured.
#[derive(Debug, Default)]
struct Known {
    /// When the last piece came; `None` while there is no connection.
    heard: Option<Moment>,
    clients: Option<(Moment, u64)>,
    listeners: HashMap<String, (Moment, u64)>,
    /// The last look was refused because the relay is full.
    full: bool,
}

/// Whom to ask for the feed, and as whom.
#[derive(Debug)]
struct Line {
    url: Url,
    username: String,
    password: SecretString,
    patience: Duration,
}

/// Why there is no feed.
#[derive(Debug)]
enum Lost {
    /// The password was refused.
    Unauthorized,
    /// Anything else.
    Broken(String),
}

/// The least time between the beginnings of two looks.
const GAP: Duration = Duration::from_millis(100);

/// The longest silence of a relay that serves anybody: it tells of its sources every five seconds.
const LONGEST_SILENCE: Duration = Duration::from_secs(7);

/// The longest first pause before the feed is asked for again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// No pause is longer. A feed that lasted so long was a good one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The pause after a refused password, which only people can change.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

impl Feed {
    pub(super) fn new(server: &str) -> Self {
        Self { server: server.to_owned(), bell: Notify::new(), known: Mutex::default() }
    }

    /// Waits until a look is worth while for what the feed told, and may be taken, the last having
    /// begun at `last`. However much the feed tells, a relay is looked at once in [`GAP`], and one
    /// that is full once in `when_full`, since each refusal keeps it from serving for 0.4 s.
    pub(super) async fn rung(&self, last: Instant, when_full: Duration) {
        self.bell.notified().await;
        let gap = if self.known().full { GAP.max(when_full) } else { GAP };
        sleep_until(last + gap).await;
    }

    /// Forgets what a good look that began at `began` knows better.
    pub(super) fn looked(&self, began: Moment) {
        let mut known = self.known();
        known.full = false;
        known.clients = known.clients.filter(|(at, _)| *at >= began);
        known.listeners.retain(|_, (at, _)| *at >= began);
    }

    /// Takes note of a look that failed and does not say that the relay is full.
    pub(super) fn failed(&self) {
        self.known().full = false;
    }

    /// Whether the relay was full when it answered last, and tells of itself still: then a look
    /// that waits in vain does so among others whom the relay refuses.
    pub(super) fn vouches(&self, now: Moment) -> bool {
        let known = self.known();
        let alive = known.heard.is_some_and(|at| now.saturating_sub(at) <= LONGEST_SILENCE);
        known.full && alive
    }

    /// What the feed told since the last good look, for a look that the full relay refused; `None`
    /// if no feed is connected.
    pub(super) fn heard_while_full(&self) -> Option<Heard> {
        let mut known = self.known();
        known.full = true;
        known.heard?;
        let listeners = known.listeners.iter().map(|(path, (_, count))| (path.clone(), *count));
        Some(Heard {
            clients: known.clients.map(|(_, count)| count),
            listeners: listeners.collect(),
        })
    }

    /// Keeps the feed open for as long as the configuration wants one.
    pub(super) async fn follow(&self, state: &State, slots: &ServerSlots) {
        let mut replacements = state.replacements();
        let mut failures = 0;
        let mut told = None;
        loop {
            replacements.mark_unchanged();
            let Some(line) = Line::wanted(&state.load(), &self.server) else {
                if replacements.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let began = Instant::now();
            let lost = tokio::select! {
                lost = self.listen(state, slots, &line, &mut told) => lost,
                () = line.replaced(&mut replacements, state, &self.server) => {
                    (failures, told) = (0, None);
                    continue;
                }
            };
            if began.elapsed() >= LONGEST_PAUSE {
                failures = 0;
            }
            let unauthorized = matches!(lost, Lost::Unauthorized);
            if told != Some(unauthorized) {
                warn!(server = %self.server, "{lost}");
                told = Some(unauthorized);
            }
            let pause = if unauthorized { REFUSED_PAUSE } else { pause(failures) };
            failures = failures.saturating_add(1);
            tokio::select! {
                () = sleep(pause) => {}
                () = line.replaced(&mut replacements, state, &self.server) => {
                    (failures, told) = (0, None);
                }
            }
        }
    }

    /// Opens the feed and hears it to its end. `told`, that it was lost, is forgotten once it is
    /// there.
    async fn listen(
        &self,
        state: &State,
        slots: &ServerSlots,
        line: &Line,
        told: &mut Option<bool>,
    ) -> Lost {
        let mut answer = match timeout(line.patience, line.open()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(lost)) => return lost,
            Err(_) => return Lost::Broken(format!("{} does not answer in time", line.url)),
        };
        let mut lines = Lines::default();
        let mut connection = None;
        loop {
            let piece = match answer.piece().await {
                Ok(Some(piece)) => piece,
                Ok(None) => return Lost::Broken(format!("{} closed it", line.url)),
                Err(broken) => {
                    return Lost::Broken(Failure::of(&broken, line.url.as_str()).to_string());
                }
            };
            let snapshot = state.load();
            let Some(id) = snapshot.fleet.server_named(&self.server) else { continue };
            let heard_something = self.hear(&snapshot, id, slots, &mut lines, &piece, state.now());
            // That the answer was 200 is not enough: so is that to many a page.
            if heard_something && connection.is_none() {
                connection = Some(Connection::new(self, slots));
                *told = None;
                info!(server = %self.server, "the live feed is connected");
            }
        }
    }

    /// Takes in one piece, and rings if it tells what a look should confirm. Returns whether it
    /// told anything.
    fn hear(
        &self,
        snapshot: &Snapshot,
        id: ServerId,
        slots: &ServerSlots,
        lines: &mut Lines,
        piece: &[u8],
        now: Moment,
    ) -> bool {
        let mut known = self.known();
        let mut told = false;
        let mut worth_a_look = false;
        // Nobody gets into a full relay before somebody leaves it.
        let full = known.full;
        let is_news = |now: u64, before: u64| if full { now < before } else { now != before };
        lines.read(piece, |event| {
            told = true;
            match event {
                Event::Clients(clients) => known.clients = Some((now, clients)),
                Event::Listeners { mount, listeners } => {
                    let Some(slots) = snapshot.mount_at(id, mount) else {
                        // A stream to be, where there is room for one.
                        worth_a_look |=
                            snapshot.fleet.wanting(id, mount).any(|pattern| !pattern.is_full());
                        return;
                    };
                    worth_a_look |= is_news(listeners, slots.seats.told().unwrap_or(0));
                    known.listeners.insert(mount.to_owned(), (now, listeners));
                }
                Event::MaxListeners { mount, most } => {
                    let slots = snapshot.mount_at(id, mount);
                    worth_a_look |=
                        !full && slots.is_some_and(|slots| slots.seats.limit() != Some(most));
                }
            }
        });
        if told || known.heard.is_some() {
            known.heard = Some(now);
        }
        // Our own looks are clients too, so that this number says something only while they are
        // refused, and only when the piece that told of one coming and going is over.
        if let Some((_, clients)) = known.clients {
            worth_a_look |= full && clients < slots.seats.told().unwrap_or(0);
        }
        drop(known);
        if worth_a_look {
            self.bell.notify_one();
        }
        told
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// The line to the server's feed, if the configuration wants one.
    fn wanted(snapshot: &Snapshot, server: &str) -> Option<Self> {
        let server = snapshot.fleet.servers.get(snapshot.fleet.server_named(server)?)?;
        Self::of(server, snapshot.fleet.poll.timeout)
    }

    fn of(server: &Server, patience: Duration) -> Option<Self> {
        let stats = &server.stats;
        let account = stats.credentials.as_ref().filter(|_| stats.is_live())?;
        Some(Self {
            url: stats.url.clone(),
            username: account.username.clone(),
            password: account.password.clone(),
            patience,
        })
    }

    /// Waits until the configuration wants another line, or none.
    async fn replaced(&self, replacements: &mut watch::Receiver<()>, state: &State, server: &str) {
        let same = |other: Line| {
            other.url == self.url
                && other.username == self.username
                && other.password.expose_secret() == self.password.expose_secret()
        };
        while Self::wanted(&state.load(), server).is_some_and(same) {
            if replacements.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    async fn open(&self) -> Result<Answer, Lost> {
        let method = Method::from_bytes(b"STATS").map_err(|why| Lost::Broken(why.to_string()))?;
        let question = Question::of(&self.url)
            .by(method)
            .in_the_name_of(&self.username, self.password.expose_secret())
            .for_long();
        let answer = question
            .ask_once()
            .await
            .map_err(|broken| Lost::Broken(Failure::of(&broken, self.url.as_str()).to_string()))?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            StatusCode::UNAUTHORIZED => Err(Lost::Unauthorized),
            status => Err(Lost::Broken(format!("{} answers {status}", self.url))),
        }
    }
}

/// A feed that is connected, for as long as this exists.
struct Connection<'a> {
    feed: &'a Feed,
    slots: &'a ServerSlots,
}

impl<'a> Connection<'a> {
    fn new(feed: &'a Feed, slots: &'a ServerSlots) -> Self {
        slots.note(|notes| notes.live = true);
        Self { feed, slots }
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.slots.note(|notes| notes.live = false);
        let mut known = self.feed.known();
        *known = Known { full: known.full, ..Known::default() };
        drop(known);
        // It may have died: then nobody should be sent there until the next look is due.
        self.feed.bell.notify_one();
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized => f.write_str(
                "the live feed refuses the password; check stats.username and stats.password",
            ),
            Self::Broken(why) => {
                write!(f, "there is no live feed, polls go on without it: {why}")
            }
        }
    }
}

/// How long to wait after so many failures in a row: spread, so that relays that come back
/// together are not all asked together.
fn pause(failures: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + 0.5 * fastrand::f64())
}

#[cfg(test)]
mod tests;
