//! Relays as they really are, replicas that see them now and then, and what is lent between them.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::engine::{Engine, Fault};
use crate::cluster::message::{Beat, Heard};
use crate::cluster::offers::Offers;
use crate::cluster::trade::Trade;
use crate::cluster::{EARLY, pause};
use crate::config::source::Sources;
use crate::fleet::compile::{Nothing, compile};
use crate::fleet::{Headroom, Poll};
use crate::icecast::{Activity, Limit, MountReport, Report};
use crate::player::Client;
use crate::select::{Decision, assign};
use crate::slots::{
    Evidence, LOANS_LAST, Look, Moment, Rules, Sharing, Terms, begin_look, record, wants_look,
};
use crate::state::Snapshot;

const SETTLE: Duration = Duration::from_secs(5);
const RULES: Rules = Rules { rise: 2, fall: 3, slow_start: Duration::ZERO, hold: false };

/// What can happen.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// So many ask a replica; if redirected, they arrive this many milliseconds later, or never.
    Ask { replica: usize, players: u64, arrives_after: Option<u64> },
    /// So many listeners leave.
    Leave { listeners: u64 },
    /// A look of a replica begins, unless one is under way.
    Look { replica: usize },
    /// The relay counts for the look that a replica has under way.
    Count { replica: usize },
    /// The look that a replica has under way is answered, or fails.
    Answer { replica: usize, good: bool },
    /// A whole look of all.
    AllLook,
    /// A whole beat of a replica, in one moment.
    Beat { replica: usize },
    /// A whole beat of all, twice.
    AllBeat,
    /// A replica sends its beat.
    Send { replica: usize },
    /// The engine reads it.
    Reach { replica: usize },
    /// The replica hears the answer, or gives up; what it sent may be read all the same, later.
    Hear { replica: usize, lost: bool },
    /// The engine reads a beat that its replica has given up.
    Stray,
    /// A replica gives up what was lent to it and has ended.
    Tend { replica: usize },
    /// The engine writes to its disk.
    Save,
    /// The engine is killed and comes back, and reads what is on its disk, or not.
    Restart { restores: bool },
    /// A replica is killed.
    Crash { replica: usize },
    /// Nothing, for this long.
    Pass { millis: u64 },
}

pub(super) fn event(replicas: usize) -> impl Strategy<Value = Event> {
    let of = move || 0..replicas;
    let after = || prop::option::weighted(0.9, prop_oneof![Just(0_u64), Just(4_900), 0_u64..4_900]);
    let players = || prop_oneof![3 => Just(1_u64), 2 => 1_u64..60];
    prop_oneof![
        8 => (of(), players(), after()).prop_map(|(replica, players, arrives_after)| Event::Ask {
            replica, players, arrives_after
        }),
        2 => (1_u64..60).prop_map(|listeners| Event::Leave { listeners }),
        2 => of().prop_map(|replica| Event::Look { replica }),
        2 => of().prop_map(|replica| Event::Count { replica }),
        2 => (of(), prop::bool::weighted(0.8))
            .prop_map(|(replica, good)| Event::Answer { replica, good }),
        4 => Just(Event::AllLook),
        6 => of().prop_map(|replica| Event::Beat { replica }),
        6 => Just(Event::AllBeat),
        2 => of().prop_map(|replica| Event::Send { replica }),
        2 => of().prop_map(|replica| Event::Reach { replica }),
        2 => (of(), prop::bool::weighted(0.3))
            .prop_map(|(replica, lost)| Event::Hear { replica, lost }),
        1 => Just(Event::Stray),
        3 => of().prop_map(|replica| Event::Tend { replica }),
        1 => Just(Event::Save),
        1 => any::<bool>().prop_map(|restores| Event::Restart { restores }),
        1 => prop::bool::weighted(0.1).prop_flat_map(move |dies| (Just(dies), of())).prop_map(
            |(dies, replica)| if dies { Event::Crash { replica } } else { Event::Tend { replica } }
        ),
        5 => (1_u64..300).prop_map(|millis| Event::Pass { millis }),
        2 => (1_u64..3_000).prop_map(|millis| Event::Pass { millis }),
        3 => prop_oneof![
            Just(950_u64), Just(2_600), Just(4_900), Just(14_900), Just(15_000), Just(30_000), Just(32_000)
        ]
        .prop_map(|millis| Event::Pass { millis }),
    ]
}

