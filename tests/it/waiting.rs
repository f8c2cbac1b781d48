//! Players of a full stream, held until a slot frees.

use std::time::Duration;

use crate::relay::Relay;
use crate::support::{Balancer, Player, eventually, raw};

fn config(relay: &Relay, wait: &str) -> String {
    format!(
        "servers: {{one: '{}'}}\nstreams: {{/x: }}\npoll: {{fast_interval: 50ms}}\n\
         balance: {{headroom: 0, settle: 200ms, when_full: wait, wait: {wait}}}\n",
        relay.url()
    )
}

async fn waiting(balancer: &Balancer, count: usize) {
    let series = "icecast_balancer_stream_waiting{stream=\"/x\"}";
    eventually(&format!("{count} wait"), async || {
        balancer.metric(series).await == Some(count as f64)
    })
    .await;
}

#[tokio::test]
async fn a_player_of_a_full_stream_gets_the_place_of_one_who_leaves() {
    let relay = Relay::builder().mount("/x", 1).start().unwrap();
    let balancer = Balancer::start(&config(&relay, "1m")).await;
    let first = Player::follow(balancer.get("/x").await.location()).await;
    let next = async {
        let answer = balancer.get("/x?me=next").await;
        assert_eq!(answer.location(), format!("{}/x?me=next", relay.url()));
        Player::follow(answer.location()).await
    };
    let leaving = async {
        waiting(&balancer, 1).await;
        drop(first);
    };
    let (player, ()) = tokio::join!(next, leaving);
    assert_eq!(player.status, 200);
    assert_eq!(relay.refused(), 0);
    waiting(&balancer, 0).await;
}

#[tokio::test]
async fn the_first_to_wait_is_the_first_to_be_sent() {
    let relay = Relay::builder().mount("/x", 1).start().unwrap();
    let balancer = Balancer::start(&config(&relay, "1m")).await;
    let playing = Player::follow(balancer.get("/x").await.location()).await;
    let first = async { balancer.get("/x?first").await };
    let second = async {
        waiting(&balancer, 1).await;
        balancer.get("/x?second").await
    };
    let leaving = async {
        waiting(&balancer, 2).await;
        drop(playing);
    };
    tokio::pin!(second);
    let answer = tokio::select! {
        (answer, ()) = async { tokio::join!(first, leaving) } => answer,
        answer = &mut second => panic!("the second was told before the first: {answer:?}"),
    };
    assert_eq!(answer.status, 302);
}

#[tokio::test]
async fn patience_that_ends_is_a_503() {
    let relay = Relay::builder().mount("/x", 1).start().unwrap();
    let balancer = Balancer::start(&config(&relay, "300ms")).await;
    let _playing = Player::follow(balancer.get("/x").await.location()).await;
    let answer = balancer.get("/x").await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.starts_with("full: "), "{}", answer.body);
}

#[tokio::test]
async fn a_player_that_hangs_up_while_it_waits_takes_nobodys_place() {
    let relay = Relay::builder().mount("/x", 1).start().unwrap();
    let balancer = Balancer::start(&config(&relay, "1m")).await;
    let playing = Player::follow(balancer.get("/x").await.location()).await;
    {
        let asking = balancer.get("/x?impatient");
        tokio::pin!(asking);
        tokio::select! {
            answer = &mut asking => panic!("there is no place: {answer:?}"),
            () = waiting(&balancer, 1) => {}
        }
    }
    waiting(&balancer, 0).await;
    drop(playing);
    let answer = balancer.get("/x?patient").await;
    assert_eq!(answer.location(), format!("{}/x?patient", relay.url()));
}

#[tokio::test]
async fn head_does_not_wait() {
    let relay = Relay::builder().mount("/x", 1).start().unwrap();
    let balancer = Balancer::start(&config(&relay, "1m")).await;
    let _playing = Player::follow(balancer.get("/x").await.location()).await;
    let request = "HEAD /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(balancer.public, request).await.status, 503);
}

#[tokio::test]
async fn a_reload_that_makes_room_serves_those_who_wait() {
    let relay = Relay::builder().mount("/x", 2).start().unwrap();
    let narrow = config(&relay, "1m").replace("/x: ", "/x: {mounts: {one: {max_listeners: 1}}}");
    let balancer = Balancer::start(&narrow).await;
    let _playing = Player::follow(balancer.get("/x").await.location()).await;
    let widening = async {
        waiting(&balancer, 1).await;
        balancer.edit(&config(&relay, "1m"));
    };
    let (answer, ()) = tokio::join!(balancer.get("/x"), widening);
    assert_eq!(answer.status, 302);
    // Long enough for whoever was promised a slot to be counted.
    let limit = Duration::from_secs(5);
    let player = tokio::time::timeout(limit, Player::follow(answer.location())).await;
    assert_eq!(player.expect("it is let in").status, 200);
}
