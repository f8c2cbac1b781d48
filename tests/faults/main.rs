//! The fault matrix: `cargo test --test faults` breaks one thing after the other around the real
//! program, and `-- --help` says what else it can do.
//!
//! Each fault is a row: a function that sets up a small radio station of real Icecast relays,
//! breaks something, and checks by requests, metrics and the relays' own logs what became of it.
//! A row runs as a process of its own in new network, mount and process namespaces: relays live on
//! 127.0.1.1 and following, the balancer on 127.0.0.1, nothing can be seen from outside, and the
//! kernel clears away all of it when the row ends, however it ends.
//!
//! What is said of a fault is worth something only if the check can fail. With `--control` a naive
//! redirector stands in the balancer's place, and must fail each row that has such a control.
//!
//! `runner` starts rows, `stage` is what a row is written with, `rows` are the faults, `soak` lets
//! it all happen for long.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a row stops at the first thing that goes wrong, and says which"
)]

mod options;
mod rows;
mod runner;
mod soak;
mod stage;
mod support;

use std::process::ExitCode;

use clap::Parser as _;

use options::Options;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(name) = &options.inside {
        runner::inside(name, &options);
        return ExitCode::SUCCESS;
    }
    if options.list {
        rows::list();
        return ExitCode::SUCCESS;
    }
    let good = match options.soak {
        Some(_) => runner::soak(&options),
        None if options.control => runner::control(&options),
        None => runner::matrix(&options),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
