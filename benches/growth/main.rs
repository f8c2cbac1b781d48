//! Growth: what becomes of each cost as streams, relays, mounts and listeners become more.
//!
//! Each cost is measured at several sizes in turns, round after round, and told with how it grows
//! between the first and the last: `×1.02` is what stays flat, `n^1.00` what grows as its cause does.
//! Times are a processor's, so that others on the machine show in them little.
//!
//! ```sh
//! cargo bench --bench growth
//! cargo bench --bench growth -- --help
//! ```
//!
//! It exits with 1 if a promise was missed. `docs/benchmarks.md` has the numbers and says how to
//! read them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints, and stops at the first thing that goes wrong"
)]

mod config;
mod curve;
mod documents;
mod door;
mod memory;
mod pages;
mod program;
mod relays;
mod world;

#[path = "../shared/document.rs"]
#[expect(dead_code, reason = "this benchmark draws no picture")]
mod document;
#[path = "../shared/quantile.rs"]
mod quantile;

/// What the end-to-end tests start programs with, and end them.
#[path = "../../tests/e2e/support"]
#[expect(dead_code, reason = "the end-to-end tests use what this program does not")]
mod support {
    pub(crate) mod lab;
    pub(crate) mod process;
    pub(crate) mod web;
}

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use curve::{Curve, Grown};

/// How costs grow.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench growth --")]
struct Options {
    /// How often each size is measured; figures are medians.
    #[arg(long, default_value_t = 7)]
    rounds: usize,

    /// Which groups, by their names.
    #[arg(long, value_delimiter = ',', value_name = "NAME", value_parser = group)]
    only: Vec<Group>,

    /// Measure another build of the balancer, where the program itself is measured.
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_icecast-balancer"))]
    balancer: PathBuf,

    /// Write the table into docs/benchmarks.md.
    #[arg(long)]
    write: bool,

    /// Build a fleet of STREAMSxSERVERS, tell what memory it takes, and end.
    #[arg(long, hide = true)]
    weigh: Option<String>,

    /// Answer so many requests with a fleet of STREAMSxSERVERS, and end: for a tool that counts what
    /// they take, such as `valgrind --tool=cachegrind`, of which the difference of two numbers is theirs.
    #[arg(long, num_args = 2, value_names = ["FLEET", "TIMES"])]
    redirects: Vec<String>,

    /// Cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Curves that are measured together, so that no more than one group is in memory.
type Group = (&'static str, fn(&Options) -> Vec<Curve>);

const GROUPS: &[Group] = &[
    ("program", |options| program::curves(options)),
    ("relays", |_| relays::curves()),
    ("door", |_| door::curves()),
    ("documents", |_| documents::curves()),
    ("config", |_| config::curves()),
    ("pages", |_| pages::curves()),
    ("memory", |_| memory::curves()),
];

fn group(name: &str) -> Result<Group, String> {
    GROUPS.iter().find(|(known, _)| *known == name).copied().ok_or_else(|| {
        let names: Vec<_> = GROUPS.iter().map(|(name, _)| *name).collect();
        format!("there are: {}", names.join(", "))
    })
}

fn main() -> ExitCode {
    // `cargo test --all-targets` runs benchmarks as well, to see whether they can be built.
    if !std::env::args()
        .any(|argument| ["--bench", "--weigh", "--redirects"].contains(&argument.as_str()))
    {
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    if let Some(size) = &options.weigh {
        memory::weigh(size);
        return ExitCode::SUCCESS;
    }
    if let [fleet, times] = &options.redirects[..] {
        door::redirect(fleet, times.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    let groups = if options.only.is_empty() { GROUPS } else { &options.only };
    let mut all: Vec<Grown> = Vec::new();
    for (name, curves) in groups {
        eprintln!("{name}:");
        for curve in curves(&options) {
            let grown = curve.measure(options.rounds);
            eprintln!("  {grown}");
            all.push(grown);
        }
    }
    let table = curve::table(&all);
    println!("{table}");
    if options.write {
        let text = format!("{}\n\n{table}", document::circumstances(&[]));
        document::write_section("growth", &text);
    }
    let missed = all.iter().filter(|grown| grown.is_missed()).count();
    println!("\n{} kept, {missed} missed", all.len() - missed);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
