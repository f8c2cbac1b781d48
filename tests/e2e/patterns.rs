//! Streams by pattern, with real relays and real sources that come and go.

use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::icecast::Setup;
use crate::support::lab::Lab;
use crate::support::listener::{Listener, Outcome};
use crate::support::process::eventually;
use crate::support::source::{Source, Stream};

#[test]
fn a_source_that_comes_can_be_heard_within_a_poll_and_one_that_goes_is_offline() {
    let lab = Lab::new();
    let vienna = Setup::new(&lab, "vienna").start();
    let _opening = Source::start_at(&lab, &vienna, Stream::Mp3, "/talks/opening.mp3");
    let _elsewhere = Source::start_at(&lab, &vienna, Stream::Mp3, "/other.mp3");
    let balancer = Balancer::start(
        &lab,
        &format!("servers:\n  vienna: {}\nstreams:\n  /talks/*:\n", vienna.url()),
    );

    let mut early = Listener::start(&lab, "early", &balancer.url("/talks/opening.mp3"));
    assert_eq!(early.outcome(), Outcome::Plays(vienna.url()));
    early.hears();
    assert_eq!(balancer.ask("/other.mp3").status, 404, "it is under no pattern");
    let before = balancer.ask("/talks/keynote%201.mp3");
    assert_eq!(before.status, 503, "{before:?}");
    assert!(before.body.starts_with("offline: "), "{before:?}");

    let keynote = Source::start_at(&lab, &vienna, Stream::Mp3, "/talks/keynote 1.mp3");

    wait_until_answered(&balancer, "/talks/keynote%201.mp3", 302);
    let mut listener = Listener::start(&lab, "keynote", &balancer.url("/talks/keynote%201.mp3"));
    assert_eq!(listener.outcome(), Outcome::Plays(vienna.url()));
    listener.hears();
    assert_eq!(vienna.listeners("/talks/keynote%201.mp3"), 1);

    drop(keynote);
    vienna.wait_until_gone("/talks/keynote 1.mp3");

    wait_until_answered(&balancer, "/talks/keynote%201.mp3", 503);
    let after = balancer.ask("/talks/keynote%201.mp3");
    assert!(after.body.starts_with("offline: "), "{after:?}");
    early.hears();
}

fn wait_until_answered(balancer: &Balancer, path: &str, status: u16) {
    eventually(&format!("{path} is answered {status}"), Duration::from_secs(20), || {
        (balancer.ask(path).status == status).then_some(())
    });
}
