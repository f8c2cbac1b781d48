//! What a reload keeps: everything known of what stays, whatever was known and whatever changes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use icecast_balancer::config::source::Sources;
use icecast_balancer::files::Disk;
use icecast_balancer::fleet::Fleet;
use icecast_balancer::fleet::compile::compile;
use icecast_balancer::icecast::{Activity, Limit, MountReport, Report};
use icecast_balancer::slots::{Evidence, Moment, Rules, begin_look, record, reserve};
use icecast_balancer::state::{Snapshot, State};
use proptest::prelude::*;

const SETTLE: Duration = Duration::from_secs(5);
const RULES: Rules = Rules { rise: 2, fall: 3, slow_start: Duration::from_secs(30), hold: false };

/// What a configuration says of one relay; the first number tells relays of one name apart.
type Relay = (u8, Option<u16>, u8, &'static str);

/// A configuration: the relays that are there, the streams, and how both are written.
#[derive(Debug, Clone)]
struct Spec {
    relays: Vec<Option<Relay>>,
    streams: Vec<bool>,
    reversed: bool,
    headroom: u8,
}

/// What happens between two reloads. Relays and streams are named by number.
#[derive(Debug, Clone)]
enum Event {
    Redirect { relay: usize, stream: usize },
    Look { relay: usize, listeners: u8 },
    Failure { relay: usize, hard: bool },
    Reload(Spec),
}

fn spec() -> impl Strategy<Value = Spec> {
    let state = prop::sample::select(vec!["active", "active", "draining", "disabled"]);
    let relay = (0_u8..8, prop::option::of(1_u16..200), 1_u8..5, state)
        // Most of the time a relay stays where it is.
        .prop_map(|(address, max, weight, state)| (address / 7, max, weight, state));
    let relays = prop::collection::vec(prop::option::weighted(0.85, relay), 3);
    let streams = prop::collection::vec(prop::bool::weighted(0.85), 3);
    (relays, streams, any::<bool>(), 0_u8..4).prop_map(|(relays, streams, reversed, headroom)| {
        Spec { relays, streams, reversed, headroom }
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0_usize..3, 0_usize..3).prop_map(|(relay, stream)| Event::Redirect { relay, stream }),
        2 => (0_usize..3, 0_u8..50).prop_map(|(relay, listeners)| Event::Look { relay, listeners }),
        1 => (0_usize..3, any::<bool>()).prop_map(|(relay, hard)| Event::Failure { relay, hard }),
        2 => spec().prop_map(Event::Reload),
    ]
}

impl Spec {
    /// What it means. One relay and one stream are always there: nothing is no configuration.
    fn fleet(&self) -> Fleet {
        let mut servers: Vec<String> = Vec::new();
        for (number, relay) in self.relays.iter().enumerate() {
            let Some((address, max, weight, state)) = relay else { continue };
            let mut server =
                format!("  r{number}: {{url: 'http://192.0.2.{number}:80{address}0', ");
            if let Some(max) = max {
                write!(server, "max_listeners: {max}, ").unwrap();
            }
            write!(server, "weight: {weight}, state: {state}}}").unwrap();
            servers.push(server);
        }
        servers.push("  always: 'http://192.0.2.9'".to_owned());
        let there = self.streams.iter().enumerate().filter(|(_, there)| **there);
        let mut streams: Vec<_> = there.map(|(number, _)| format!("  /s{number}:")).collect();
        streams.push("  /always:".to_owned());
        if self.reversed {
            servers.reverse();
            streams.reverse();
        }
        let text = format!(
            "balance: {{headroom: {}}}\nservers:\n{}\nstreams:\n{}\n",
            self.headroom,
            servers.join("\n"),
            streams.join("\n")
        );
        compile(&Sources::new("b.yaml", text), &Disk)
            .unwrap_or_else(|problems| panic!("{problems}"))
    }
}

/// Everything known, by what it is known of: a relay by its name and address, a mount also by its
/// path.
fn known(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    for (server, slots) in snapshot.servers() {
        let facts = (slots.health(), slots.last_good(), slots.was_asked(), slots.notes());
        let numbers = (slots.seats.reserved(), slots.seats.told(), slots.redirected.get());
        let relay = format!("{} at {}", server.name, server.url);
        known.insert(relay, format!("{facts:?} {numbers:?} {}", slots.arrived.get()));
    }
    for (id, stream, _) in snapshot.streams() {
        for mount in snapshot.mounts(id) {
            let (seats, server) = (&mount.slots.seats, mount.server);
            let facts = (seats.reserved(), seats.counted(), seats.told(), mount.slots.presence());
            let name = format!("{}{} at {}", server.name, mount.config.path, server.url);
            known.insert(name, format!("{facts:?} {}", mount.redirects.get()));
        }
        let outcomes = snapshot.outcomes(id);
        known.insert(stream.path.clone(), format!("{outcomes:?}"));
    }
    known
}

/// The sum of what is reserved on the mounts of these names.
fn reserved(snapshot: &Snapshot, names: &BTreeMap<String, String>) -> u64 {
    let mut sum = 0;
    for (id, _, _) in snapshot.streams() {
        for mount in snapshot.mounts(id) {
            let server = mount.server;
            let name = format!("{}{} at {}", server.name, mount.config.path, server.url);
            if names.contains_key(&name) {
                sum += mount.slots.seats.reserved();
            }
        }
    }
    sum
}

/// Lets something happen that is no reload.
fn happen(snapshot: &Snapshot, event: &Event, now: Moment) {
    let named = |relay: &usize| snapshot.fleet.server_named(&format!("r{relay}"));
    match event {
        Event::Redirect { relay, stream } => {
            let Some(server) = named(relay).and_then(|id| snapshot.server(id)) else { return };
            let path = format!("/s{stream}");
            for (id, _, _) in snapshot.streams().filter(|(_, s, _)| s.path == path) {
                let mut mounts = snapshot.mounts(id);
                let mount = mounts.find(|mount| mount.server.name == format!("r{relay}")).unwrap();
                if reserve(server, mount.slots, 1, 0) {
                    mount.redirects.increment();
                }
            }
        }
        Event::Look { relay, listeners } => {
            let Some(id) = named(relay) else { return };
            let (server, listed) = (snapshot.server(id).unwrap(), snapshot.listed(id));
            let mounts = listed.iter().map(|mount| MountReport {
                name: mount.path.to_owned(),
                listeners: Some(u64::from(*listeners)),
                limit: Limit::Listeners(60),
                activity: Activity::Active,
                bytes: None,
            });
            let report = Report { clients: Some(7), mounts: mounts.collect() };
            let look = begin_look(server, &listed, now);
            record(server, &listed, look, &report, SETTLE);
            server.judge(Evidence::Good, now, RULES);
        }
        Event::Failure { relay, hard } => {
            let Some(server) = named(relay).and_then(|id| snapshot.server(id)) else { return };
            server.judge(if *hard { Evidence::Hard } else { Evidence::Soft }, now, RULES);
            server.note(|notes| notes.trouble = Some("it hangs".to_owned()));
        }
        Event::Reload(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everything_known_of_what_stays_is_known_after_a_reload(
        first in spec(),
        events in prop::collection::vec(event(), 1..40),
    ) {
        let state = State::new(Snapshot::first(first.fleet(), String::new()));
        for (second, event) in (1..).zip(&events) {
            let before = state.load_full();
            let Event::Reload(next) = event else {
                happen(&before, event, Duration::from_secs(second));
                continue;
            };
            let old = known(&before);
            state.replace(next.fleet(), String::new());
            let after = state.load_full();
            let new = known(&after);
            let stays: BTreeMap<_, _> =
                old.iter().filter(|(name, _)| new.contains_key(*name)).collect();
            for (name, facts) in &stays {
                prop_assert_eq!(&new[*name], *facts, "{}", name);
            }
            prop_assert_eq!(reserved(&before, &new), reserved(&after, &old));
        }
    }
}
