//! What `deploy` has for Prometheus and Grafana, with a real Prometheus before a real balancer and
//! real relays: every query gives something, and what goes wrong is alerted of.

mod alerts;
mod dashboard;

use crate::support::icecast::{Icecast, Setup};
use crate::support::lab::Lab;
use crate::support::prometheus::promtool;
use crate::support::source::{Source, Stream};

const RADIO: &str = "/radio.mp3";

#[test]
fn promtool_has_nothing_to_say_of_configuration_and_rules() {
    let lab = Lab::new();
    for check in ["check config prometheus.yml", "check rules recording.rules.yml alerts.rules.yml"]
    {
        let (code, said) = promtool(&lab, check);
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains("FAILED") && !said.contains("WARN"), "{said}");
    }
}

#[test]
fn each_alert_fires_when_it_should_and_not_a_moment_before() {
    let lab = Lab::new();
    let (code, said) = promtool(&lab, "test rules alerts.test.yml");
    assert_eq!(code, Some(0), "{said}");
}

/// A relay with the radio on the air.
fn relay(lab: &Lab, name: &str) -> (Icecast, Source) {
    on_the_air(lab, Setup::new(lab, name))
}

fn on_the_air(lab: &Lab, setup: Setup<'_>) -> (Icecast, Source) {
    let relay = setup.start();
    let source = Source::start(lab, &relay, Stream::Mp3);
    (relay, source)
}
