//! The certificate is replaced while players come, and a bad one never replaces a good one.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use icecast_balancer::clock::unix_now;
use tokio::time::Instant;

use crate::support::tls::{Pair, Shelf, connect};
use crate::support::{Balancer, PATIENCE, eventually, raw};

use super::{REQUEST, Station};

const SUCCESSFUL: &str = "icecast_balancer_config_last_reload_successful";
const RESTART: &str = "icecast_balancer_config_restart_required";
const EXPIRY: &str = "icecast_balancer_tls_certificate_expiry_timestamp_seconds";

const RELOAD: &str = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A balancer that speaks no TLS.
const PLAIN: &str = "servers: {one: 'http://127.0.0.1:1'}\nstreams: {/saal1.ogg: }\n";

/// Replacements under load.
const REPLACEMENTS: u32 = 20;

impl Station {
    /// Waits until new connections are shown this certificate.
    async fn until_shown(&self, pair: &Pair) {
        eventually("the certificate is shown", async || {
            connect(self.balancer.tls(), pair).await.is_ok()
        })
        .await;
    }

    async fn until_refused(&self) {
        eventually("the pair is refused", async || {
            self.balancer.metric(SUCCESSFUL).await == Some(0.0)
        })
        .await;
    }

    /// What a reload that is asked for now is told.
    async fn reload(&self) -> (u16, String) {
        let answer = raw(self.balancer.admin, RELOAD).await;
        (answer.status, answer.body)
    }
}

#[tokio::test]
async fn a_new_pair_is_shown_to_new_connections_and_kept_ones_go_on() {
    let station = Station::start("").await;
    let mut kept = station.connect().await;
    let next = Pair::new();
    station.shelf.put(&next);
    station.until_shown(&next).await;
    assert!(connect(station.balancer.tls(), &station.pair).await.is_err());
    kept.send(REQUEST).await;
    assert_eq!(kept.answer().await.status, 302);
    assert_eq!(station.balancer.metric(SUCCESSFUL).await, Some(1.0));
    // As Kubernetes and certbot do it: what a link leads to changes.
    let last = Pair::new();
    let shelf = Shelf::with(&last);
    for (link, target) in
        [(station.shelf.certificate(), shelf.certificate()), (station.shelf.key(), shelf.key())]
    {
        let aside = link.with_extension("new");
        std::os::unix::fs::symlink(target, &aside).unwrap();
        fs::rename(aside, link).unwrap();
    }
    station.until_shown(&last).await;
}

#[tokio::test]
async fn a_reload_that_is_asked_for_says_that_the_certificate_is_another() {
    let station = Station::start("").await;
    station.shelf.put(&Pair::new());
    let (status, told) = station.reload().await;
    // The watch may have been quicker.
    assert_eq!(status, 200, "{told}");
    assert!(told.contains("certificate: ~") || told.contains("unchanged"), "{told}");
}

#[tokio::test]
async fn a_bad_pair_never_replaces_a_good_one_and_is_shown_like_a_bad_configuration() {
    let station = Station::start("").await;
    let other = Pair::new();
    let broken = other.certificate.replace("BEGIN", "BEGUN");
    for (certificate, key, words) in [
        (&station.pair.certificate, &other.key, "has the key of another certificate in it"),
        (&other.certificate, &station.pair.key, "has the key of another certificate in it"),
        (&broken, &other.key, "has no certificate in it"),
        (&other.key, &other.certificate, "`certificate` and `key` may have been mixed up"),
    ] {
        let (certificate, key) = (certificate.clone(), key.clone());
        station.shelf.put(&Pair { certificate, key });
        let (status, told) = station.reload().await;
        assert_eq!(status, 422, "{told}");
        assert!(told.contains(words), "{told}");
        station.until_refused().await;
        assert_eq!(station.ask().await.status, 302, "the old one serves on");
        let page = station.balancer.admin_get("/").await.body;
        assert!(page.contains("tls.crt") || page.contains("tls.key"), "{page}");
    }
    station.shelf.put(&other);
    station.until_shown(&other).await;
    eventually("it is shown to be well", async || {
        station.balancer.metric(SUCCESSFUL).await == Some(1.0)
    })
    .await;
}

