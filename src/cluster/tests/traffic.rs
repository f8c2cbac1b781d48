//! How much there is to say to an engine, however large a station is, and how soon its silence is noticed.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use tokio::time::{Duration, Instant, sleep, timeout};

use super::engine::Engine;
use crate::cluster::message::{Beat, Heard};
use crate::cluster::{BEAT, Exchange, PATIENCE, Replica, Trouble};
use crate::config::source::Sources;
use crate::fleet::compile::{Nothing, compile};
use crate::icecast::{Activity, Limit, MountReport, Report};
use crate::player::Client;
use crate::select::assign;
use crate::slots::{Evidence, Rules, begin_look, record};
use crate::state::{Snapshot, State};

const REPLICAS: usize = 5;
const RELAYS: usize = 12;
const MOUNTS: usize = 1_500;

/// How many listeners a mount takes.
const LIMIT: u64 = 30;

const SETTLE: Duration = Duration::from_secs(5);

/// What was said to the engine.
#[derive(Debug, Default, Clone, Copy)]
struct Said {
    calls: u64,
    /// The longest wants, and the most loans, of one call.
    longest: usize,
    most_loans: usize,
}

/// A connection to an engine that answers a millisecond later, or never.
struct Wire {
    engine: Arc<Mutex<Engine>>,
    said: Arc<Mutex<Said>>,
    name: String,
    process: usize,
    since: Instant,
    is_cut: bool,
}

impl Exchange for Wire {
    async fn beat(&mut self, beat: &Beat) -> Result<Heard, Trouble> {
        {
            let mut said = self.said.lock().unwrap();
            said.calls += 1;
            said.longest = said.longest.max(beat.wants.written().len());
            said.most_loans = said.most_loans.max(beat.loans.len());
        }
        if self.is_cut {
            std::future::pending::<()>().await;
        }
        sleep(Duration::from_millis(1)).await;
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap();
        Ok(self.engine.lock().unwrap().beat(now, &self.name, self.process, beat))
    }
}

/// A balancer that knows all of its relays.
fn replica(relays: usize, mounts: usize) -> Arc<Replica> {
    let mut yaml = format!(
        "cluster: {{replicas: {REPLICAS}, engine: 'redis://engine:6379'}}\n\
         balance: {{headroom: 0}}\npoll: {{stale_after: 60s}}\nservers:\n"
    );
    for relay in 0..relays {
        writeln!(yaml, "  relay{relay:02}: 'http://relay{relay:02}.example.org:8000'").unwrap();
    }
    yaml += "streams:\n";
    for stream in 0..mounts {
        writeln!(yaml, "  /stream{stream:04}.ogg:").unwrap();
    }
    let fleet = compile(&Sources::new("balancer.yaml", &yaml), &Nothing).expect("it is good");
    let state = Arc::new(State::new(Snapshot::first(fleet, String::new())));
    let snapshot = state.load_full();
    let mount = |stream: usize| MountReport {
        name: format!("/stream{stream:04}.ogg"),
        listeners: Some(0),
        limit: Limit::Listeners(LIMIT),
        activity: Activity::Active,
        bytes: None,
    };
    let report = Report { clients: Some(0), mounts: (0..mounts).map(mount).collect() };
    let rules = Rules { rise: 1, fall: 3, slow_start: Duration::ZERO, hold: false };
    for relay in 0..relays {
        let (server, listed) = (snapshot.server(relay).unwrap(), snapshot.listed(relay));
        let look = begin_look(server, &listed, state.now());
        record(server, &listed, look, &report, SETTLE);
        server.judge(Evidence::Good, state.now(), rules);
    }
    Arc::new(Replica::new(state))
}

