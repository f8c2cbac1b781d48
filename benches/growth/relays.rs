//! What it takes to look at relays once a second.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use icecast_balancer::counters::PollResult;
use icecast_balancer::poller;
use icecast_balancer::state::{Snapshot, State};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use crate::curve::{Curve, Promise};
use crate::world::{fleet, path};

/// Relays that tell the same, and nothing else. Each has an address of its own; they are one thread.
pub(crate) struct Relays {
    port: u16,
    looks: Arc<AtomicUsize>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// What becomes quiet within this long.
const WARM_UP: Duration = Duration::from_secs(3);

/// How long is measured.
const MEASURED: Duration = Duration::from_secs(6);

/// Mounts that each relay tells of: 1.2 KB of slots.xsl.
const MOUNTS: usize = 10;

impl Relays {
    /// Relays that tell of so many mounts.
    pub(crate) fn start(mounts: usize) -> Self {
        let answer: Arc<[u8]> = answer(mounts).into_bytes().into();
        let (looks, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let listener = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let port = listener.local_addr().expect("a socket").port();
        let (counted, stopped) = (Arc::clone(&looks), stop.clone());
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a socket");
                tokio::select! {
                    () = stopped.cancelled() => {}
                    () = serve(listener, answer, counted) => {}
                }
            });
        });
        Self { port, looks, stop, thread: Some(thread) }
    }

    /// The URL of one of them.
    pub(crate) fn url(&self, number: usize) -> String {
        let address = Ipv4Addr::from_bits(
            Ipv4Addr::new(127, 1, 0, 1).to_bits() + u32::try_from(number).unwrap(),
        );
        format!("http://{address}:{}", self.port)
    }

    /// How often any of them was asked.
    pub(crate) fn looks(&self) -> usize {
        self.looks.load(Relaxed)
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn serve(listener: TcpListener, answer: Arc<[u8]>, looks: Arc<AtomicUsize>) {
    loop {
        let Ok((connection, _)) = listener.accept().await else { continue };
        looks.fetch_add(1, Relaxed);
        tokio::spawn(tell(connection, Arc::clone(&answer)));
    }
}

async fn tell(mut connection: TcpStream, answer: Arc<[u8]>) {
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(connection.read_buf(&mut head).await, Ok(1..)) {
            return;
        }
    }
    let _gone = connection.write_all(&answer).await;
}

fn answer(mounts: usize) -> String {
    let mut page = "<slots version=\"1\" clients=\"7\">\n".to_owned();
    for mount in 0..mounts {
        let name = path(mount);
        let told = "listeners=\"7\" max_listeners=\"1000000\" active=\"1\"";
        writeln!(page, "<mount name=\"{name}\" {told}/>").unwrap();
    }
    page += "</slots>\n";
    let length = page.len();
    format!("HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\r\n{page}")
}

/// The curve.
pub(crate) fn curves() -> Vec<Curve> {
    let title = "looking at relays once a second, by relays";
    let mut curve = Curve::new(title, "% of a core", Promise::AtMost(5.0)).at_most(3);
    for servers in [10, 100, 1_000] {
        curve = curve.at(servers, servers, move || share_of_a_core(servers));
    }
    vec![curve]
}

fn share_of_a_core(servers: usize) -> f64 {
    let relays = Relays::start(MOUNTS);
    let mut yaml = "poll: {interval: 1s}\nservers:\n".to_owned();
    for number in 0..servers {
        writeln!(yaml, "  relay-{number}: '{}'", relays.url(number)).unwrap();
    }
    yaml += "streams:\n";
    for stream in 0..MOUNTS {
        writeln!(yaml, "  {}:", path(stream)).unwrap();
    }
    let state = Arc::new(State::new(Snapshot::first(fleet(&yaml), String::new())));
    let stop = CancellationToken::new();
    let (own, stopped) = (Arc::clone(&state), stop.clone());
    let (told, thread_of) = std::sync::mpsc::channel();
    let polling = thread::spawn(move || {
        told.send(fs::read_link("/proc/thread-self").unwrap()).unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(poller::run(own, stopped));
    });
    let schedstat = std::path::Path::new("/proc").join(thread_of.recv().unwrap()).join("schedstat");
    let cpu = || {
        let told = fs::read_to_string(&schedstat).unwrap();
        Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
    };
    let good = || -> u64 {
        let snapshot = state.load();
        snapshot.servers().map(|(_, slots)| slots.polls.of(PollResult::Ok).get()).sum()
    };
    thread::sleep(WARM_UP);
    let (began, before, looks) = (Instant::now(), cpu(), good());
    thread::sleep(MEASURED);
    let (took, spent) = (began.elapsed(), cpu().saturating_sub(before));
    let looks = good() - looks;
    stop.cancel();
    polling.join().expect("it ends when it is told to");
    let expected = servers as f64 * took.as_secs_f64();
    let share = looks as f64 / expected;
    assert!((0.8..1.2).contains(&share), "{looks} good looks instead of {expected:.0}");
    100.0 * spent.as_secs_f64() / took.as_secs_f64()
}
