//! What is asked of the benchmark on its command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::load::Load;

/// The cost of a redirect, beside nginx, HAProxy and a server that answers everybody the same.
/// Needs root or user namespaces, for a network that is its own.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench peers --")]
pub(crate) struct Options {
    /// How many rounds there are; figures are medians.
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) rounds: u32,

    /// How long each server is measured in a round, in seconds; by wrk, in whole ones.
    #[arg(long, default_value_t = 0.4)]
    seconds: f64,

    /// Which parts.
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,

    /// Which loads of the rounds, by their keys.
    #[arg(long, value_delimiter = ',', value_name = "LOAD", value_parser = Load::by_key)]
    loads: Vec<&'static Load>,

    /// Put another build of the balancer to the test.
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_icecast-balancer"))]
    pub(crate) balancer: PathBuf,

    /// Write the tables into docs/benchmarks.md, and docs/peers.svg.
    #[arg(long)]
    pub(crate) write: bool,

    /// It runs in its own world already.
    #[arg(long, hide = true)]
    pub(crate) inside: bool,

    /// Cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Processor time and latency, in rounds
    Rounds,
    /// Instructions by valgrind, and system calls by strace
    Instructions,
    /// Memory, idle and with 10,000 connections that idle
    Memory,
    /// Requests during reloads
    Reload,
}

impl Options {
    /// Whether a part is asked for.
    pub(crate) fn plays(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// The loads that are asked for, or all.
    pub(crate) fn loads(&self) -> Vec<&'static Load> {
        if self.loads.is_empty() { Load::ALL.to_vec() } else { self.loads.clone() }
    }

    /// How long each server is measured in a round.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}
