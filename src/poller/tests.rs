use super::*;
use crate::fleet::Headroom;
use crate::slots::{MountSlots, Terms, reserve};

const POLL: Poll = Poll {
    interval: Duration::from_secs(2),
    fast_interval: Duration::from_millis(500),
    timeout: Duration::from_secs(2),
    stale_after: Duration::from_secs(15),
    rise: 2,
    fall: 3,
    slow_start: Duration::ZERO,
};

const RULES: Rules = Rules { rise: 2, fall: 3, slow_start: Duration::ZERO };

/// A relay that is up, with one mount of this many slots.
fn relay(slots: u64) -> (ServerSlots, MountSlots) {
    let unlimited = Terms { max: None, headroom: Headroom::Slots(0) };
    let server = ServerSlots::new(unlimited, unlimited);
    server.judge(Evidence::Good, Duration::ZERO, RULES);
    (server, MountSlots::new(Terms { max: Some(slots), headroom: Headroom::Slots(0) }))
}

fn pause((server, mount): &(ServerSlots, MountSlots)) -> Duration {
    next_pause(&POLL, server, &[Listed { path: "/x", slots: mount, bitrate: 0 }], 0.5)
}

#[test]
fn a_relay_that_nobody_is_sent_to_is_asked_seldom() {
    assert_eq!(pause(&relay(100)), POLL.interval);
}

#[test]
fn a_relay_that_is_being_sent_listeners_is_asked_often() {
    let relay = relay(100);
    assert!(reserve(&relay.0, &relay.1, 0));
    assert_eq!(pause(&relay), POLL.fast_interval);
}

#[test]
fn a_relay_with_a_full_mount_is_asked_often() {
    assert_eq!(pause(&relay(0)), POLL.interval, "a mount that takes nobody is not waited for");
    let relay = relay(1);
    assert!(reserve(&relay.0, &relay.1, 0));
    assert_eq!(pause(&relay), POLL.fast_interval);
}

#[test]
fn a_relay_in_doubt_is_asked_often_and_one_that_is_down_seldom() {
    let relay = relay(100);
    relay.0.judge(Evidence::Soft, Duration::ZERO, RULES);
    assert_eq!(pause(&relay), POLL.fast_interval);
    for _ in 0..3 {
        relay.0.judge(Evidence::Soft, Duration::ZERO, RULES);
    }
    assert_eq!(pause(&relay), POLL.interval);
}

#[test]
fn looks_are_spread_by_a_tenth_around_their_interval() {
    let (server, _) = relay(100);
    assert_eq!(next_pause(&POLL, &server, &[], 0.0), POLL.interval.mul_f64(0.9));
    assert_eq!(next_pause(&POLL, &server, &[], 1.0), POLL.interval.mul_f64(1.1));
}
