//! How the program ends: nobody who asked in time goes without an answer, and nobody can hold it.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::program::Program;
use super::{servable, serving};
use crate::relay::Relay;
use crate::support::{PATIENCE, PORTS, eventually};

const REQUEST: &[u8] = b"GET /a.ogg HTTP/1.1\r\nHost: x\r\n\r\n";

/// A connection is lost to one stop in some, so there are some.
const STOPS: usize = 10;

/// The drain limit and what a busy machine adds.
const LIMIT: Duration = Duration::from_secs(12);

async fn connect(program: &Program) -> TcpStream {
    TcpStream::connect(program.public).await.unwrap()
}

/// The next answer's head on a connection; empty if it ended.
async fn head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match timeout(PATIENCE, socket.read(&mut byte)).await.expect("an answer in time") {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8(head).unwrap()
}

async fn until_connections(program: &Program, count: usize) {
    let series = format!("icecast_balancer_connections{{state=\"idle\"}} {count}\n");
    eventually("the connections are there", async || {
        program.admin_get("/metrics").await.body.contains(&series)
    })
    .await;
}

#[tokio::test]
async fn both_signals_end_it_with_exit_code_0() {
    for signal in ["TERM", "INT"] {
        let (_relay, _folder, mut program) = serving(&[]).await;
        program.signal(signal);
        assert_eq!(program.end().await.0, Some(0), "SIG{signal}");
        assert!(program.log().contains(&format!("SIG{signal}")), "{}", program.log());
    }
}

