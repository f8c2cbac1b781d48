//! Streams by pattern: what relays list under a prefix can be heard under it.

mod cluster;
mod hostile;
mod shown;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::relay::Relay;
use crate::support::{Balancer, eventually, servers, servers_with};

/// Looks every few milliseconds, so that nobody waits.
const BUSY: &str = "poll: {interval: 20ms, fast_interval: 20ms, timeout: 10s, slow_start: 0s}\n";

fn talks(mounts: &[&str]) -> Relay {
    let builder = mounts.iter().fold(Relay::builder(), |builder, mount| builder.mount(mount, 10));
    builder.start().unwrap()
}

async fn watching(relays: &[&Relay], streams: &str) -> Balancer {
    Balancer::start(&format!("{BUSY}{}streams: {{{streams}}}\n", servers(relays))).await
}

async fn until_status(balancer: &Balancer, path: &str, status: u16) {
    let what = format!("{path} is answered {status}");
    eventually(&what, async || balancer.get(path).await.status == status).await;
}

#[tokio::test]
async fn as_soon_as_the_balancer_is_ready_the_streams_are_there() {
    let relays: Vec<Relay> = (0..8).map(|n| talks(&[&format!("/talks/{n}.ogg")])).collect();
    let balancer = watching(&relays.iter().collect::<Vec<_>>(), "/talks/*: ").await;
    for (n, relay) in relays.iter().enumerate() {
        let answer = balancer.get(&format!("/talks/{n}.ogg?token=x")).await;
        assert_eq!(answer.status, 302, "{answer:?}");
        assert_eq!(answer.location(), format!("{}/talks/{n}.ogg?token=x", relay.url()));
    }
}

#[tokio::test]
async fn a_mount_that_appears_can_be_heard_and_one_that_goes_is_offline() {
    let relay = talks(&["/talks/a.ogg"]);
    let balancer = watching(&[&relay], "/talks/*: ").await;
    let answer = balancer.get("/talks/b.ogg").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body, "offline: /talks/* has no source at the moment\n");
    relay.add_mount("/talks/b.ogg", Some(10));
    until_status(&balancer, "/talks/b.ogg", 302).await;
    relay.remove_mount("/talks/b.ogg");
    until_status(&balancer, "/talks/b.ogg", 503).await;
    assert!(balancer.get("/talks/b.ogg").await.body.starts_with("offline: "));
    assert_eq!(balancer.get("/talks/a.ogg").await.status, 302);
    assert_eq!(balancer.get("/talk/a.ogg").await.status, 404);
}

#[tokio::test]
async fn a_stream_is_full_when_its_mounts_are() {
    let relays = [talks(&["/talks/a.ogg"]), talks(&["/talks/a.ogg"])];
    let balancer = Balancer::start(&format!(
        "{BUSY}balance: {{headroom: 0, settle: 1h}}\n{}streams: {{/talks/*: }}\n",
        servers(&[&relays[0], &relays[1]])
    ))
    .await;
    let mut sent = 0;
    for _ in 0..30 {
        sent += u32::from(balancer.get("/talks/a.ogg").await.status == 302);
    }
    assert_eq!(sent, 20);
    assert!(balancer.get("/talks/a.ogg").await.body.starts_with("full: "));
}

#[tokio::test]
async fn each_relay_has_its_prefix_and_players_another() {
    let relays = [talks(&["/talks/a.ogg"]), talks(&["/relay/talks/b.ogg"])];
    let pattern = "/talks/*: {mounts: {r0: /talks/*, r1: /relay/talks/*}, aliases: [/t/*]}";
    let balancer = watching(&[&relays[0], &relays[1]], pattern).await;
    let a = balancer.get("/t/a.ogg").await;
    assert_eq!(a.location(), format!("{}/talks/a.ogg", relays[0].url()));
    let b = balancer.get("/talks/b.ogg").await;
    assert_eq!(b.location(), format!("{}/relay/talks/b.ogg", relays[1].url()));
    assert_eq!(balancer.get("/relay/talks/b.ogg").await.status, 404);
}

#[tokio::test]
async fn what_nobody_lists_goes_to_the_fallback() {
    let relay = talks(&["/talks/a.ogg", "/pause.ogg"]);
    let streams = "/talks/*: {fallback: /pause.ogg}, /pause.ogg: ";
    let balancer = watching(&[&relay], streams).await;
    let answer = balancer.get("/talks/b.ogg").await;
    assert_eq!(answer.location(), format!("{}/pause.ogg", relay.url()));
}

