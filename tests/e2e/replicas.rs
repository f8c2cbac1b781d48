//! Several balancers that know nothing of one another, before real relays: no listener is sent to a
//! relay that has no slot left, wherever they come, and whatever becomes of the balancers.
//!
//! `RUNS=20` tries each crowd that often.

mod engine;
mod people;
mod scene;

use std::env;
use std::time::Duration;

use people::{Tally, Tide};
use scene::{ALL_SLOTS, REPLICAS, Scene};

use crate::support::lab::Lab;
use crate::support::process::eventually;

const SHARED: &str = "cluster: {replicas: 3}";

/// Of each relay's 20 slots a replica has six.
const SHARE: usize = 18;

/// Demand of 95 %, and how many of them get a slot at least. Where a look finds that others were quicker, a
/// share becomes less: of a relay from which one replica has sent nobody yet and the others four, `16 ÷ 3`
/// is one less than the six that it has. So much may be lost at each relay, and of all three shares twice that.
const CROWDS: [([usize; REPLICAS], usize); 3] =
    [([57, 0, 0], SHARE), ([46, 8, 3], SHARE + 8 + 3 - 3), ([19, 19, 19], 3 * SHARE - 6)];

#[test]
fn no_relay_refuses_anybody_of_a_crowd_however_it_is_spread_over_three_balancers() {
    let lab = Lab::new();
    let mut scene = Scene::new(&lab, SHARED);
    for run in 1..=runs() {
        for (at_each, at_least) in CROWDS {
            let crowd = scene.crowd(at_each);
            let tally = crowd.tally();
            eprintln!("run {run}: {at_each:?}: {tally:?}");
            assert_nobody_was_sent_in_vain(&tally);
            assert!(tally.play >= at_least && tally.play <= ALL_SLOTS, "{at_each:?}: {tally:?}");
            drop(crowd);
            scene.begin_anew();
        }
    }
    assert_eq!(scene.refused_by_relays(), 0);
}

/// What the others do is worth something only if this fails.
#[test]
fn balancers_that_take_themselves_for_the_only_one_send_some_of_a_crowd_in_vain() {
    let lab = Lab::new();
    let scene = Scene::new(&lab, "");
    let crowd = scene.crowd([30; REPLICAS]);
    let tally = crowd.tally();
    drop(crowd);
    assert!(!tally.refused.is_empty(), "{tally:?}");
    assert_eq!(scene.refused_by_relays(), tally.refused.len(), "{tally:?}");
}

#[test]
fn a_balancer_that_is_killed_and_replaced_costs_nobody_a_redirect_in_vain() {
    let lab = Lab::new();
    let mut scene = Scene::new(&lab, SHARED);
    let tide = Tide::rise(scene.doors(), OFTEN);
    until_it_sends(&scene, 0);
    scene.kill(0);
    scene.replace(0);
    until_it_sends(&scene, 0);
    judge(&scene, tide);
}

/// Everybody whom a balancer sent is still on the way when it dies. If the one in its place were asked at
/// once, it would give the same slots away.
#[test]
fn who_is_on_the_way_when_a_balancer_is_killed_has_a_slot_when_it_arrives() {
    let lab = Lab::new();
    let mut scene = Scene::new(&lab, SHARED);
    let crowd = scene.crowd_who_dawdle([19; REPLICAS], Duration::from_secs(2));
    eventually("all are told where to go", Duration::from_secs(10), || {
        (crowd.answered() == 19 * REPLICAS).then_some(())
    });
    scene.kill(0);
    scene.replace(0);
    let late = scene.crowd([19, 0, 0]);
    let (early, late) = (crowd.tally(), late.tally());
    eprintln!("{early:?}, then {late:?}");
    assert_nobody_was_sent_in_vain(&early);
    assert_nobody_was_sent_in_vain(&late);
    assert!(early.play >= 3 * SHARE - 6 && late.turned_away > 0, "{early:?}, {late:?}");
}

#[test]
fn all_balancers_are_replaced_one_after_the_other_and_nobody_is_sent_in_vain() {
    let lab = Lab::new();
    let mut scene = Scene::new(&lab, SHARED);
    let tide = Tide::rise(scene.doors(), OFTEN);
    for replica in 0..REPLICAS {
        until_it_sends(&scene, replica);
        scene.withdraw(replica);
        scene.replace(replica);
    }
    until_it_sends(&scene, REPLICAS - 1);
    judge(&scene, tide);
}

/// Who comes so often and stays for four seconds on average makes a third more than there are slots.
const OFTEN: Duration = Duration::from_millis(50);

fn until_it_sends(scene: &Scene, replica: usize) {
    let before = scene.sent_by(replica);
    eventually("it sends players to relays", Duration::from_secs(60), || {
        (scene.sent_by(replica) >= before + 10.0).then_some(())
    });
}

/// Nobody was sent in vain, and the relays were full, so that it could have happened.
fn judge(scene: &Scene, tide: Tide) {
    let tally = tide.fall();
    eprintln!("{tally:?}");
    assert_nobody_was_sent_in_vain(&tally);
    assert_eq!(scene.refused_by_relays(), 0);
    assert!(tally.turned_away > 0, "{tally:?}");
}

fn assert_nobody_was_sent_in_vain(tally: &Tally) {
    assert_eq!(tally.refused, [""; 0]);
    assert_eq!(tally.unserved, [""; 0]);
}

fn runs() -> usize {
    env::var("RUNS").map_or(1, |runs| runs.parse().expect("RUNS is a number"))
}
