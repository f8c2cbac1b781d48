//! Real faults, and the alert that each of them sets off. The rules are ours, except that they do not
//! wait; how long they wait is tried by promtool.

use std::net::TcpStream;

use super::{RADIO, on_the_air, relay};
use crate::support::balancer::Balancer;
use crate::support::icecast::{ADMIN_PASSWORD, Icecast, Setup};
use crate::support::lab::{Lab, free_port};
use crate::support::process::Program;
use crate::support::prometheus::Prometheus;

#[test]
fn nothing_is_alerted_while_all_is_well_and_then_each_fault_is() {
    let lab = Lab::new();
    let (mut vienna, _at_vienna) = relay(&lab, "vienna");
    let (berlin, at_berlin) = relay(&lab, "berlin");
    let config = config(&[("vienna", &vienna), ("berlin", &berlin)], "");
    let balancer = Balancer::start(&lab, &config);
    let prometheus = watched(&lab, &[&balancer]);
    assert_eq!(firing(&prometheus), [""; 0]);

    drop(at_berlin);
    let missing = [("server", "berlin"), ("stream", RADIO)];
    let alert = prometheus.wait_for_alert("IcecastBalancerMountMissing", &missing);
    assert!(alert.words.starts_with("berlin lacks /radio.mp3, which others have. "), "{alert:?}");

    vienna.kill();
    prometheus.wait_for_alert("IcecastBalancerRelayDown", &[("server", "vienna")]);
    prometheus.wait_for_alert("IcecastBalancerStreamOffline", &[("stream", RADIO)]);

    balancer.edit(&config.replace("servers:", "severs:"));
    prometheus.wait_for_alert("IcecastBalancerConfigRefused", &[]);

    balancer.edit_to_listen_at(free_port(), &config);
    prometheus.wait_for_alert("IcecastBalancerRestartRequired", &[]);

    drop(balancer);
    prometheus.wait_for_alert("IcecastBalancerDown", &[]);
}

#[test]
fn a_stream_that_fills_up_is_alerted_of_before_and_when_it_is_full() {
    let lab = Lab::new();
    let setup = Setup::new(&lab, "vienna").max_listeners(RADIO, 30);
    let (vienna, _source) = on_the_air(&lab, setup);
    // Nobody of those who ask will come to the relay, so their slots stay reserved.
    let balance = "balance: {headroom: 0, settle: 60s}\n";
    let balancer = Balancer::start(&lab, &config(&[("vienna", &vienna)], balance));
    let prometheus = watched(&lab, &[&balancer]);

    ask(&balancer, 28, 302);
    prometheus.wait_for_alert("IcecastBalancerStreamNearlyFull", &[("stream", RADIO)]);
    let alert = prometheus
        .wait_for_alert("IcecastBalancerRedirectsWithoutArrivals", &[("server", "vienna")]);
    assert!(alert.words.contains("only 0% were seen there"), "{alert:?}");
    assert!(!firing(&prometheus).contains(&"IcecastBalancerStreamFull".to_owned()));

    ask(&balancer, 2, 302);
    prometheus.wait_for_alert("IcecastBalancerStreamFull", &[("stream", RADIO)]);

    ask(&balancer, 1, 503);
    let refused = [("stream", RADIO), ("outcome", "full")];
    prometheus.wait_for_alert("IcecastBalancerPlayersRefused", &refused);
}

#[test]
fn a_feed_that_is_lost_and_a_relay_that_hangs_are_alerted_of() {
    let lab = Lab::new();
    let (vienna, _source) = relay(&lab, "vienna");
    let live = |password: &str| {
        let stats = format!("{{source: live, username: admin, password: {password}}}");
        let url = vienna.url();
        format!("servers: {{vienna: {{url: '{url}', stats: {stats}}}}}\nstreams: {{{RADIO}: }}\n")
    };
    let balancer = Balancer::start(&lab, &live(ADMIN_PASSWORD));
    let prometheus = watched(&lab, &[&balancer]);
    prometheus.wait_for("icecast_balancer_server_live", |values| values == [1.0]);
    assert_eq!(firing(&prometheus), [""; 0]);

    balancer.edit(&live("changed"));
    prometheus.wait_for_alert("IcecastBalancerFeedLost", &[("server", "vienna")]);

    // With no relay left of which anything is known, players are sent on a guess.
    vienna.hang();
    prometheus.wait_for_alert("IcecastBalancerPanicMode", &[]);
    prometheus.wait_for_alert("IcecastBalancerRelayDown", &[("server", "vienna")]);
}

#[test]
fn most_relays_that_hang_at_once_are_alerted_of_as_one_fault() {
    let lab = Lab::new();
    let relays = ["vienna", "berlin", "graz"].map(|name| (name, relay(&lab, name)));
    let of_config = relays.each_ref().map(|(name, (relay, _source))| (*name, relay));
    let balancer = Balancer::start(&lab, &config(&of_config, ""));
    let prometheus = watched(&lab, &[&balancer]);

    for (_, (relay, _)) in &relays {
        relay.hang();
    }
    prometheus.wait_for_alert("IcecastBalancerNetworkHold", &[]);
}

#[test]
fn connections_turned_away_lines_lost_and_replicas_that_differ_are_alerted_of() {
    let lab = Lab::new();
    let nowhere = "servers: {one: 'http://127.0.0.1:9'}\nstreams: {/a.ogg: }\n";
    // Its log goes to a disk that is full.
    let deaf = Program::new("sh", "dash").args(["-c", "exec \"$0\" \"$@\" 2>/dev/full"]);
    let limits = format!("limits: {{max_connections: 2}}\n{nowhere}");
    let one = Balancer::start_under(deaf, &lab, &limits);
    let two = Balancer::start(&lab, nowhere);
    let prometheus = watched(&lab, &[&one, &two]);

    let crowd = (0..4).map(|_| TcpStream::connect(("127.0.0.1", one.port())));
    let crowd: Vec<_> = crowd.collect::<Result<_, _>>().unwrap();

    prometheus.wait_for_alert("IcecastBalancerConnectionsShed", &[("reason", "max_connections")]);
    // To turn somebody away is a line of the log.
    prometheus.wait_for_alert("IcecastBalancerLogLinesDropped", &[]);
    prometheus.wait_for_alert("IcecastBalancerConfigDiffers", &[]);
    drop(crowd);
}

/// A Prometheus with our rules that has scraped the balancers often enough to compare.
fn watched(lab: &Lab, balancers: &[&Balancer]) -> Prometheus {
    let prometheus = Prometheus::start_with_our_rules(lab, balancers);
    prometheus.wait_for("count_over_time(up[1m]) >= 3", |values| values.len() == balancers.len());
    prometheus
}

fn firing(prometheus: &Prometheus) -> Vec<String> {
    prometheus.alerts().into_iter().map(|alert| alert.name).collect()
}

fn ask(balancer: &Balancer, times: u32, status: u16) {
    for _ in 0..times {
        let answer = balancer.ask(RADIO);
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

fn config(relays: &[(&str, &Icecast)], more: &str) -> String {
    let servers: Vec<_> =
        relays.iter().map(|(name, relay)| format!("  {name}: {}", relay.url())).collect();
    format!("{more}servers:\n{}\nstreams:\n  {RADIO}:\n", servers.join("\n"))
}
