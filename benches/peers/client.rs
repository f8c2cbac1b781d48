//! Players who ask as fast as they are answered, or at a rate: one thread, and no more work for each
//! request than there must be.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};
use rustix::time::Timespec;

use crate::cores;
use crate::quantile::quantile;

/// Players at one time.
pub(crate) const PLAYERS: usize = 64;

/// A server has as many addresses, so that ports are not used up by connections that have ended.
const ADDRESSES: u8 = 16;

/// Longer than any answer.
const LONGEST: usize = 4096;

/// How long nobody waits for an event: then it is seen whether it is time to ask or to end.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000 };

/// How players ask.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    /// Whether a connection is kept for the next request.
    pub(crate) keeps: bool,
    /// What is asked, in turns.
    pub(crate) requests: Vec<Vec<u8>>,
    /// How many requests in a second; as many as are answered unless said.
    pub(crate) rate: Option<f64>,
    /// Where the players run.
    pub(crate) core: usize,
}

/// Players who are asking, until this is dropped.
pub(crate) struct Crowd {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
    tally: Mutex<Tally>,
}

/// What became of requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Microseconds that each answer took.
    took: Vec<f64>,
    /// What went wrong, and how often.
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Crowd {
    /// Begins to ask.
    pub(crate) fn ask(to: SocketAddr, manner: Manner) -> Self {
        let shared = Arc::new(Shared::default());
        let players = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            cores::stay_on(manner.core);
            Session::new(to, manner, &players).play();
        });
        Self { shared, thread: Some(thread) }
    }

    /// Answers so far.
    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.load(Relaxed)
    }

    /// Waits for so many answers.
    pub(crate) fn wait_for(&self, answers: u64) {
        while self.answered() < answers {
            assert!(
                self.thread.as_ref().is_some_and(|thread| !thread.is_finished()),
                "players ask"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Has them end, and tells how many answers there were.
    pub(crate) fn end(self) -> u64 {
        let shared = Arc::clone(&self.shared);
        drop(self);
        shared.answered.load(Relaxed)
    }

    /// What became of the requests since this was asked last.
    pub(crate) fn tally(&self) -> Tally {
        std::mem::take(&mut *self.shared.tally.lock().expect("nobody panicked"))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(Err(_panicked)) = self.thread.take().map(JoinHandle::join) {
            assert!(thread::panicking(), "players ask until they are told to stop");
        }
    }
}

impl Tally {
    /// Microseconds within which this share was answered.
    pub(crate) fn quantile(&mut self, share: f64) -> f64 {
        quantile(&mut self.took, share)
    }

    /// How many got no redirect.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

struct Session<'a> {
    manner: Manner,
    shared: &'a Shared,
    epoll: OwnedFd,
    addresses: Vec<SocketAddr>,
    players: Vec<Player>,
    /// Whose turn it is not yet.
    idle: VecDeque<usize>,
    begun: Instant,
    asked: u64,
}

#[derive(Default)]
struct Player {
    connection: Option<OwnedFd>,
    /// When it asked what is not answered.
    asked: Option<Instant>,
    /// Whether the request is on its way.
    sent: bool,
    come: Vec<u8>,
}

impl<'a> Session<'a> {
    fn new(to: SocketAddr, manner: Manner, shared: &'a Shared) -> Self {
        let IpAddr::V4(first) = to.ip() else { panic!("a server of IPv4") };
        let addresses = (0..ADDRESSES).map(|more| {
            let [a, b, c, d] = first.octets();
            SocketAddr::from((Ipv4Addr::new(a, b, c, d + more), to.port()))
        });
        Self {
            manner,
            shared,
            epoll: epoll::create(CreateFlags::CLOEXEC).expect("epoll"),
            addresses: addresses.collect(),
            players: (0..PLAYERS).map(|_| Player::default()).collect(),
            idle: (0..PLAYERS).collect(),
            begun: Instant::now(),
            asked: 0,
        }
    }

    fn play(&mut self) {
        let mut events: Vec<Event> = Vec::with_capacity(PLAYERS);
        while !self.shared.stop.load(Relaxed) {
            self.wake_idle();
            events.clear();
            let space = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, space, Some(&TICK)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => panic!("epoll: {error}"),
            }
            for event in &events {
                let data = event.data;
                self.turn(usize::try_from(data.u64()).expect("a player"));
            }
        }
    }

    /// Lets those ask who are due.
    fn wake_idle(&mut self) {
        while self.is_due()
            && let Some(at) = self.idle.pop_front()
        {
            self.ask(at);
        }
    }

    fn is_due(&self) -> bool {
        let due = |rate: f64| self.begun.elapsed().as_secs_f64() * rate;
        self.manner.rate.is_none_or(|rate| (self.asked as f64) < due(rate))
    }

    fn ask(&mut self, at: usize) {
        self.asked += 1;
        self.players[at].asked = Some(Instant::now());
        self.players[at].sent = false;
        self.players[at].come.clear();
        if self.players[at].connection.is_none()
            && let Err(error) = self.connect(at)
        {
            return self.fail(at, &error.to_string());
        }
        self.send(at);
    }

    fn connect(&mut self, at: usize) -> Result<(), Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let connection = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        let turn = usize::try_from(self.asked).unwrap_or(0);
        match connect(&connection, &self.addresses[turn % self.addresses.len()]) {
            // On loopback it is there all the same when the call comes back.
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let data = EventData::new_u64(at as u64);
        // Told once of each change: of what has come, and that a connection is there.
        let events = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &connection, data, events)?;
        self.players[at].connection = Some(connection);
        Ok(())
    }

    fn send(&mut self, at: usize) {
        let turn = usize::try_from(self.asked).unwrap_or(0);
        let request = &self.manner.requests[turn % self.manner.requests.len()];
        let Some(connection) = &self.players[at].connection else { return };
        match send(connection, request, SendFlags::NOSIGNAL) {
            Ok(sent) if sent == request.len() => self.players[at].sent = true,
            Ok(_) => self.fail(at, "half a request was sent"),
            Err(Errno::AGAIN | Errno::NOTCONN) => {}
            Err(error) => self.fail(at, &error.to_string()),
        }
    }

    /// Something happened to a connection.
    fn turn(&mut self, at: usize) {
        if self.players[at].asked.is_some() && !self.players[at].sent {
            self.send(at);
        }
        loop {
            let Some(connection) = &self.players[at].connection else { return };
            let mut space = [0; LONGEST];
            match recv(connection, &mut space, RecvFlags::empty()) {
                Err(Errno::AGAIN) => return,
                Ok((0, _)) if self.players[at].asked.is_none() => {
                    self.players[at].connection = None;
                }
                Ok((0, _)) => self.fail(at, "closed without an answer"),
                Ok((length, _)) => {
                    self.players[at].come.extend_from_slice(&space[..length]);
                    match whole(&self.players[at].come) {
                        None if self.players[at].come.len() > LONGEST => {
                            self.fail(at, "an endless answer");
                        }
                        None => {}
                        Some(302) => return self.answered(at),
                        Some(status) => self.fail(at, &format!("{status} instead of 302")),
                    }
                }
                Err(error) => self.fail(at, &error.to_string()),
            }
        }
    }

    fn answered(&mut self, at: usize) {
        let asked = self.players[at].asked.take();
        if let Some(asked) = asked {
            self.shared.answered.fetch_add(1, Relaxed);
            let took = asked.elapsed().as_secs_f64() * 1e6;
            self.shared.tally.lock().expect("nobody panicked").took.push(took);
        }
        if !self.manner.keeps {
            self.players[at].connection = None;
        }
        self.next(at);
    }

    fn fail(&mut self, at: usize, why: &str) {
        let mut tally = self.shared.tally.lock().expect("nobody panicked");
        *tally.failures.entry(why.to_owned()).or_default() += 1;
        drop(tally);
        self.players[at].asked = None;
        self.players[at].connection = None;
        // Whoever is refused comes again a little later.
        self.idle.push_back(at);
    }

    fn next(&mut self, at: usize) {
        if self.is_due() && self.idle.is_empty() {
            self.ask(at);
        } else {
            self.idle.push_back(at);
        }
    }
}

/// The status of an answer, once it is whole.
fn whole(come: &[u8]) -> Option<u16> {
    let end = come.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&come[..end]).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    if come.len() < end + 4 + length.unwrap_or(0) {
        return None;
    }
    head.split(' ').nth(1)?.parse().ok()
}

/// Requests for every stream, from a player that says little of itself or much.
pub(crate) fn requests(paths: impl Iterator<Item = String>, headers: &str) -> Vec<Vec<u8>> {
    let request = |path| format!("GET {path} HTTP/1.1\r\nHost: radio.example.org\r\n{headers}\r\n");
    paths.map(|path| request(path).into_bytes()).collect()
}
