//! Names to addresses, with the last good answer kept for when there is none.
//!
//! A resolver that hangs or forgets must not take relays out of service that still serve: what a
//! name meant last is used until the name system answers again. And a name that meant addresses of
//! the internet is not followed into private networks later: whoever controls a relay's name must
//! not point our looks, and the password they may carry, at machines beside us.
//!
//! The system's resolver occupies a thread until it has an answer, for ten seconds or more where
//! its server is silent. So each name has one question under way at most, whoever waits for it, and
//! all names together have few enough to leave threads for other work.

mod network;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use network::is_internal;

/// Resolves through the system, within bounds.
#[derive(Clone)]
struct Resolver {
    names: Arc<Mutex<HashMap<String, Known>>>,
    questions: Arc<Semaphore>,
    ask: Ask,
}

/// Asks the name system for a name.
type Ask = Arc<dyn Fn(String) -> Asking + Send + Sync>;

type Asking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// What is known of one name.
#[derive(Debug, Default)]
struct Known {
    /// The last answer that was accepted, and when it was given.
    good: Option<(Vec<IpAddr>, Instant)>,
    /// Why the last question had no good answer.
    trouble: Option<Trouble>,
    /// The question under way, if there is one.
    question: Option<Question>,
}

/// Why a question had no good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    /// The name system's own words.
    Unanswered(String),
    /// It meant the internet and now means these addresses.
    Internal(Vec<IpAddr>),
}

/// A question under way.
#[derive(Debug, Clone)]
struct Question {
    since: Instant,
    /// Closed when it is answered.
    answered: watch::Receiver<()>,
}

/// An answer younger than this is used without asking again.
const FRESH: Duration = Duration::from_secs(30);

/// An answer older than this is used no more.
const LASTS: Duration = Duration::from_secs(3_600);

/// The longest wait for the name system: less than a connection may take in all, so that a name
/// that is not answered is told as such.
const PATIENCE: Duration = Duration::from_millis(900);

/// Questions under way at once, of all names: half of the threads that there are for such work.
const QUESTIONS: usize = 256;

/// Addresses of one name that are tried, since they share the time to connect.
const MOST_ADDRESSES: usize = 4;

static SHARED: LazyLock<Resolver> = LazyLock::new(|| {
    Resolver::new(Arc::new(|name| {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name, 0)).await?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    }))
});

/// The addresses of a name, by the one resolver that all looks share.
pub(super) async fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    SHARED.addresses(name).await
}

/// What is odd about the addresses of `host`, for people.
pub(super) fn remark(host: &str) -> Option<String> {
    SHARED.remark(host)
}

impl Resolver {
    fn new(ask: Ask) -> Self {
        Self { names: Arc::default(), questions: Arc::new(Semaphore::new(QUESTIONS)), ask }
    }

    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut question = {
            let mut names = self.names();
            let known = names.entry(name.to_owned()).or_default();
            let age = known.good.as_ref().map(|(_, at)| at.elapsed());
            if age.is_some_and(|age| age < FRESH) {
                return known.usable();
            }
            // One that broke is closed without an answer.
            known.question.take_if(|question| question.answered.has_changed().is_err());
            let question = known.question.get_or_insert_with(|| self.question(name)).clone();
            if age.is_some_and(|age| age < LASTS) {
                // The answer serves the next look; this one does not wait for it.
                return known.usable();
            }
            question
        };
        // Whoever comes when a question has been waiting for long already does not wait again.
        let ends = question.since + PATIENCE;
        let in_time = timeout_at(ends, question.answered.changed()).await.is_ok();
        self.best(name, in_time)
    }

    /// Asks in the background, so that an answer that comes too late for one look serves the next.
    fn question(&self, name: &str) -> Question {
        let (answer, answered) = watch::channel(());
        let (resolver, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move {
            let answer_when_done = answer;
            let permit = resolver.questions.acquire().await;
            let asked = (resolver.ask)(name.clone()).await;
            drop(permit);
            resolver.learn(&name, asked);
            drop(answer_when_done);
        });
        Question { since: Instant::now(), answered }
    }

    /// Enters the answer to the question under way.
    fn learn(&self, name: &str, asked: io::Result<Vec<IpAddr>>) {
        let mut names = self.names();
        let known = names.entry(name.to_owned()).or_default();
        known.question = None;
        let trouble = match asked {
            Ok(addresses) => known.accept(addresses),
            Err(error) => Some(Trouble::Unanswered(error.to_string())),
        };
        if let Some(Trouble::Internal(addresses)) = &trouble
            && known.trouble != trouble
        {
            warn!(
                name,
                ?addresses,
                "a relay's name meant the internet and now means a private network: it is not \
                 followed there until this program is started again"
            );
        }
        known.trouble = trouble;
    }

    /// The addresses to use, after a question that was answered or has waited for long enough.
    fn best(&self, name: &str, in_time: bool) -> io::Result<Vec<IpAddr>> {
        let names = self.names();
        let known = names.get(name);
        if let Some(known) = known
            && known.good.as_ref().is_some_and(|(_, at)| at.elapsed() < LASTS)
        {
            return known.usable();
        }
        match known.and_then(|known| known.trouble.as_ref()) {
            Some(Trouble::Internal(_)) => {
                Err(io::Error::other(format!("the name {name} means a private network now")))
            }
            Some(Trouble::Unanswered(why)) if in_time => Err(io::Error::other(why.clone())),
            _ => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the name {name} was not resolved in time"),
            )),
        }
    }

    fn remark(&self, name: &str) -> Option<String> {
        match self.names().get(name)?.trouble.as_ref()? {
            Trouble::Internal(addresses) => {
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                let addresses = addresses.join(", ");
                Some(format!(
                    "its name now means {addresses}, a private network, where it is not followed"
                ))
            }
            Trouble::Unanswered(_) => None,
        }
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The last good addresses, whatever their age.
    fn usable(&self) -> io::Result<Vec<IpAddr>> {
        let addresses = self.good.as_ref().map(|(addresses, _)| addresses.clone());
        addresses.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Takes what the name system answered for good, or says what is wrong with it.
    ///
    /// A name that means a private network from the beginning is the operator's word, who has a
    /// name system of his own; only a change from the internet to such a network is not followed.
    fn accept(&mut self, mut addresses: Vec<IpAddr>) -> Option<Trouble> {
        let was_outside = self
            .good
            .as_ref()
            .is_some_and(|(good, _)| good.iter().all(|address| !is_internal(*address)));
        let mut internal = Vec::new();
        if was_outside {
            internal.extend(addresses.extract_if(.., |address| is_internal(*address)));
        }
        addresses.truncate(MOST_ADDRESSES);
        internal.truncate(MOST_ADDRESSES);
        let none = addresses.is_empty();
        if !none {
            self.good = Some((addresses, Instant::now()));
        }
        match (internal.is_empty(), none) {
            (false, _) => Some(Trouble::Internal(internal)),
            (true, true) => Some(Trouble::Unanswered("the name has no address".to_owned())),
            (true, false) => None,
        }
    }
}

#[cfg(test)]
mod tests;
