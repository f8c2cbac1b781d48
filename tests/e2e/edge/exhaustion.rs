//! Too few file descriptors, too little memory, too many of everything else.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::balancer::Balancer;
use crate::support::lab::Lab;
use crate::support::process::{Program, eventually};
use crate::support::web;

use super::{Normal, REQUEST, answer, raise_limit, relay};

/// Connections that begin to ask and say no more; those that are turned away are let go. Had they said
/// nothing, the kernel would keep them back for a second.
fn hold(port: u16, count: usize) -> Vec<TcpStream> {
    (0..count)
        .filter_map(|_| {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
            socket.set_read_timeout(Some(Duration::from_millis(20))).ok()?;
            socket.write_all(b"GET ").ok()?;
            let mut told = [0; 12];
            socket.read_exact(&mut told).is_err().then_some(socket)
        })
        .collect()
}

fn complaints(log: &str) -> usize {
    log.matches("cannot accept").count() + log.matches("turning connections away").count()
}

#[test]
fn with_64_open_files_and_200_connections_everything_else_goes_on() {
    let lab = Lab::new();
    let (_relay, config) = relay(&lab);
    let config = format!("limits: {{header_timeout: 1m}}\n{config}");
    let limited = Program::new("prlimit", "util-linux").args(["--nofile=64:64"]);
    let balancer = Balancer::start_under(limited, &lab, &config);
    let log = balancer.log();
    assert!(log.contains("limits.max_connections is 50000"), "it says how few can be had: {log}");

    let held = hold(balancer.port(), 200);
    eprintln!("{} of 200 connections are held, the others were told 503", held.len());
    assert!((10..=40).contains(&held.len()), "{} connections are held", held.len());
    let told = answer(balancer.port(), REQUEST);
    assert!(told.starts_with("HTTP/1.1 503 "), "{told}");

    let polls = || balancer.metric("server_polls_total", &["result=\"ok\""]).unwrap();
    let (began, polled, spent) = (Instant::now(), polls(), balancer.cpu());
    balancer.edit(&config.replace("/saal1.ogg:", "/saal1.ogg: , /saal2.ogg:"));
    eventually("the new configuration is in force", Duration::from_secs(10), || {
        balancer.metric("stream_up", &["stream=\"/saal2.ogg\""])
    });
    eventually("relays are polled", Duration::from_secs(10), || {
        (polls() >= polled + 3.0).then_some(())
    });
    thread::sleep(Duration::from_secs(3).saturating_sub(began.elapsed()));
    let (spent, took) = (balancer.cpu() - spent, began.elapsed());
    let complained = complaints(&balancer.log());
    eprintln!("{spent:.2} s of processor time and {complained} log lines in {took:?}");
    // Most of it is for the metrics that were read here.
    assert!(spent < 0.2 * took.as_secs_f64(), "{spent} s in {took:?}");
    assert!(complained as u64 <= 1 + took.as_secs(), "{complained} lines in {took:?}");

    drop(held);
    let began = Instant::now();
    eventually("players are served again", Duration::from_secs(5), || {
        answer(balancer.port(), REQUEST).starts_with("HTTP/1.1 302 ").then_some(())
    });
    eprintln!("full service {:?} after they let go", began.elapsed());
}

/// Whatever the reserve, the system as a whole may run out.
#[test]
fn an_accept_that_fails_for_want_of_files_is_tried_again_quietly() {
    let lab = Lab::new();
    let (_relay, config) = relay(&lab);
    let failing = Program::new("strace", "strace").words(
        "-f -qq -e trace=accept4 -e inject=accept4:error=EMFILE:when=20..60 -e signal=none \
         -o /dev/null",
    );
    let balancer = Balancer::start_under(failing, &lab, &config);
    // Each thread that accepts meets the fault after its twentieth accept.
    let began = Instant::now();
    let mut served = 0;
    while complaints(&balancer.log()) == 0 {
        served += usize::from(answer(balancer.port(), REQUEST).starts_with("HTTP/1.1 302 "));
        assert!(began.elapsed() < Duration::from_secs(60), "no fault after {served} requests");
    }
    eventually("it goes on when the fault has passed", Duration::from_secs(60), || {
        let again = (0..5).all(|_| answer(balancer.port(), REQUEST).contains(" 302 "));
        (again && web::get(&format!("http://127.0.0.1:{}/healthz", balancer.admin_port())).is_ok())
            .then_some(())
    });
    let (lines, took) = (complaints(&balancer.log()), began.elapsed());
    eprintln!("{lines} log lines in {took:?}");
    // Two ports may complain once a second each.
    assert!(lines as u64 <= 2 * (2 + took.as_secs()), "{lines} lines in {took:?}");
}

/// How long the next test goes on; `EDGE_SECONDS=60 cargo test --test e2e edge::exhaustion` is the
/// long form.
fn seconds() -> u64 {
    std::env::var("EDGE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

/// The limit is on data, which is all that this program can take much of; where it is exceeded,
/// memory is refused and the program aborts.
#[test]
fn in_64_mib_it_outlives_slow_hostile_and_too_many_clients_at_once() {
    raise_limit();
    let lab = Lab::new();
    let (_relay, config) = relay(&lab);
    let settings = "limits: {max_connections: 1000, header_timeout: 2s}\n";
    let limited = Program::new("prlimit", "util-linux").args(["--data=67108864"]);
    let balancer = Balancer::start_under(limited, &lab, &format!("{settings}{config}"));
    let port = balancer.port();
    let end = Instant::now() + Duration::from_secs(seconds());
    let mut asked = [0_u64; 3];
    thread::scope(|scope| {
        let slow = scope.spawn(move || {
            let beginning = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(15_000));
            let mut all = 0;
            while Instant::now() < end {
                let mut held = Vec::new();
                for _ in 0..1_500 {
                    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                    drop(socket.write_all(beginning.as_bytes()));
                    held.push(socket);
                }
                all += held.len() as u64;
                thread::sleep(Duration::from_millis(500));
            }
            all
        });
        let hostile = scope.spawn(move || {
            let vectors = super::vectors::vectors();
            let mut all = 0;
            while Instant::now() < end {
                for (_, bytes, ..) in &vectors {
                    answer(port, bytes);
                    all += 1;
                }
            }
            all
        });
        let flood = scope.spawn(move || {
            let requests = "GET /saal1.ogg HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200);
            let mut all = 0;
            while Instant::now() < end {
                let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                // Many requests, of whose answers none is read.
                drop(socket.set_write_timeout(Some(Duration::from_millis(200))));
                drop(socket.write_all(requests.as_bytes()));
                all += 200;
            }
            all
        });
        asked = [slow, hostile, flood].map(|one| one.join().unwrap());
    });
    let [slow, hostile, flood] = asked;
    let most = balancer.process("process_resident_memory_bytes ") / 1024.0 / 1024.0;
    eprintln!("{slow} slow, {hostile} hostile and {flood} hasty requests; {most:.1} MiB resident");
    eventually("it serves as before", Duration::from_secs(10), || {
        answer(port, REQUEST).starts_with("HTTP/1.1 302 ").then_some(())
    });
    let normal = Normal::asks(port);
    thread::sleep(Duration::from_secs(1));
    eprintln!("afterwards: {}", normal.was_always_served());
}
