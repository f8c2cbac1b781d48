//! Crowds of players that follow their redirects to relays with few slots and late statistics.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::relay::Relay;
use crate::support::{Balancer, Player, eventually, number, raw, servers};

/// What each relay takes. Two slots of each are kept free, so that 333 players are served.
const LIMITS: [u64; 6] = [60, 60, 60, 60, 60, 45];
const SLOTS: usize = 333;

/// A fifth more than there are slots.
const CROWD: usize = 400;

const CONFIG: &str = "poll: {interval: 200ms, fast_interval: 100ms}\nbalance: {settle: 2s}\n\
    streams: {/saal1.ogg: }\n";

/// Relays that tell of a listener only 300 ms later.
async fn small_relays() -> (Vec<Relay>, Balancer) {
    let relay = |limit| {
        let late = Relay::builder().statistics_delay(Duration::from_millis(300));
        late.mount("/saal1.ogg", limit).start().unwrap()
    };
    let relays: Vec<_> = LIMITS.into_iter().map(relay).collect();
    let all: Vec<_> = relays.iter().collect();
    let balancer = Balancer::start(&format!("{}{CONFIG}", servers(&all))).await;
    (relays, balancer)
}

/// Lets players ask at the same time; those who are sent to a relay follow and stay.
async fn arrive(balancer: &Balancer, players: usize) -> Vec<Player> {
    let mut arriving = JoinSet::new();
    let public = balancer.public;
    for _ in 0..players {
        arriving.spawn(async move {
            let request = "GET /saal1.ogg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            let answer = raw(public, request).await;
            match answer.status {
                503 => None,
                _ => Some(Player::follow(answer.location()).await),
            }
        });
    }
    arriving.join_all().await.into_iter().flatten().collect()
}

/// Lets refused players ask again until so many are served.
async fn persist(balancer: &Balancer, served: &mut Vec<Player>, wanted: usize) {
    let more = tokio::sync::Mutex::new(Vec::new());
    let before = served.len();
    eventually(&format!("{wanted} players are served"), async || {
        let mut more = more.lock().await;
        let missing = CROWD - before - more.len();
        more.extend(arrive(balancer, missing).await);
        before + more.len() >= wanted
    })
    .await;
    served.extend(more.into_inner());
}

fn assert_nobody_was_refused(relays: &[Relay], players: &[Player]) {
    for (relay, limit) in relays.iter().zip(LIMITS) {
        assert_eq!(relay.refused(), 0);
        assert!(relay.peak("/saal1.ogg") <= limit - 2, "{}", relay.peak("/saal1.ogg"));
    }
    assert!(players.iter().all(|player| player.status == 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_fills_the_relays_and_none_of_them_refuses_anybody() {
    let (relays, balancer) = small_relays().await;
    let mut players = arrive(&balancer, CROWD).await;
    let at_once = players.len();
    persist(&balancer, &mut players, SLOTS * 95 / 100 + 1).await;
    println!(
        "of {CROWD} players for {SLOTS} slots, {at_once} were served at once, {} in the end",
        players.len()
    );
    assert_nobody_was_refused(&relays, &players);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slots_of_players_who_leave_go_to_others() {
    let (relays, balancer) = small_relays().await;
    let mut players = arrive(&balancer, CROWD).await;
    persist(&balancer, &mut players, SLOTS * 95 / 100 + 1).await;
    players.truncate(100);
    eventually("the relays have noticed", async || {
        let left: u64 = relays.iter().map(|relay| relay.listeners("/saal1.ogg")).sum();
        left == 100
    })
    .await;
    persist(&balancer, &mut players, SLOTS * 95 / 100 + 1).await;
    assert_nobody_was_refused(&relays, &players);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_who_never_arrive_give_their_slots_back() {
    let (relays, balancer) = small_relays().await;
    let mut asked = 0;
    while balancer.get("/saal1.ogg").await.status == 302 {
        asked += 1;
        assert!(asked <= SLOTS, "there are no more slots than that");
    }
    assert_eq!(asked, SLOTS);
    eventually("every slot is free again", async || {
        number(&balancer.status().await, "/streams/0/free") == SLOTS as u64
    })
    .await;
    let players = arrive(&balancer, SLOTS).await;
    assert!(!players.is_empty());
    assert_nobody_was_refused(&relays, &players);
}
