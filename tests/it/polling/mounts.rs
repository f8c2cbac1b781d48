//! What becomes of mounts, and of who listens to them.

use crate::relay::Relay;
use crate::relay::state::Source;
use crate::relay::stats::Document;
use crate::support::{Balancer, Player, eventually, number, servers};

use super::{BUSY, STREAM, mount, relay, server, until_polled_again, watching};

#[tokio::test]
async fn a_mount_that_is_removed_is_offline_at_the_next_look() {
    let relay = relay(10);
    let balancer = watching(&[&relay], "").await;
    assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
    relay.remove_mount("/saal1.ogg");
    until_polled_again(&relay, 2).await;
    let answer = balancer.get("/saal1.ogg").await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.starts_with("offline: "), "{}", answer.body);

    relay.add_mount("/saal1.ogg", Some(10));
    until_polled_again(&relay, 2).await;
    assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
}

#[tokio::test]
async fn a_mount_on_demand_that_nobody_woke_comes_after_one_that_plays() {
    let idle = Relay::builder().on_demand("/saal1.ogg", Some(100)).start().unwrap();
    let playing = relay(100);
    let balancer = watching(&[&idle, &playing], "").await;
    assert_eq!(mount(&balancer).await["presence"], "idle");
    for _ in 0..20 {
        assert!(balancer.get("/saal1.ogg").await.location().starts_with(&playing.url()));
    }
}

#[tokio::test]
async fn a_mount_on_demand_is_woken_where_no_other_plays() {
    let idle = Relay::builder().on_demand("/saal1.ogg", Some(100)).start().unwrap();
    let balancer = watching(&[&idle], "").await;
    let player = Player::follow(balancer.get("/saal1.ogg").await.location()).await;
    assert_eq!(player.status, 200);
    eventually("it plays", async || mount(&balancer).await["presence"] == "active").await;
}

#[tokio::test]
async fn a_mount_on_demand_whose_master_is_dead_is_listed_all_the_same() {
    let dead = Relay::builder().on_demand("/saal1.ogg", Some(100)).start().unwrap();
    dead.set_source("/saal1.ogg", Source::Dead);
    let playing = relay(3);
    let balancer = watching(&[&dead, &playing], "").await;
    for _ in 0..3 {
        assert!(balancer.get("/saal1.ogg").await.location().starts_with(&playing.url()));
    }
    // Nobody can know that it is dead before somebody has tried.
    assert!(balancer.get("/saal1.ogg").await.location().starts_with(&dead.url()));
}

#[tokio::test]
async fn listeners_who_came_past_the_balancer_are_seen() {
    let relay = relay(10);
    let balancer = watching(&[&relay], "").await;
    relay.hold_listeners("/saal1.ogg", 10);
    eventually("they are seen", async || mount(&balancer).await["listeners"] == 10).await;
    assert_eq!(balancer.get("/saal1.ogg").await.status, 503);
    let labels = "{stream=\"/saal1.ogg\",server=\"r0\"}";
    let series = format!("icecast_balancer_mount_listeners{labels}");
    assert_eq!(balancer.metric(&series).await, Some(10.0));
}

#[tokio::test]
async fn a_limit_that_the_relay_lowers_holds_from_the_next_look() {
    let relay = relay(10);
    let balancer = watching(&[&relay], "").await;
    relay.set_limit("/saal1.ogg", Some(0));
    eventually("it is seen", async || mount(&balancer).await["max_listeners"] == 0).await;
    assert_eq!(balancer.get("/saal1.ogg").await.status, 503);
}

#[tokio::test]
async fn a_relay_that_stops_telling_its_limit_keeps_the_one_it_told() {
    let relay = relay(10);
    let balancer = watching(&[&relay], "").await;
    relay.withdraw(Document::Slots);
    relay.withdraw(Document::Load);
    eventually("status-json is read", async || server(&balancer).await["source"] == "status-json")
        .await;
    assert_eq!(number(&mount(&balancer).await, "/max_listeners"), 10);
}

#[tokio::test]
async fn a_relay_whose_statistics_stand_still_is_not_filled_beyond_its_slots() {
    let relay = relay(10);
    let unsettled = "balance: {settle: 1h}\n";
    let yaml = format!("{BUSY}{unsettled}{}{STREAM}", servers(&[&relay]));
    let balancer = Balancer::start(&yaml).await;
    relay.freeze_stats();
    let mut sent = 0;
    for _ in 0..20 {
        sent += u32::from(balancer.get("/saal1.ogg").await.status == 302);
    }
    assert_eq!(sent, 10 - 1, "one slot is kept free");
}
