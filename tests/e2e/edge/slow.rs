//! Slow clients: two thousand at a time, of every kind, beside one who only wants to listen.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::lab::Lab;
use crate::support::process::{Program, eventually};

use super::{Normal, raise_limit, start};

/// What each kind sends at first, and what then, a byte at a time.
const KINDS: [(&str, &[u8], &[u8]); 6] = [
    ("silent", b"", b""),
    ("one byte", b"G", b""),
    ("half a preface of HTTP/2", b"PRI * HTTP/2.0\r\n", b""),
    ("a head that drips", b"GET /saal1.ogg HTTP/1.1\r\nHost: x\r\n", b"X-A: 1\r\n"),
    ("a line that drips", b"GET /", b"a"),
    (
        "a body that drips",
        b"POST /saal1.ogg HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n",
        b"a",
    ),
];

const CLIENTS: usize = 2_000;

/// `limits.header_timeout` here.
const LIMIT: Duration = Duration::from_secs(3);

/// What a busy machine may add; who is held for good is held longer. The longest times are printed.
const SLACK: Duration = Duration::from_secs(12);

struct Slow {
    kind: usize,
    socket: TcpStream,
    began: Instant,
    dripped: usize,
}

impl Slow {
    /// Whether the other side has closed.
    fn is_closed(&mut self) -> bool {
        let mut bytes = [0; 512];
        match self.socket.read(&mut bytes) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    fn drip(&mut self) {
        let (_, _, drops) = KINDS[self.kind];
        if !drops.is_empty() {
            let drop = drops[self.dripped % drops.len()];
            self.dripped += usize::from(self.socket.write(&[drop]).is_ok());
        }
    }
}

#[test]
fn every_slow_client_is_closed_in_time_and_harms_nobody() {
    raise_limit();
    let lab = Lab::new();
    let (_relay, balancer) = start(&lab, "limits: {header_timeout: 3s}\n");
    let normal = Normal::asks(balancer.port());
    let mut slow: Vec<Slow> = (0..CLIENTS)
        .map(|number| {
            let kind = number % KINDS.len();
            let mut socket = TcpStream::connect(("127.0.0.1", balancer.port())).unwrap();
            socket.write_all(KINDS[kind].1).unwrap();
            socket.set_nonblocking(true).unwrap();
            Slow { kind, socket, began: Instant::now(), dripped: 0 }
        })
        .collect();
    let mut longest = [Duration::ZERO; KINDS.len()];
    while !slow.is_empty() {
        slow.retain_mut(|one| {
            one.drip();
            let closed = one.is_closed();
            let held = one.began.elapsed();
            let kind = KINDS[one.kind].0;
            assert!(held < LIMIT + SLACK, "{kind}: held for {held:?}");
            longest[one.kind] = longest[one.kind].max(held);
            !closed
        });
        thread::sleep(Duration::from_millis(50));
    }
    for ((kind, ..), longest) in KINDS.iter().zip(longest) {
        eprintln!("{kind}: closed after {longest:?} at most");
    }
    eprintln!("beside {CLIENTS} slow clients: {}", normal.was_always_served());
}

/// What one connection costs while its head is on the way: a short one, and the worst there is.
#[test]
fn a_connection_that_is_held_takes_few_kib() {
    raise_limit();
    let lab = Lab::new();
    for (bytes, most_kib) in [(100, 8.0), (16_000, 32.0)] {
        let (_relay, balancer) = start(&lab, "limits: {header_timeout: 1m}\n");
        let memory = || balancer.process("process_resident_memory_bytes ") / 1024.0;
        let open = || balancer.metric("connections", &["state=\"idle\""]);
        let before = memory();
        let beginning = format!("GET / HTTP/1.1\r\nHost: x\r\nX-A: {}", "a".repeat(bytes - 31));
        let held: Vec<TcpStream> = (0..CLIENTS)
            .map(|_| {
                let mut socket = TcpStream::connect(("127.0.0.1", balancer.port())).unwrap();
                socket.write_all(beginning.as_bytes()).unwrap();
                socket
            })
            .collect();
        eventually("all of them are held", Duration::from_secs(30), || {
            (open() == Some(CLIENTS as f64)).then_some(())
        });
        // What they sent is read within moments; then memory rises no more.
        let mut last = 0.0;
        let after = eventually("it takes no more memory", Duration::from_secs(30), || {
            thread::sleep(Duration::from_millis(300));
            let now = memory();
            let same = now - last < 64.0;
            last = now;
            same.then_some(now)
        });
        let each = (after - before) / CLIENTS as f64;
        eprintln!("a connection with {bytes} bytes of a head: {each:.1} KiB");
        assert!(each <= most_kib, "{each:.1} KiB for each connection");
        drop(held);
    }
}

#[test]
fn slowhttptest_finds_the_service_available() {
    let lab = Lab::new();
    let (_relay, balancer) = start(&lab, "limits: {header_timeout: 3s}\n");
    let url = balancer.url(super::STREAM);
    for (attack, options) in [
        ("slow heads", "-H -i 1 -t GET -x 24"),
        ("slow bodies", "-B -i 1 -t POST -s 8192 -x 24"),
        ("slow reading", "-X -w 10 -y 20 -n 1 -z 32 -k 10"),
    ] {
        let normal = Normal::asks(balancer.port());
        let mut test = Program::new("slowhttptest", "slowhttptest")
            .words(options)
            .words("-c 2000 -r 1000 -p 2 -l 10 -u")
            .args([&url])
            .start(&lab.folder("slowhttptest", "nobody"));
        let (mut most, mut last_open) = (0.0_f64, 0.0_f64);
        while test.ended().is_none() {
            last_open = balancer.metric("connections", &["state=\"idle\""]).unwrap();
            most = most.max(last_open);
            thread::sleep(Duration::from_millis(100));
        }
        let said = strip_colours(&test.printed());
        eprintln!("{attack}: {most} connections at most, {last_open} at the end");
        let last = said.rsplit("slow HTTP test status").next().unwrap_or_default();
        if attack == "slow reading" {
            // They go on reading what the kernel holds for them, long after we let them go; on a
            // busy machine some have only just come.
            let connected = last.lines().find_map(|line| line.trim().strip_prefix("connected:"));
            let connected: f64 = connected.unwrap_or_default().trim().parse().unwrap();
            assert!(last_open < 0.8 * connected, "{last_open} of {connected} are held");
        }
        eprintln!("{attack}: {}\n{}", normal.was_always_served(), last.trim());
        assert!(last.contains("service available:") && !last.contains("NO"), "{attack}: {said}");
    }
}

fn strip_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split('\x1b');
    plain.push_str(parts.next().unwrap_or_default());
    plain.extend(parts.map(|part| part.split_once('m').map_or("", |(_, rest)| rest)));
    plain
}
