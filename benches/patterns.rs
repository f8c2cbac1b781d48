//! Streams by pattern: what it costs to make the next snapshot, to keep it, and to ask meanwhile.
//!
//! ```sh
//! cargo bench --bench patterns
//! ```
//!
//! Nothing here has a network: looks are made up, and so is the time. It exits with 1 if a player
//! was not redirected; the times are for people to read.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first thing that goes wrong"
)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use icecast_balancer::config::source::Sources;
use icecast_balancer::files::Disk;
use icecast_balancer::fleet::Fleet;
use icecast_balancer::fleet::compile::compile;
use icecast_balancer::fleet::patterns::Find;
use icecast_balancer::icecast::{Activity, Limit, MountReport, Report};
use icecast_balancer::player::Client;
use icecast_balancer::select::{Decision, assign};
use icecast_balancer::slots::{Evidence, Moment, Rules, begin_look, record, welcome};
use icecast_balancer::state::{Snapshot, State};

const NOW: Moment = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_secs(5);
const RULES: Rules = Rules { rise: 2, fall: 3, slow_start: Duration::ZERO, hold: false };

/// How often the snapshot is made anew; less often where that takes long.
fn rounds(mounts: usize) -> u32 {
    u32::try_from(360_000 / mounts).unwrap_or_default().clamp(3, 20)
}

fn main() {
    println!(
        "servers mounts | first found, one more, reload (ms) | KiB a mount | asked, µs: p50 p99.9 worst"
    );
    for (servers, mounts) in [(12, 1_500), (12, 10_000), (100, 1_500), (100, 10_000)] {
        measure(servers, mounts);
    }
}

fn fleet(servers: usize) -> Fleet {
    let mut yaml = "servers:\n".to_owned();
    for server in 0..servers {
        writeln!(yaml, "  r{server}: 'http://r{server}.example.org:8000'").unwrap();
    }
    yaml.push_str("streams:\n  /talks/*: {max_streams: 10000}\n");
    compile(&Sources::new("b.yaml", yaml), &Disk).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A mount as a look sees it.
fn seen(name: &str) -> MountReport {
    MountReport {
        name: name.to_owned(),
        listeners: Some(0),
        limit: Limit::Unlimited,
        activity: Activity::Active,
        bytes: None,
    }
}

/// Puts more streams in force, which all servers list.
fn find(state: &State, servers: usize, names: &[String]) -> Duration {
    let began = cpu();
    state.refine(|before| {
        let on = |server| names.iter().map(move |mount| Find { server, mount });
        let next = before.with_finds((0..servers).flat_map(on), Duration::ZERO);
        for server in 0..servers {
            for name in names {
                welcome(next.mount_at(server, name).unwrap(), &seen(name), NOW, SETTLE);
            }
        }
        Some(next)
    });
    cpu().saturating_sub(began)
}

/// A good look at each server.
fn look(state: &State, mounts: &[String]) {
    let snapshot = state.load_full();
    let report = Report { clients: None, mounts: mounts.iter().map(|name| seen(name)).collect() };
    for id in 0..snapshot.fleet.servers.len() {
        let (slots, listed) = (snapshot.server(id).unwrap(), snapshot.listed(id));
        let look = begin_look(slots, &listed, NOW);
        record(slots, &listed, look, &report, SETTLE);
        slots.judge(Evidence::Good, NOW, RULES);
    }
}

fn measure(servers: usize, mounts: usize) {
    let state = Arc::new(State::new(Snapshot::first(fleet(servers), String::new())));
    look(&state, &[]);
    let empty = resident();
    let names: Vec<String> = (0..mounts).map(|n| format!("/talks/day-1/talk-{n:05}.ogg")).collect();
    let first = find(&state, servers, &names);
    look(&state, &names);
    drop(state.sweep());
    let each = (resident() - empty) / 1024.0 / (servers * mounts) as f64;

    let stop = Arc::new(AtomicBool::new(false));
    let asking = {
        let (state, stop, name) = (Arc::clone(&state), Arc::clone(&stop), names.first().cloned());
        thread::spawn(move || ask(&state, &name.unwrap(), &stop))
    };
    let (mut more, mut reload) = (Duration::ZERO, Duration::ZERO);
    let rounds = rounds(servers * mounts);
    for round in 0..rounds {
        // One of the ten thousand that are there makes room.
        let name = format!("/talks/day-2/talk-{round:05}.ogg");
        more += find_one(&state, &name);
        let began = cpu();
        state.replace(fleet(servers), round.to_string());
        reload += cpu().saturating_sub(began);
        drop(state.sweep());
    }
    stop.store(true, Relaxed);
    let mut times = asking.join().expect("every player is redirected");
    times.sort_unstable();
    let micros = |time: &Duration| time.as_secs_f64() * 1e6;
    let at = |thousandth: usize| micros(times.get(times.len() * thousandth / 1_000).unwrap());
    let worst = micros(times.last().unwrap());
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{servers:>7} {mounts:>6} | {:>11.1} {:>9.1} {:>7.1} | {each:>11.2} | {:>7} {:>6.1} {:>6.1} {worst:>6.0}",
        ms(first),
        ms(more / rounds),
        ms(reload / rounds),
        times.len(),
        at(500),
        at(999),
    );
}

/// Puts a stream in force that one server lists, where there is room for it.
fn find_one(state: &State, name: &str) -> Duration {
    let began = cpu();
    state.refine(|before| {
        let next = before.with_finds([Find { server: 0, mount: name }], Duration::ZERO);
        if let Some(slots) = next.mount_at(0, name) {
            welcome(slots, &seen(name), NOW, SETTLE);
        }
        Some(next)
    });
    cpu().saturating_sub(began)
}

/// Asks for a stream until told to stop; how long each answer took.
fn ask(state: &State, path: &str, stop: &AtomicBool) -> Vec<Duration> {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut times = Vec::new();
    while !stop.load(Relaxed) {
        let began = Instant::now();
        let snapshot = state.load();
        let stream = snapshot.fleet.stream_at(path).expect("a stream that stays");
        let decision = assign(&snapshot, stream, Client::ANY, NOW, &mut rng, true);
        assert!(matches!(decision, Decision::Mount(_)), "{decision:?}");
        drop(snapshot);
        times.push(began.elapsed());
        thread::sleep(Duration::from_micros(50));
    }
    times
}

/// Time that a processor has given to this thread: others on the machine do not show in it.
fn cpu() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
}

/// Bytes of memory that this process has.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024.0
}
