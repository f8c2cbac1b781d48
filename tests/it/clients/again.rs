//! `client_hash`: the same relay for whoever comes back.

use std::collections::BTreeSet;

use super::Lab;

/// Where an address is sent that asks 41 times, one after the other.
async fn reconnects(policy: &str) -> BTreeSet<String> {
    let lab = Lab::start(&["", "", "", "", ""], &format!("balance: {{policy: {policy}}}")).await;
    let mut relays = BTreeSet::new();
    for _ in 0..41 {
        relays.insert(lab.sent("192.0.2.1").await);
    }
    relays
}

#[tokio::test]
async fn a_player_that_reconnects_41_times_comes_to_one_relay() {
    assert_eq!(reconnects("client_hash").await.len(), 1);
    assert_eq!(reconnects("least_used").await.len(), 5, "and without it to all of them");
}

#[tokio::test]
async fn neighbours_come_to_the_same_relay_and_networks_are_spread() {
    let lab = Lab::start(&["", "", ""], "balance: {policy: client_hash, salt: grain}").await;
    let mut relays = BTreeSet::new();
    for network in 0..40 {
        let relay = lab.sent(&format!("10.0.{network}.1")).await;
        assert_eq!(lab.sent(&format!("10.0.{network}.250")).await, relay);
        relays.insert(relay);
    }
    assert_eq!(relays.len(), 3);
    for page in ["/api/v1/status", "/metrics", "/"] {
        assert!(!lab.balancer.admin_get(page).await.body.contains("grain"), "{page}");
    }
}
