//! A player is never sent to a relay that would refuse it.

use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::icecast::{Icecast, Setup};
use crate::support::lab::Lab;
use crate::support::listener::{Listener, Outcome};
use crate::support::process::eventually;
use crate::support::source::{Source, Stream};

const RADIO: &str = "/radio.mp3";

#[test]
fn of_eight_listeners_for_six_slots_six_play_and_two_are_refused_by_the_balancer() {
    let lab = Lab::new();
    let station = Station::with_three_slots_each(&lab);

    let mut crowd: Vec<Listener> =
        (1..=8).map(|n| station.listener(&lab, &format!("listener-{n}"))).collect();
    let outcomes: Vec<Outcome> = crowd.iter_mut().map(Listener::outcome).collect();

    let playing = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Plays(_))).count();
    assert_eq!(playing, 6, "{outcomes:?}");
    for outcome in &outcomes {
        if let Outcome::Refused(status, body) = outcome {
            assert_eq!(*status, 503);
            assert!(body.starts_with("full: "), "{body:?}");
        }
    }
    assert_eq!(station.relays().map(|relay| relay.listeners(RADIO)), [3, 3]);
    for (listener, outcome) in crowd.iter().zip(&outcomes) {
        if matches!(outcome, Outcome::Plays(_)) {
            listener.hears();
        }
    }
    drop(crowd);
    station.assert_that_no_relay_refused_anybody();
}

#[test]
fn the_slot_of_a_listener_who_leaves_is_given_to_the_next() {
    let lab = Lab::new();
    let station = Station::with_three_slots_each(&lab);
    let mut crowd: Vec<Listener> =
        (1..=6).map(|n| station.listener(&lab, &format!("listener-{n}"))).collect();
    for listener in &mut crowd {
        assert!(matches!(listener.outcome(), Outcome::Plays(_)), "{} plays", listener.name);
    }
    let refused = station.balancer.ask(RADIO);
    assert_eq!(refused.status, 503, "all slots are taken");
    assert!(refused.body.starts_with("full: "), "{refused:?}");

    crowd[0].leave();

    let mut attempt = 0;
    let mut next = eventually("the slot is given again", Duration::from_secs(30), || {
        attempt += 1;
        let mut next = station.listener(&lab, &format!("next-{attempt}"));
        matches!(next.outcome(), Outcome::Plays(_)).then_some(next)
    });
    next.hears();
    next.leave();
    drop(crowd);
    station.assert_that_no_relay_refused_anybody();
}

#[test]
fn a_relay_at_its_limit_for_all_clients_is_full_and_not_down_and_gets_nobody() {
    let lab = Lab::new();
    let master = Setup::new(&lab, "master").start();
    let _source = Source::start(&lab, &master, Stream::Mp3);
    // Its clients are the stream it pulls, its listeners, and whoever asks for statistics.
    let vienna = Setup::new(&lab, "vienna").pulls(master.port(), RADIO).clients(6).start();
    let berlin = Setup::new(&lab, "berlin").pulls(master.port(), RADIO).start();
    let balancer = balancer(&lab, &vienna, &berlin);

    // Five listeners and the stream make six. A poll that comes between may be the sixth for a
    // moment, and then a listener is refused who would have had room.
    let direct = format!("{}{RADIO}", vienna.url());
    let mut attempt = 0;
    let mut crowd = Vec::new();
    eventually("vienna has as many clients as it takes", Duration::from_secs(30), || {
        attempt += 1;
        let mut listener = Listener::start(&lab, &format!("direct-{attempt}"), &direct);
        if matches!(listener.outcome(), Outcome::Plays(_)) {
            crowd.push(listener);
        }
        (crowd.len() == 5).then_some(())
    });

    eventually("vienna is shown full", Duration::from_secs(30), || {
        (balancer.passed_over(RADIO, "vienna") == "full").then_some(())
    });
    for n in 1..=10 {
        let mut listener = Listener::start(&lab, &format!("late-{n}"), &balancer.url(RADIO));
        assert_eq!(listener.outcome(), Outcome::Plays(berlin.url()));
        assert_eq!(balancer.server("vienna")["health"], "up", "it is full, not down");
    }

    drop(crowd);
    eventually("vienna has room again", Duration::from_secs(30), || {
        balancer.passed_over(RADIO, "vienna").is_null().then_some(())
    });
    let late: Vec<_> =
        vienna.visits().into_iter().filter(|visit| visit.agent.starts_with("late")).collect();
    assert!(late.is_empty(), "{late:?}");
}

/// Two relays with three slots each, and the balancer before them.
struct Station {
    balancer: Balancer,
    vienna: Icecast,
    berlin: Icecast,
    _source: Source,
    _master: Icecast,
}

impl Station {
    fn with_three_slots_each(lab: &Lab) -> Self {
        let master = Setup::new(lab, "master").start();
        let source = Source::start(lab, &master, Stream::Mp3);
        let relay = |name| {
            Setup::new(lab, name).pulls(master.port(), RADIO).max_listeners(RADIO, 3).start()
        };
        let (vienna, berlin) = (relay("vienna"), relay("berlin"));
        let balancer = balancer(lab, &vienna, &berlin);
        Self { balancer, vienna, berlin, _source: source, _master: master }
    }

    fn listener(&self, lab: &Lab, name: &str) -> Listener {
        Listener::start(lab, name, &self.balancer.url(RADIO))
    }

    fn relays(&self) -> [&Icecast; 2] {
        [&self.vienna, &self.berlin]
    }

    fn assert_that_no_relay_refused_anybody(&self) {
        for relay in self.relays() {
            // A relay writes its log when a client has left.
            eventually("somebody's visit is over", Duration::from_secs(20), || {
                relay.visits().iter().any(|visit| visit.path == RADIO).then_some(())
            });
            let visits = relay.visits();
            let refused: Vec<_> =
                visits.iter().filter(|visit| visit.path == RADIO && visit.status != 200).collect();
            assert!(refused.is_empty(), "{refused:?}");
        }
    }
}

fn balancer(lab: &Lab, vienna: &Icecast, berlin: &Icecast) -> Balancer {
    let config = format!(
        "balance: {{headroom: 0}}
servers:
  vienna: {}
  berlin: {}
streams:
  {RADIO}:
",
        vienna.url(),
        berlin.url()
    );
    Balancer::start(lab, &config)
}
