//! What was measured.

use std::collections::BTreeMap;

use crate::load::Load;
use crate::quantile::quantile;
use crate::server::Peer;

/// Everything that was measured so far.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    rounds: Vec<BTreeMap<(&'static str, Peer), Sample>>,
    /// Instructions in user space for each request.
    pub(crate) instructions: BTreeMap<(&'static str, Peer), f64>,
    /// System calls of ours for each request on a connection of its own, by name.
    pub(crate) calls: BTreeMap<String, f64>,
    pub(crate) memory: Vec<Memory>,
    pub(crate) reloads: Vec<Reload>,
    /// The most that other programs and the hypervisor took of a core in a round.
    pub(crate) besides: f64,
    /// Whether that was too much in any round.
    pub(crate) disturbed: bool,
}

/// One server under one load in one round.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Microseconds of processor time of the server for each request.
    pub(crate) cpu: f64,
    /// Requests that were answered in a second.
    pub(crate) rate: f64,
    /// Microseconds within which half of all were answered.
    pub(crate) p50: f64,
    /// Microseconds within which 99 of 100 were.
    pub(crate) p99: f64,
}

/// Bytes of memory of a server.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) who: &'static str,
    pub(crate) idle: u64,
    /// With 10,000 connections that have asked once, where it has room for them.
    pub(crate) full: Option<u64>,
    /// Some time after these have gone.
    pub(crate) after: Option<u64>,
}

/// Requests on kept connections while a server reloads.
#[derive(Debug)]
pub(crate) struct Reload {
    pub(crate) who: &'static str,
    pub(crate) how: String,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// Reloads in a second, as far as they were put in force.
    pub(crate) each_second: f64,
    /// Processor time for each request, reloading over quiet.
    pub(crate) cpu: Option<Spread>,
}

/// A median, and what it is the median of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    /// Between which the middle half of all lies.
    pub(crate) middle: (f64, f64),
}

impl Figures {
    /// Begins a round.
    pub(crate) fn round(&mut self) {
        self.rounds.push(BTreeMap::new());
    }

    /// Adds to the round.
    pub(crate) fn add(&mut self, load: &Load, peer: Peer, sample: Sample) {
        self.rounds.last_mut().expect("a round").insert((load.key, peer), sample);
    }

    /// A figure of a peer over the rounds.
    pub(crate) fn of(
        &self,
        load: &Load,
        peer: Peer,
        figure: impl Fn(&Sample) -> f64,
    ) -> Option<Spread> {
        Spread::of(
            self.rounds.iter().filter_map(|round| Some(figure(round.get(&(load.key, peer))?))),
        )
    }

    /// A figure of one peer over that of another, within each round.
    pub(crate) fn ratio(
        &self,
        load: &Load,
        (one, other): (Peer, Peer),
        figure: impl Fn(&Sample) -> f64,
    ) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| {
            let figure = |peer| Some(figure(round.get(&(load.key, peer))?));
            Some(figure(one)? / figure(other)?)
        }))
    }

    /// How many rounds there were.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.len()
    }
}

impl Spread {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        let median = quantile(&mut values, 0.5);
        let middle = (quantile(&mut values, 0.25), quantile(&mut values, 0.75));
        Some(Self { median, least: *values.first()?, most: *values.last()?, middle })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { median, least, most, .. } = self;
        write!(f, "{median:.2} ({least:.2} – {most:.2})")
    }
}
