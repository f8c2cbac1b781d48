//! Looks at a server that tells nothing of itself: each mount is asked for, as a listener would.
//!
//! What a listener would get is all there is to learn: the mount, or a refusal. How many listen
//! nobody tells, so that the ledger has only what it promised itself.
//!
//! It costs a request for each mount, of whose answer only the head is read. A few are under way at
//! one time, all within the time of one look; where that is too short for all mounts, the next look
//! goes on where this one ended.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use http::StatusCode;
use http::header::{RANGE, SERVER};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::warn;
use url::Url;

use crate::fleet::{Server, address};
use crate::icecast::{Activity, Limit, MountReport, Report};
use crate::slots::{Evidence, Listed};

use super::exchange::Question;
use super::eye::Eye;
use super::fetch::{Failure, Seen};
use super::resolve;

/// Asks one server for its mounts.
#[derive(Debug, Default)]
pub(super) struct Prober {
    /// Mounts that have been asked for at all: others come first.
    met: HashSet<String>,
    /// The mount that was asked for last; the next look begins with the one behind it.
    last: String,
    /// Mounts that gave no answer when they were asked for last.
    silent: HashSet<String>,
    /// What is odd about the answers to the last look.
    odd: Option<String>,
    /// Whether the log has been told that it is an Icecast.
    told_icecast: bool,
}

/// The head of an answer.
struct Answer {
    status: StatusCode,
    is_icecast: bool,
}

/// What a listener would get who asked for a mount, or why that is not known.
type Asked = Result<Answer, Failure>;

/// How many are asked for at one time: enough for a distant server, few for a small one.
const AT_ONCE: usize = 4;

/// The part of a look's time after which nothing more is begun, so that what is under way can end,
const BEGINNING: f64 = 0.5;

/// and the part after which no answer is waited for, so that the look ends by itself.
const WAITING: f64 = 0.9;

const ICECAST: &str = "this is an Icecast, on which each probe is a listener for a moment: use \
                       another stats.source, which also counts listeners";

