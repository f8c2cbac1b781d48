//! The soak: listeners come and go for long, something breaks every ten seconds, and what must
//! always hold is looked at all the time.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::stage::{Air, RADIO, Stage, s};
use crate::support::balancer::{Balancer, PUBLIC};
use crate::support::icecast::Setup;
use crate::support::listener::{Fate, Listener, Story};
use crate::support::process::{promise, until};
use crate::support::wall::Wall;
use crate::support::web;

mod fault;
mod trend;

use fault::{Fault, Kind};
use trend::Trend;

/// Relays, each with so many slots.
const RELAYS: u8 = 4;
const SLOTS: u32 = 60;

/// Something breaks this often.
const EVERY: Duration = Duration::from_secs(10);

/// A listener comes this often and stays for up to [`LONGEST_STAY`], so that some sixty listen.
const ARRIVALS: Duration = Duration::from_millis(150);
const LONGEST_STAY: f64 = 18.0;

/// So many crowds come before anything is measured, one every [`BETWEEN_CROWDS`]. What a crowd takes
/// of memory stays with the thread that served it, and the next crowd may meet another thread: after
/// a few of them each has what it will ever need, and what grows from then on grows for good.
const FIRST_CROWDS: usize = 12;
const BETWEEN_CROWDS: Duration = Duration::from_secs(2);

/// A crowd, and those who come with it and never ask.
const CROWD: usize = 60;
const MUTE: usize = 100;

/// How long a redirect holds its slot; whoever comes to the relay later than that is beyond what
/// is promised.
const SETTLE: Duration = Duration::from_secs(5);

/// So many faults back, one may still explain what a listener has to tell.
const LATELY: usize = 4;

const SETTINGS: &str = "poll: {interval: 1s, fast_interval: 250ms, timeout: 1s, stale_after: 10s, \
    rise: 2, fall: 3, slow_start: 3s}\nbalance: {settle: 5s}\n";

/// What is added up.
#[derive(Default)]
struct Sums {
    redirected: u64,
    played: u64,
    turned_away: u64,
    unserved: u64,
    late: u64,
    /// Faults, the last one at the end.
    faults: Vec<Fault>,
    broken: Vec<String>,
}

/// Soaks, prints the result, and panics if anything broke.
pub(crate) fn run(stage: &Stage, options: &Options) {
    let length = options.soak.expect("the soak has a length");
    let mut rng = fastrand::Rng::with_seed(options.seed.expect("the soak has a seed"));
    let setup = Setup { max_listeners: SLOTS, clients: 500, ..Setup::default() };
    let mut air = stage.air_of(RELAYS, setup, SETTINGS);
    let wall = Wall::new();
    let mut sums = Sums::default();
    let mut trend = Trend::default();
    let mut listeners: Vec<Listener> = Vec::new();
    for _ in 0..FIRST_CROWDS {
        sums.crowd();
    }
    let began = Instant::now();
    let (mut next_fault, mut next_sample, mut next_word) = (EVERY, Duration::ZERO, length / 10);
    while began.elapsed() < length {
        let turn = Instant::now();
        let mut stay = || Duration::from_secs_f64(rng.f64() * LONGEST_STAY);
        listeners.push(Listener::start(RADIO, stay()));
        listeners = sums.see_off(listeners);
        if let Some(fault) = sums.faults.last_mut() {
            fault.heal_if_due(&mut air, &wall);
        }
        if began.elapsed() >= next_fault {
            next_fault += EVERY;
            let fault = Fault::begin(&mut rng, &mut air, &wall);
            let mut stay = || Duration::from_secs_f64(rng.f64() * LONGEST_STAY);
            listeners.extend((0..fault.crowd()).map(|_| Listener::start(RADIO, stay())));
            sums.faults.push(fault);
        }
        if began.elapsed() >= next_sample {
            next_sample += Duration::from_secs(5);
            trend.sample(began.elapsed(), air.door.balancer());
            sums.check(&mut air);
            if began.elapsed() >= next_word {
                next_word += length / 10;
                println!("{}: {} requests, {}", s(began.elapsed()), sums.requests(), trend.now());
            }
        }
        thread::sleep(ARRIVALS.saturating_sub(turn.elapsed()));
    }
    if let Some(fault) = sums.faults.last_mut() {
        fault.heal(&mut air, &wall);
    }
    for listener in listeners {
        sums.add(&listener.leave());
    }
    for number in 1..=RELAYS {
        let server = format!("r{number}");
        until(&format!("{server} serves in the end"), Duration::from_secs(30), || {
            // One that was broken often is on probation for up to twenty minutes, and serves.
            let health = Balancer::server(&server)["health"].clone();
            ["up", "recovering", "probation"].iter().any(|serving| health == *serving)
        });
    }
    sums.check(&mut air);
    sums.report(&trend, began.elapsed());
}