#[tokio::test]
async fn a_reload_makes_a_new_pattern_known_at_once_and_keeps_the_streams_of_one_that_stays() {
    let relay = talks(&["/talks/a.ogg", "/rooms/1.ogg"]);
    let slow = "poll: {interval: 1h, fast_interval: 1h, stale_after: 1h}\n";
    let with = |streams: &str| format!("{slow}{}streams: {{{streams}}}\n", servers(&[&relay]));
    let balancer = Balancer::start(&with("/talks/*: ")).await;
    assert_eq!(balancer.get("/talks/a.ogg").await.status, 302);
    relay.hang_stats();
    balancer.edit(&with("/talks/*: {max_streams: 5}"));
    balancer.reload.reload().await.unwrap();
    assert_eq!(balancer.get("/talks/a.ogg").await.status, 302, "no look was needed");
    relay.heal();
    balancer.edit(&with("/talks/*: , /rooms/*: "));
    balancer.reload.reload().await.unwrap();
    until_status(&balancer, "/rooms/1.ogg", 302).await;
}

#[tokio::test]
async fn what_was_found_is_no_change_of_the_configuration() {
    let relay = talks(&["/talks/a.ogg"]);
    let balancer = watching(&[&relay], "/talks/*: ").await;
    let sha = balancer.status().await["config"]["sha256"].clone();
    let yaml = format!("{BUSY}{}streams: {{/talks/*: , /x.ogg: }}\n", servers(&[&relay]));
    balancer.edit(&yaml);
    let changes = format!("{:?}", balancer.reload.reload().await.unwrap());
    assert!(changes.contains("/x.ogg") && !changes.contains("/talks/"), "{changes}");
    let now = balancer.status().await["config"]["sha256"].clone();
    assert_ne!(now, sha);
    relay.add_mount("/talks/b.ogg", None);
    until_status(&balancer, "/talks/b.ogg", 302).await;
    assert_eq!(balancer.status().await["config"]["sha256"], now);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_streams_come_and_go_and_configurations_too() {
    let relay = Relay::builder().unlimited("/talks/a.ogg").start().unwrap();
    let servers = servers_with(&[&relay], "max_joins_per_second: 1000000");
    let yaml = |round: u32| {
        format!("{BUSY}{servers}streams: {{/talks/*: {{max_streams: {}}}}}\n", 100 + round)
    };
    let balancer = Arc::new(Balancer::start(&yaml(0)).await);
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let players: Vec<_> = (0..4)
        .map(|_| {
            let (balancer, stop) = (Arc::clone(&balancer), Arc::clone(&stop));
            let asked = Arc::clone(&asked);
            tokio::spawn(async move {
                while !stop.load(Relaxed) {
                    let answer = balancer.get("/talks/a.ogg").await;
                    assert_eq!(answer.status, 302, "{answer:?}");
                    asked.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    for round in 1..=20 {
        let path = format!("/talks/{round}.ogg");
        relay.add_mount(&path, None);
        balancer.edit(&yaml(round));
        balancer.reload.reload().await.unwrap();
        until_status(&balancer, &path, 302).await;
        let before = asked.load(Relaxed);
        eventually("players are answered", async || asked.load(Relaxed) > before + 20).await;
        relay.remove_mount(&path);
        until_status(&balancer, &path, 503).await;
    }
    stop.store(true, Relaxed);
    for player in players {
        player.await.unwrap();
    }
}

#[tokio::test]
async fn a_stream_that_was_found_has_its_lists_and_stands_in_that_of_all_streams() {
    let relay = talks(&["/talks/a.ogg", "/admin/streamlist.txt"]);
    let yaml =
        format!("{BUSY}streamlist: true\n{}streams: {{/*: , /x.ogg: }}\n", servers(&[&relay]));
    let balancer = Balancer::start(&yaml).await;
    let all = balancer.get("/admin/streamlist.txt").await;
    assert_eq!(all.status, 200, "no relay can take its place: {all:?}");
    assert_eq!(all.body, "/x.ogg\n/admin/streamlist.txt\n/talks/a.ogg\n");
    let list = balancer.get("/talks/a.ogg.m3u").await;
    assert_eq!(list.status, 200, "{list:?}");
    assert!(list.body.contains(&format!("{}/talks/a.ogg", relay.url())), "{}", list.body);
    assert_eq!(balancer.get("/talks/b.ogg.m3u").await.status, 503);
    relay.add_mount("/talks/b.ogg", None);
    until_status(&balancer, "/talks/b.ogg", 302).await;
    assert!(balancer.get("/admin/streamlist.txt").await.body.ends_with("/talks/b.ogg\n"));
}
