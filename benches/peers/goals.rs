//! The goals: how cheap a redirect is to be.

use std::fmt;

use crate::figures::{Figures, Sample, Spread};
use crate::load::{KEEP, KEEP_OTHER, KEEP_PLAYER, Load, NEW, NEW_OTHER, WRK};
use crate::server::Peer;

/// A goal, and how near we came.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) found: Spread,
    pub(crate) bound: Bound,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

use Bound::{AtLeast, AtMost};

/// In half of all rounds the server that answers everybody the same must be as far ahead of nginx as in the
/// median one, but for so much of it: otherwise the machine was disturbed, and the run says nothing.
const STEADY: f64 = 0.10;

/// Processor time of a peer over ours, under each load.
const CPU: &[(&Load, Peer, f64)] = &[
    (&KEEP, Peer::NginxReturn, 1.08),
    (&KEEP, Peer::NginxSplit, 1.10),
    (&KEEP, Peer::HaproxyMap, 1.20),
    (&NEW, Peer::NginxReturn, 1.05),
    (&NEW_OTHER, Peer::NginxReturn, 1.12),
    (&NEW, Peer::HaproxyRedir, 1.10),
    (&WRK, Peer::NginxReturn, 1.40),
    (&WRK, Peer::NginxDeferred, 1.03),
];

/// Ours over that of a server which does nothing.
const LIMITS: &[(&Load, f64)] = &[(&KEEP, 1.17), (&NEW, 1.08)];

/// Instructions of ours over nginx's.
const INSTRUCTIONS: &[(&Load, f64)] = &[(&KEEP_PLAYER, 0.40), (&NEW, 0.30)];

impl Goal {
    pub(crate) fn is_kept(&self) -> bool {
        match self.bound {
            AtLeast(bound) => self.found.median >= bound,
            AtMost(bound) => self.found.median <= bound,
        }
    }
}

/// How far the server that answers everybody the same was ahead of nginx, if it was measured, and
/// whether the run says anything.
pub(crate) fn soundness(figures: &Figures) -> Option<(Spread, bool)> {
    let ahead = figures.ratio(&KEEP, (Peer::NginxReturn, Peer::Bare), |sample| sample.cpu)?;
    let (low, high) = ahead.middle;
    let is_steady =
        (low - ahead.median).abs().max((high - ahead.median).abs()) <= STEADY * ahead.median;
    Some((ahead, is_steady && !figures.disturbed))
}

/// All goals for which there are figures.
pub(crate) fn all(figures: &Figures) -> Vec<Goal> {
    let mut goals = Goals { figures, reached: Vec::new() };
    for (load, peer, bound) in CPU {
        let what = format!("{} / ours, processor time", peer.title());
        goals.ratio(&what, load, (*peer, Peer::Ours), |sample| sample.cpu, AtLeast(*bound));
    }
    for (load, bound) in LIMITS {
        let what = format!("ours / {}, processor time", Peer::Bare.title());
        goals.ratio(&what, load, (Peer::Ours, Peer::Bare), |sample| sample.cpu, AtMost(*bound));
    }
    let p99 = "ours / nginx, `return 302`, p99";
    goals.ratio(p99, &KEEP_OTHER, (Peer::Ours, Peer::NginxReturn), |s| s.p99, AtMost(1.0));
    let rate = "ours / nginx, `return 302`, requests per second";
    goals.ratio(rate, &WRK, (Peer::Ours, Peer::NginxReturn), |s| s.rate, AtLeast(1.10));
    for (load, bound) in INSTRUCTIONS {
        let of = |peer| figures.instructions.get(&(load.key, peer));
        if let (Some(ours), Some(nginx)) = (of(Peer::Ours), of(Peer::NginxReturn)) {
            let what = format!("{}: ours / nginx, instructions", load.title);
            goals.one(what, ours / nginx, AtMost(*bound));
        }
    }
    if !figures.calls.is_empty() {
        let waits = |name: &str| name.starts_with("epoll_wait") || name.starts_with("epoll_pwait");
        let calls = figures.calls.iter().filter(|(name, _)| !waits(name));
        let calls: f64 = calls.map(|(_, times)| times).sum();
        let what = "a connection for each request: system calls but `epoll_wait`".to_owned();
        goals.one(what, calls, AtMost(4.05));
    }
    goals.memory();
    if let Some(reload) = figures.reloads.first() {
        let what = format!("reloads: failed of {} requests", reload.requests);
        goals.one(what, reload.failed as f64, AtMost(0.0));
        let what = "reloads: put in force each second, of ten".to_owned();
        goals.one(what, reload.each_second, AtLeast(9.5));
        if let Some(cpu) = reload.cpu {
            let what = "reloads: processor time, reloading / quiet".to_owned();
            goals.reached.push(Goal { what, found: cpu, bound: AtMost(1.03) });
        }
    }
    goals.reached
}

struct Goals<'a> {
    figures: &'a Figures,
    reached: Vec<Goal>,
}

impl Goals<'_> {
    fn ratio(
        &mut self,
        what: &str,
        load: &Load,
        peers: (Peer, Peer),
        figure: impl Fn(&Sample) -> f64,
        bound: Bound,
    ) {
        if let Some(found) = self.figures.ratio(load, peers, figure) {
            let what = format!("{}: {what}", load.title);
            self.reached.push(Goal { what, found, bound });
        }
    }

    fn one(&mut self, what: String, found: f64, bound: Bound) {
        let found = Spread { median: found, least: found, most: found, middle: (found, found) };
        self.reached.push(Goal { what, found, bound });
    }

    fn memory(&mut self) {
        let [packaged, ours, nginx, ..] = &self.figures.memory[..] else { return };
        let ratio = |one: u64, other: u64| one as f64 / other as f64;
        let idle = ratio(ours.idle, packaged.idle);
        let full = ours.full.zip(nginx.full).map(|(ours, nginx)| ratio(ours, nginx));
        let after = ours.after.map(|after| ratio(after, ours.idle));
        self.one("memory, idle: ours / nginx as packaged".to_owned(), idle, AtMost(0.7));
        if let (Some(full), Some(after)) = (full, after) {
            self.one("memory, 10,000 connections: ours / nginx".to_owned(), full, AtMost(0.9));
            self.one("memory of ours, 2 s after them / idle".to_owned(), after, AtMost(2.0));
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AtLeast(bound) => write!(f, "≥ {bound}"),
            AtMost(bound) => write!(f, "≤ {bound}"),
        }
    }
}
