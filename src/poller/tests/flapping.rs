//! Relays that come back: gently, and not too often.

use std::sync::atomic::Ordering::SeqCst;

use tokio::time::sleep;

use super::super::*;
use super::world::{Way, World};
use crate::slots::Moment;

const HOUR: Duration = Duration::from_secs(3_600);

/// What one relay of ten did that is well and fails by turns.
struct Story {
    /// When it came up again.
    ups: Vec<Moment>,
    /// Players that each relay got in the last half hour.
    sent: Vec<u64>,
}

/// What a relay's falls are to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    Kept,
    /// They are forgotten at once, so that nothing is ever on probation.
    None,
}

async fn flap(relays: usize, way: Way, well: Duration, failing: Duration, memory: Memory) -> Story {
    let mut world = World::new(relays, 1_000_000, "").await;
    let mut ups = Vec::new();
    let mut sent = vec![0; relays];
    let mut before = world.health(0);
    let (mut is_well, mut turn) = (true, world.state.now() + well);
    // Where there are two alone, long enough for slow ones.
    let ends = if relays == 2 { HOUR * 2 } else { HOUR };
    while world.state.now() < ends {
        sleep(Duration::from_millis(250)).await;
        let now = world.state.now();
        if now >= turn {
            is_well = !is_well;
            world.relays[0].answers(if is_well { Way::Well } else { way });
            turn = now + if is_well { well } else { failing };
        }
        if memory == Memory::None {
            world.slots(0).forget_falls();
        }
        let health = world.health(0);
        if health.is_up() && !before.is_up() && before.label() != "doubtful" {
            ups.push(now);
        }
        before = health;
        if let Ok(relay) = world.player()
            && now + HOUR / 2 >= ends
        {
            sent[relay] += 1;
        }
    }
    world.end().await;
    Story { ups, sent }
}

fn most_within_an_hour(ups: &[Moment]) -> usize {
    let within =
        |first: Moment| ups.iter().filter(|at| **at >= first && **at < first + HOUR).count();
    ups.iter().map(|first| within(*first)).max().unwrap_or(0)
}

/// A relay that fails in some `way` comes up at most six times in an hour.
async fn comes_up_seldom(relays: usize, way: Way, well: u64, failing: u64) -> Story {
    let seconds = Duration::from_secs;
    let story = flap(relays, way, seconds(well), seconds(failing), Memory::Kept).await;
    let most = most_within_an_hour(&story.ups);
    println!("{way:?}, {well} s well, {failing} s not: up {most} times an hour at most");
    assert!(most <= 6, "{:?}", story.ups);
    story
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_flaps_comes_up_seldom_and_moves_nobody_elses_share() {
    for (way, well, failing) in
        [(Way::Refuses, 2, 2), (Way::Refuses, 10, 10), (Way::Breaks, 10, 20), (Way::Hangs, 10, 20)]
    {
        let sent = comes_up_seldom(10, way, well, failing).await.sent;
        println!("players of each relay: {sent:?}");
        let fair = sent[1..].iter().sum::<u64>() as f64 / 9.0;
        for sent in &sent[1..] {
            let moved = (*sent as f64 - fair).abs() / fair;
            assert!(moved <= 0.1, "{sent} of {fair}");
        }
        assert!(sent[0] as f64 <= fair * 0.1, "it gets hardly any: {sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_probation_a_relay_that_flaps_comes_up_all_the_time() {
    for (way, well, failing) in
        [(Way::Refuses, 10, 10), (Way::Breaks, 10, 20), (Way::Hangs, 10, 20)]
    {
        let seconds = Duration::from_secs;
        let story = flap(10, way, seconds(well), seconds(failing), Memory::None).await;
        let most = most_within_an_hour(&story.ups);
        println!("{way:?}, {well} s well, {failing} s not: up {most} times an hour");
        assert!(most > 50, "the promise of six would hold all the same: {most}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_flaps_slowly_comes_up_seldom_too() {
    for well in [65, 310, 1_210] {
        comes_up_seldom(2, Way::Refuses, well, 5).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_on_probation_still_serves_where_no_other_does() {
    let mut world = World::new(1, 1_000, "").await;
    for _ in 0..5 {
        world.relays[0].answers(Way::Refuses);
        sleep(Duration::from_secs(10)).await;
        assert!(world.player().is_err());
        world.relays[0].answers(Way::Well);
        sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(world.health(0).label(), "probation");
    let (sent, refused) = world.crowd(10, 20).await;
    assert_eq!((sent[0], refused), (200, 0));
    sleep(Duration::from_secs(1_200)).await;
    assert!(world.health(0).is_up());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_comes_back_is_filled_along_the_line_of_slow_start() {
    let off = off_the_line("").await;
    println!("at most {:.1} % off the line", off * 100.0);
    assert!(off <= 0.1);
}

#[tokio::test(start_paused = true)]
async fn without_slow_start_a_relay_that_comes_back_is_filled_at_once() {
    let off = off_the_line("poll: {slow_start: 0s}\n").await;
    println!("{:.0} % off the line", off * 100.0);
    assert!(off > 1.0, "nobody would miss slow_start: {off}");
}

/// How far from the line of a `slow_start` of 30 s the listeners are that a relay of two is given
/// when it comes back, as a share of what the line has.
async fn off_the_line(settings: &str) -> f64 {
    let mut world = World::new(2, 1_000, &format!("balance: {{headroom: 0}}\n{settings}")).await;
    let (back, other) = (Arc::clone(&world.relays[0]), Arc::clone(&world.relays[1]));
    other.set_limit(100_000);
    other.listeners.store(97_000, SeqCst);
    back.answers(Way::Refuses);
    sleep(Duration::from_secs(15)).await;
    assert_eq!(world.health(0).label(), "down");
    back.answers(Way::Well);
    while !world.health(0).is_up() {
        sleep(Duration::from_millis(10)).await;
    }
    let since = world.state.now();
    let mut worst = 0.0_f64;
    // A thousand are waiting and come within the first seconds; then they come faster than the line.
    for tick in 0..2_900_u64 {
        sleep(Duration::from_millis(10)).await;
        let many = if tick < 100 { 10 } else { 1 };
        for _ in 0..many {
            world.player().expect("there is room");
        }
        let passed = world.state.now().saturating_sub(since).as_secs_f64();
        let line = (passed / 30.0).clamp(0.1, 1.0) * 1_000.0;
        let admitted = back.listeners.load(SeqCst) as f64;
        if tick > 100 {
            worst = worst.max((admitted - line).abs() / line);
        }
    }
    assert!(back.listeners.load(SeqCst) >= 900);
    world.end().await;
    worst
}
