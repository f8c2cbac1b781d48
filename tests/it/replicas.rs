//! Several balancers with the same file and the same relays, none of which knows of the others.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::life::program::Program;
use crate::relay::Relay;
use crate::support::{Balancer, PORTS, Player, eventually, raw, servers};

/// Two slots are kept free, so that 30 are shared.
const LIMIT: u64 = 32;
const REPLICAS: usize = 3;

const CONFIG: &str = "cluster: {replicas: 3}\npoll: {interval: 200ms, fast_interval: 100ms}\n\
    balance: {policy: client_hash}\ntrusted_proxies: [127.0.0.1]\nstreams: {/saal1.ogg: }\n";

/// A relay that tells of a listener only 300 ms later.
fn relay() -> Relay {
    let late = Relay::builder().statistics_delay(Duration::from_millis(300));
    late.mount("/saal1.ogg", LIMIT).start().unwrap()
}

/// Replicas that have seen all relays.
async fn replicas(relays: &[&Relay]) -> Vec<Balancer> {
    let config = format!("{}{CONFIG}", servers(relays));
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        let replica = Balancer::start(&config).await;
        for relay in 0..relays.len() {
            replica.until_health(&format!("r{relay}"), "up").await;
        }
        replicas.push(replica);
    }
    replicas
}

/// Where a replica sends a player who asks from `client`, if it does.
async fn ask(replica: SocketAddr, client: &str) -> Option<String> {
    let request = format!(
        "GET /saal1.ogg HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {client}\r\nConnection: close\r\n\r\n"
    );
    let answer = raw(replica, &request).await;
    (answer.status == 302).then(|| answer.location().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_give_away_their_shares_and_no_slot_twice() {
    let relay = relay();
    let replicas = replicas(&[&relay]).await;
    let mut players = Vec::new();
    // All of the crowd comes to one, before the others see anything of it.
    for (replica, asked) in replicas.iter().zip([40_usize, 20, 20]) {
        let mut locations = Vec::new();
        for client in 0..asked {
            locations.extend(ask(replica.public, &format!("192.0.2.{client}")).await);
        }
        assert!(!locations.is_empty() && locations.len() <= 10, "{}", locations.len());
        for location in locations {
            players.push(Player::follow(&location).await);
        }
    }
    assert!(players.iter().all(|player| player.status == 200));
    assert_eq!(relay.refused(), 0);
    assert!(relay.peak("/saal1.ogg") <= LIMIT - 2, "{}", relay.peak("/saal1.ogg"));
    // What the first gave away is gone from the shares of the others once they have seen it.
    for replica in &replicas {
        eventually("all have seen who came", async || {
            let series = "icecast_balancer_mount_listeners{stream=\"/saal1.ogg\",server=\"r0\"}";
            replica.metric(series).await == Some(players.len() as f64)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_process_sends_a_listener_to_the_same_relay_by_the_same_file() {
    let relays = [relay(), relay(), relay(), relay()];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("balancer.yaml");
    std::fs::write(&file, format!("{PORTS}{}{CONFIG}", servers(&relays.each_ref()))).unwrap();
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        let replica = Program::start(&file, &[]).await;
        eventually("it knows all relays", async || {
            let metrics = replica.admin_get("/metrics").await.body;
            let up = |line: &&str| {
                line.starts_with("icecast_balancer_server_up{") && line.ends_with(" 1")
            };
            metrics.lines().filter(up).count() == relays.len()
        })
        .await;
        replicas.push(replica);
    }
    let mut chosen = BTreeSet::new();
    for client in 0..12 {
        let client = format!("198.51.{client}.7");
        let mut answers = Vec::new();
        for replica in &replicas {
            answers.push(ask(replica.public, &client).await.expect("there are slots"));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{client}: {answers:?}");
        chosen.extend(answers);
    }
    assert!(chosen.len() > 1, "{chosen:?}");
}