impl Sums {
    /// Lets a crowd come and go, with nothing broken.
    fn crowd(&mut self) {
        let mute: Vec<_> = (0..MUTE).filter_map(|_| web::connect(PUBLIC).ok()).collect();
        let come = (0..CROWD).map(|_| Listener::start(RADIO, BETWEEN_CROWDS));
        let come: Vec<_> = come.collect();
        thread::sleep(BETWEEN_CROWDS);
        drop(mute);
        for listener in come {
            self.add(&listener.leave());
        }
    }

    /// Adds up the listeners that have left; gives those that have not.
    fn see_off(&mut self, listeners: Vec<Listener>) -> Vec<Listener> {
        let (gone, here): (Vec<_>, Vec<_>) = listeners.into_iter().partition(Listener::has_left);
        for listener in gone {
            self.add(&listener.leave());
        }
        here
    }

    fn add(&mut self, story: &Story) {
        match &story.fate {
            Fate::Played(relay) => {
                self.played += 1;
                self.sent(story, relay);
            }
            Fate::Refused(relay, _) | Fate::Unanswered(relay, _) => {
                self.unserved += 1;
                self.sent(story, relay);
                self.is_explained(story, relay);
            }
            Fate::TurnedAway(503) => self.turned_away += 1,
            Fate::TurnedAway(_) | Fate::DoorShut(_) => self.broken.push(format!("{story:?}")),
        }
    }

    /// Nobody is sent to a relay that is known to be gone, drained or without the mount.
    fn sent(&mut self, story: &Story, relay: &str) {
        self.redirected += 1;
        let lately = self.faults.iter().rev().take(LATELY);
        if let Some(fault) = lately.into_iter().find(|fault| fault.forbids(relay, story.at)) {
            self.broken.push(format!("sent to {relay} in spite of {:?}: {story:?}", fault.kind));
        }
    }

    /// A relay serves whom it is sent, unless it is just breaking, or they come too late.
    fn is_explained(&mut self, story: &Story, relay: &str) {
        let mut lately = self.faults.iter().rev().take(LATELY);
        if lately.any(|fault| fault.explains(relay, story.at, story.took)) {
            return;
        }
        if story.took > SETTLE {
            self.late += 1;
        } else {
            let before: Vec<_> =
                self.faults.iter().rev().take(LATELY).map(|fault| fault.told(story.at)).collect();
            self.broken.push(format!("not served, without a fault: {story:?}, after {before:?}"));
        }
    }

    /// What must hold at any moment.
    fn check(&mut self, air: &mut Air) {
        if let Some(panics) = Balancer::metric("panics_total", &[])
            && panics > 0.0
        {
            self.broken.push(format!("{panics} panics"));
        }
        let balancer = air.door.balancer_mut();
        if balancer.process.printed().contains("panicked") {
            self.broken.push("a panic in the log".to_owned());
        }
        if let Some(status) = balancer.process.ended() {
            panic!("the balancer ended: {status}\n{}", balancer.process.printed());
        }
    }

    fn requests(&self) -> u64 {
        self.redirected + self.turned_away
    }

    fn report(mut self, trend: &Trend, length: Duration) {
        let (figures, grown) = trend.told(length);
        self.broken.extend(grown);
        let mut kinds = BTreeMap::<Kind, u32>::new();
        for fault in &self.faults {
            *kinds.entry(fault.kind).or_default() += 1;
        }
        println!("faults: {} {kinds:?}", self.faults.len());
        println!(
            "requests: {}, all answered; {} redirected, {} turned away (503), {} played, {} not \
             served by a relay that was breaking, {} after more than the settle time",
            self.requests(),
            self.redirected,
            self.turned_away,
            self.played,
            self.unserved,
            self.late
        );
        println!("{figures}");
        println!("panics: 0; broken promises: {}", self.broken.len());
        let first: Vec<_> = self.broken.iter().take(10).map(String::as_str).collect();
        promise(first.is_empty(), || first.join("\n"));
        println!(
            "soak: passed, {} of it",
            humantime::format_duration(Duration::from_secs(length.as_secs()))
        );
    }
}
