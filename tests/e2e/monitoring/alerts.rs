//! Real faults, and the alert that each of them sets off. The rules are ours, except that they do not
//! wait; how long they wait is tried by promtool.

use std::net::TcpStream;
use std::time::Duration;

use super::{RADIO, on_the_air, relay};
use crate::support::balancer::Balancer;
use crate::support::certificate;
use crate::support::icecast::{ADMIN_PASSWORD, Icecast, Setup};
use crate::support::lab::{Lab, free_port};
use crate::support::process::{Program, eventually};
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
    // Its log goes to a disk that is full.
    let deaf = Program::new("sh", "dash").args(["-c", "exec \"$0\" \"$@\" 2>/dev/full"]);
    let limits = format!("limits: {{max_connections: 2}}\n{NOWHERE}");
    let one = Balancer::start_under(deaf, &lab, &limits);
    let two = Balancer::start(&lab, NOWHERE);
    let prometheus = watched(&lab, &[&one, &two]);

    let crowd = (0..4).map(|_| TcpStream::connect(("127.0.0.1", one.port())));
    let crowd: Vec<_> = crowd.collect::<Result<_, _>>().unwrap();

    prometheus.wait_for_alert("IcecastBalancerConnectionsShed", &[("reason", "max_connections")]);
    // To turn somebody away is a line of the log.
    prometheus.wait_for_alert("IcecastBalancerLogLinesDropped", &[]);
    prometheus.wait_for_alert("IcecastBalancerConfigDiffers", &[]);
    drop(crowd);
}

#[test]
fn an_engine_that_nobody_reaches_is_alerted_of() {
    let lab = Lab::new();
    // Nobody listens on this port.
    let engine = "cluster: {replicas: 2, engine: 'redis://127.0.0.1:1'}";
    let balancer = Balancer::start(&lab, &format!("{engine}\n{NOWHERE}"));
    let prometheus = watched(&lab, &[&balancer]);
    prometheus.wait_for_alert("IcecastBalancerClusterEngineDown", &[]);
}

#[test]
fn a_relay_that_comes_and_goes_and_one_that_stays_away_are_alerted_of() {
    let lab = Lab::new();
    let (vienna, _at_vienna) = relay(&lab, "vienna");
    let (mut berlin, _at_berlin) = relay(&lab, "berlin");
    let config = config(&[("vienna", &vienna), ("berlin", &berlin)], "");
    let balancer = Balancer::start(&lab, &config);
    let prometheus = watched(&lab, &[&balancer]);
    let up = |value: f64| {
        let query = "icecast_balancer_server_up{server=\"vienna\"}";
        prometheus.wait_for(query, |values| values == [value]);
    };

    berlin.kill();
    for turn in 1..=3 {
        vienna.hang();
        up(0.0);
        if turn < 3 {
            assert!(!firing(&prometheus).contains(&"IcecastBalancerRelayFlapping".to_owned()));
            vienna.wake();
            up(1.0);
        }
    }
    prometheus.wait_for_alert("IcecastBalancerRelayFlapping", &[("server", "vienna")]);
    // A minute must pass until anything is old.
    let old = "time() - icecast_balancer_server_last_success_timestamp_seconds{server=\"berlin\"}";
    eventually("a minute has passed", Duration::from_secs(90), || {
        (prometheus.query(old).first()? > &60.0).then_some(())
    });
    prometheus.wait_for_alert("IcecastBalancerStaleData", &[("server", "berlin")]);
}

#[test]
fn certificates_near_their_end_and_a_configuration_that_is_not_watched_are_alerted_of() {
    let lab = Lab::new();
    let folder = lab.folder("certificates", "root");
    certificate::make_for_days(7, &folder, "root");
    let file = |name: &str| folder.join(name).display().to_string();
    let config = format!(
        "tls: {{listen: '127.0.0.1:{}', certificate: '{}', key: '{}'}}\n{NOWHERE}",
        free_port(),
        file("radio.crt"),
        file("radio.key")
    );
    // Nobody in there may watch anything.
    let blind = Program::new("unshare", "util-linux").args([
        "--user",
        "--map-root-user",
        "sh",
        "-ec",
        "echo 0 > /proc/sys/user/max_inotify_instances; exec \"$0\" \"$@\"",
    ]);
    let balancer = Balancer::start_under(blind, &lab, &config);
    let prometheus = watched(&lab, &[&balancer]);
    prometheus.wait_for_alert("IcecastBalancerConfigWatchLost", &[]);
    prometheus.wait_for_alert("IcecastBalancerCertificateExpires", &[]);
    assert!(!firing(&prometheus).contains(&"IcecastBalancerCertificateExpiresSoon".to_owned()));

    certificate::make_for_days(2, &folder, "root");
    prometheus.wait_for_alert("IcecastBalancerCertificateExpiresSoon", &[]);
    assert!(!firing(&prometheus).contains(&"IcecastBalancerCertificateExpires".to_owned()));
}

#[test]
fn a_balancer_that_is_killed_again_and_again_and_one_short_of_files_are_alerted_of() {
    let lab = Lab::new();
    // Whoever supervises it starts it anew each time.
    let killed = "while :; do timeout --foreground -s KILL 4 \"$0\" \"$@\" || :; done";
    let mortal = Program::new("sh", "dash").args(["-c", killed]);
    let mortal = Balancer::start_under(mortal, &lab, NOWHERE);
    let narrow = Program::new("prlimit", "util-linux").args(["--nofile=400"]);
    let narrow = Balancer::start_under(narrow, &lab, &format!("{PATIENT}{NOWHERE}"));
    let prometheus = watched(&lab, &[&mortal, &narrow]);

    let crowd = (0..310).map(|_| TcpStream::connect(("127.0.0.1", narrow.port())));
    let crowd: Vec<_> = crowd.collect::<Result<_, _>>().unwrap();
    prometheus.wait_for_alert("IcecastBalancerFewFilesLeft", &[]);
    drop(crowd);
    prometheus.wait_for_alert("IcecastBalancerRestarting", &[]);
}

/// A station that is not there.
const NOWHERE: &str = "servers: {one: 'http://127.0.0.1:9'}\nstreams: {/a.ogg: }\n";

/// Silent connections may stay.
const PATIENT: &str = "limits: {header_timeout: 5m}\n";

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
