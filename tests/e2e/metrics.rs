//! What the on-call engineer sees is what Prometheus really makes of it.

use crate::support::balancer::Balancer;
use crate::support::icecast::{Icecast, Setup};
use crate::support::lab::Lab;
use crate::support::listener::{Listener, Outcome};
use crate::support::prometheus::{Prometheus, promtool_check};
use crate::support::source::{Source, Stream};

const RADIO: &str = "/radio.mp3";

#[test]
fn promtool_has_nothing_to_say_of_the_metrics() {
    let lab = Lab::new();
    let (vienna, _source) = relay(&lab, "vienna");
    let balancer = Balancer::start(&lab, &config(&[("vienna", &vienna)]));
    // So that counters and histograms have something to show.
    assert_eq!(balancer.ask(RADIO).status, 302);
    assert_eq!(balancer.ask("/unknown").status, 404);

    let metrics = balancer.metrics();

    assert!(metrics.contains("icecast_balancer_redirects_total"), "{metrics}");
    assert_eq!(promtool_check(&lab, &metrics), (Some(0), String::new()), "{metrics}");
}

#[test]
fn promtool_has_nothing_to_say_of_names_that_look_like_its_format() {
    let lab = Lab::new();
    let balancer = Balancer::start(
        &lab,
        "servers: {one: 'http://127.0.0.1:9'}\nstreams:\n  '/%22%5C%7D%20x.ogg':\n  \
         '/TYPE%20x%20gauge':\n  '/{a=%22b%22}':\n  '/ä€.ogg':\n",
    );
    assert_eq!(balancer.ask("/%22%7D%0A1").status, 404);

    let metrics = balancer.metrics();

    assert_eq!(promtool_check(&lab, &metrics), (Some(0), String::new()), "{metrics}");
}

#[test]
fn prometheus_counts_redirects_and_forgets_a_removed_server() {
    let lab = Lab::new();
    let (vienna, _at_vienna) = relay(&lab, "vienna");
    let (berlin, _at_berlin) = relay(&lab, "berlin");
    let balancer = Balancer::start(&lab, &config(&[("vienna", &vienna), ("berlin", &berlin)]));
    let prometheus = Prometheus::start(&lab, &balancer);
    prometheus.wait_for("up{job=\"icecast-balancer\"}", |values| values == [1.0]);
    let mut listeners: Vec<Listener> = (1..=3)
        .map(|n| Listener::start(&lab, &format!("listener-{n}"), &balancer.url(RADIO)))
        .collect();
    for listener in &mut listeners {
        assert!(matches!(listener.outcome(), Outcome::Plays(_)), "{} plays", listener.name);
    }

    prometheus.wait_for("sum(icecast_balancer_redirects_total)", |values| values == [3.0]);
    prometheus.wait_for("icecast_balancer_server_up", |values| values == [1.0, 1.0]);

    balancer.edit(&config(&[("berlin", &berlin)]));

    prometheus.wait_for("{server=\"vienna\"}", <[f64]>::is_empty);
    prometheus.wait_for("icecast_balancer_server_up{server=\"berlin\"}", |values| values == [1.0]);
}

fn relay(lab: &Lab, name: &str) -> (Icecast, Source) {
    let relay = Setup::new(lab, name).start();
    let source = Source::start(lab, &relay, Stream::Mp3);
    (relay, source)
}

fn config(relays: &[(&str, &Icecast)]) -> String {
    let servers: Vec<_> =
        relays.iter().map(|(name, relay)| format!("  {name}: {}", relay.url())).collect();
    format!("servers:\n{}\nstreams:\n  {RADIO}:\n", servers.join("\n"))
}