struct Replica {
    snapshot: Arc<Snapshot>,
    trade: Trade,
    offers: Offers,
    /// Whom others lend to, and the engine's run that it belongs to.
    name: String,
    run: u64,
    connections: u64,
    /// The beat under way: when it was sent, and what the engine has answered.
    beat: Option<(Beat, Moment, Option<Heard>)>,
    /// Of each relay the look under way, and what the relay counted for it.
    looks: Vec<Option<(Look, Option<u64>)>>,
    /// How long it is silent after its last beat.
    pause: Option<Duration>,
    /// How much later its clock began.
    behind: u64,
    lives: bool,
}

/// Who is at a relay, and who was sent there.
#[derive(Default)]
struct Relay {
    listeners: u64,
    on_their_way: Vec<u64>,
}

pub(super) struct World {
    replicas: Vec<Replica>,
    relays: Vec<Relay>,
    engine: Engine,
    /// Beats that nobody waits for any more: whose, of which run, and what.
    strays: Vec<(String, usize, u64, Beat)>,
    fault: Option<Fault>,
    /// How many listeners each relay takes.
    limit: u64,
    now: u64,
    oversold: bool,
    lent: u64,
    rng: fastrand::Rng,
}

impl World {
    /// One relay.
    pub(super) fn new(limit: u64, replicas: usize, fault: Option<Fault>) -> Self {
        Self::of(1, limit, replicas, fault)
    }

    /// So many relays that take so many listeners each.
    pub(super) fn of(relays: usize, limit: u64, replicas: usize, fault: Option<Fault>) -> Self {
        let servers = (0..relays).map(|relay| format!("r{relay}: 'http://r{relay}:8000'"));
        let servers = servers.collect::<Vec<_>>().join(", ");
        let yaml = format!(
            "cluster: {{replicas: {replicas}, engine: 'redis://engine:6379'}}\n\
             balance: {{headroom: 0}}\nservers: {{{servers}}}\nstreams: {{/x: }}\n"
        );
        let replica = |number: usize| {
            let fleet =
                compile(&Sources::new("balancer.yaml", &yaml), &Nothing).expect("it is good");
            let snapshot = Snapshot::first(fleet, String::new());
            if let Some(Fault::Forgets(seconds)) = fault {
                forget_sooner(&snapshot, relays, Duration::from_secs(seconds));
            }
            Replica {
                snapshot: Arc::new(snapshot),
                trade: Trade::default(),
                offers: Offers::default(),
                name: format!("{number}.0"),
                run: 0,
                connections: 0,
                beat: None,
                looks: (0..relays).map(|_| None).collect(),
                pause: None,
                behind: 1_000 * number as u64,
                lives: true,
            }
        };
        let replicas = (0..replicas).map(replica).collect();
        Self {
            replicas,
            relays: (0..relays).map(|_| Relay::default()).collect(),
            engine: Engine::new(fault),
            strays: Vec::new(),
            fault,
            limit,
            now: 100_000,
            oversold: false,
            lent: 0,
            rng: fastrand::Rng::with_seed(7),
        }
    }

    pub(super) fn is_oversold(&self) -> bool {
        self.oversold
    }

    pub(super) fn used(&self) -> u64 {
        self.relays.iter().map(Relay::used).sum()
    }

    /// How many slots were lent, by all replicas.
    pub(super) fn lent(&self) -> u64 {
        self.lent
    }

    fn at(&self, replica: usize) -> Moment {
        Duration::from_millis(self.now - self.replicas[replica].behind)
    }

    /// How many of so many get a slot of a replica; all of them arrive so much later.
    pub(super) fn ask_all(&mut self, replica: usize, players: u64, arrive_after: u64) -> u64 {
        (0..players).take_while(|_| self.ask(replica, Some(arrive_after))).count() as u64
    }

