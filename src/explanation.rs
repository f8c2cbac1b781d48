//! Why a player would be sent where: every mount of a stream with its verdict, as JSON.
//!
//! What is told is what `select` decides and what it decides by, as of one moment. Nothing is taken,
//! and nothing is judged here.

mod mount;
mod question;

use serde::{Deserialize, Serialize};

use crate::fleet::{Family, Stream, StreamId};
use crate::player::{Client, Refusal};
use crate::select::{Decision, Explained, Judged, Stage, explain};
use crate::slots::Moment;
use crate::state::{Snapshot, State};
use crate::waiting;

pub use mount::{Limit, MountVerdict, Why};
pub use question::{Mistake, Question};

/// What a player would be told now, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explanation {
    /// The stream's path in the configuration, also where an alias was asked for. Of a path under a
    /// pattern that no relay lists, the pattern.
    pub stream: String,
    /// What was asked for.
    pub asked: String,
    /// The player.
    pub client: ClientFacts,
    /// `least_used`, `most_free`, `weighted_random` or `client_hash`.
    pub policy: String,
    /// `reject`, `wait`, `overflow` or `fallback`.
    pub when_full: String,
    /// What the player would be told.
    pub answer: AnswerFacts,
    /// The streams that are looked at: the one that was asked for, then the fallbacks it leads to. All
    /// but the last have no place for the player.
    pub stages: Vec<StageFacts>,
    /// What is known of the pattern that the path falls under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<PatternFacts>,
}

/// A player, as far as it matters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientFacts {
    /// Where it asks from; `null`: nobody in particular, whom every relay takes.
    pub address: Option<String>,
    /// `IPv4` or `IPv6`.
    pub family: Option<String>,
    /// The country of the address; `null`: unknown, or no server asks for it.
    pub country: Option<String>,
    /// Whether it comes by https.
    pub https: bool,
    /// Slots that it takes.
    pub slots: u64,
    /// The server that it was sent to within the last seconds, so that it is sent to another.
    pub came_from: Option<String>,
}

/// What a player would be told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnswerFacts {
    /// 302 or 503; of a player who is held, what it is told if no slot frees meanwhile.
    pub status: u16,
    /// `redirected`, `waits`, `full`, `offline` or `unreachable`.
    pub outcome: String,
    /// The same in words.
    pub text: String,
    /// The servers that it may be sent to, the likeliest first.
    pub servers: Vec<Chance>,
    /// Where it is sent, if that is certain.
    pub location: Option<String>,
    /// Whether that is a fallback.
    pub fallback: bool,
    /// Whether that is beyond a limit.
    pub overflow: bool,
    /// How long it is held until a slot frees, in seconds; `null`: it is not.
    pub wait_seconds: Option<f64>,
}

/// A server that a player may be sent to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Chance {
    /// Its name.
    pub server: String,
    /// How likely, 0 to 1; `null`: too many are equal for that to be worked out.
    pub chance: Option<f64>,
}

/// One stream as the player finds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StageFacts {
    /// Its path in the configuration.
    pub stream: String,
    /// Why it has no place for the player: `full`, `offline`, `unreachable`; `null`: it has one.
    pub refusal: Option<String>,
    /// Its mounts, in the configuration's order.
    pub mounts: Vec<MountVerdict>,
}

/// What is known of a pattern.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PatternFacts {
    /// Its path, such as `/talks/*`.
    pub path: String,
    /// The most streams it may have.
    pub max_streams: usize,
    /// How many it has.
    pub found: usize,
    /// Mounts that servers list beyond that.
    pub left_out: u64,
    /// The servers whose mounts it takes.
    pub servers: Vec<String>,
}

/// A chance that is this near to certain is certain: it is a sum of shares.
const CERTAIN: f64 = 1.0 - 1e-9;

impl Explanation {
    /// What the player of a question would be told at `now`.
    pub fn of(state: &State, question: &Question, now: Moment) -> Result<Self, Mistake> {
        let snapshot = state.load_full();
        let stream = question.stream(&snapshot.fleet)?;
        let client = question.client(state, &snapshot, stream, now);
        let explained = explain(&snapshot, stream, client, now);
        let config = snapshot.fleet.streams.get(stream);
        Ok(Self {
            stream: path(&snapshot, stream),
            asked: question.asked().to_owned(),
            client: ClientFacts::of(&snapshot, client),
            policy: snapshot.fleet.balance.policy.label().to_owned(),
            when_full: config.map_or("", |stream| stream.when_full.label()).to_owned(),
            answer: AnswerFacts::of(&snapshot, stream, client, &explained, now),
            stages: explained
                .stages
                .iter()
                .map(|stage| StageFacts::of(&snapshot, stage, client, now))
                .collect(),
            pattern: config.and_then(|stream| PatternFacts::of(&snapshot, stream)),
        })
    }
}

impl ClientFacts {
    fn of(snapshot: &Snapshot, client: Client) -> Self {
        let came_from = client.came_from.and_then(|id| snapshot.fleet.servers.get(id));
        Self {
            address: client.address.map(|address| address.to_string()),
            family: client.address.map(|address| Family::of(address).to_string()),
            country: client.country.map(|country| country.to_string()),
            https: client.https,
            slots: client.connections,
            came_from: came_from.map(|server| server.name.clone()),
        }
    }
}