impl Eye for Prober {
    async fn look(
        &mut self,
        server: &Server,
        mounts: &[Listed<'_>],
        timeout: Duration,
    ) -> Result<Seen, Failure> {
        let mut asked = self.ask_in_turn(server, mounts, timeout).await?;
        self.odd = self.oddity(server, &asked);
        let nobody_answers = asked.values().all(Result::is_err);
        if nobody_answers && let Some((_, Err(failure))) = asked.pop_first() {
            return Err(failure);
        }
        let mounts = mounts.iter().filter_map(|mount| {
            let activity = self.activity(mount.path, asked.get(mount.path))?;
            Some(MountReport {
                name: mount.path.to_owned(),
                listeners: None,
                limit: Limit::Unknown,
                activity,
                bytes: None,
            })
        });
        let report = Report { clients: None, mounts: mounts.collect() };
        Ok(Seen::Report { report, source: "probe" })
    }

    fn remark(&self, server: &Server) -> Option<String> {
        let of_its_name = server.stats.url.domain().and_then(resolve::remark);
        let remarks: Vec<_> = of_its_name.into_iter().chain(self.odd.clone()).collect();
        (!remarks.is_empty()).then(|| remarks.join("; "))
    }
}

impl Prober {
    /// Asks for as many mounts as there is time for. A failure that concerns them all ends it.
    async fn ask_in_turn(
        &mut self,
        server: &Server,
        mounts: &[Listed<'_>],
        timeout: Duration,
    ) -> Result<BTreeMap<String, Asked>, Failure> {
        let began = Instant::now();
        let begins_until = began + timeout.mul_f64(BEGINNING);
        let ends = began + timeout.mul_f64(WAITING);
        let mut turn = self.turn(mounts).into_iter();
        let mut under_way = JoinSet::new();
        let mut asked = BTreeMap::new();
        loop {
            while under_way.len() < AT_ONCE
                && Instant::now() < begins_until
                && let Some(path) = turn.next()
            {
                self.met.insert(path.clone());
                self.last.clone_from(&path);
                let server = server.stats.url.clone();
                under_way.spawn(async move {
                    let asked = ask(&server, &path, ends).await;
                    (path, asked)
                });
            }
            match under_way.join_next().await {
                None => return Ok(asked),
                Some(Ok((_, Err(failure)))) if failure.evidence != Evidence::Soft => {
                    return Err(failure);
                }
                Some(Ok((path, answer))) => drop(asked.insert(path, answer)),
                // It broke, which the log has been told, and has learned nothing.
                Some(Err(_)) => {}
            }
        }
    }

    /// The mounts in the order in which they are asked for: first those that never were, then those
    /// behind the one that was asked for last. A server without any is asked for its root.
    fn turn(&self, mounts: &[Listed<'_>]) -> Vec<String> {
        let mut mounts: Vec<_> = mounts
            .iter()
            .map(|mount| {
                (self.met.contains(mount.path), mount.path <= self.last.as_str(), mount.path)
            })
            .collect();
        mounts.sort_unstable();
        if mounts.is_empty() {
            return vec!["/".to_owned()];
        }
        mounts.into_iter().map(|(_, _, path)| path.to_owned()).collect()
    }

    /// How a mount is by what came of asking for it; `None`: a listener would not get it. One that is
    /// silent while others answer has one more chance, since what its first packet lost is sent again
    /// too late for a look.
    fn activity(&mut self, path: &str, asked: Option<&Asked>) -> Option<Activity> {
        match asked {
            None => Some(Activity::Unasked),
            Some(Ok(answer)) => {
                self.silent.remove(path);
                answer.is_mount().then_some(Activity::Answers)
            }
            Some(Err(_)) => self.silent.insert(path.to_owned()).then_some(Activity::Unasked),
        }
    }

    /// What operators should know of the answers: the first that is neither a mount nor its absence,
    /// and how many more there are.
    fn oddity(&mut self, server: &Server, asked: &BTreeMap<String, Asked>) -> Option<String> {
        if asked.values().flatten().any(|answer| answer.is_icecast) {
            if !self.told_icecast {
                warn!(server = %server.name, "{ICECAST}");
                self.told_icecast = true;
            }
            return Some(ICECAST.to_owned());
        }
        let mut odd = asked.iter().filter_map(|(path, asked)| match asked {
            Ok(answer) => Some(format!("{path} {}", answer.oddity()?)),
            Err(failure) => Some(failure.to_string()),
        });
        let first = odd.next()?;
        Some(match odd.count() {
            0 => first,
            more => format!("{first}; and {more} more mounts are not as they should be"),
        })
    }
}

impl Answer {
    /// Whether it is what was asked for, whole or its first byte.
    fn is_mount(&self) -> bool {
        matches!(self.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT)
    }

    /// What is wrong with it, unless it is there or is not.
    fn oddity(&self) -> Option<String> {
        let Self { status, .. } = self;
        match *status {
            StatusCode::NOT_FOUND | StatusCode::GONE => None,
            _ if self.is_mount() => None,
            _ if status.is_redirection() => {
                Some(format!("answers {status}, which is not followed: write where it leads to"))
            }
            _ => Some(format!("answers {status}, so that no listener is sent there")),
        }
    }
}

/// Asks for a mount until `ends`, and hangs up over the answer's body. `HEAD` would be cheaper, but
/// there are servers that refuse it.
async fn ask(server: &Url, path: &str, ends: Instant) -> Asked {
    let target = format!("{}{}", server.path().trim_end_matches('/'), address::in_url(path));
    let question = Question::get(server, target).with(RANGE, "bytes=0-0");
    let asked = timeout_at(ends, question.ask()).await;
    let answer = asked.map_err(|_elapsed| Failure::late(server))?;
    let answer = answer.map_err(|broken| Failure::of(&broken, &address::of_mount(server, path)))?;
    let server = answer.header(SERVER);
    let is_icecast = server.is_some_and(|server| server.as_bytes().starts_with(b"Icecast"));
    Ok(Answer { status: answer.status(), is_icecast })
}