    pub(super) fn ask(&mut self, replica: usize, arrives_after: Option<u64>) -> bool {
        let now = self.at(replica);
        let of = &self.replicas[replica];
        let decision = assign(&of.snapshot, 0, Client::ANY, now, &mut self.rng, true);
        let sent_to = match decision {
            Decision::Mount(mount) if of.lives => Some(mount.config.server),
            _ => None,
        };
        if let Some(relay) = sent_to.map(|relay| &mut self.relays[relay]) {
            relay.on_their_way.extend(arrives_after.map(|delay| self.now + delay));
            self.oversold |= relay.used() > self.limit;
        }
        self.pass(0);
        sent_to.is_some()
    }

    pub(super) fn pass(&mut self, millis: u64) {
        self.now += millis;
        self.relays.iter_mut().for_each(|relay| relay.receive(self.now));
    }

    pub(super) fn look(&mut self, replica: usize, relay: usize) {
        let now = self.at(replica);
        let replica = &mut self.replicas[replica];
        if replica.looks[relay].is_none() {
            let server = replica.snapshot.server(relay).expect("there is one");
            let look = begin_look(server, &replica.snapshot.listed(relay), now);
            replica.looks[relay] = Some((look, None));
        }
    }

    fn count(&mut self, replica: usize, relay: usize) {
        if let Some((_, counted)) = &mut self.replicas[replica].looks[relay] {
            counted.get_or_insert(self.relays[relay].listeners);
        }
    }

    pub(super) fn answer(&mut self, replica: usize, relay: usize, good: bool) {
        self.count(replica, relay);
        let (now, limit) = (self.at(replica), self.limit);
        let replica = &mut self.replicas[replica];
        if let (Some((look, Some(listeners))), true) = (replica.looks[relay].take(), good) {
            let mount = MountReport {
                name: "/x".to_owned(),
                listeners: Some(listeners),
                limit: Limit::Listeners(limit),
                activity: Activity::Active,
                bytes: None,
            };
            let report = Report { clients: None, mounts: vec![mount] };
            let server = replica.snapshot.server(relay).expect("there is one");
            record(server, &replica.snapshot.listed(relay), look, &report, SETTLE);
            server.judge(Evidence::Good, now, RULES);
        }
    }

    /// Whether a look of a replica at a relay would tell something that matters.
    pub(super) fn wants_look(&self, replica: usize, relay: usize) -> bool {
        let snapshot = &self.replicas[replica].snapshot;
        wants_look(snapshot.server(relay).expect("there is one"), &snapshot.listed(relay))
    }

    pub(super) fn send(&mut self, replica: usize) {
        let now = self.at(replica);
        let run = self.engine.run;
        let replica = &mut self.replicas[replica];
        if replica.beat.is_some() || !replica.lives {
            return;
        }
        if replica.run != run {
            replica.run = run;
            replica.reconnect();
        }
        let beat = replica.trade.beat(&replica.snapshot, now, &replica.offers);
        replica.beat = Some((beat, now, None));
    }

    pub(super) fn reach(&mut self, number: usize) {
        let replica = &mut self.replicas[number];
        if let Some((beat, _, heard @ None)) = &mut replica.beat
            && replica.run == self.engine.run
        {
            *heard = Some(self.engine.beat(self.now, &replica.name, number, beat));
        }
    }

    pub(super) fn hear(&mut self, number: usize, lost: bool) {
        let now = self.at(number);
        let takes_back = self.fault == Some(Fault::TakesBack);
        let replica = &mut self.replicas[number];
        let Some((beat, sent, heard)) = replica.beat.take() else { return };
        let deal = heard.as_ref().filter(|_| !lost).and_then(|heard| {
            replica.offers.settle(&heard.taken);
            let deal = replica.trade.hear(&replica.snapshot, sent, now, heard).ok()?;
            replica.pause = pause(&replica.snapshot, &beat, heard, &deal.offers);
            Some(deal)
        });
        if let Some(deal) = deal {
            self.lent += deal.offers.slots();
            replica.offers = deal.offers;
            return;
        }
        if takes_back {
            replica.offers.settle(&vec![false; beat.loans.len()]);
        }
        if heard.is_none() {
            self.strays.push((replica.name.clone(), number, replica.run, beat));
        }
        replica.reconnect();
    }

