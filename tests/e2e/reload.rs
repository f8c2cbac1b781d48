//! The file is edited while people listen.

use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::icecast::{Icecast, Setup};
use crate::support::lab::Lab;
use crate::support::listener::{Listener, Outcome};
use crate::support::process::eventually;
use crate::support::source::{Source, Stream};

const RADIO: &str = "/radio.mp3";

#[test]
fn the_next_player_goes_where_the_file_now_says_and_those_who_listen_stay() {
    let lab = Lab::new();
    let vienna = Setup::new(&lab, "vienna").start();
    let berlin = Setup::new(&lab, "berlin").start();
    let _sources = [&vienna, &berlin].map(|relay| Source::start(&lab, relay, Stream::Mp3));
    let balancer = Balancer::start(&lab, &only("vienna", &vienna));
    let mut early = Listener::start(&lab, "early", &balancer.url(RADIO));
    assert_eq!(early.outcome(), Outcome::Plays(vienna.url()));

    balancer.edit(&only("berlin", &berlin));

    wait_until_sent_to(&balancer, &berlin);
    let mut late = Listener::start(&lab, "late", &balancer.url(RADIO));
    assert_eq!(late.outcome(), Outcome::Plays(berlin.url()));
    late.hears();
    early.hears();
    assert_eq!(vienna.listeners(RADIO), 1, "who listens to vienna stays there");
}

#[test]
fn a_typo_in_the_file_changes_nothing_for_players() {
    let lab = Lab::new();
    let vienna = Setup::new(&lab, "vienna").start();
    let _source = Source::start(&lab, &vienna, Stream::Mp3);
    let good = only("vienna", &vienna);
    let balancer = Balancer::start(&lab, &good);

    balancer.edit(&good.replace("servers:", "severs:"));

    eventually("the refusal is shown", Duration::from_secs(20), || {
        let successful = balancer.metric("config_last_reload_successful", &[]);
        (successful == Some(0.0)).then_some(())
    });
    let mut listener = Listener::start(&lab, "unaware", &balancer.url(RADIO));
    assert_eq!(listener.outcome(), Outcome::Plays(vienna.url()));
}

fn only(name: &str, relay: &Icecast) -> String {
    format!("servers:\n  {name}: {}\nstreams:\n  {RADIO}:\n", relay.url())
}

fn wait_until_sent_to(balancer: &Balancer, relay: &Icecast) {
    let expected = format!("{}{RADIO}", relay.url());
    eventually("the edit is in force", Duration::from_secs(20), || {
        (balancer.ask(RADIO).header("Location") == Some(&*expected)).then_some(())
    });
}
