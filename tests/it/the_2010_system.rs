//! What was wrong with the balancer of 2010, one test for each fault, that it may not come back.
//!
//! It sent everybody to the relay that had the most free slots at the last look, took "unlimited"
//! for no slots on the whole server, knew nothing of a server's own limit, forgot scheme and query
//! on the way, and told players of a full stream that it did not exist.

use std::collections::BTreeMap;

use crate::relay::Relay;
use crate::relay::stats::Document;
use crate::support::{Balancer, Player, Wire, servers, servers_with};

/// Looks at the start, and not again while a test lasts.
const ONE_LOOK: &str = "poll: {interval: 1h, fast_interval: 1h, stale_after: 1h}\n";

/// How many of `requests` players were sent to each relay, by its URL, and how many were refused.
async fn sent(balancer: &Balancer, target: &str, requests: usize) -> (BTreeMap<String, u64>, u64) {
    let mut wire = Wire::to(balancer.public).await;
    let (mut sent, mut refused) = (BTreeMap::new(), 0);
    for _ in 0..requests {
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        let answer = wire.answer().await;
        if answer.status == 503 {
            refused += 1;
        } else {
            let relay = answer.location().trim_end_matches(target).to_owned();
            *sent.entry(relay).or_default() += 1;
        }
    }
    (sent, refused)
}

async fn eight_equal_relays(limit: u64) -> (Vec<Relay>, Balancer) {
    let relay = || Relay::builder().mount("/saal1.ogg", limit).start().unwrap();
    let relays: Vec<_> = (0..8).map(|_| relay()).collect();
    let all: Vec<_> = relays.iter().collect();
    let streams = "streams: {/saal1.ogg: }\n";
    let balancer = Balancer::start(&format!("{ONE_LOOK}{}{streams}", servers(&all))).await;
    (relays, balancer)
}

#[tokio::test]
async fn the_players_between_two_looks_do_not_all_go_to_one_relay() {
    let (_relays, balancer) = eight_equal_relays(200).await;
    let (sent, refused) = sent(&balancer, "/saal1.ogg", 1_000).await;
    let (most, least) = (sent.values().max().unwrap(), sent.values().min().unwrap());
    println!("1,000 players on 8 relays between two looks: {sent:?}, most {most}, least {least}");
    assert_eq!((sent.len(), refused), (8, 0));
    assert!(*most as f64 <= 1.3 * *least as f64, "{sent:?}");
}

#[tokio::test]
async fn between_two_looks_no_relay_gets_more_players_than_it_has_slots() {
    let (_relays, balancer) = eight_equal_relays(100).await;
    let (sent, refused) = sent(&balancer, "/saal1.ogg", 1_000).await;
    println!("1,000 players for 8 × 98 slots between two looks: {sent:?}, refused {refused}");
    // Two of each relay's hundred stay free for players who open two connections.
    assert!(sent.values().all(|sent| *sent == 98), "{sent:?}");
    assert_eq!(refused, 1_000 - 8 * 98);
}

#[tokio::test]
async fn a_mount_without_a_limit_leaves_the_other_mounts_of_its_server_their_slots() {
    for document in [Document::Slots, Document::Load, Document::Admin] {
        let relay = Relay::builder()
            .only(document)
            .admin("admin", "hackme")
            .unlimited("/unlimited.ogg")
            .mount("/limited.ogg", 5)
            .start()
            .unwrap();
        let streams = "streams: {/unlimited.ogg: , /limited.ogg: }\n";
        let servers = servers_with(&[&relay], "stats: {password: hackme}");
        let balancer = Balancer::start(&format!("{ONE_LOOK}{servers}{streams}")).await;
        let limited = sent(&balancer, "/limited.ogg", 20).await;
        assert_eq!(limited, (BTreeMap::from([(relay.url(), 5)]), 15), "{document:?}");
        let unlimited = sent(&balancer, "/unlimited.ogg", 200).await;
        assert_eq!(unlimited, (BTreeMap::from([(relay.url(), 200)]), 0), "{document:?}");
    }
}

#[tokio::test]
async fn the_limit_of_the_whole_server_is_kept_by_all_its_mounts_together() {
    let relay = Relay::builder()
        .clients(12)
        .mount("/saal1.ogg", 10)
        .mount("/saal2.ogg", 10)
        .start()
        .unwrap();
    let streams = "streams: {/saal1.ogg: , /saal2.ogg: }\n";
    let servers = servers_with(&[&relay], "max_listeners: 12");
    let balancer = Balancer::start(&format!("{ONE_LOOK}{servers}{streams}")).await;
    let mut players = Vec::new();
    for target in ["/saal1.ogg", "/saal2.ogg"].iter().cycle().take(40) {
        let answer = balancer.get(target).await;
        if answer.status == 302 {
            players.push(Player::follow(answer.location()).await);
        }
    }
    // Both sources are clients as well, and the balancer's looks need one.
    assert_eq!(players.len(), 12 - 2 - 1);
    assert!(players.iter().all(|player| player.status == 200));
    assert_eq!(relay.refused(), 0);
}

#[tokio::test]
async fn scheme_port_and_query_reach_the_player_unchanged() {
    let relay = Relay::builder().mount("/saal1.ogg", 10).start().unwrap();
    let asked = relay.url();
    let yaml = format!(
        "servers: {{vienna: {{url: 'https://vienna.example:8443', stats: {{url: '{asked}'}}}}}}\n\
         streams: {{/saal1.ogg: }}\n"
    );
    let balancer = Balancer::start(&yaml).await;
    let answer = balancer.get("/saal1.ogg?user=a&token=b%20c").await;
    assert_eq!(answer.location(), "https://vienna.example:8443/saal1.ogg?user=a&token=b%20c");
}

#[tokio::test]
async fn a_full_stream_is_not_said_to_be_missing() {
    let relay = Relay::builder().mount("/saal1.ogg", 1).start().unwrap();
    let streams = "streams: {/saal1.ogg: }\n";
    let balancer = Balancer::start(&format!("{ONE_LOOK}{}{streams}", servers(&[&relay]))).await;
    assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
    let full = balancer.get("/saal1.ogg").await;
    assert_eq!(full.status, 503);
    assert!(full.body.starts_with("full: "), "{}", full.body);
    assert_eq!(balancer.get("/saal2.ogg").await.status, 404, "this one is missing");
}