/// So many of them on one engine; what they say is counted.
fn station() -> (Vec<Arc<Replica>>, Arc<Mutex<Said>>) {
    let (engine, said) = (Arc::new(Mutex::new(Engine::new(None))), Arc::<Mutex<Said>>::default());
    let since = Instant::now();
    let replicas = (0..REPLICAS).map(|process| {
        let replica = replica(RELAYS, MOUNTS);
        let (engine, said) = (Arc::clone(&engine), Arc::clone(&said));
        let name = format!("{process}.0");
        let mut wire = Wire { engine, said, name, process, since, is_cut: false };
        let deals = Arc::clone(&replica);
        tokio::spawn(async move {
            let engine = deals.state.load().fleet.engine.clone().expect("there is one");
            let Err(trouble) = deals.deal(&mut wire, &engine, &mut false).await;
            panic!("{trouble}");
        });
        replica
    });
    (replicas.collect(), said)
}

/// What is said within `seconds`, in which so many players come to each replica in each beat, for so many streams.
async fn said_within(
    seconds: u32,
    players: usize,
    streams: usize,
    (replicas, said): &(Vec<Arc<Replica>>, Arc<Mutex<Said>>),
) -> Said {
    let mut rng = fastrand::Rng::with_seed(7);
    *said.lock().unwrap() = Said::default();
    for _ in 0..seconds * 20 {
        for replica in replicas {
            let (snapshot, now) = (replica.state.load_full(), replica.state.now());
            for _ in 0..players {
                let stream = rng.usize(..streams);
                let _told = assign(&snapshot, stream, Client::ANY, now, &mut rng, true);
            }
        }
        sleep(BEAT).await;
    }
    *said.lock().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_an_engine_has_to_do_is_bounded_whatever_there_is() {
    let station = station();
    let (seconds, replicas) = (2, REPLICAS as u64);
    let least_gap = 1_000 / u64::try_from(BEAT.as_millis()).unwrap();
    let most = u64::from(seconds) * least_gap * replicas + replicas;
    let idle = said_within(seconds, 0, MOUNTS, &station).await;
    assert!(idle.calls <= most && idle.calls > most / 2, "{idle:?}");
    assert_eq!((idle.longest, idle.most_loans), (0, 0), "{idle:?}");
    // Wherever somebody comes now and then, nothing is in a hurry.
    let busy = said_within(seconds, 100, MOUNTS, &station).await;
    assert!(busy.calls <= 2 * most, "{busy:?}");
    assert!(busy.longest <= 6_400 && busy.longest > 2_000, "{busy:?}");
    assert!(busy.most_loans <= 256 && busy.most_loans > 0, "{busy:?}");
    let lent: u64 = station.0.iter().map(|replica| replica.state.members.lent.get()).sum();
    let borrowed: u64 = station.0.iter().map(|it| it.state.members.borrowed.get()).sum();
    assert!(lent >= borrowed && borrowed > 100, "{lent} lent, {borrowed} borrowed");
    let crowd = said_within(seconds, 100, 1, &station).await;
    assert!(crowd.calls <= 20 * most && crowd.calls > 5 * idle.calls, "{crowd:?}");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_says_nothing_is_known_to_be_down_within_a_second() {
    let replica = replica(1, 1);
    let engine = replica.state.load().fleet.engine.clone().expect("there is one");
    let mut wire = Wire {
        engine: Arc::new(Mutex::new(Engine::new(None))),
        said: Arc::default(),
        name: "0.0".to_owned(),
        process: 0,
        since: Instant::now(),
        is_cut: false,
    };
    let up = timeout(Duration::from_secs(1), replica.deal(&mut wire, &engine, &mut false)).await;
    assert!(up.is_err() && replica.state.members.is_engine_up());
    wire.is_cut = true;
    let began = Instant::now();
    let Err(trouble) = replica.deal(&mut wire, &engine, &mut false).await;
    assert!(matches!(trouble, Trouble::Slow));
    // It hangs just after it has answered, in the worst case.
    assert!(began.elapsed() + BEAT <= Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(began.elapsed() >= PATIENCE);
}
