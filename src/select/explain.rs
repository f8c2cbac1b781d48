//! Why a listener would be sent where: all that the decision goes by, and how likely what it leaves to
//! chance is.
//!
//! Nothing is judged here. This calls what [`pick`](super::pick) calls, keeps what that throws away,
//! and lets the dice fall in every way instead of one.

use std::fmt;

use smallvec::SmallVec;

use crate::fleet::StreamId;
use crate::player::{Client, Refusal};
use crate::slots::Moment;
use crate::state::{MountView, Snapshot};

use super::dice::chances;
use super::ranked::{Offer, sort};
use super::{
    Decision, Doubt, Preference, Proof, Rank, Verdict, WhenFull, choose, judged, leaders,
    with_fallbacks, without_mounts,
};

/// What would become of a listener now, and why.
#[derive(Debug, Clone)]
pub struct Explained<'a> {
    /// The streams that were looked at: the one that was asked for, and the fallbacks it led to. All
    /// but the last had no place for the listener.
    pub stages: Vec<Stage<'a>>,
    /// What becomes of the listener; `Mount`: one of the last stage, as its chances are.
    pub decision: Decision<'a, ()>,
}

/// One stream as the listener finds it.
#[derive(Debug, Clone)]
pub struct Stage<'a> {
    /// The stream.
    pub stream: StreamId,
    /// All of its mounts, in the configuration's order.
    pub mounts: Vec<Judged<'a>>,
    /// Why none of them gets the listener; `None`: one does.
    pub refusal: Option<Refusal>,
}

/// One mount as the listener finds it.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// The mount.
    pub mount: MountView<'a>,
    /// Whether it could take the listener, and if not, why.
    pub verdict: Verdict,
    /// Its place among those that could, from 1, as playlists name them.
    pub place: Option<usize>,
    /// How likely it gets the listener; `None`: too many are equal for that to be worked out.
    pub chance: Option<f64>,
    /// What puts it behind others, if it could take the listener and they will.
    pub behind: Option<Behind>,
}

/// What puts a mount that could take a listener behind others that will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// It is full, and would get one more than its limit.
    BeyondLimit,
    /// It would take the player from https to plain http.
    LeavesTls,
    /// More is known of the others.
    Trust(Option<Doubt>),
    /// Its tier is higher.
    Tier(u32),
    /// Others prefer such listeners, and it does not, or less so.
    Preference(Preference),
    /// Its stream is not proven, theirs are.
    Proof(Proof),
    /// The player has just come back from there.
    CameFrom,
    /// By everything else it is equal; the policy prefers the others.
    Policy,
}

/// More candidates of one rank are not weighed against each other in every way: that takes as long
/// as the third power of their number.
const MOST_WEIGHED: usize = 64;

/// What would become of a listener of `stream`, with the verdict on each mount that is asked for
/// it. Nothing is taken.
pub fn explain(
    snapshot: &Snapshot,
    stream: StreamId,
    client: Client,
    now: Moment,
) -> Explained<'_> {
    let mut stages = Vec::new();
    let decision = with_fallbacks(snapshot, stream, client, |at, when_full| {
        let stage = stage(snapshot, at, client, when_full, now);
        let refusal = stage.refusal;
        stages.push(stage);
        refusal.map_or(Ok(()), Err)
    });
    Explained { stages, decision }
}

fn stage(
    snapshot: &Snapshot,
    stream: StreamId,
    client: Client,
    when_full: WhenFull,
    now: Moment,
) -> Stage<'_> {
    let verdicts: Vec<_> = judged(snapshot, stream, client, when_full, now).collect();
    let mut best = SmallVec::new();
    let refusal = leaders(verdicts.iter().copied(), &mut best);
    let chances = (best.len() <= MOST_WEIGHED).then(|| {
        chances(|dice| choose(snapshot, stream, client, &best, dice).map(|chosen| chosen.at))
    });
    let mounts: Vec<_> = snapshot.mounts(stream).zip(&verdicts).collect();
    let mut offers: Vec<_> = mounts
        .iter()
        .filter_map(|(mount, verdict)| {
            Some(Offer { mount: *mount, standing: *verdict.candidate()? })
        })
        .collect();
    sort(snapshot, stream, client, &mut offers);
    let place_of = |at: usize| offers.iter().position(|offer| offer.standing.at == at);
    let first = best.first().map(|candidate| candidate.rank);
    let mounts = mounts.into_iter().enumerate().map(|(at, (mount, verdict))| {
        let standing = verdict.candidate();
        let leads = standing.is_some_and(|standing| Some(standing.rank) == first);
        let chance = match &chances {
            _ if !leads => Some(0.0),
            None => None,
            Some(chances) => {
                let drawn = chances.iter().find(|(drawn, _)| *drawn == at);
                Some(drawn.map_or(0.0, |(_, chance)| chance.min(1.0)))
            }
        };
        let behind = standing.zip(first).and_then(|(standing, first)| {
            let by_rank = standing.rank.behind(first, standing.doubt);
            by_rank.or_else(|| (chance == Some(0.0)).then_some(Behind::Policy))
        });
        let place = place_of(at).map(|place| place + 1);
        Judged { mount, verdict: *verdict, place, chance, behind }
    });
    Stage {
        stream,
        mounts: mounts.collect(),
        refusal: best
            .is_empty()
            .then(|| refusal.unwrap_or_else(|| without_mounts(snapshot, stream))),
    }
}

impl Rank {
    /// What puts this rank behind a better one: the first thing that differs, if it does.
    fn behind(self, better: Self, doubt: Option<Doubt>) -> Option<Behind> {
        let checks = [
            (self.beyond_limit != better.beyond_limit, Behind::BeyondLimit),
            (self.leaves_tls != better.leaves_tls, Behind::LeavesTls),
            (self.trust != better.trust, Behind::Trust(doubt)),
            (self.tier != better.tier, Behind::Tier(better.tier)),
            (self.preference != better.preference, Behind::Preference(better.preference)),
            (self.proof != better.proof, Behind::Proof(self.proof)),
            (self.came_from != better.came_from, Behind::CameFrom),
        ];
        let first = checks.into_iter().find(|(differs, _)| *differs)?;
        (self > better).then_some(first.1)
    }
}

impl Behind {
    /// Its name for programs.
    pub fn label(self) -> &'static str {
        match self {
            Self::BeyondLimit => "beyond_limit",
            Self::LeavesTls => "leaves_tls",
            Self::Trust(_) => "trust",
            Self::Tier(_) => "tier",
            Self::Preference(_) => "preference",
            Self::Proof(_) => "proof",
            Self::CameFrom => "came_from",
            Self::Policy => "policy",
        }
    }
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeyondLimit => f.write_str("full: only where all are, and beyond its limit"),
            Self::LeavesTls => f.write_str("plain http: only where no https relay has room"),
            Self::Trust(Some(doubt)) => write!(f, "in doubt: {doubt}"),
            Self::Trust(None) => f.write_str("in doubt"),
            Self::Tier(better) => write!(f, "its tier comes when tier {better} is full or down"),
            Self::Preference(Preference::Preferred) => {
                f.write_str("another one is for listeners from there")
            }
            Self::Preference(_) => f.write_str("it is for listeners from elsewhere first"),
            Self::Proof(Proof::Waking) => {
                f.write_str("its first listener is on the way to wake it")
            }
            Self::Proof(_) => f.write_str("on demand, and waits for its first listener"),
            Self::CameFrom => f.write_str("the player has just come back from there"),
            Self::Policy => f.write_str("the policy prefers the others at the moment"),
        }
    }
}

#[cfg(test)]
mod tests;
