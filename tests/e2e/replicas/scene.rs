//! Several balancers, as processes of their own, before the same few relays; and who comes to them.

use std::iter;
use std::time::{Duration, Instant};

use super::people::{Doors, People};
use crate::support::balancer::Balancer;
use crate::support::icecast::{Icecast, Setup};
use crate::support::lab::Lab;
use crate::support::process::eventually;
use crate::support::source::{Source, Stream};

const RADIO: &str = "/radio.mp3";

/// How many balancers there are.
pub(crate) const REPLICAS: usize = 3;

const RELAYS: [&str; 3] = ["vienna", "berlin", "graz"];

/// How many relays there are.
pub(crate) const RELAY_COUNT: usize = RELAYS.len();

/// How many listeners each of the relays takes, unless a test says otherwise.
const SLOTS: u32 = 20;

/// How many listeners the relays take together then.
pub(crate) const ALL_SLOTS: usize = SLOTS as usize * RELAY_COUNT;

/// Players arrive within `settle`, however busy this machine is, and nothing else takes long.
const TIMES: &str = "poll: {interval: 500ms, fast_interval: 200ms, timeout: 2s, stale_after: 6s, rise: 1, \
    slow_start: 1s}\nbalance: {headroom: 0, settle: 3s}\n";

/// `stale_after` and twice `settle`; with an engine twice what a loan may lie unspent, and a second by which
/// shares are late: then everybody has seen whom a replica sent on their way, and whom others sent by what
/// it has lent them.
const SEEN_BY_ALL: Duration = Duration::from_secs(12 + 2 * 3 + 1);

/// The station. Its balancers and relays are dropped before the lab that they run in.
pub(crate) struct Scene {
    pub(crate) replicas: Vec<Balancer>,
    doors: Doors,
    relays: Vec<Icecast>,
    _source: Source,
    _master: Icecast,
}

impl Scene {
    /// Replicas with `cluster` in their file, such as `cluster: {replicas: 3}`, that know all relays.
    pub(crate) fn new(lab: &Lab, cluster: &str) -> Self {
        Self::with_slots(lab, SLOTS, [cluster; REPLICAS])
    }

    /// The same with relays of so many slots each, and with what stands in the file of each replica.
    pub(crate) fn with_slots(lab: &Lab, slots: u32, clusters: [&str; REPLICAS]) -> Self {
        let master = Setup::new(lab, "master").start();
        let source = Source::start(lab, &master, Stream::Mp3);
        let relay = |name| {
            Setup::new(lab, name).pulls(master.port(), RADIO).max_listeners(RADIO, slots).start()
        };
        let relays = RELAYS.map(relay);
        let servers = RELAYS.iter().zip(&relays);
        let servers: Vec<_> =
            servers.map(|(name, relay)| format!("  {name}: {}\n", relay.url())).collect();
        let servers = servers.concat();
        let replica = |cluster: &str| {
            let config = format!("{TIMES}{cluster}\nservers:\n{servers}streams: {{{RADIO}: }}\n");
            Balancer::start(lab, &config)
        };
        let replicas: Vec<_> = clusters.into_iter().map(replica).collect();
        let doors = Doors::new(replicas.iter().map(|replica| replica.url(RADIO)));
        let scene =
            Self { replicas, doors, relays: relays.into(), _source: source, _master: master };
        scene.wait_until_all_know_all();
        scene
    }

    fn wait_until_all_know_all(&self) {
        for replica in &self.replicas {
            for relay in RELAYS {
                replica.wait_for_health(relay, "up");
            }
        }
    }

    /// A crowd of which so many come to each of the replicas, all within one second, to stay.
    pub(crate) fn crowd(&self, at_each: [usize; REPLICAS]) -> People {
        self.crowd_who_dawdle(at_each, Duration::ZERO)
    }

    /// The same of people who take so long from a replica to the relay.
    pub(crate) fn crowd_who_dawdle(&self, at_each: [usize; REPLICAS], dawdle: Duration) -> People {
        let mut people = People::who_dawdle(&self.doors, dawdle);
        let doors = at_each.into_iter().enumerate();
        for door in doors.flat_map(|(door, count)| iter::repeat_n(door, count)) {
            let moment = Duration::from_secs(1).mul_f64(fastrand::f64());
            people.expect(door, moment, Duration::MAX);
        }
        people
    }

    /// The replicas as players know them.
    pub(crate) fn doors(&self) -> &Doors {
        &self.doors
    }

    /// Sends no more players to a replica, as load balancers do when it is no longer ready; then
    /// asks it to end.
    pub(crate) fn withdraw(&mut self, replica: usize) {
        self.doors.set_open(replica, false);
        self.replicas[replica].stop();
    }

    /// Kills a replica. Whoever comes to it finds that out, and asks another.
    pub(crate) fn kill(&mut self, replica: usize) {
        self.replicas[replica].kill();
        self.doors.set_open(replica, false);
    }

    /// Starts a replica in place of one that ended, and sends players to it as soon as the others
    /// know everybody whom that one sent: not before, as with a readiness probe that waits.
    pub(crate) fn replace(&mut self, replica: usize) {
        let began = Instant::now();
        self.replicas[replica].start_again();
        eventually("the others have seen all it sent", SEEN_BY_ALL * 2, || {
            (began.elapsed() >= SEEN_BY_ALL).then_some(())
        });
        self.doors.set_open(replica, true);
    }

    /// How many listeners a replica has sent to relays since it was started.
    pub(crate) fn sent_by(&self, replica: usize) -> f64 {
        let sent = RELAYS.iter().filter_map(|relay| {
            let server = format!("server=\"{relay}\"");
            self.replicas[replica].metric("server_redirected_total", &[&server])
        });
        sent.sum()
    }

    /// What of the relays' slots each replica still has, for people: of its own and of others, and how much it
    /// has lent and borrowed.
    pub(crate) fn left(&self) -> String {
        let of = |replica: &Balancer| {
            let value =
                |name: &str, labels: &[&str]| replica.metric(name, labels).unwrap_or(f64::NAN);
            let left =
                RELAYS.map(|relay| value("mount_free_slots", &[&format!("server=\"{relay}\"")]));
            let total = |what| value(&format!("cluster_slots_{what}_total"), &[]);
            format!("{left:?}, {} lent, {} borrowed", total("lent"), total("borrowed"))
        };
        self.replicas.iter().map(of).collect::<Vec<_>>().join("; ")
    }

    /// Waits until nobody listens, and starts all replicas anew.
    pub(crate) fn begin_anew(&mut self) {
        self.begin_anew_after(|| {});
    }

    /// The same, with something done while there is none.
    pub(crate) fn begin_anew_after(&mut self, done: impl FnOnce()) {
        self.wait_until_nobody_listens();
        self.replicas.iter_mut().for_each(Balancer::kill);
        done();
        self.replicas.iter_mut().for_each(Balancer::start_again);
        self.wait_until_all_know_all();
    }

    /// How many were refused by a relay of those who have come and gone, by its own log.
    pub(crate) fn refused_by_relays(&self) -> usize {
        self.wait_until_nobody_listens();
        let visits = self.relays.iter().flat_map(Icecast::visits);
        visits.filter(|visit| visit.path == RADIO && visit.status != 200).count()
    }

    fn wait_until_nobody_listens(&self) {
        eventually("everybody has left", Duration::from_secs(30), || {
            self.relays.iter().all(|relay| relay.listeners(RADIO) == 0).then_some(())
        });
    }
}
