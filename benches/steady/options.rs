//! What is asked of the benchmark on its command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::Case;

/// Redirects at a steady rate, with and without a fault. Needs root for `overload`, which limits
/// the balancer's processor time.
#[derive(Debug, Clone, Parser)]
#[command(name = "cargo bench --bench steady --")]
pub(crate) struct Options {
    /// How many pairs of rounds there are, quiet and with the fault; figures are medians.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) rounds: u32,

    /// How long a round is, in seconds.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,

    /// Which cases, by their keys.
    #[arg(long, value_delimiter = ',', value_name = "NAME", value_parser = case)]
    only: Vec<Case>,

    /// Count rounds in which the machine was busy with other things, instead of repeating them.
    /// What comes out is good for finding mistakes, and says nothing of the promises.
    #[arg(long)]
    pub(crate) noisy: bool,

    /// Put another build of the balancer to the test.
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_icecast-balancer"))]
    pub(crate) balancer: PathBuf,

    /// Write the table into docs/benchmarks.md.
    #[arg(long, conflicts_with = "noisy")]
    pub(crate) write: bool,

    /// Cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// The cases that are asked for, or all.
    pub(crate) fn cases(&self) -> Vec<Case> {
        if self.only.is_empty() { Case::all().collect() } else { self.only.clone() }
    }

    /// How long a round is.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

fn case(key: &str) -> Result<Case, String> {
    Case::all().find(|case| case.key() == key).ok_or_else(|| {
        let keys: Vec<_> = Case::all().map(Case::key).collect();
        format!("there are: {}", keys.join(", "))
    })
}
