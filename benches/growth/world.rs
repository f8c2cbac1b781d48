//! Fleets of any size, in which all is well: no network, and looks that are made up.

use std::fmt::Write as _;
use std::time::Duration;

use icecast_balancer::config::source::Sources;
use icecast_balancer::files::Disk;
use icecast_balancer::fleet::Fleet;
use icecast_balancer::fleet::compile::compile;
use icecast_balancer::icecast::{Activity, Limit, MountReport, Report};
use icecast_balancer::slots::{Evidence, Rules, begin_look, record};
use icecast_balancer::state::{Snapshot, State};

/// Listeners that a mount takes: more than come.
pub(crate) const SLOTS: u64 = 1_000_000;

const SETTLE: Duration = Duration::from_secs(5);
const RULES: Rules = Rules { rise: 2, fall: 3, slow_start: Duration::ZERO, hold: false };

/// A size as tables name it.
pub(crate) fn size((streams, servers): (usize, usize)) -> String {
    let thousands = |n: usize| {
        if n < 1_000 { n.to_string() } else { format!("{},{:03}", n / 1_000, n % 1_000) }
    };
    format!("{}\u{202f}×\u{202f}{servers}", thousands(streams))
}

/// The size that is written STREAMSxSERVERS.
pub(crate) fn named(size: &str) -> (usize, usize) {
    let (streams, servers) = size.split_once('x').expect("STREAMSxSERVERS");
    (streams.parse().expect("a number"), servers.parse().expect("a number"))
}

/// The path of a stream.
pub(crate) fn path(stream: usize) -> String {
    format!("/live/channel-{stream:05}.ogg")
}

/// A configuration with so many streams, each on all of so many servers. `server` is what is said of
/// each server beside its URL.
pub(crate) fn yaml((streams, servers): (usize, usize), server: &str) -> String {
    let mut yaml = "poll: {stale_after: 1h}\nservers:\n".to_owned();
    for number in 0..servers {
        let url = format!("http://relay-{number:04}.example.org:8000");
        let pace = "max_joins_per_second: 1000000";
        writeln!(yaml, "  relay-{number:04}: {{url: '{url}', {pace}, {server}}}").unwrap();
    }
    yaml.push_str("streams:\n");
    for stream in 0..streams {
        writeln!(yaml, "  {}:", path(stream)).unwrap();
    }
    yaml
}

/// What that means.
pub(crate) fn fleet(yaml: &str) -> Fleet {
    let sources = Sources::new("balancer.yaml", yaml);
    compile(&sources, &Disk).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A fleet on whose relays everything is there.
pub(crate) fn state(size: (usize, usize)) -> State {
    state_of(&yaml(size, ""))
}

/// The same for any configuration.
pub(crate) fn state_of(yaml: &str) -> State {
    let state = State::new(Snapshot::first(fleet(yaml), String::new()));
    let servers = state.load().fleet.servers.len();
    for id in 0..servers {
        look(&state, id);
    }
    state
}

/// A good look at a server, which has everything.
pub(crate) fn look(state: &State, id: usize) {
    let snapshot = state.load_full();
    let (slots, listed) = (snapshot.server(id).unwrap(), snapshot.listed(id));
    let mounts = listed.iter().map(|mount| seen(mount.path)).collect();
    let now = state.now();
    let look = begin_look(slots, &listed, now);
    record(slots, &listed, look, &Report { clients: None, mounts }, SETTLE);
    slots.judge(Evidence::Good, now, RULES);
}

/// Looks at a server that end badly, in a way that would fail no listener.
pub(crate) fn fail(state: &State, id: usize) {
    let snapshot = state.load_full();
    snapshot.server(id).unwrap().judge(Evidence::Soft, state.now(), RULES);
}

/// A mount as a look sees it.
pub(crate) fn seen(name: &str) -> MountReport {
    MountReport {
        name: name.to_owned(),
        listeners: Some(7),
        limit: Limit::Listeners(SLOTS),
        activity: Activity::Active,
        bytes: None,
    }
}
