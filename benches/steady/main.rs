//! Steadiness: does a fault anywhere make redirects slower, or fail?
//!
//! The real program with relays beside it, and players who come at a steady rate whatever happens.
//! Rounds with and without a fault take turns in the same run, and what is judged is the ratio of
//! the two; a round in which the machine was busy with something else is played again.
//!
//! ```sh
//! cargo bench --bench steady
//! cargo bench --bench steady -- --help
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

mod balancer;
mod client;
mod eager;
mod faults;
mod full;
mod herd;
mod options;
mod overload;
mod quota;
mod rounds;
mod station;
mod verdict;
mod wire;

#[path = "../shared/document.rs"]
#[expect(dead_code, reason = "this benchmark draws no picture")]
mod document;
#[path = "../shared/machine.rs"]
#[expect(dead_code, reason = "each benchmark uses a part of it")]
mod machine;
#[path = "../shared/quantile.rs"]
mod quantile;

/// Relays that speak like Icecast.
#[path = "../../examples/relay/relay.rs"]
#[expect(dead_code, reason = "the tests use what this benchmark does not")]
mod relay;

/// What the end-to-end tests start programs with, and end them.
#[path = "../../tests/e2e/support"]
#[expect(dead_code, reason = "the end-to-end tests use what this program does not")]
mod support {
    pub(crate) mod engine;
    pub(crate) mod lab;
    pub(crate) mod process;
    pub(crate) mod web;
}

use std::process::ExitCode;

use clap::Parser as _;

use options::Options;
use support::lab::Lab;
use verdict::Verdict;

fn main() -> ExitCode {
    // `cargo test --all-targets` runs benchmarks as well, to see whether they can be built.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    machine::allow_many_files();
    if let Some(address) = std::env::args().skip_while(|word| word != eager::WORD).nth(1) {
        eager::serve(&address);
    }
    let options = Options::parse();
    let lab = Lab::new();
    let mut verdicts = Vec::new();
    for case in options.cases() {
        eprintln!("{}:", case.title());
        let verdict = case.run(&lab, &options);
        println!("{verdict}");
        verdicts.push(verdict);
    }
    if options.write {
        let table = verdict::table(&verdicts);
        let text = format!("{}\n\n{table}", document::circumstances(&[]));
        document::write_section("steady", &text);
    }
    let missed = verdicts.iter().filter(|verdict| !verdict.kept).count();
    println!("\n{} kept, {missed} missed", verdicts.len() - missed);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Something that is promised, and how it is put to the test.
#[derive(Debug, Clone, Copy)]
enum Case {
    /// Redirects are as quick and sure with this fault as without.
    Steady(faults::Kind),
    /// More players come than can be served.
    Overload,
    /// The same to a program that is not made for it.
    Eager,
    /// Every slot is taken.
    Full,
    /// Many players come between two looks.
    Herd,
}

impl Case {
    fn run(self, lab: &Lab, options: &Options) -> Verdict {
        match self {
            Self::Steady(kind) => rounds::run(kind, lab, options),
            Self::Overload => overload::run(lab, options),
            Self::Eager => overload::control(options),
            Self::Full => full::run(lab, options),
            Self::Herd => herd::run(lab, options),
        }
    }

    /// Its name on the command line.
    fn key(self) -> &'static str {
        match self {
            Self::Steady(kind) => kind.key(),
            Self::Overload => "overload",
            Self::Eager => "eager",
            Self::Full => "full",
            Self::Herd => "herd",
        }
    }

    /// Its name in tables.
    fn title(self) -> &'static str {
        match self {
            Self::Steady(kind) => kind.title(),
            Self::Overload => overload::TITLE,
            Self::Eager => overload::CONTROL,
            Self::Full => "every slot is taken",
            Self::Herd => "1,000 players between two looks",
        }
    }

    /// All of them, in the order in which they are tried.
    fn all() -> impl Iterator<Item = Self> {
        let steady = faults::Kind::ALL.iter().copied().map(Self::Steady);
        steady.chain([Self::Overload, Self::Eager, Self::Full, Self::Herd])
    }
}
