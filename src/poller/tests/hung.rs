//! When looks begin, whatever other relays do, and whatever becomes of our own time.

use tokio::time::{advance, sleep};

use super::super::*;
use super::world::{FakeRelay, Way, World};
use crate::slots::Moment;

/// The most looks that began within any tenth of a second, of all relays, in so much time.
fn most_in_a_tenth(world: &World, from: Moment, during: Duration) -> usize {
    let mut looks: Vec<_> = world.relays.iter().flat_map(|relay| relay.looks()).collect();
    looks.retain(|at| *at >= from && *at < from + during);
    looks.sort();
    let tenth = Duration::from_millis(100);
    let within =
        |first: Moment| looks.iter().filter(|at| **at >= first && **at < first + tenth).count();
    looks.iter().map(|first| within(*first)).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn hung_relays_delay_no_look_at_the_others() {
    let world = World::new(50, 100, "").await;
    for hung in world.relays.iter().step_by(2) {
        hung.answers(Way::Hangs);
    }
    sleep(Duration::from_secs(120)).await;
    let late = Duration::from_millis(2_000 + 200 + 100);
    for (number, relay) in world.relays.iter().enumerate() {
        assert_eq!(relay.most_at_once(), 1, "r{number}");
        let looks = relay.looks();
        let gaps = looks.iter().zip(&looks[1..]).map(|(one, next)| next.saturating_sub(*one));
        let longest = gaps.max().expect("several looks");
        if number % 2 == 1 {
            assert!(longest <= late, "r{number} waited for {longest:?}");
            assert!(looks.len() >= 54, "r{number} was looked at {} times", looks.len());
        }
    }
    assert!(world.polls(0, PollResult::Timeout) > 20);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_relays_are_not_looked_at_all_at_once() {
    let world = World::new(100, 100, "").await;
    sleep(Duration::from_secs(10)).await;
    let before = world.state.now();
    world.reload("limits: {max_connections: 1000}\n");
    sleep(Duration::from_secs(10)).await;
    // A hundred relays each two seconds are five in a tenth of a second; thrice that is a crowd.
    for (what, from) in [("start", Moment::ZERO), ("reload", before)] {
        let first = most_in_a_tenth(&world, from, Duration::from_secs(1));
        let later = most_in_a_tenth(&world, from, Duration::from_secs(10));
        println!("most looks in a tenth of a second after a {what}: {first}, and {later} later");
        assert!(first <= 15, "{what}: {first}");
        // From then on chance has it, which sometimes brings a few more together.
        assert!(later <= 25, "{what}: {later}");
    }
    let first = |relay: &Arc<FakeRelay>| {
        relay.looks().into_iter().find(|at| *at >= before).expect("a look")
    };
    let last = world.relays.iter().map(first).max().expect("relays").saturating_sub(before);
    assert!(last <= Duration::from_millis(1_100), "a new mount is looked for after {last:?}");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_is_slow_while_we_do_not_run_is_not_to_blame() {
    let world = World::new(3, 100, "").await;
    for relay in &world.relays {
        relay.answers(Way::Slowly(Duration::from_millis(300)));
    }
    for _ in 0..10 {
        sleep(Duration::from_millis(5_300)).await;
        advance(Duration::from_secs(60)).await;
        for relay in 0..3 {
            assert_eq!(world.health(relay), Health::Up);
        }
    }
    let timeouts: u64 = (0..3).map(|relay| world.polls(relay, PollResult::Timeout)).sum();
    assert!(timeouts > 0, "some looks were under way");
    let resumed = world.state.now();
    sleep(Duration::from_secs(4)).await;
    for relay in &world.relays {
        assert!(relay.looks().iter().any(|at| *at > resumed), "it is looked at again");
    }
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_hangs_is_to_blame_even_if_we_are_a_little_late() {
    let world = World::new(1, 100, "").await;
    world.relays[0].answers(Way::Hangs);
    for _ in 0..30 {
        sleep(Duration::from_millis(500)).await;
        advance(Duration::from_millis(150)).await;
    }
    assert_eq!(world.health(0).label(), "down");
    world.end().await;
}

#[test]
fn a_failure_is_our_own_where_our_timers_were_late() {
    let url: Url = "http://x".parse().unwrap();
    let server_fault = |late| {
        let look = lag::Timed {
            done: Some(Err(Failure::odd(PollResult::Malformed, String::new()))),
            late,
        };
        fairly(look, &url).unwrap_err().evidence
    };
    assert_eq!(server_fault(Duration::from_millis(999)), Evidence::Soft);
    assert_eq!(server_fault(Duration::from_millis(1_001)), Evidence::Own);
    let over = |late| fairly(lag::Timed { done: None, late }, &url).unwrap_err();
    assert_eq!(over(Duration::ZERO).evidence, Evidence::Soft);
    let own = over(Duration::from_secs(20));
    assert_eq!((own.evidence, own.result), (Evidence::Own, PollResult::Timeout));
    assert_eq!(
        own.to_string(),
        "no whole answer from http://x/ in time; but we ourselves did not run for 20.0s"
    );
}
