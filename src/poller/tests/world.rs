//! A balancer with relays that act as they are told, in time that passes as fast as it can.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::super::*;
use crate::config::source::Sources;
use crate::fleet::compile::{Nothing, compile};
use crate::icecast::MountReport;
use crate::player::{Client, Refusal};
use crate::select::{Decision, assign};
use crate::slots::Moment;

/// How a relay answers looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// At once.
    Well,
    /// In two parts, each of which takes so long.
    Slowly(Duration),
    /// Never.
    Hangs,
    /// It refuses the connection.
    Refuses,
    /// With an error of its statistics.
    Breaks,
}

/// A relay with one mount, `/x`, at which everybody arrives who is sent.
#[derive(Debug)]
pub(super) struct FakeRelay {
    way: Mutex<Way>,
    limit: AtomicU64,
    pub(super) listeners: AtomicU64,
    /// When looks began.
    looks: Mutex<Vec<Moment>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

pub(super) struct World {
    pub(super) state: Arc<State>,
    pub(super) relays: Vec<Arc<FakeRelay>>,
    yaml: String,
    rng: fastrand::Rng,
    stop: CancellationToken,
    polling: JoinHandle<()>,
}

/// What looks at a [`FakeRelay`].
struct FakeEye {
    relay: Arc<FakeRelay>,
    state: Arc<State>,
}

impl World {
    /// Relays `r0`, `r1` and so on, of which each takes `limit` listeners, with `settings` of the
    /// balancer; waits until each was asked once.
    pub(super) async fn new(count: usize, limit: u64, settings: &str) -> Self {
        let servers: Vec<_> =
            (0..count).map(|n| format!("r{n}: 'http://r{n}.example.org'")).collect();
        let servers = servers.join(", ");
        let yaml = format!("servers: {{{servers}}}\nstreams: {{/x: }}\n{settings}");
        let relays: Vec<_> = (0..count).map(|_| Arc::new(FakeRelay::new(limit))).collect();
        let state = Arc::new(State::new(Snapshot::first(fleet(&yaml), String::new())));
        let stop = CancellationToken::new();
        let eye = {
            let (relays, state) = (relays.clone(), Arc::clone(&state));
            move |name: &str| {
                let number = name.strip_prefix('r').and_then(|n| n.parse::<usize>().ok());
                let relay = Arc::clone(&relays[number.expect("a relay")]);
                FakeEye { relay, state: Arc::clone(&state) }
            }
        };
        let polling = tokio::spawn(run_with(Arc::clone(&state), stop.clone(), eye));
        let world = Self { state, relays, yaml, rng: fastrand::Rng::with_seed(7), stop, polling };
        sleep(Duration::from_secs(1)).await;
        world
    }

    /// Puts the configuration in force anew, with more `settings`.
    pub(super) fn reload(&self, settings: &str) {
        self.replace(&format!("{}{settings}", self.yaml));
    }

    /// Puts another configuration in force, of some of the same relays.
    pub(super) fn replace(&self, yaml: &str) {
        let fleet = fleet(yaml);
        self.state.replace(fleet, String::new());
    }

    pub(super) fn slots(&self, relay: usize) -> Arc<ServerSlots> {
        Arc::clone(self.state.load().server(relay).expect("a relay"))
    }

    pub(super) fn health(&self, relay: usize) -> Health {
        self.slots(relay).health()
    }

    /// How many looks at a relay ended so.
    pub(super) fn polls(&self, relay: usize, result: PollResult) -> u64 {
        self.slots(relay).polls.of(result).get()
    }

    /// A player asks for the stream; it arrives at the relay it is sent to, whose number is given.
    pub(super) fn player(&mut self) -> Result<usize, Refusal> {
        let (snapshot, now) = (self.state.load(), self.state.now());
        match assign(&snapshot, 0, Client::ANY, now, &mut self.rng, true) {
            Decision::Mount(mount) => {
                let relay = mount.config.server;
                self.relays[relay].listeners.fetch_add(1, SeqCst);
                Ok(relay)
            }
            Decision::Elsewhere(_) => panic!("there is no fallback"),
            Decision::Refused(refusal) => Err(refusal),
        }
    }

    /// Lets time pass, in which so many players come each second; tells how many each relay got,
    /// and how many got none.
    pub(super) async fn crowd(&mut self, seconds: u64, each: u64) -> (Vec<u64>, u64) {
        let (mut sent, mut refused) = (vec![0; self.relays.len()], 0);
        for _ in 0..seconds * each {
            sleep(Duration::from_secs(1) / u32::try_from(each).unwrap()).await;
            match self.player() {
                Ok(relay) => sent[relay] += 1,
                Err(_) => refused += 1,
            }
        }
        (sent, refused)
    }

    pub(super) async fn end(self) {
        self.stop.cancel();
        self.polling.await.expect("polling ends well");
    }
}

impl FakeRelay {
    fn new(limit: u64) -> Self {
        Self {
            way: Mutex::new(Way::Well),
            limit: AtomicU64::new(limit),
            listeners: AtomicU64::new(0),
            looks: Mutex::default(),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }
    }

    pub(super) fn answers(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }

    pub(super) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, SeqCst);
    }

    /// When looks at it began.
    pub(super) fn looks(&self) -> Vec<Moment> {
        self.looks.lock().unwrap().clone()
    }

    /// The most looks at one time.
    pub(super) fn most_at_once(&self) -> usize {
        self.most.load(SeqCst)
    }
}

impl Eye for FakeEye {
    async fn look(&mut self, _: &Server, _: &[Listed<'_>], _: Duration) -> Result<Seen, Failure> {
        let relay = &self.relay;
        relay.looks.lock().unwrap().push(self.state.now());
        let _counted = Counted::new(&relay.now, &relay.most);
        let way = *relay.way.lock().unwrap();
        match way {
            Way::Well => sleep(Duration::from_millis(2)).await,
            Way::Slowly(part) => {
                sleep(part).await;
                sleep(part).await;
            }
            Way::Hangs => std::future::pending().await,
            Way::Refuses => return Err(Failure::refused()),
            Way::Breaks => {
                let why = "500 Internal Server Error".to_owned();
                return Err(Failure::odd(PollResult::HttpStatus, why));
            }
        }
        let mount = MountReport {
            name: "/x".to_owned(),
            listeners: Some(relay.listeners.load(SeqCst)),
            limit: Limit::Listeners(relay.limit.load(SeqCst)),
            activity: Activity::Active,
            bytes: None,
        };
        Ok(Seen::Report { report: Report { clients: None, mounts: vec![mount] }, source: "fake" })
    }

    fn remark(&self, _: &Server) -> Option<String> {
        None
    }
}

/// Counts while it exists, also where a look is given up.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(now: &'a AtomicUsize, most: &AtomicUsize) -> Self {
        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        Self(now)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

fn fleet(yaml: &str) -> crate::fleet::Fleet {
    compile(&Sources::new("balancer.yaml", yaml), &Nothing).unwrap_or_else(|problem| {
        panic!("{yaml}: {problem:?}");
    })
}
