//! What a pattern's streams come to on each relay.

use super::*;
use crate::fleet::patterns::Find;

/// Vienna and berlin under one pattern: the first has the talks `a` and `b`, the second `b` alone.
fn talks() -> Scene {
    let mut scene = scene(
        "servers: {vienna: 'http://vienna.example.org', berlin: 'http://berlin.example.org'}
balance: {headroom: 0}
streams: {/talks/*: }",
    );
    let finds = [(0, "/talks/a"), (0, "/talks/b"), (1, "/talks/b")];
    let finds = finds.map(|(server, mount)| Find { server, mount });
    scene.snapshot = scene.snapshot.with_finds(finds, Duration::ZERO);
    scene
}

fn of(scene: &Scene) -> Vec<Sum> {
    let (_, pattern) = scene.snapshot.fleet.patterns.iter().next().expect("the pattern");
    sums(&scene.snapshot, pattern, scene.now)
}

#[test]
fn a_relay_has_the_listeners_and_the_slots_of_all_its_talks() {
    let mut scene = talks();
    scene.saw("vienna", vec![mount("/talks/a", 3, 10), mount("/talks/b", 4, 20)]);
    scene.saw("berlin", vec![mount("/talks/b", 1, 10)]);
    let talk = scene.snapshot.fleet.stream_at("/talks/a").expect("a talk");
    assign(&scene.snapshot, talk, Client::ANY, scene.now, &mut scene.rng, true);
    let sums = of(&scene);
    let told = |sum: &Sum| (sum.up, sum.listeners, sum.limit, sum.reserved, sum.free, sum.best);
    assert_eq!(sums.iter().map(|sum| sum.server).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(told(&sums[0]), (true, Some(7), Some(30), 1, Some(22), Some(Trust::Sure)));
    assert_eq!(told(&sums[1]), (true, Some(1), Some(10), 0, Some(9), Some(Trust::Sure)));
}

#[test]
fn a_relay_without_any_talk_has_nothing_to_give() {
    let scene = talks();
    scene.saw("vienna", vec![mount("/talks/b", 4, 20)]);
    scene.saw("berlin", vec![]);
    let sums = of(&scene);
    assert_eq!((sums[0].up, sums[0].listeners, sums[0].free), (true, Some(4), Some(16)));
    assert_eq!((sums[1].up, sums[1].listeners, sums[1].free), (false, None, Some(0)));
    assert_eq!((sums[1].limit, sums[1].best), (None, None));
}

#[test]
fn a_talk_without_a_limit_leaves_its_relay_without_one() {
    let scene = talks();
    let unlimited = MountReport { limit: Limit::Unlimited, ..mount("/talks/a", 3, 0) };
    scene.saw("vienna", vec![unlimited, mount("/talks/b", 4, 20)]);
    let sum = of(&scene)[0];
    assert_eq!((sum.listeners, sum.limit, sum.free), (Some(7), None, None));
}

#[test]
fn a_relay_that_refuses_connections_is_not_up_and_has_nothing_to_give() {
    let scene = talks();
    scene.saw("vienna", vec![mount("/talks/a", 3, 10), mount("/talks/b", 4, 20)]);
    scene.failed("vienna", Evidence::Hard, 1);
    let sum = of(&scene)[0];
    assert_eq!((sum.up, sum.listeners), (false, Some(7)), "as they were last seen");
    assert_eq!((sum.free, sum.best), (Some(0), None));
}
