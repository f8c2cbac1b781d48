//! Relays that answer in every way that no relay should cost a look each, and nothing else.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use icecast_balancer::icecast::slots::slots;
use icecast_balancer::icecast::status_json::status_json;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::{STREAM, relay};
use crate::life::program::Program;
use crate::support::PORTS;
use crate::support::hostile::{ACTS, Act, Hostile};

/// How many looks are taken at each of them at least, where `HOSTILE_LOOKS` does not say.
const LOOKS: f64 = 5.0;

/// How many looks are taken at all of them.
const ALL_LOOKS: f64 = 3_000.0;

/// In so many parts of them it is seen how memory grows. How much is taken at most is a matter of
/// chance, of how many large answers come at once, so that it may still rise by some MiB in one part
/// or another; what stays of looks shows in every part.
const PARTS: u32 = 4;

/// A look ends with its connection, before the next begins.
const CONNECTIONS: usize = 1;

/// Two kinds of work need threads that are made when they are needed, each for one at a time: reading
/// large documents, and scrapes. Of each there may be one more that has just done its work and is not
/// seen to be free yet. And the configuration is read on a thread of its own.
const MORE_THREADS: u64 = 2 * 2 + 1;

/// A body of a MiB, and what is made of it.
const PER_RELAY_KIB: u64 = 2 * 1024;

/// The longest that all of it may last; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_that_never_finish_cost_their_looks_and_nothing_else() {
    look_at(&|act| act.result == "timeout", "200ms", 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_that_answer_nonsense_cost_their_looks_and_nothing_else() {
    look_at(&|act| act.result != "timeout", "20s", ALL_LOOKS).await;
}

/// Looks at these hostile relays again and again, so often in sum; each look may take so long.
async fn look_at(which: &dyn Fn(&Act) -> bool, timeout: &str, all_looks: f64) {
    let acts: Vec<Act> = ACTS.iter().copied().filter(|act| which(act)).collect();
    let looks = std::env::var("HOSTILE_LOOKS").ok().and_then(|looks| looks.parse().ok());
    let looks: f64 = looks.unwrap_or(LOOKS);
    let patience = PATIENCE.mul_f64((looks / LOOKS).max(1.0));
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let trap_address = trap.local_addr().unwrap();
    let well = relay(1_000_000);
    let mut yaml = format!(
        "{PORTS}poll: {{interval: 60ms, fast_interval: 60ms, timeout: {timeout}, slow_start: 0s}}\n\
         servers:\n  well: '{}'\n",
        well.url()
    );
    let mut relays = Vec::new();
    for act in &acts {
        let relay = Hostile::start(*act, trap_address).await;
        let settings = format!("tier: 1, stats: {{source: {}}}", act.source);
        writeln!(yaml, "  {}: {{url: '{}', {settings}}}", act.name, relay.url()).unwrap();
        relays.push(relay);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("balancer.yaml");
    fs::write(&file, format!("{yaml}{STREAM}")).unwrap();
    let program = Program::start(&file, &[]).await;
    until(&program, patience, "all are known", |metrics| {
        acts.iter().all(|act| polls(metrics, act.name, "ok") >= 3.0)
    })
    .await;
    let before = program.admin_get("/metrics").await.body;
    let (memory, threads) = (resident_kib(program.pid()), threads(program.pid()));

    for relay in &relays {
        relay.turn();
    }
    let looked = |metrics: &str, act: &Act| {
        polls(metrics, act.name, act.result) - polls(&before, act.name, act.result)
    };
    let often = async |least: f64, in_sum: f64| {
        until(&program, patience, "all were looked at often enough", |metrics| {
            let each = acts.iter().map(|act| looked(metrics, act));
            each.clone().all(|count| count >= least) && each.sum::<f64>() >= in_sum
        })
        .await
    };
    let mut taken = Vec::new();
    for part in 1..PARTS {
        often(2.0, all_looks * f64::from(part) / f64::from(PARTS)).await;
        taken.push(resident_kib(program.pid()));
    }
    let metrics = often(looks, all_looks).await;

    assert!(!program.log().contains("panicked"), "{}", program.log());
    for relay in &relays {
        for result in ["connect", "http_status", "too_large", "malformed", "unauthorized"] {
            let count = polls(&metrics, relay.act.name, result);
            assert!(
                result == relay.act.result || count < 1.0,
                "{} was {result} {count} times, not {}",
                relay.act.name,
                relay.act.result
            );
        }
        let most = relay.most_at_once();
        assert!(most <= CONNECTIONS, "{}: {most} connections at once", relay.act.name);
    }
    let lured = tokio::time::timeout(Duration::from_millis(1), trap.accept()).await;
    assert!(lured.is_err(), "nobody follows a redirect or an entity");
    assert_eq!(program.get("/saal1.ogg").await.location(), format!("{}/saal1.ogg", well.url()));
    let memory_now = resident_kib(program.pid());
    let grown = memory_now.saturating_sub(memory);
    taken.push(memory_now);
    let parts = taken.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
    let grown_always = parts.min().expect("more than one part");
    let more_threads = self::threads(program.pid()).saturating_sub(threads);
    let all: f64 = acts.iter().map(|act| looked(&metrics, act)).sum();
    println!(
        "{} hostile relays at once, {all} looks: {grown} KiB more memory than the {memory} KiB \
         before, {grown_always} KiB of it in the steadiest quarter, {more_threads} more threads",
        acts.len()
    );
    assert!(more_threads <= MORE_THREADS, "{more_threads} more threads");
    // As much as is read of one answer at a time, and nothing that stays.
    assert!(grown <= PER_RELAY_KIB * acts.len() as u64, "{grown} KiB");
    assert!(grown_always <= 1024, "{grown_always} KiB in each part");
}

#[test]
fn hostile_documents_are_read_in_bounds() {
    for act in ACTS {
        let Some(document) = act.document().filter(|document| document.len() <= 1 << 20) else {
            continue;
        };
        let began = Instant::now();
        let read = if act.source == "slots" { slots(&document) } else { status_json(&document) };
        println!("{:>6.1} ms  {}", began.elapsed().as_secs_f64() * 1e3, act.name);
        assert_eq!(read.is_ok(), act.result == "ok", "{}", act.name);
        assert!(read.unwrap_or_default().mounts.len() <= 20_000, "{}", act.name);
    }
}

/// Waits until the metrics fulfil a condition, and gives them. Players are served meanwhile.
async fn until(
    program: &Program,
    patience: Duration,
    what: &str,
    condition: impl Fn(&str) -> bool,
) -> String {
    let deadline = Instant::now() + patience;
    loop {
        assert_eq!(program.get("/saal1.ogg").await.status, 302);
        let metrics = program.admin_get("/metrics").await.body;
        if condition(&metrics) {
            return metrics;
        }
        if Instant::now() >= deadline {
            let lines = metrics.lines().filter(|line| line.contains("server_polls_total{"));
            let lines: Vec<_> = lines.filter(|line| !line.ends_with(" 0")).collect();
            panic!("this never came true: {what}\n{}\n{}", lines.join("\n"), program.log());
        }
        sleep(Duration::from_millis(200)).await;
    }
}

fn polls(metrics: &str, server: &str, result: &str) -> f64 {
    let series =
        format!("icecast_balancer_server_polls_total{{server=\"{server}\",result=\"{result}\"}} ");
    let count = metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok());
    count.unwrap_or(0.0)
}

/// A line of what the kernel tells of a process, as a number.
fn told(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.trim().split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

fn resident_kib(process: u32) -> u64 {
    told(process, "VmRSS:")
}

fn threads(process: u32) -> u64 {
    told(process, "Threads:")
}