impl AnswerFacts {
    fn of(
        snapshot: &Snapshot,
        stream: StreamId,
        client: Client,
        explained: &Explained<'_>,
        now: Moment,
    ) -> Self {
        if waiting::is_behind(snapshot, stream, client)
            && let Some(patience) = waiting::patience(snapshot, stream)
        {
            let before = snapshot.queue(stream).map_or(0, |queue| queue.waiting());
            let why = format!("waits behind {before} for a slot, {patience:?} at most");
            return Self::waits(patience.as_secs_f64(), why);
        }
        match explained.decision {
            Decision::Mount(()) => Self::redirected(snapshot, client, explained, now),
            Decision::Elsewhere(url) => {
                let url = url.to_str().unwrap_or_default().to_owned();
                let text = format!("302 to the fallback {url}");
                let told = Self::told(302, "redirected", text);
                Self { location: Some(url), fallback: true, ..told }
            }
            Decision::Refused(refusal) => match waiting::patience(snapshot, stream) {
                Some(patience) if refusal == Refusal::Full => {
                    let why = format!("full: waits for a slot, {patience:?} at most");
                    Self::waits(patience.as_secs_f64(), why)
                }
                _ => Self::refused(snapshot, stream, refusal),
            },
        }
    }

    fn redirected(
        snapshot: &Snapshot,
        client: Client,
        explained: &Explained<'_>,
        now: Moment,
    ) -> Self {
        let mounts = explained.stages.last().map_or(&[][..], |stage| &stage.mounts);
        let mut likely: Vec<_> = mounts
            .iter()
            .filter(|judged| judged.chance.is_none_or(|chance| chance > 0.0))
            .collect();
        likely.sort_by(|one, other| {
            other.chance.partial_cmp(&one.chance).unwrap_or(std::cmp::Ordering::Equal)
        });
        let is_fallback = explained.stages.len() > 1;
        let overflow = likely.first().is_some_and(|judged| {
            judged.verdict.candidate().is_some_and(|standing| standing.rank.beyond_limit)
        });
        let names = likely.iter().map(|judged| match judged.chance {
            Some(chance) if chance < CERTAIN => {
                format!("{} ({})", judged.mount.server.name, percent(chance))
            }
            _ => judged.mount.server.name.clone(),
        });
        let mut text = format!("302 to {}", listed(&names.collect::<Vec<_>>()));
        if let Some(stage) = explained.stages.last().filter(|_| is_fallback) {
            text = format!("{text}: the fallback {}", path(snapshot, stage.stream));
        }
        if overflow {
            text += ", beyond its limit";
        }
        let only = if let [only] = likely[..] { Some(only) } else { None };
        let settle = snapshot.fleet.balance.settle;
        if let Some(pause) = only.map(|only| only.mount.wait_for_turn(settle, now))
            && !pause.is_zero()
        {
            text = format!("{text}, after {} ms: its max_joins_per_second", pause.as_millis());
        }
        let chance = |judged: &&Judged<'_>| Chance {
            server: judged.mount.server.name.clone(),
            chance: judged.chance,
        };
        Self {
            servers: likely.iter().map(chance).collect(),
            location: only.map(|only| mount::location(only, client)),
            fallback: is_fallback,
            overflow,
            ..Self::told(302, "redirected", text)
        }
    }

    fn waits(seconds: f64, text: String) -> Self {
        Self { wait_seconds: Some(seconds), ..Self::told(503, "waits", text) }
    }

    fn refused(snapshot: &Snapshot, stream: StreamId, refusal: Refusal) -> Self {
        let word = match refusal {
            Refusal::Full => "full",
            Refusal::Offline => "offline",
            Refusal::Unreachable | Refusal::Insecure | Refusal::ForOthers | Refusal::OnlyBy(_) => {
                "unreachable"
            }
        };
        Self::told(503, word, format!("503 {}", refusal.told(&path(snapshot, stream))))
    }

    /// It is told this, and sent nowhere.
    fn told(status: u16, outcome: &str, text: String) -> Self {
        Self {
            status,
            outcome: outcome.to_owned(),
            text,
            servers: Vec::new(),
            location: None,
            fallback: false,
            overflow: false,
            wait_seconds: None,
        }
    }
}

impl StageFacts {
    fn of(snapshot: &Snapshot, stage: &Stage<'_>, client: Client, now: Moment) -> Self {
        let mounts = stage.mounts.iter();
        Self {
            stream: path(snapshot, stage.stream),
            refusal: stage.refusal.map(|refusal| refusal.to_string()),
            mounts: mounts.map(|judged| MountVerdict::of(snapshot, judged, client, now)).collect(),
        }
    }
}

impl PatternFacts {
    fn of(snapshot: &Snapshot, stream: &Stream) -> Option<Self> {
        let pattern = snapshot.fleet.pattern_of(stream)?;
        let servers = pattern.mounts.iter();
        let servers = servers.filter_map(|mount| snapshot.fleet.servers.get(mount.server));
        Some(Self {
            path: path(snapshot, pattern.stream),
            max_streams: pattern.max_streams,
            found: pattern.streams().len(),
            left_out: if pattern.is_full() { snapshot.left_out(pattern) } else { 0 },
            servers: servers.map(|server| server.name.clone()).collect(),
        })
    }
}

fn path(snapshot: &Snapshot, stream: StreamId) -> String {
    snapshot.fleet.streams.get(stream).map_or_else(String::new, |stream| stream.path.clone())
}

/// `63 %`; what is likely at all is no 0 %, and what is not certain no 100 %.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent > 0.0 && percent < 1.0 => "< 1 %".to_owned(),
        percent if percent > 99.0 && share < CERTAIN => "> 99 %".to_owned(),
        percent => format!("{percent:.0} %"),
    }
}

/// `a`, `a or b`, `a, b or c`.
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests;