    /// One message there and back, or there alone.
    pub(super) fn send_and_hear(&mut self, replica: usize, lost: bool) {
        self.send(replica);
        self.reach(replica);
        self.hear(replica, lost);
    }

    /// What a replica has of the first relay's slots that others lent it.
    pub(super) fn borrowed(&self, replica: usize) -> u64 {
        self.replicas[replica].snapshot.mount_at(0, "/x").expect("there is one").seats.borrowed()
    }

    /// How long a replica is silent after what it has heard.
    pub(super) fn pause(&self, replica: usize) -> Option<Duration> {
        self.replicas[replica].pause
    }

    /// Whether a replica withholds something for another.
    pub(super) fn lends(&self, replica: usize) -> bool {
        !self.replicas[replica].offers.is_empty()
    }

    fn beat(&mut self, replica: usize) {
        self.send_and_hear(replica, false);
        if self.lends(replica) {
            self.send_and_hear(replica, false);
        }
    }

    pub(super) fn happen(&mut self, event: &Event) {
        let all = 0..self.replicas.len();
        match *event {
            Event::Ask { replica, players, arrives_after } => {
                let _ = (0..players).take_while(|_| self.ask(replica, arrives_after)).count();
            }
            Event::Leave { listeners } => self.relays[0].lose(listeners),
            Event::Look { replica } => self.look(replica, 0),
            Event::Count { replica } => self.count(replica, 0),
            Event::Answer { replica, good } => self.answer(replica, 0, good),
            Event::AllLook => all.for_each(|replica| self.look_at_all(replica)),
            Event::Beat { replica } => self.beat(replica),
            Event::AllBeat => all.clone().chain(all).for_each(|replica| self.beat(replica)),
            Event::Send { replica } => self.send(replica),
            Event::Reach { replica } => self.reach(replica),
            Event::Hear { replica, lost } => self.hear(replica, lost),
            Event::Stray => {
                if let Some((name, process, run, beat)) = self.strays.pop()
                    && run == self.engine.run
                {
                    self.engine.beat(self.now, &name, process, &beat);
                }
            }
            Event::Tend { replica } => self.tend(replica),
            Event::Save => self.engine.save(),
            Event::Restart { restores } => self.engine.restart(restores),
            Event::Crash { replica } => self.replicas[replica].lives = false,
            Event::Pass { millis } => self.pass(millis),
        }
    }

    /// A whole look of a replica at each relay, in one moment.
    fn look_at_all(&mut self, replica: usize) {
        for relay in 0..self.relays.len() {
            self.answer(replica, relay, false);
            self.look(replica, relay);
            self.answer(replica, relay, true);
        }
    }

    pub(super) fn tend(&mut self, number: usize) {
        let now = self.at(number) + EARLY;
        let replica = &mut self.replicas[number];
        replica.trade.end_loans(&replica.snapshot, now);
    }
}

/// Has the accounts of all mounts remember what they promised for so much less.
fn forget_sooner(snapshot: &Snapshot, relays: usize, forgotten: Duration) {
    let Poll { stale_after, .. } = snapshot.fleet.poll;
    let mut sharing = Sharing::among(snapshot.fleet.replicas, stale_after, SETTLE, LOANS_LAST);
    sharing.memory -= forgotten;
    let terms = Terms { max: None, headroom: Headroom::Slots(0), sharing };
    for relay in 0..relays {
        snapshot.mount_at(relay, "/x").expect("there is one").seats.adopt(terms);
    }
}

impl Relay {
    fn used(&self) -> u64 {
        self.listeners + self.on_their_way.len() as u64
    }

    fn receive(&mut self, now: u64) {
        let before = self.on_their_way.len();
        self.on_their_way.retain(|arrival| *arrival > now);
        self.listeners += (before - self.on_their_way.len()) as u64;
    }

    fn lose(&mut self, listeners: u64) {
        self.listeners = self.listeners.saturating_sub(listeners);
    }
}

impl Replica {
    fn reconnect(&mut self) {
        self.offers = Offers::default();
        self.connections += 1;
        let number = self.name.split('.').next().unwrap_or_default();
        self.name = format!("{number}.{}", self.connections);
        self.beat = None;
        self.trade.begin();
    }
}
