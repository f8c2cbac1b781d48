//! What several balancers lend one another slots by hangs, is killed, and comes back with nothing.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::{Control, OFTEN, Row};
use crate::stage::{RADIO, SLACK, Stage, fleet, pass, s};
use crate::support::balancer::Balancer;
use crate::support::icecast::Setup;
use crate::support::listener::{Fate, Listener};
use crate::support::process::{Process, promise, until};
use crate::support::watch::Watch;

pub(crate) const ROWS: &[Row] = &[Row {
    name: "engine",
    title: "the engine between balancers hangs, is killed, comes back empty",
    expected: "no request fails or waits, no relay refuses anybody, slots are lent again by themselves",
    control: Control::Without,
    seconds: 20,
    run: engine,
}];

/// How many listeners the relay takes. Half of them are the share of each of two balancers.
const SLOTS: u32 = 60;

const SETTINGS: &str = "poll: {interval: 500ms, fast_interval: 200ms, timeout: 3s, stale_after: 5s, rise: 1, \
    slow_start: 1s}\nbalance: {headroom: 0, settle: 1s}\n\
    cluster: {replicas: 2, engine: 'redis://127.0.0.1:6379'}\n";

/// How long it takes to be known to be dead: 0.3 s without an answer. What is promised is that it is
/// known, and not how fast this machine is.
const KNOWN: Duration = Duration::from_secs(10);

/// Who waits for an engine that hangs waits for 0.3 s; a busy machine takes less.
const WAITS: Duration = Duration::from_millis(250);

fn engine(stage: &Stage) -> String {
    let mut redis = serve(stage);
    let air = stage.air_of(1, Setup { max_listeners: SLOTS, ..Setup::default() }, SETTINGS);
    let _other = other(stage);
    let mut people = People::default();
    until_it_is(true);
    let quiet = Watch::start(RADIO, OFTEN);
    pass(2.0);
    let quiet = quiet.stop().p99();

    let watch = Watch::start(RADIO, OFTEN);
    redis.signal(Signal::STOP);
    // More than the share, some of them before anybody can know.
    let hung = people.come_while(SLOTS / 3 * 2, || until_it_is(false));
    redis.signal(Signal::CONT);
    let awake = until_it_is(true);
    // What is left of the other's share.
    let lent = until("the other one's slots are lent", Duration::from_secs(20), || {
        people.come(SLOTS / 6);
        people.playing() > SLOTS as usize / 2 + 5
    });
    redis.kill();
    let killed = people.come_while(SLOTS / 6, || until_it_is(false));
    redis = serve(stage);
    let back = until_it_is(true);
    people.come(SLOTS / 6);

    let record = watch.stop();
    let answered = record.0.iter().filter(|asked| matches!(asked.status, Ok(302 | 503))).count();
    promise(answered == record.len(), || format!("{answered} of {} answered", record.len()));
    let bound = WAITS.max(quiet * 2);
    promise(record.p99() < bound, || format!("p99 {:?}, {quiet:?} before", record.p99()));
    let (fates, refused) = (people.fates(), air.relays[0].refusals());
    let in_vain = ["refused by the relay", "not answered by the relay", "not answered by us"];
    promise(refused == 0 && in_vain.iter().all(|fate| !fates.contains_key(fate)), || {
        format!("{fates:?}, {refused} refusals in the relay's log")
    });
    drop(redis);
    format!(
        "cluster_engine_up 0 {} after it hung, {} after it was killed; 1 again after {} and {}; lent again \
         after {}; {answered} of {answered} answered, p99 {} ms ({} ms before); {fates:?} of {SLOTS} slots",
        s(hung),
        s(killed),
        s(awake),
        s(back),
        s(lent),
        record.p99().as_millis(),
        quiet.as_millis()
    )
}

/// Starts the engine, with nothing in its memory.
fn serve(stage: &Stage) -> Process {
    let folder = stage.root.join("engine");
    fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--appendonly", "no", "--save", ""]);
    Process::start("redis-server", command, &folder)
}

/// The other balancer, which nobody asks.
fn other(stage: &Stage) -> Process {
    let folder = stage.root.join("other");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("balancer.yaml");
    let addresses = "listen: 127.0.0.2:8000\nadmin: 127.0.0.2:9090\n";
    fs::write(&file, format!("{addresses}{SETTINGS}{}", fleet(1..=1))).unwrap();
    let mut command = Command::new(stage.program());
    command.args(["serve", "-c"]).arg(&file);
    Process::start("balancer", command, &folder)
}

/// Waits until the balancer knows whether there is an engine, and the other one by it.
fn until_it_is(up: bool) -> Duration {
    let what = if up { "both have met" } else { "the engine is known to be gone" };
    until(what, KNOWN + SLACK, || {
        let is = |name, value| Balancer::metric(name, &[]) == Some(value);
        is("cluster_engine_up", f64::from(u8::from(up))) && (!up || is("cluster_members", 2.0))
    })
}

/// Who came, to stay.
#[derive(Default)]
struct People(Vec<Listener>);

impl People {
    /// So many more come within half a second, and are told what becomes of them.
    fn come(&mut self, count: u32) {
        for _ in 0..count {
            self.0.push(Listener::start(RADIO, Duration::from_secs(120)));
            thread::sleep(Duration::from_millis(500) / count);
        }
        until("everybody knows", SLACK * 5, || self.0.iter().all(Listener::is_settled));
    }

    /// The same, while something is waited for.
    fn come_while<T>(&mut self, count: u32, wait: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            scope.spawn(|| self.come(count));
            wait()
        })
    }

    fn playing(&self) -> usize {
        self.0.iter().filter(|listener| !listener.has_left()).count()
    }

    /// What became of them; they leave.
    fn fates(self) -> BTreeMap<&'static str, usize> {
        let mut fates = BTreeMap::new();
        for story in self.0.into_iter().map(Listener::leave) {
            *fates
                .entry(match story.fate {
                    Fate::Played(_) => "played",
                    Fate::Refused(..) => "refused by the relay",
                    Fate::Unanswered(..) => "not answered by the relay",
                    Fate::TurnedAway(_) => "turned away",
                    Fate::DoorShut(_) => "not answered by us",
                })
                .or_default() += 1;
        }
        fates
    }
}