#[tokio::test]
async fn the_key_is_nowhere_to_be_seen() {
    let station = Station::start("").await;
    let other = Pair::new();
    // Where a key is least expected it is most likely to be quoted.
    let swapped = Pair { certificate: other.key.clone(), key: other.certificate.clone() };
    let bent = other.key.replace("-----END", "----END");
    let bent = Pair { certificate: bent.clone(), key: bent };
    for pair in [&swapped, &bent, &other] {
        station.shelf.put(pair);
        let mut seen = station.reload().await.1;
        for path in ["/", "/api/v1/status", "/metrics"] {
            seen += &station.balancer.admin_get(path).await.body;
        }
        for line in other.key.lines().filter(|line| !line.starts_with('-')) {
            assert!(!seen.contains(&line[..16]), "{seen}");
            let bytes = STANDARD.decode(line).unwrap();
            let list = format!("{:?}", &bytes[..8]);
            assert!(!seen.contains(list.trim_matches(['[', ']'])), "{seen}");
        }
    }
    let key = other.key.lines().nth(1).unwrap();
    station.balancer.edit(&station.yaml.replace("key: '", &format!("key: '-----BEGIN {key} ")));
    let told = station.reload().await;
    assert_eq!(told.0, 422);
    assert!(told.1.contains("is PEM itself") && !told.1.contains(&key[..16]), "{}", told.1);
}

#[tokio::test]
async fn the_metric_tells_when_the_certificate_expires() {
    let station = Station::start("").await;
    let expiry = station.balancer.metric(EXPIRY).await.expect("the series is there");
    let now = unix_now();
    let days = (expiry - now) / 86_400.0;
    assert!((1.9..2.1).contains(&days), "{days}");
    let without = Station::start("").await;
    without.balancer.edit(PLAIN);
    without.reload().await;
    assert!(without.balancer.metric(EXPIRY).await.is_some(), "it is served until the restart");
}

#[tokio::test]
async fn what_needs_a_restart_is_said_and_served_on_until_then() {
    let station = Station::start("").await;
    let without = station.yaml.split_once('\n').unwrap().1.to_owned();
    for (yaml, restart) in [
        (without, 1.0),
        (station.yaml.clone(), 0.0),
        (station.yaml.replace("'127.0.0.1:0', c", "'127.0.0.2:0', c"), 1.0),
    ] {
        station.balancer.edit(&yaml);
        let (status, told) = station.reload().await;
        assert_eq!(status, 200, "{told}");
        assert_eq!(station.balancer.metric(RESTART).await, Some(restart), "{yaml}");
        assert_eq!(station.ask().await.status, 302);
    }
    let keys = &station.balancer.status().await["config"]["restart_required"];
    assert_eq!(keys, &serde_json::json!(["tls.listen"]));
}

#[tokio::test]
async fn a_certificate_for_a_port_that_is_not_there_yet_is_checked_all_the_same() {
    let station = Station::start("").await;
    let plain = Balancer::start(PLAIN).await;
    let missing = station.shelf.yaml().replace("tls.key", "gone.key");
    for (tls, status) in [(missing, 422), (station.shelf.yaml(), 200)] {
        plain.edit(&format!("{tls}{PLAIN}"));
        assert_eq!(raw(plain.admin, RELOAD).await.status, status);
    }
    assert_eq!(plain.metric(RESTART).await, Some(1.0));
}

#[tokio::test]
async fn no_player_notices_that_the_certificate_is_replaced() {
    let station = Station::start("").await;
    let (tls, mut current) = (station.balancer.tls(), station.pair.clone());
    let mut kept = station.connect().await;
    let mut asked = 0;
    let deadline = Instant::now() + REPLACEMENTS * PATIENCE;
    for _ in 0..REPLACEMENTS {
        let next = Pair::new();
        station.shelf.put(&next);
        // Each player believes in both; whichever it is shown, it is served.
        loop {
            kept.send(REQUEST).await;
            assert_eq!(kept.answer().await.status, 302);
            let mut wire = match connect(tls, &next).await {
                Ok(wire) => wire,
                Err(_) => match connect(tls, &current).await {
                    Ok(wire) => wire,
                    // It was replaced between the two.
                    Err(_) => connect(tls, &next).await.expect("one of the two is shown"),
                },
            };
            wire.send(REQUEST).await;
            assert_eq!(wire.answer().await.status, 302);
            asked += 1;
            assert!(Instant::now() < deadline, "a new certificate is never shown");
            if wire.socket().get_ref().1.peer_certificates().unwrap() == [next.der()] {
                break;
            }
        }
        assert!(connect(tls, &current).await.is_err(), "the old one is shown to nobody");
        current = next;
    }
    println!("{asked} handshakes over {REPLACEMENTS} replacements, 0 failed");
}