#[tokio::test]
async fn a_request_that_is_half_sent_is_answered() {
    let (_relay, _folder, mut program) = serving(&[]).await;
    let mut socket = connect(&program).await;
    let (first, second) = REQUEST.split_at(10);
    socket.write_all(first).await.unwrap();
    until_connections(&program, 1).await;
    program.signal("TERM");
    program.until_logged("stopping").await;
    socket.write_all(second).await.unwrap();
    let answer = head(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 302 "), "{answer:?}");
    assert_eq!(program.end().await.0, Some(0));
}

#[tokio::test]
async fn players_who_are_connected_and_not_accepted_yet_are_answered() {
    let (_relay, _folder, mut program) = serving(&[]).await;
    // While it is stopped, the kernel accepts for it; then it wakes up to the signal.
    program.signal("STOP");
    let mut players = Vec::new();
    for _ in 0..300 {
        let mut socket = connect(&program).await;
        socket.write_all(REQUEST).await.unwrap();
        players.push(socket);
    }
    program.signal("TERM");
    program.signal("CONT");
    for (number, socket) in players.iter_mut().enumerate() {
        let answer = head(socket).await;
        assert!(answer.starts_with("HTTP/1.1 302 "), "player {number}: {answer:?}");
    }
    assert_eq!(program.end().await.0, Some(0));
}

#[tokio::test]
async fn connections_that_idle_are_closed_within_a_second() {
    let (_relay, _folder, mut program) = serving(&[]).await;
    let mut players = Vec::new();
    for _ in 0..50 {
        let mut socket = connect(&program).await;
        socket.write_all(REQUEST).await.unwrap();
        assert!(head(&mut socket).await.starts_with("HTTP/1.1 302 "));
        players.push(socket);
    }
    let began = Instant::now();
    program.signal("TERM");
    for socket in &mut players {
        assert_eq!(head(socket).await, "");
    }
    let took = began.elapsed();
    println!("50 idle connections are closed after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(program.end().await.0, Some(0));
}

#[tokio::test]
async fn silent_and_half_sent_connections_do_not_hold_it_beyond_the_limit() {
    let relay = Relay::builder().unlimited("/a.ogg").start().unwrap();
    // A head that may take an hour is cut off by the limit of the stop all the same.
    let yaml = format!(
        "limits: {{header_timeout: 1h}}\nservers: {{one: '{}'}}\nstreams: {{/a.ogg: }}\n",
        relay.url()
    );
    let (_folder, file) = servable(&yaml);
    let mut program = Program::start(&file, &[]).await;
    let mut held = Vec::new();
    for number in 0..40 {
        let mut socket = connect(&program).await;
        if number % 2 == 0 {
            socket.write_all(b"GET /a.ogg HT").await.unwrap();
        }
        held.push(socket);
    }
    let mut operator = TcpStream::connect(program.admin).await.unwrap();
    operator.write_all(b"GET /metr").await.unwrap();
    until_connections(&program, 40).await;
    program.signal("TERM");
    let (code, took) = program.end().await;
    println!("silent connections hold it for {took:?}");
    assert_eq!(code, Some(0));
    assert!(took < LIMIT, "{took:?}");
}

#[tokio::test]
async fn silent_connections_alone_hold_nothing() {
    let (_relay, _folder, mut program) = serving(&[]).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(connect(&program).await);
    }
    until_connections(&program, 20).await;
    program.signal("TERM");
    let (code, took) = program.end().await;
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn new_connections_are_refused_while_it_stops() {
    let (_relay, _folder, program) = serving(&[]).await;
    let mut half = connect(&program).await;
    half.write_all(b"GET /a.ogg HT").await.unwrap();
    until_connections(&program, 1).await;
    program.signal("TERM");
    eventually("the port is closed", async || TcpStream::connect(program.public).await.is_err())
        .await;
    assert_eq!(program.admin_get("/healthz").await.status, 200, "operators can still look");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (_relay, _folder, mut program) = serving(&[]).await;
    let mut half = connect(&program).await;
    half.write_all(b"GET /a.ogg HT").await.unwrap();
    until_connections(&program, 1).await;
    program.signal("TERM");
    program.until_logged("stopping").await;
    // Somebody reads the log, thinks, and says it again.
    sleep(Duration::from_millis(100)).await;
    assert!(program.runs());
    program.signal("INT");
    let (code, took) = program.end().await;
    assert_eq!(code, Some(1), "it tells that requests were left");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_signal_said_twice_in_one_breath_is_one_signal() {
    let (_relay, _folder, mut program) = serving(&[]).await;
    let mut socket = connect(&program).await;
    let (first, second) = REQUEST.split_at(10);
    socket.write_all(first).await.unwrap();
    until_connections(&program, 1).await;
    // Both are there when it wakes up.
    program.signal("STOP");
    program.signal("TERM");
    program.signal("INT");
    program.signal("CONT");
    program.until_logged("stopping").await;
    socket.write_all(second).await.unwrap();
    assert!(head(&mut socket).await.starts_with("HTTP/1.1 302 "));
    assert_eq!(program.end().await.0, Some(0));
}

/// Players who come again and again, until the port is closed.
struct Crowd {
    answered: Arc<AtomicU64>,
    players: Vec<JoinHandle<u64>>,
}

impl Crowd {
    /// Lets them come, and waits until there is some load.
    async fn gather(players: usize, public: SocketAddr) -> Self {
        let answered = Arc::new(AtomicU64::new(0));
        let play = |answered: Arc<AtomicU64>| async move {
            // Who could connect and ask is answered.
            while let Ok(mut socket) = TcpStream::connect(public).await {
                let sent = socket.write_all(REQUEST).await;
                let answer = head(&mut socket).await;
                if sent.is_err() || !answer.starts_with("HTTP/1.1 302 ") {
                    return 1;
                }
                answered.fetch_add(1, Relaxed);
            }
            0
        };
        let players = (0..players).map(|_| tokio::spawn(play(Arc::clone(&answered)))).collect();
        eventually("the crowd is served", async || answered.load(Relaxed) > 500).await;
        Self { answered, players }
    }

    /// How many requests were answered, and how many were lost.
    async fn end(self) -> (u64, u64) {
        let mut lost = 0;
        for player in self.players {
            lost += player.await.unwrap();
        }
        (self.answered.load(Relaxed), lost)
    }
}

/// A program that is asked as fast as it can answer.
async fn unpaced(settings: &str) -> (Relay, TempDir, Program) {
    let relay = Relay::builder().unlimited("/a.ogg").start().unwrap();
    let one = format!("{{url: '{}', max_joins_per_second: 1000000}}", relay.url());
    let (folder, file) =
        servable(&format!("{settings}servers: {{one: {one}}}\nstreams: {{/a.ogg: }}\n"));
    let program = Program::start(&file, &[]).await;
    (relay, folder, program)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_to_a_stop_under_load() {
    let (mut answered, mut lost) = (0, 0);
    for _ in 0..STOPS {
        let (_relay, _folder, mut program) = unpaced("").await;
        let crowd = Crowd::gather(16, program.public).await;
        program.signal("TERM");
        let (good, bad) = crowd.end().await;
        answered += good;
        lost += bad;
        assert_eq!(program.end().await.0, Some(0));
    }
    println!("{STOPS} stops under load: {answered} answered, {lost} lost");
    assert_eq!(lost, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_among_connections_of_every_kind_loses_none_and_is_held_by_none() {
    let (_relay, _folder, mut program) = unpaced("limits: {header_timeout: 1h}\n").await;
    let mut held = Vec::new();
    for number in 0..100 {
        let mut socket = connect(&program).await;
        if number % 2 == 0 {
            socket.write_all(b"GET /a.ogg HT").await.unwrap();
        }
        held.push(socket);
    }
    let mut idle = Vec::new();
    for _ in 0..200 {
        let mut socket = connect(&program).await;
        socket.write_all(REQUEST).await.unwrap();
        assert!(head(&mut socket).await.starts_with("HTTP/1.1 302 "));
        idle.push(socket);
    }
    let crowd = Crowd::gather(8, program.public).await;
    assert_eq!(program.admin_get("/readyz").await.status, 200);
    let began = Instant::now();
    program.signal("TERM");
    program.until_logged("stopping").await;
    assert_eq!(program.admin_get("/readyz").await.status, 503);
    for socket in &mut idle {
        assert_eq!(head(socket).await, "");
    }
    let closed = began.elapsed();
    let (answered, lost) = crowd.end().await;
    let (code, _) = program.end().await;
    let ended = began.elapsed();
    println!(
        "200 idle closed after {closed:?}, {answered} answered and {lost} lost under load, the \
         end with 50 silent and 50 half-sent after {ended:?}"
    );
    assert_eq!((code, lost), (Some(0), 0));
    assert!(closed < Duration::from_secs(1), "{closed:?}");
    assert!(ended < LIMIT, "{ended:?}");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_configuration_that_is_being_written() {
    let (_relay, folder, mut program) = serving(&[]).await;
    fs::write(folder.path().join("balancer.yaml"), format!("{PORTS}# half\n")).unwrap();
    program.signal("TERM");
    let (code, took) = program.end().await;
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
}
