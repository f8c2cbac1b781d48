//! Many relays fail at once: who is still sent where.

use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;

use tokio::time::sleep;

use super::super::*;
use super::world::{Way, World};
use crate::metrics::{self, Mounts};
use crate::player::Refusal;
use crate::server::Connections;

const NO_HEADROOM: &str = "balance: {headroom: 0}\n";

fn panic_mode(world: &World) -> bool {
    let text =
        metrics::render(&world.state, &Connections::default(), world.state.now(), Mounts::Few);
    text.lines().any(|line| line == "icecast_balancer_panic_mode 1")
}

/// What is logged, kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Every relay stops telling anything.
fn all_hang(world: &World) {
    for relay in &world.relays {
        relay.answers(Way::Hangs);
    }
}

#[tokio::test(start_paused = true)]
async fn without_any_statistics_players_get_what_the_ledger_has_and_not_one_more() {
    let mut world = World::new(4, 100, NO_HEADROOM).await;
    world.crowd(60, 4).await;
    let counted: u64 = world.relays.iter().map(|relay| relay.listeners.load(SeqCst)).sum();
    assert_eq!(counted, 240);
    sleep(Duration::from_secs(10)).await;
    all_hang(&world);
    // Within what the network is held for, at the pace they come.
    let (_, refused) = world.crowd(160, 1).await;
    assert_eq!(refused, 0, "the ledger had 160 slots");
    // Half an hour later nobody knows more, and no relay has been filled beyond its limit.
    let (sent, refused) = world.crowd(1_800, 1).await;
    assert_eq!(sent.iter().sum::<u64>(), 0);
    assert_eq!(refused, 1_800);
    assert!(matches!(world.player(), Err(Refusal::Full)));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn when_what_was_known_is_too_old_relays_are_filled_no_faster_than_in_a_minute() {
    let mut world = World::new(4, 6_000, NO_HEADROOM).await;
    let draining = "servers: {r0: 'http://r0.example.org', r1: 'http://r1.example.org', \
        r2: 'http://r2.example.org', r3: {url: 'http://r3.example.org', state: draining}}\n\
        streams: {/x: }\nbalance: {headroom: 0}\n";
    world.replace(draining);
    sleep(Duration::from_secs(10)).await;
    all_hang(&world);
    let (sent, refused) = world.crowd(290, 10).await;
    assert_eq!(refused, 0, "while the network is held, by the ledger");
    assert_eq!(sent[3], 0, "{sent:?}");
    assert!(!panic_mode(&world));
    sleep(Duration::from_secs(40)).await;
    assert!((0..3).all(|relay| world.health(relay).label() == "down"));
    assert!(panic_mode(&world));
    // A sixtieth of 6,000 is a hundred a second for each relay, and more come.
    let began = world.state.now();
    let (sent, refused) = world.crowd(10, 400).await;
    let most = world.state.now().saturating_sub(began).as_secs_f64() * 100.0 + 5.0;
    println!("on a guess: {sent:?} of at most {most:.0}, refused: {refused}");
    for relay in &sent[..3] {
        assert!((most * 0.98..=most).contains(&(*relay as f64)), "{sent:?}, {most}");
    }
    assert_eq!(sent[3], 0, "{sent:?}");
    let refusal = (0..100).find_map(|_| world.player().err());
    assert_eq!(refusal, Some(Refusal::Full), "the relay that drains has its listeners");
    assert!(panic_mode(&world), "also where the rate is used up");
    for relay in &world.relays {
        relay.answers(Way::Well);
    }
    sleep(Duration::from_secs(10)).await;
    assert!(!panic_mode(&world));
    assert!(world.player().is_ok());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn relays_of_which_nothing_was_ever_known_are_filled_slowly_too() {
    let mut world = World::new(2, 6_000, "balance: {headroom: 0}\n").await;
    all_hang(&world);
    let moved = "servers: {r0: {url: 'http://moved.example.org', max_listeners: 601}}\n\
        streams: {/x: }\nbalance: {headroom: 0}\n";
    world.replace(moved);
    sleep(Duration::from_secs(30)).await;
    let (sent, _) = world.crowd(10, 100).await;
    assert!((100..=105).contains(&sent[0]), "{sent:?}");
    let refusal = (0..100).find_map(|_| world.player().err());
    assert_eq!(refusal, Some(Refusal::Unreachable));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn when_most_relays_fail_at_once_none_goes_down_and_one_line_says_so() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let mut world = World::new(10, 1_000, "").await;
    sleep(Duration::from_secs(20)).await;
    for relay in &world.relays[..6] {
        relay.answers(Way::Hangs);
    }
    for _ in 0..28 {
        let (_, refused) = world.crowd(10, 1).await;
        assert_eq!(refused, 0);
        assert!((0..10).all(|relay| world.health(relay).label() != "down"));
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("most relays fail at once").count(), 1, "{text}");
    assert_eq!(text.matches("judged one by one again").count(), 0, "{text}");
    assert!(world.state.network_hold());
    for relay in &world.relays {
        relay.answers(Way::Well);
    }
    sleep(Duration::from_secs(10)).await;
    assert!((0..10).all(|relay| world.health(relay) == Health::Up));
    assert!(!world.state.network_hold());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_network_is_not_held_for_ever() {
    let world = World::new(4, 100, "").await;
    all_hang(&world);
    sleep(Duration::from_secs(320)).await;
    assert!((0..4).all(|relay| world.health(relay).label() == "down"));
    assert!(!world.state.network_hold());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn relays_that_fail_where_most_are_well_go_down_as_ever() {
    let world = World::new(10, 100, "").await;
    for relay in &world.relays[..5] {
        relay.answers(Way::Hangs);
    }
    sleep(Duration::from_secs(30)).await;
    let down = (0..10).filter(|relay| world.health(*relay).label() == "down").count();
    assert_eq!(down, 5);
    world.end().await;
}
