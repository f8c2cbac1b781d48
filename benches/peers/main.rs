//! Peers: what does a redirect cost that was chosen, reserved and counted, beside redirects that
//! were none of that?
//!
//! The real program, nginx, HAProxy and a server that answers everybody the same, all at once and
//! on one core, each under the same load in turns. What is measured is the processor time of the
//! server for each request, and what is judged are ratios within a round. Instructions, system
//! calls, memory and what a reload costs come after.
//!
//! ```sh
//! cargo bench --bench peers
//! cargo bench --bench peers -- --help
//! ```
//!
//! It exits with 1 if a goal was missed. `docs/benchmarks.md` has the numbers and says how to read
//! them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints, and stops at the first thing that goes wrong"
)]

mod bare;
mod client;
mod cores;
mod figures;
mod goals;
mod instructions;
mod load;
mod memory;
mod options;
mod picture;
mod reload;
mod rounds;
mod server;
mod station;
mod table;
mod world;

#[path = "../shared/document.rs"]
mod document;
#[path = "../shared/machine.rs"]
mod machine;
#[path = "../shared/page.rs"]
mod page;
#[path = "../shared/quantile.rs"]
mod quantile;
#[path = "../shared/valgrind.rs"]
mod valgrind;

/// Relays that speak like Icecast.
#[path = "../../examples/relay/relay.rs"]
#[expect(dead_code, reason = "the tests use what this benchmark does not")]
mod relay;

/// What the end-to-end tests start programs with, and end them.
#[path = "../../tests/e2e/support"]
#[expect(dead_code, reason = "the end-to-end tests use what this program does not")]
mod support {
    pub(crate) mod lab;
    pub(crate) mod process;
    pub(crate) mod web;
}

use std::process::ExitCode;

use clap::Parser as _;

use figures::Figures;
use options::{Options, Part};
use station::Station;
use support::lab::Lab;

/// Whose versions matter, and how each tells its own.
const PROGRAMS: &[(&str, &str)] =
    &[("haproxy", "-v"), ("valgrind", "--version"), ("nginx", "-v"), ("wrk", "-v")];

fn main() -> ExitCode {
    // `cargo test --all-targets` runs benchmarks as well, to see whether they can be built.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    if let Some(address) = std::env::args().skip_while(|word| word != bare::WORD).nth(1) {
        bare::serve(&address);
    }
    let options = Options::parse();
    if !options.inside {
        return world::enter();
    }
    world::furnish();
    machine::allow_many_files();
    let lab = Lab::new();
    let station = Station::start();
    let mut figures = Figures::default();
    if options.plays(Part::Rounds) {
        rounds::run(&lab, &station, &options, &mut figures);
    }
    if options.plays(Part::Instructions) {
        instructions::run(&lab, &station, &options, &mut figures);
    }
    if options.plays(Part::Memory) {
        memory::run(&lab, &station, &options, &mut figures);
    }
    if options.plays(Part::Reload) {
        reload::run(&lab, &station, &options, &mut figures);
    }
    let goals = goals::all(&figures);
    let tables = table::render(&figures, &goals);
    println!("{tables}");
    if options.write {
        let text = format!("{}\n\n{tables}", document::circumstances(PROGRAMS));
        document::write_section("peers", &text);
        document::write_picture("peers.svg", &picture::draw(&figures));
    }
    let missed = goals.iter().filter(|goal| !goal.is_kept()).count();
    println!("{} goals reached, {missed} missed", goals.len() - missed);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
