//! The flash crowd: a talk begins, and within seconds hundreds of listeners come to eight small
//! relays. What do they get, and from whom, with this balancer and with what people use instead?
//!
//! Real Icecast relays, real connections that follow the redirects and read the stream, everything
//! on loopback:
//!
//! ```sh
//! cargo bench --bench flash_crowd                 # all policies, under five minutes
//! cargo bench --bench flash_crowd -- --help
//! cargo bench --bench flash_crowd -- --proof      # the promises, run after run
//! ```
//!
//! `docs/benchmarks.md` has the numbers and says how to read them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints, and stops at the first thing that goes wrong"
)]

mod crowd;
mod door;
mod icecast;
mod kernel;
mod options;
mod picture;
mod player;
mod proof;
mod scenario;
mod station;
mod story;
mod table;

#[path = "../shared/document.rs"]
mod document;
#[path = "../shared/page.rs"]
mod page;
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
use std::time::Duration;

use clap::Parser as _;
use tokio::runtime::Runtime;

use door::Policy;
use options::Options;
use scenario::Scenario;
use station::Station;
use story::Story;
use support::lab::Lab;
use table::Row;

/// Small enough for one machine, large enough for a policy to make mistakes.
const RELAYS: usize = 8;
const SLOTS_EACH: u64 = 50;

/// Whose versions matter, and how each tells its own.
const PROGRAMS: &[(&str, &str)] = &[("icecast2", "-v"), ("haproxy", "-v")];

/// How long a program may take to start.
const START_UP: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    // `cargo test --all-targets` runs benchmarks as well, to see whether they can be built.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    let lab = Lab::new();
    let runtime = Runtime::new().expect("a runtime");
    runtime.spawn(end_when_interrupted(lab.folder("interrupt", "root")));
    if let Some(runs) = options.proof {
        return proof::run(&lab, &runtime, runs, options.write);
    }
    compare(&lab, &runtime, &options);
    ExitCode::SUCCESS
}

/// Shows every policy the same crowds on the same relays, one policy after the other.
fn compare(lab: &Lab, runtime: &Runtime, options: &Options) {
    let policies = options.policies();
    let mut station = Station::start(lab, RELAYS, SLOTS_EACH);
    let mut tables = String::new();
    let mut pictured = Vec::new();
    for demand in &options.demand {
        let scenario = Scenario::new(&station, *demand);
        let mut rows: Vec<Row> = policies.iter().map(|policy| Row::of(policy)).collect();
        for run in 1..=options.runs {
            for (policy, row) in policies.iter().zip(&mut rows) {
                eprintln!("demand {demand}, run {run} of {}: {}", options.runs, policy.title);
                let story = scenario.play(lab, runtime, &mut station, policy);
                row.add(story.figures());
                keep_first(&mut pictured, policy, story);
            }
        }
        let table = table::render(&scenario, &rows);
        println!("{table}");
        tables.push_str(&table);
    }
    if options.write {
        document::write_section(
            "flash crowd",
            &format!("{}\n{tables}", document::circumstances(PROGRAMS)),
        );
        document::write_picture("flash-crowd.svg", &picture::draw(&pictured));
    }
}

/// The picture shows the first run of each policy, whatever it was like.
fn keep_first(pictured: &mut Vec<(&'static Policy, Story)>, policy: &'static Policy, story: Story) {
    if !pictured.iter().any(|(other, _)| other.key == policy.key) {
        pictured.push((policy, story));
    }
}

/// On Ctrl-C nothing is left behind: neither the lab, of which `in_lab` is a folder, nor any
/// program, since all are started so that the kernel ends them with this one.
#[expect(clippy::exit, reason = "Ctrl-C ends the benchmark wherever it is")]
async fn end_when_interrupted(in_lab: PathBuf) {
    if tokio::signal::ctrl_c().await.is_ok() {
        let lab = in_lab.parent().expect("a folder of the lab");
        if let Err(error) = std::fs::remove_dir_all(lab) {
            eprintln!("{} is left: {error}", lab.display());
        }
        std::process::exit(130);
    }
}
