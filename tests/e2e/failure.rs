//! A relay or a source fails, and the next players do not notice.

use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::icecast::{Icecast, Setup};
use crate::support::lab::Lab;
use crate::support::listener::{Listener, Outcome};
use crate::support::process::eventually;
use crate::support::source::{Source, Stream};

const RADIO: &str = "/radio.mp3";

#[test]
fn after_a_relay_was_killed_everyone_goes_to_the_other() {
    let lab = Lab::new();
    let mut vienna = Setup::new(&lab, "vienna").start();
    let berlin = Setup::new(&lab, "berlin").start();
    let _sources = [&vienna, &berlin].map(|relay| Source::start(&lab, relay, Stream::Mp3));
    let balancer = balancer(&lab, &vienna, &berlin);

    vienna.kill();

    balancer.wait_for_health("vienna", "down");
    assert_that_all_go_to(&balancer, &berlin);
    plays_at(&lab, &balancer, &berlin);
}

#[test]
fn while_a_relay_hangs_everyone_goes_to_the_other_and_after_that_it_is_used_again() {
    let lab = Lab::new();
    let vienna = Setup::new(&lab, "vienna").start();
    let berlin = Setup::new(&lab, "berlin").start();
    let _sources = [&vienna, &berlin].map(|relay| Source::start(&lab, relay, Stream::Mp3));
    let balancer = balancer(&lab, &vienna, &berlin);

    vienna.hang();

    balancer.wait_for_health("vienna", "down");
    assert_that_all_go_to(&balancer, &berlin);
    plays_at(&lab, &balancer, &berlin);

    vienna.wake();

    eventually("somebody is sent to vienna again", Duration::from_secs(30), || {
        let answer = balancer.ask(RADIO);
        let location = answer.header("Location").unwrap_or_default();
        location.starts_with(&vienna.url()).then_some(())
    });
}

#[test]
fn without_its_source_a_relay_gets_nobody_and_without_any_source_the_stream_is_offline() {
    let lab = Lab::new();
    let vienna = Setup::new(&lab, "vienna").start();
    let berlin = Setup::new(&lab, "berlin").start();
    let at_vienna = Source::start(&lab, &vienna, Stream::Mp3);
    let at_berlin = Source::start(&lab, &berlin, Stream::Mp3);
    let balancer = balancer(&lab, &vienna, &berlin);

    drop(at_vienna);
    vienna.wait_until_gone(RADIO);

    wait_until_absent(&balancer, "vienna");
    assert_eq!(balancer.server("vienna")["health"], "up", "the relay itself is well");
    assert_that_all_go_to(&balancer, &berlin);

    drop(at_berlin);
    berlin.wait_until_gone(RADIO);

    wait_until_absent(&balancer, "berlin");
    let answer = balancer.ask(RADIO);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("Retry-After").is_some(), "{answer:?}");
    assert!(answer.body.starts_with("offline: "), "{answer:?}");

    let _at_berlin = Source::start(&lab, &berlin, Stream::Mp3);

    eventually("the stream is back", Duration::from_secs(20), || {
        (balancer.ask(RADIO).status == 302).then_some(())
    });
    plays_at(&lab, &balancer, &berlin);
}

#[test]
fn while_a_stream_is_offline_its_fallback_plays() {
    let lab = Lab::new();
    let vienna = Setup::new(&lab, "vienna").start();
    let _pause = Source::start(&lab, &vienna, Stream::Opus);
    let balancer = Balancer::start(
        &lab,
        &format!(
            "servers: {{vienna: \"{}\"}}
streams:
  {RADIO}: {{fallback: /opus.ogg}}
  /opus.ogg:
",
            vienna.url()
        ),
    );

    let mut listener = Listener::start(&lab, "early", &balancer.url(RADIO));
    assert_eq!(listener.outcome(), Outcome::Plays(vienna.url()));
    listener.hears();
    let names: Vec<_> =
        vienna.listening("/opus.ogg").into_iter().map(|listening| listening.agent).collect();
    assert_eq!(names, ["early"], "the listener hears the pause");
}

/// Asks more often than chance would allow for, had the other relay any part in it.
fn assert_that_all_go_to(balancer: &Balancer, relay: &Icecast) {
    let expected = format!("{}{RADIO}", relay.url());
    for _ in 0..20 {
        let answer = balancer.ask(RADIO);
        assert_eq!(answer.status, 302, "{answer:?}");
        assert_eq!(answer.header("Location"), Some(&*expected));
    }
}

fn plays_at(lab: &Lab, balancer: &Balancer, relay: &Icecast) {
    let mut listener = Listener::start(lab, "next", &balancer.url(RADIO));
    assert_eq!(listener.outcome(), Outcome::Plays(relay.url()));
    listener.hears();
}

fn wait_until_absent(balancer: &Balancer, server: &str) {
    let what = format!("{RADIO} is shown absent at {server}");
    let labels = [&*format!("stream=\"{RADIO}\""), &*format!("server=\"{server}\"")];
    eventually(&what, Duration::from_secs(20), || {
        (balancer.metric("mount_up", &labels) == Some(0.0)).then_some(())
    });
}

fn balancer(lab: &Lab, vienna: &Icecast, berlin: &Icecast) -> Balancer {
    let config = format!(
        "servers:
  vienna: {}
  berlin: {}
streams:
  {RADIO}:
",
        vienna.url(),
        berlin.url()
    );
    Balancer::start(lab, &config)
}
