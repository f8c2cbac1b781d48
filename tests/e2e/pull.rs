//! An Icecast may pull its stream through the balancer, like any other listener.

use crate::support::balancer::Balancer;
use crate::support::icecast::Setup;
use crate::support::lab::Lab;
use crate::support::listener::{Listener, Outcome};
use crate::support::source::{Source, Stream};
use crate::table::tell;

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
    tell(
        "Icecast `<relay>`",
        "redirect",
        Stream::Mp3.name(),
        "a listener of its own has heard the stream",
    );
}

/// A slave asks its master for `/admin/streamlist.txt`, follows no redirect there, and then pulls
/// each stream as a relay does.
#[test]
fn an_icecast_whose_master_is_the_balancer_pulls_all_streams_and_plays() {
    let lab = Lab::new();
    let vienna = Setup::new(&lab, "vienna").start();
    let berlin = Setup::new(&lab, "berlin").start();
    let streams = [Stream::Mp3, Stream::Opus];
    let _mp3 = Source::start(&lab, &vienna, Stream::Mp3);
    let _opus = Source::start(&lab, &berlin, Stream::Opus);
    let config = format!(
        "streamlist: true
servers: {{vienna: '{}', berlin: '{}'}}
streams:
  {}:
  {}:
  /silent.ogg:
",
        vienna.url(),
        berlin.url(),
        streams[0].mount(),
        streams[1].mount()
    );
    let balancer = Balancer::start(&lab, &config);

    let graz = Setup::new(&lab, "graz").slave_of(balancer.port(), RADIO).start();

    for stream in streams {
        graz.wait_for(stream.mount());
        let url = format!("{}{}", graz.url(), stream.mount());
        let mut listener =
            Listener::start(&lab, &format!("at{}", stream.mount().replace('/', "-")), &url);
        assert!(matches!(listener.outcome(), Outcome::Plays(_)), "graz plays {url}");
        listener.hears();
        let evidence = "a listener of its own has heard the stream";
        tell("Icecast `<master-server>`", "redirect", stream.name(), evidence);
    }
    for (relay, stream) in [(&vienna, streams[0]), (&berlin, streams[1])] {
        let agents: Vec<_> =
            relay.listening(stream.mount()).into_iter().map(|one| one.agent).collect();
        assert_eq!(agents, ["Icecast 2.4.4"], "graz is the one listener of {stream:?}");
    }
    assert!(balancer.metric("requests_total", &["outcome=\"playlist\""]) >= Some(1.0));
}
