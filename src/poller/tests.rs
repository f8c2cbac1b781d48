mod failing;
mod flapping;
mod hung;
mod world;

use std::time::Duration;

use super::*;
use crate::fleet::Headroom;
use crate::icecast::MountReport;
use crate::slots::{MountSlots, Sharing, Terms, reserve};

const POLL: Poll = Poll {
    interval: Duration::from_secs(20),
    fast_interval: Duration::from_millis(500),
    timeout: Duration::from_secs(2),
    stale_after: Duration::from_secs(15),
    rise: 2,
    fall: 3,
    slow_start: Duration::ZERO,
};

const RULES: Rules = Rules { rise: 2, fall: 3, slow_start: Duration::ZERO, hold: false };

/// A relay that is up, with one mount.
struct Relay {
    server: ServerSlots,
    mount: MountSlots,
}

fn relay(slots: u64) -> Relay {
    let unlimited = Terms { max: None, headroom: Headroom::Slots(0), sharing: Sharing::ALONE };
    let server = ServerSlots::new(unlimited, unlimited);
    server.judge(Evidence::Good, Duration::ZERO, RULES);
    let terms = Terms { max: Some(slots), headroom: Headroom::Slots(0), sharing: Sharing::ALONE };
    Relay { server, mount: MountSlots::new(terms) }
}

impl Relay {
    fn listed(&self) -> [Listed<'_>; 1] {
        [Listed { path: "/x", slots: &self.mount, bitrate: 0 }]
    }

    /// How long until the next look is due.
    async fn pause(&self) -> Duration {
        let began = Instant::now();
        until_due(&POLL, &self.server, &self.listed(), || began.elapsed()).await;
        began.elapsed()
    }
}

fn assert_about(pause: Duration, expected: Duration) {
    // Looks wait for one another.
    let (least, most) = (expected.mul_f64(0.89), expected.mul_f64(1.12) + spread::SLOT);
    assert!((least..=most).contains(&pause), "{pause:?} is not about {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_nobody_is_sent_to_is_asked_seldom() {
    for _ in 0..20 {
        assert_about(relay(100).pause().await, POLL.interval);
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_is_being_sent_listeners_is_asked_often() {
    let relay = relay(100);
    assert!(reserve(&relay.server, &relay.mount, 1, 0));
    assert_about(relay.pause().await, POLL.fast_interval);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_is_counted_looks_tell_nothing_of_those_who_were_sent() {
    let relay = relay(1);
    let answers = MountReport {
        name: "/x".to_owned(),
        listeners: None,
        limit: Limit::Unknown,
        activity: Activity::Answers,
        bytes: None,
    };
    let report = Report { clients: None, mounts: vec![answers] };
    let look = begin_look(&relay.server, &relay.listed(), Duration::ZERO);
    record(&relay.server, &relay.listed(), look, &report, Duration::from_secs(5));
    assert!(reserve(&relay.server, &relay.mount, 1, 0));
    assert_about(relay.pause().await, POLL.interval);
    relay.server.judge(Evidence::Soft, Duration::ZERO, RULES);
    assert_about(relay.pause().await, POLL.fast_interval);
}

#[tokio::test(start_paused = true)]
async fn the_first_listener_sent_to_an_idle_relay_hastens_its_next_look() {
    let relay = relay(100);
    let sending = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(reserve(&relay.server, &relay.mount, 1, 0));
    };
    let (pause, ()) = tokio::join!(relay.pause(), sending);
    assert!(pause < Duration::from_millis(3_600), "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_relay_is_asked_often_and_one_that_takes_nobody_seldom() {
    let full = relay(1);
    assert!(reserve(&full.server, &full.mount, 1, 0));
    assert_about(full.pause().await, POLL.fast_interval);
    assert_about(relay(0).pause().await, POLL.interval);
}

#[tokio::test(start_paused = true)]
async fn a_relay_in_doubt_is_asked_often_and_one_that_is_down_seldom() {
    let relay = relay(100);
    relay.server.judge(Evidence::Soft, Duration::ZERO, RULES);
    assert_about(relay.pause().await, POLL.fast_interval);
    for _ in 0..3 {
        relay.server.judge(Evidence::Soft, Duration::ZERO, RULES);
    }
    assert_about(relay.pause().await, POLL.interval);
}
