//! Each document that Icecast tells its listeners in is read as Icecast really writes it.

use std::path::Path;
use std::time::Duration;

use icecast_balancer::icecast::{Activity, Limit, Report};

use crate::support::balancer::Balancer;
use crate::support::icecast::{ADMIN_PASSWORD, Icecast, Setup};
use crate::support::lab::Lab;
use crate::support::listener::{Listener, Outcome};
use crate::support::process::{Program, eventually};
use crate::support::source::{Source, Stream};

const RADIO: &str = "/radio.mp3";

#[test]
fn slots_xsl_tells_listeners_and_slots() {
    let seen = seen(&["slots.xsl"], "stats: {source: slots}");
    assert_eq!(seen, Seen { source: "slots".into(), listeners: Some(2.0), limit: Some(5.0) });
}

#[test]
fn the_admin_statistics_tell_listeners_and_slots() {
    let seen = seen(&[], &format!("stats: {{source: admin, password: {ADMIN_PASSWORD}}}"));
    assert_eq!(seen, Seen { source: "admin".into(), listeners: Some(2.0), limit: Some(5.0) });
}

#[test]
fn status_json_tells_listeners_and_no_limit() {
    let seen = seen(&[], "stats: {source: status-json}");
    assert_eq!(seen, Seen { source: "status-json".into(), listeners: Some(2.0), limit: None });
}

#[test]
fn auto_prefers_slots_xsl_to_all_else() {
    let seen = seen(&["slots.xsl"], &format!("stats: {{password: {ADMIN_PASSWORD}}}"));
    assert_eq!(seen, Seen { source: "slots".into(), listeners: Some(2.0), limit: Some(5.0) });
}

#[test]
fn auto_takes_the_admin_statistics_where_there_is_no_stylesheet() {
    let seen = seen(&[], &format!("stats: {{password: {ADMIN_PASSWORD}}}"));
    assert_eq!(seen, Seen { source: "admin".into(), listeners: Some(2.0), limit: Some(5.0) });
}

#[test]
fn auto_takes_status_json_where_there_is_nothing_else() {
    let seen = seen(&[], "stats: {source: auto}");
    assert_eq!(seen, Seen { source: "status-json".into(), listeners: Some(2.0), limit: None });
}

#[test]
fn the_stylesheet_of_2010_tells_free_slots() {
    let lab = Lab::new();
    let vienna = relay(&lab, &["load.xsl"]);
    let _source = Source::start(&lab, &vienna, Stream::Mp3);
    let balancer = balancer(&lab, &vienna, "stats: {source: slots}");

    eventually("all five slots are shown free", Duration::from_secs(15), || {
        (shown(&balancer, "mount_free_slots") == Some(5.0)).then_some(())
    });
    let _listeners = two_listeners(&lab, &vienna);
    eventually("three slots are shown free", Duration::from_secs(15), || {
        (shown(&balancer, "mount_free_slots") == Some(3.0)).then_some(())
    });
    assert_eq!(balancer.server("vienna")["source"], "load.xsl");
}

/// What the balancer shows of a relay with five slots that two people listen to.
#[derive(Debug, PartialEq)]
struct Seen {
    source: String,
    listeners: Option<f64>,
    limit: Option<f64>,
}

/// What it shows of one with these `stylesheets`, when it is told to look as `stats` says.
fn seen(stylesheets: &[&str], stats: &str) -> Seen {
    let lab = Lab::new();
    let vienna = relay(&lab, stylesheets);
    let _source = Source::start(&lab, &vienna, Stream::Mp3);
    let _listeners = two_listeners(&lab, &vienna);
    let balancer = balancer(&lab, &vienna, stats);
    eventually("two listeners are shown", Duration::from_secs(15), || {
        (shown(&balancer, "mount_listeners") == Some(2.0)).then_some(())
    });
    Seen {
        source: balancer.server("vienna")["source"].as_str().unwrap_or_default().to_owned(),
        listeners: shown(&balancer, "mount_listeners"),
        limit: shown(&balancer, "mount_max_listeners"),
    }
}

fn relay(lab: &Lab, stylesheets: &[&str]) -> Icecast {
    Setup::new(lab, "vienna").stylesheets(stylesheets).max_listeners(RADIO, 5).start()
}

/// They come without the balancer, which must see them all the same.
fn two_listeners(lab: &Lab, relay: &Icecast) -> [Listener; 2] {
    ["anna", "bela"].map(|name| {
        let mut listener = Listener::start(lab, name, &format!("{}{RADIO}", relay.url()));
        assert!(matches!(listener.outcome(), Outcome::Plays(_)), "{name} plays");
        listener
    })
}

fn balancer(lab: &Lab, relay: &Icecast, stats: &str) -> Balancer {
    let config = format!(
        "balance: {{headroom: 0}}
servers:
  vienna:
    url: {}
    {stats}
streams:
  {RADIO}:
",
        relay.url()
    );
    Balancer::start(lab, &config)
}

/// What the metric `name` says of the mount.
fn shown(balancer: &Balancer, name: &str) -> Option<f64> {
    balancer.metric(name, &[&*format!("stream=\"{RADIO}\""), "server=\"vienna\""])
}

/// Our stylesheet on the tree that an Icecast gives it, by the processor that Icecast has.
fn transformed(tree: &str) -> Report {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lab = Lab::new();
    let (code, printed) = Program::new("xsltproc", "xsltproc")
        .args([
            root.join("deploy/icecast/slots.xsl"),
            root.join("tests/fixtures/icecast").join(tree),
        ])
        .run(&lab.folder("xsltproc", "nobody"));
    assert_eq!(code, Some(0), "{printed}");
    icecast_balancer::icecast::slots::slots(printed.as_bytes()).unwrap()
}

/// None of these servers was run: the trees are what their source says that they make.
#[test]
fn slots_xsl_suits_the_trees_of_icecast_2_5_and_of_icecast_kh() {
    for (tree, mounts) in [
        (
            "stats-2.5.xml",
            vec![("/on-demand.ogg", 0, Limit::Unlimited), ("/radio.ogg", 3, Limit::Listeners(50))],
        ),
        (
            "stats-kh.xml",
            vec![
                ("/limited.mp3", 3, Limit::Listeners(50)),
                ("/on-demand.mp3", 0, Limit::Unlimited),
                ("/unlimited.mp3", 1, Limit::Unlimited),
            ],
        ),
    ] {
        let report = transformed(tree);
        let told = report.mounts.iter().map(|mount| {
            let is_idle = mount.name.starts_with("/on-demand");
            assert_eq!(mount.activity == Activity::Idle, is_idle, "{}", mount.name);
            (&*mount.name, mount.listeners.unwrap(), mount.limit)
        });
        assert_eq!(told.collect::<Vec<_>>(), mounts, "{tree}");
        assert_eq!(report.clients, Some(6), "{tree}");
    }
}
