//! What is asked of the benchmark on its command line.

use clap::Parser;

use crate::door::{POLICIES, Policy};

/// A flash crowd on real Icecast relays, once for each policy.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench flash_crowd --")]
pub(crate) struct Options {
    /// How often each policy is tried; numbers are medians over the runs.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,

    /// How many listeners come, as a share of the slots that there are for them.
    #[arg(long, value_delimiter = ',', default_values_t = [0.95, 1.2], value_parser = share)]
    pub(crate) demand: Vec<f64>,

    /// Which policies, by their keys.
    #[arg(long, value_delimiter = ',', value_parser = policy)]
    policies: Vec<&'static Policy>,

    /// Write the tables into docs/benchmarks.md, and docs/flash-crowd.svg.
    #[arg(long)]
    pub(crate) write: bool,

    /// Instead, show that the balancer keeps its promises, in N runs of each kind.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20")]
    pub(crate) proof: Option<u32>,

    /// Cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// The policies that are asked for, or all.
    pub(crate) fn policies(&self) -> Vec<&'static Policy> {
        if self.policies.is_empty() { POLICIES.iter().collect() } else { self.policies.clone() }
    }
}

fn policy(key: &str) -> Result<&'static Policy, String> {
    POLICIES.iter().find(|policy| policy.key == key).ok_or_else(|| {
        let keys: Vec<_> = POLICIES.iter().map(|policy| policy.key).collect();
        format!("there are: {}", keys.join(", "))
    })
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.7..=3.0).contains(&share) => Ok(share),
        _ => Err("a number from 0.7 to 3 is needed, 1 for as many listeners as slots".to_owned()),
    }
}
