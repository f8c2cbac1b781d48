//! Rounds: each server under each load, in an order that chance makes anew.

use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Crowd;
use crate::cores;
use crate::figures::{Figures, Sample};
use crate::load::{Load, Tool};
use crate::machine::Moment;
use crate::options::Options;
use crate::server::{Server, Servers};
use crate::station::{Station, path};
use crate::support::lab::Lab;

/// How long players ask before what they ask counts.
const WARM_UP: Duration = Duration::from_millis(300);

pub(crate) fn run(lab: &Lab, station: &Station, options: &Options, figures: &mut Figures) {
    // Whoever measures must not disturb what is measured.
    cores::stay_on(cores::OTHERS);
    let servers = Servers::start(lab, station, options);
    for round in 1..=options.rounds {
        figures.round();
        let mut turns: Vec<_> = options
            .loads()
            .into_iter()
            .flat_map(|load| load.peers.iter().map(move |peer| (load, *peer)))
            .collect();
        fastrand::shuffle(&mut turns);
        // Those who are compared follow one another.
        turns.sort_by_key(|(load, _)| load.key);
        let before = Moment::now();
        for (load, peer) in turns {
            let (server, address) = servers.of(peer, load.keeps);
            let sample = match load.tool {
                Tool::Crowd => by_crowd(load, server, address, options.length()),
                Tool::Wrk => by_wrk(load, server, address, options.length()),
            };
            figures.add(load, peer, sample);
        }
        let besides = before.besides(&servers.processes());
        figures.besides = figures.besides.max(besides.of_a_core());
        figures.disturbed |= besides.too_much();
        eprintln!("round {round} of {}: {besides}", options.rounds);
    }
}

fn by_crowd(load: &Load, server: &Server, address: SocketAddr, length: Duration) -> Sample {
    let crowd = Crowd::ask(address, load.manner());
    thread::sleep(WARM_UP);
    crowd.tally();
    let (answered, cpu, begun) = (crowd.answered(), server.cpu(), Instant::now());
    thread::sleep(length);
    let took = begun.elapsed().as_secs_f64();
    let (answered, cpu) = (crowd.answered() - answered, server.cpu().saturating_sub(cpu));
    let mut tally = crowd.tally();
    assert_eq!(tally.failed(), 0, "{}: {:?}", load.key, tally.failures);
    Sample {
        cpu: cpu.as_secs_f64() * 1e6 / answered as f64,
        rate: answered as f64 / took,
        p50: tally.quantile(0.5),
        p99: tally.quantile(0.99),
    }
}

/// wrk measures whole seconds, and connections only that it has itself made.
fn by_wrk(load: &Load, server: &Server, address: SocketAddr, length: Duration) -> Sample {
    let seconds = length.as_secs_f64().ceil();
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &load.core().to_string(), "wrk", "--threads=1", "--latency"]);
    command.arg(format!("--connections={}", crate::client::PLAYERS));
    command.arg(format!("--duration={seconds}s"));
    for header in load.headers() {
        command.args(["--header", header]);
    }
    let cpu = server.cpu();
    let output = command.arg(format!("http://{address}{}", path(0))).output();
    let cpu = server.cpu().saturating_sub(cpu);
    let printed = String::from_utf8(output.expect("wrk runs").stdout).expect("text");
    // wrk takes everything below 400 for an answer.
    assert!(!printed.contains("Non-2xx"), "{printed}");
    let answered = number_before(&printed, " requests in ");
    Sample {
        cpu: cpu.as_secs_f64() * 1e6 / answered,
        rate: number_after(&printed, "Requests/sec:"),
        p50: microseconds(&printed, "50%"),
        p99: microseconds(&printed, "99%"),
    }
}

fn number_before(text: &str, words: &str) -> f64 {
    let before = text.split(words).next().unwrap_or_default();
    let number = before.split_whitespace().next_back();
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

fn number_after(text: &str, words: &str) -> f64 {
    let after = text.split(words).nth(1).unwrap_or_default();
    let number = after.split_whitespace().next();
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

/// What stands behind `quantile` in its own line; shares of other things end in the same words.
fn microseconds(text: &str, quantile: &str) -> f64 {
    let told = text.lines().find_map(|line| line.trim_start().strip_prefix(quantile));
    let time = told.unwrap_or_default().trim();
    let unit = time.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    let number: f64 = time.trim_end_matches(unit).parse().unwrap_or_else(|_| panic!("{text}"));
    match unit {
        "us" => number,
        "ms" => number * 1e3,
        "s" => number * 1e6,
        _ => panic!("{text}"),
    }
}
