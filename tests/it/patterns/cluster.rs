//! A large cluster in twenty lines: the example, with relays of its own.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::relay::Relay;
use crate::support::{Balancer, Wire, eventually};

/// Mounts that each relay carries.
const TALKS: usize = 1_500;

#[tokio::test]
async fn twelve_relays_with_1500_mounts_each_need_twenty_lines() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cluster.yaml");
    let mut yaml = fs::read_to_string(file).unwrap();
    assert!(yaml.lines().count() <= 20, "{yaml}");
    let names: Vec<String> = (0..TALKS).map(|n| format!("/talks/talk-{n:04}.ogg")).collect();
    let mut relays = Vec::new();
    for host in ["vienna", "berlin", "graz"] {
        for number in 1..=4 {
            let relay = names
                .iter()
                .fold(Relay::builder().unlimited("/pause.ogg"), |builder, name| {
                    builder.mount(name, 10)
                })
                .start()
                .unwrap();
            let example = format!("http://relay{number}.{host}.example.org:8000");
            assert!(yaml.contains(&example), "{yaml}");
            yaml = yaml.replace(&example, &relay.url());
            relays.push(relay);
        }
    }
    assert!(!yaml.contains("example.org"), "every server of the example has a relay here");
    // All of them share one machine: one look at each is enough.
    writeln!(yaml, "poll: {{interval: 1m, fast_interval: 1m, timeout: 10s, stale_after: 10m}}")
        .unwrap();
    let balancer = Balancer::start(&yaml).await;
    for server in 0..relays.len() {
        eventually(&format!("server {server} is known"), async || {
            balancer.status().await["servers"][server]["health"] == "up"
        })
        .await;
    }

    let mut wire = Wire::to(balancer.public).await;
    for name in &names {
        wire.send(format!("GET {name} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        let answer = wire.answer().await;
        assert_eq!(answer.status, 302, "{name}: {answer:?}");
    }
    let pattern = &balancer.status().await["streams"][0]["pattern"];
    assert_eq!(pattern["streams"].as_array().unwrap().len(), TALKS);
    let mounts = pattern["streams"][TALKS - 1]["mounts"].as_array().unwrap();
    assert_eq!(mounts.len(), relays.len());
    let metrics = balancer.admin_get("/metrics").await.body;
    let of_mounts = metrics.lines().filter(|line| line.contains("mount_up{"));
    assert_eq!(of_mounts.count(), 2 * relays.len(), "one for the pattern and one for the pause");
}
