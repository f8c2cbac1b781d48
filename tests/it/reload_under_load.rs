//! What a reload costs players: nothing, whether the new configuration is good or bad.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::life::program;
use crate::relay::Relay;
use crate::support::{Answer, Balancer, PATIENCE, PORTS, raw};

const SUCCESSFUL: &str = "icecast_balancer_config_last_reload_successful";

async fn reload(balancer: &Balancer) -> Answer {
    let request = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    raw(balancer.admin, request).await
}

/// Players that ask without pause until told to stop.
#[derive(Default)]
struct Crowd {
    stop: AtomicBool,
    redirected: AtomicU64,
    failed: AtomicU64,
}

impl Crowd {
    fn count(&self, redirected: bool) {
        if redirected { &self.redirected } else { &self.failed }.fetch_add(1, Relaxed);
    }

    /// Asks over one connection that is kept open.
    async fn stay(self: Arc<Self>, to: SocketAddr) {
        let mut socket = TcpStream::connect(to).await.unwrap();
        while !self.stop.load(Relaxed) {
            self.count(ask(&mut socket).await.is_ok_and(|head| head.starts_with("HTTP/1.1 302 ")));
        }
    }

    /// The same, ten times a second.
    async fn stay_slowly(self: Arc<Self>, to: SocketAddr) {
        let mut socket = TcpStream::connect(to).await.unwrap();
        while !self.stop.load(Relaxed) {
            self.count(ask(&mut socket).await.is_ok_and(|head| head.starts_with("HTTP/1.1 302 ")));
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Asks over a new connection each time.
    async fn come_again(self: Arc<Self>, to: SocketAddr) {
        while !self.stop.load(Relaxed) {
            let Ok(mut socket) = TcpStream::connect(to).await else {
                self.count(false);
                continue;
            };
            self.count(ask(&mut socket).await.is_ok_and(|head| head.starts_with("HTTP/1.1 302 ")));
        }
    }
}

/// One request; the head of its answer, which has no body.
async fn ask(socket: &mut TcpStream) -> std::io::Result<String> {
    socket.write_all(b"GET /saal1.ogg HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 1024];
        let read = timeout(PATIENCE, socket.read(&mut bytes)).await??;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&bytes[..read]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_configurations_good_and_bad_come_and_go() {
    let relay = Relay::builder().unlimited("/saal1.ogg").start().unwrap();
    let good = |round: u32| {
        let url = relay.url();
        // A crowd that is held back to the relay's pace would be no load.
        let one = format!("{{url: '{url}', max_joins_per_second: 1000000}}");
        format!("servers: {{one: {one}}}\nstreams: {{/saal1.ogg: , /round-{round}.ogg: }}\n")
    };
    let balancer = Balancer::start(&good(0)).await;
    let crowd = Arc::new(Crowd::default());
    let mut players = Vec::new();
    for _ in 0..4 {
        players.push(tokio::spawn(Arc::clone(&crowd).stay(balancer.public)));
        players.push(tokio::spawn(Arc::clone(&crowd).come_again(balancer.public)));
    }
    for round in 1..=20 {
        let before = crowd.redirected.load(Relaxed);
        let bad = round % 2 == 0;
        balancer.edit(&if bad { "streams: [\n".to_owned() } else { good(round) });
        let answer = reload(&balancer).await;
        assert_eq!(answer.status, if bad { 422 } else { 200 }, "{answer:?}");
        crate::support::eventually("players are answered after it", async || {
            crowd.redirected.load(Relaxed) > before + 500
        })
        .await;
    }
    crowd.stop.store(true, Relaxed);
    for player in players {
        player.await.unwrap();
    }
    let (redirected, failed) = (crowd.redirected.load(Relaxed), crowd.failed.load(Relaxed));
    println!("20 reloads: {redirected} redirected, {failed} failed");
    assert_eq!(failed, 0);
}

/// How many connections the next test makes: `CONNECTIONS`, or fewer than before a release.
fn connections() -> u64 {
    std::env::var("CONNECTIONS").map_or(2_000, |count| count.parse().expect("a number"))
}

/// How long answers took, of which one in a hundred took longer than what this returns.
fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// Asks over `count` new connections, which leave nothing behind them, sixteen at a time.
async fn ask_anew(to: SocketAddr, count: u64, asked: Arc<AtomicU64>) -> (u64, Vec<Duration>) {
    let mut clients = Vec::new();
    for client in 0..16 {
        let asked = Arc::clone(&asked);
        clients.push(tokio::spawn(async move {
            let (mut failed, mut times) = (0, Vec::new());
            for _ in (client..count).step_by(16) {
                let began = Instant::now();
                let answered = async {
                    let mut socket = TcpStream::connect(to).await?;
                    // The ports of a hundred thousand connections would be missed for a minute.
                    socket.set_zero_linger()?;
                    ask(&mut socket).await
                };
                let answer = answered.await;
                failed += u64::from(!answer.is_ok_and(|head| head.starts_with("HTTP/1.1 302 ")));
                times.push(began.elapsed());
                asked.fetch_add(1, Relaxed);
            }
            (failed, times)
        }));
    }
    let (mut failed, mut times) = (0, Vec::new());
    for client in clients {
        let (more, took) = client.await.unwrap();
        failed += more;
        times.extend(took);
    }
    (failed, times)
}

/// Before a release, and with figures worth reading:
/// `CONNECTIONS=100000 cargo test --release --test it -- --nocapture new_connections`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_thousands_of_new_connections_none_fails_over_twenty_reloads() {
    const RELOADS: u64 = 20;
    let relay = Relay::builder().unlimited("/saal1.ogg").start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, aside) = (folder.path().join("balancer.yaml"), folder.path().join("aside"));
    let good = |round: u64| {
        let one = format!("{{url: '{}', max_joins_per_second: 1000000}}", relay.url());
        let limits = "limits: {header_timeout: 1m}\n";
        format!("{PORTS}{limits}servers: {{one: {one}}}\nstreams: {{/saal1.ogg: , /{round}: }}\n")
    };
    fs::write(&file, good(0)).unwrap();
    let program = program::Program::start(&file, &["--log-level", "info"]).await;
    let crowd = Arc::new(Crowd::default());
    let mut staying = Vec::new();
    for _ in 0..100 {
        staying.push(tokio::spawn(Arc::clone(&crowd).stay_slowly(program.public)));
    }
    let total = connections();
    let (unasked, quiet) = ask_anew(program.public, total / 10, Arc::default()).await;
    assert_eq!(unasked, 0);
    let asked = Arc::new(AtomicU64::new(0));
    let asking = tokio::spawn(ask_anew(program.public, total, Arc::clone(&asked)));
    for round in 1..=RELOADS {
        while asked.load(Relaxed) < total * round / (RELOADS + 1) {
            sleep(Duration::from_millis(1)).await;
        }
        fs::write(&aside, good(round)).unwrap();
        fs::rename(&aside, &file).unwrap();
        let request = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        assert_eq!(raw(program.admin, request).await.status, 200);
        // Whether that or the file's event was first, it is in force.
        assert_ne!(program.get(&format!("/{round}")).await.status, 404);
    }
    let (failed, mut during) = asking.await.unwrap();
    crowd.stop.store(true, Relaxed);
    for client in staying {
        client.await.unwrap();
    }
    let (stayed, broken) = (crowd.redirected.load(Relaxed), crowd.failed.load(Relaxed));
    println!(
        "{RELOADS} reloads, {total} new connections: {failed} failed; 100 kept open: {stayed} \
         redirected, {broken} failed; p99 of a new connection {:?} before, {:?} over the reloads",
        p99(&mut quiet.clone()),
        p99(&mut during),
    );
    assert_eq!((failed, broken), (0, 0));
}

/// Every bad configuration that there is an example of.
fn invalid() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/config/invalid");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    assert!(files.len() >= 60, "only {}", files.len());
    files
}

#[tokio::test]
async fn every_bad_configuration_is_refused_shown_and_harmless_and_a_good_one_ends_it() {
    let relay = Relay::builder().unlimited("/saal1.ogg").start().unwrap();
    let good = format!("servers: {{one: '{}'}}\nstreams: {{/saal1.ogg: }}\n", relay.url());
    let balancer = Balancer::start(&good).await;
    let location = balancer.get("/saal1.ogg").await.location().to_owned();
    let digest = balancer.status().await["config"]["sha256"].clone();
    for bad in invalid() {
        let name = bad.file_name().unwrap().to_string_lossy().into_owned();
        fs::copy(&bad, balancer.config()).unwrap();
        let answer = reload(&balancer).await;
        assert_eq!(answer.status, 422, "{name}");
        let config = balancer.status().await["config"].clone();
        let refused = config["refused"].as_str().unwrap_or_default();
        let place = format!("{}:", balancer.config().display());
        let (_, position) =
            refused.split_once(&place).unwrap_or_else(|| panic!("{name}: {refused}"));
        assert!(position.starts_with(|c: char| c.is_ascii_digit()), "{name}: {refused}");
        assert_eq!(config["sha256"], digest, "{name}");
        assert_eq!(balancer.metric(SUCCESSFUL).await, Some(0.0), "{name}");
        assert_eq!(balancer.get("/saal1.ogg").await.location(), location, "{name}");
        balancer.edit(&good);
        assert_eq!(reload(&balancer).await.status, 200, "{name}");
        assert_eq!(balancer.metric(SUCCESSFUL).await, Some(1.0), "{name}");
        assert!(balancer.status().await["config"]["refused"].is_null(), "{name}");
    }
}

#[tokio::test]
async fn a_reload_and_check_say_the_same_of_a_bad_configuration() {
    // Every process takes its time; a quarter of the examples has every kind of mistake.
    let balancer = Balancer::start("servers: {one: 'http://127.0.0.1:9'}\nstreams: {/a: }\n").await;
    for bad in invalid().iter().step_by(4) {
        fs::copy(bad, balancer.config()).unwrap();
        let answer = reload(&balancer).await;
        let checked = program::run(&["check", balancer.config().to_str().unwrap()]);
        assert_eq!(checked.status.code(), Some(2), "{}", bad.display());
        assert_eq!(answer.body.trim_end(), program::text(&checked.stdout).trim_end());
    }
}

/// Looks so seldom that only the first one and those after a reload happen.
const SELDOM: &str = "poll: {interval: 1h, fast_interval: 1h, stale_after: 1h, timeout: 1h}\n\
                      balance: {headroom: 0, settle: 1h}\n";

/// A balancer over a relay of three slots, of which players have two.
async fn two_of_three_taken() -> (Relay, Balancer, String) {
    let relay = Relay::builder().mount("/saal1.ogg", 3).start().unwrap();
    let url = relay.url();
    let yaml = format!("{SELDOM}servers:\n  one: '{url}'\nstreams:\n  /saal1.ogg:\n");
    let balancer = Balancer::start(&yaml).await;
    for _ in 0..2 {
        balancer.get("/saal1.ogg").await.location();
    }
    (relay, balancer, yaml)
}

#[tokio::test]
async fn reservations_outlive_a_reload() {
    let (_relay, balancer, yaml) = two_of_three_taken().await;
    balancer.edit(&format!("{yaml}  /another.ogg:\n"));
    assert_eq!(reload(&balancer).await.status, 200);
    let mount = balancer.status().await["streams"][0]["mounts"][0].clone();
    assert_eq!((&mount["reserved"], &mount["free"]), (&2.into(), &1.into()), "{mount}");
    assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
    assert_eq!(balancer.get("/saal1.ogg").await.status, 503);
}

#[tokio::test]
async fn health_outlives_a_reload() {
    let (relay, balancer, yaml) = two_of_three_taken().await;
    // From now on nobody learns anything new, so what is known is what was kept.
    relay.hang_stats();
    balancer.edit(&format!("{yaml}  /another.ogg:\n"));
    assert_eq!(reload(&balancer).await.status, 200);
    let server = balancer.status().await["servers"][0].clone();
    assert_eq!((&server["health"], &server["up"]), (&"up".into(), &true.into()), "{server}");
}

#[tokio::test]
async fn counters_outlive_a_reload() {
    let (_relay, balancer, yaml) = two_of_three_taken().await;
    balancer.edit(&format!("{yaml}  /another.ogg:\n"));
    assert_eq!(reload(&balancer).await.status, 200);
    let labels = "{stream=\"/saal1.ogg\",server=\"one\"}";
    let redirects = format!("icecast_balancer_redirects_total{labels}");
    assert_eq!(balancer.metric(&redirects).await, Some(2.0));
}

#[tokio::test]
async fn a_relay_at_another_address_is_another_relay_whatever_it_is_called() {
    let (_relay, balancer, yaml) = two_of_three_taken().await;
    let other = Relay::builder().mount("/saal1.ogg", 3).start().unwrap();
    let (_, old) = yaml.split_once("one: '").unwrap();
    let (old, _) = old.split_once('\'').unwrap();
    balancer.edit(&yaml.replace(old, &other.url()));
    assert_eq!(reload(&balancer).await.status, 200);
    balancer.until_health("one", "up").await;
    let mount = balancer.status().await["streams"][0]["mounts"][0].clone();
    assert_eq!((&mount["reserved"], &mount["free"]), (&0.into(), &3.into()), "{mount}");
}

#[tokio::test]
async fn a_lower_limit_takes_effect_for_the_next_request() {
    let (_relay, balancer, yaml) = two_of_three_taken().await;
    let limited = "  /saal1.ogg: {mounts: {one: {max_listeners: 2}}}\n";
    balancer.edit(&yaml.replace("  /saal1.ogg:\n", limited));
    assert_eq!(reload(&balancer).await.status, 200);
    assert_eq!(balancer.get("/saal1.ogg").await.status, 503);
}

#[tokio::test]
async fn a_server_that_is_set_to_draining_gets_nobody_from_the_next_request() {
    let (_relay, balancer, yaml) = two_of_three_taken().await;
    let draining = yaml.replace("one: '", "one: {state: draining, url: '");
    balancer.edit(&draining.replace("'\nstreams", "'}\nstreams"));
    assert_eq!(reload(&balancer).await.status, 200);
    assert_eq!(balancer.get("/saal1.ogg").await.status, 503);
}

#[tokio::test]
async fn a_bad_configuration_at_the_start_is_worded_as_later_in_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("balancer.yaml");
    fs::write(&file, format!("{PORTS}servers: 7\nstreams: {{/a: }}\n")).unwrap();
    let output = program::run(&["--config", file.to_str().unwrap()]);
    let checked = program::run(&["check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(program::text(&output.stderr), program::text(&checked.stdout));
}
