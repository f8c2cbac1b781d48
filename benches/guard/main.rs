//! The guard: what a request costs this program's own code, held against what it cost before.
//!
//! Instructions and allocations of user space are counted by valgrind, around the program as it is
//! shipped and with requests that come through real sockets. Unlike times they are the same on a
//! machine that does ten other things, so that a tenth more is a finding.
//!
//! ```sh
//! cargo bench --bench guard                # compares; exits with 1 if a request costs more
//! cargo bench --bench guard -- --record    # writes down what it costs now
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints, and stops at the first thing that goes wrong"
)]

mod kinds;
mod program;
mod recorded;

/// Relays that speak like Icecast.
#[path = "../../examples/relay/relay.rs"]
#[expect(dead_code, reason = "the tests use what this program does not")]
mod relay;

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

use kinds::Kind;
use program::{Program, Tool};
use recorded::{Cost, Recorded};
use support::lab::Lab;

/// Instructions and allocations of each kind of request, beside those that are recorded.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench guard --")]
struct Options {
    /// Write down what requests cost now, in place of what is recorded.
    #[arg(long)]
    record: bool,

    /// Count for another build of the balancer, without debug assertions.
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_icecast-balancer"))]
    balancer: PathBuf,

    /// Cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Requests of each kind that are made in any case: what is done for the first time costs more.
const FEW: usize = 200;

/// Requests of one kind in addition, whose cost is what the program has cost more.
const MANY: usize = 2_000;

fn main() -> ExitCode {
    // `cargo test --all-targets` runs benchmarks as well, to see whether they can be built.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    let recorded = Recorded::read();
    if let (Err(why), false) = (&recorded, options.record) {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    let recorded = recorded.unwrap_or_default();
    let costs = costs(&options, &recorded);
    if options.record {
        Recorded::write(&costs);
    }
    let missed = recorded.compare(&costs);
    println!("\n{} passed, {missed} failed", costs.len() - missed);
    if missed == 0 || options.record { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The least of so many counts is taken: a busy machine makes a program do more, and never less. It finds a
/// request in more pieces, or asks a relay once more.
const TRIES: usize = 3;

/// What each kind of request costs.
fn costs(options: &Options, recorded: &Recorded) -> Vec<(Kind, Cost)> {
    let lab = Lab::new();
    let count = |tool, more: Option<Kind>| {
        let program = Program::start(&lab, &options.balancer, tool);
        for kind in Kind::ALL {
            let times = if more == Some(kind) { FEW + MANY } else { FEW };
            kind.ask(program.address(), times);
        }
        program.end()
    };
    let tools = [Tool::Instructions, Tool::Allocations];
    let few = tools.map(|tool| (0..TRIES).map(|_| count(tool, None)).min().unwrap_or(0));
    let cost = |kind| {
        let mut many = tools.map(|tool| count(tool, Some(kind)));
        for _ in 1..TRIES {
            if !options.record && !recorded.is_exceeded_by(Cost::between(few, many), kind) {
                break;
            }
            let again = tools.map(|tool| count(tool, Some(kind)));
            many = [many[0].min(again[0]), many[1].min(again[1])];
        }
        Cost::between(few, many)
    };
    Kind::ALL.into_iter().map(|kind| (kind, cost(kind))).collect()
}

impl Cost {
    /// What each of [`MANY`] requests has cost, by the counts without them and with them.
    fn between(few: [u64; 2], many: [u64; 2]) -> Self {
        let each = |at: usize| (many[at] as f64 - few[at] as f64) / MANY as f64;
        Self { instructions: each(0), allocations: each(1) }
    }
}
