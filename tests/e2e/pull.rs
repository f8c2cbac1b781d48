//! An Icecast may pull its stream through the balancer, like any other listener.

use crate::support::balancer::Balancer;
use crate::support::icecast::Setup;
use crate::support::lab::Lab;
use crate::support::listener::{Listener, Outcome};
use crate::support::source::{Source, Stream};

const RADIO: &str = "/radio.mp3";

#[test]
fn an_icecast_that_relays_from_the_balancer_is_redirected_and_plays() {
    let lab = Lab::new();
    let vienna = Setup::new(&lab, "vienna").start();
    let _source = Source::start(&lab, &vienna, Stream::Mp3);
    let config = format!("servers:\n  vienna: {}\nstreams:\n  {RADIO}:\n", vienna.url());
    let balancer = Balancer::start(&lab, &config);

    let graz = Setup::new(&lab, "graz").pulls(balancer.port(), RADIO).start();

    let mut listener = Listener::start(&lab, "at-graz", &format!("{}{RADIO}", graz.url()));
    assert!(matches!(listener.outcome(), Outcome::Plays(_)), "graz plays");
    listener.hears();
    let agents: Vec<_> = vienna.listening(RADIO).into_iter().map(|one| one.agent).collect();
    assert_eq!(agents, ["Icecast 2.4.4"], "graz is the one listener of vienna");
}
