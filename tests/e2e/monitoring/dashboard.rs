//! Every query of the dashboard is put to a Prometheus that has seen a balancer at work.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::{RADIO, on_the_air};
use crate::support::balancer::Balancer;
use crate::support::icecast::{ADMIN_PASSWORD, Setup};
use crate::support::lab::Lab;
use crate::support::listener::{Listener, Outcome};
use crate::support::process::eventually;
use crate::support::prometheus::Prometheus;

#[test]
fn every_query_of_the_dashboard_gives_something() {
    let lab = Lab::new();
    let limited = |name| on_the_air(&lab, Setup::new(&lab, name).max_listeners(RADIO, 2));
    let ((vienna, _at_vienna), (berlin, _at_berlin)) = (limited("vienna"), limited("berlin"));
    let config = format!(
        "balance: {{headroom: 0, when_full: wait, wait: 100ms}}
servers:
  vienna:
    url: {}
    stats: {{source: live, username: admin, password: {ADMIN_PASSWORD}}}
  berlin: {}
streams:
  {RADIO}:
",
        vienna.url(),
        berlin.url()
    );
    let balancer = Balancer::start(&lab, &config);
    let prometheus = Prometheus::start(&lab, &balancer);
    prometheus.wait_for("icecast_balancer_server_live", |values| values == [1.0]);
    let mut listeners: Vec<Listener> = (1..=4)
        .map(|n| Listener::start(&lab, &format!("listener-{n}"), &balancer.url(RADIO)))
        .collect();
    for listener in &mut listeners {
        assert!(matches!(listener.outcome(), Outcome::Plays(_)), "{} plays", listener.name);
    }
    assert_eq!(balancer.ask(RADIO).status, 503);
    balancer.edit(&config.replace("servers:", "severs:"));
    prometheus.wait_for("icecast_balancer_config_last_reload_successful", |ok| ok == [0.0]);

    let queries = queries(&dashboard());

    assert!(queries.len() > 40, "{queries:?}");
    for query in queries {
        eventually(&format!("something for {query}"), Duration::from_secs(30), || {
            // How long answers took, for instance, is known only while somebody asks.
            balancer.ask("/unknown");
            prometheus.query(&query).iter().any(|value| !value.is_nan()).then_some(())
        });
    }
}

#[test]
fn a_query_that_gives_nothing_is_noticed() {
    let lab = Lab::new();
    let nowhere = "servers: {one: 'http://127.0.0.1:9'}\nstreams: {/a.ogg: }\n";
    let balancer = Balancer::start(&lab, nowhere);
    let prometheus = Prometheus::start(&lab, &balancer);
    prometheus.wait_for("icecast_balancer_server_up", |values| values == [0.0]);
    assert!(prometheus.query("icecast_balancer_misspelt").is_empty());
}

fn dashboard() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/icecast-balancer.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).expect("the dashboard is JSON")
}

/// Every query of panels, annotations and variables, as Grafana would put it with everything chosen.
fn queries(dashboard: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let panels = list(&dashboard["panels"]);
    let targets = panels.iter().flat_map(|panel| list(&panel["targets"]));
    let asked = targets.chain(list(&dashboard["annotations"]["list"]));
    let of_panels = asked.filter_map(|asked| asked["expr"].as_str().map(str::to_owned));
    let variables = list(&dashboard["templating"]["list"]);
    let of_variables = variables.iter().filter_map(|variable| {
        let inside = variable["definition"].as_str()?.strip_prefix("label_values(")?;
        let (metric, label) = inside.strip_suffix(')')?.rsplit_once(", ")?;
        Some(format!("count by ({label}) ({metric}) and on ({label}) {metric}"))
    });
    of_panels.chain(of_variables).map(|query| chosen(&query)).collect()
}

fn chosen(query: &str) -> String {
    let values = [
        ("$__rate_interval", "10s"),
        ("$__range", "1m"),
        ("$job", "icecast-balancer"),
        ("$instance", ".*"),
        ("$stream", ".*"),
        ("$server", ".*"),
    ];
    let query =
        values.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value));
    assert!(!query.contains('$'), "a variable that nobody knows: {query}");
    query
}
