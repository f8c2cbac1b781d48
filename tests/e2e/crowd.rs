//! Crowds on real relays: players that need two slots among them, and players that wait.

use std::time::{Duration, Instant};

use crate::support::balancer::Balancer;
use crate::support::icecast::{Icecast, Setup};
use crate::support::lab::Lab;
use crate::support::listener::{Listener, Outcome};
use crate::support::player::Player;
use crate::support::process::eventually;
use crate::support::source::{Source, Stream};

const RADIO: &str = "/radio.mp3";

/// VLC takes two slots to start, xine asks twice for two: with ten others, all there are.
#[test]
fn vlc_and_xine_play_in_the_midst_of_a_crowd() {
    let lab = Lab::new();
    let station = Station::new(&lab, 8, "balance: {headroom: 0}\n");
    let mut players = [Player::Vlc, Player::Xine]
        .map(|player| player.play(&lab, player.agent().trim_end_matches('/'), &station.url()));
    let mut crowd: Vec<Listener> =
        (1..=10).map(|n| Listener::start(&lab, &format!("listener-{n}"), &station.url())).collect();

    for player in [Player::Vlc, Player::Xine] {
        eventually(&format!("a relay has {player:?} for 4 s"), Duration::from_secs(40), || {
            station.has(player).then_some(())
        });
    }
    for player in &mut players {
        player.still_plays();
        player.stop();
    }
    for listener in &mut crowd {
        let outcome = listener.outcome();
        assert!(matches!(outcome, Outcome::Plays(_)), "{}: {outcome:?}", listener.name);
    }
    drop(crowd);
    station.assert_that_no_relay_refused_anybody();
}

#[test]
fn players_who_wait_get_the_places_of_those_who_leave() {
    let lab = Lab::new();
    let station = Station::new(&lab, 3, "balance: {headroom: 0, when_full: wait, wait: 1m}\n");
    let mut playing: Vec<Listener> =
        (1..=6).map(|n| Listener::start(&lab, &format!("listener-{n}"), &station.url())).collect();
    for listener in &mut playing {
        assert!(matches!(listener.outcome(), Outcome::Plays(_)), "{} plays", listener.name);
    }
    for round in 1..=5 {
        let name = format!("waiting-{round}");
        let mut next = Listener::start(&lab, &name, &station.url());
        eventually("it waits", Duration::from_secs(10), || {
            let waiting = station.balancer.metric("stream_waiting", &["stream=\"/radio.mp3\""]);
            (waiting == Some(1.0)).then_some(())
        });
        playing.remove(0).leave();
        let freed = eventually("the relay has noticed", Duration::from_secs(20), || {
            (station.listeners() < 6).then(Instant::now)
        });
        assert!(matches!(next.outcome(), Outcome::Plays(_)), "{name} plays");
        eprintln!("{name} took the place {:?} after it was free", freed.elapsed());
        playing.push(next);
    }
    drop(playing);
    station.assert_that_no_relay_refused_anybody();
}

/// Two relays with so many slots each, and the balancer before them.
struct Station {
    balancer: Balancer,
    relays: [Icecast; 2],
    _source: Source,
    _master: Icecast,
}

impl Station {
    fn new(lab: &Lab, slots: u32, settings: &str) -> Self {
        let master = Setup::new(lab, "master").start();
        let source = Source::start(lab, &master, Stream::Mp3);
        let relay = |name| {
            Setup::new(lab, name).pulls(master.port(), RADIO).max_listeners(RADIO, slots).start()
        };
        let relays = [relay("vienna"), relay("berlin")];
        let [vienna, berlin] = relays.each_ref().map(Icecast::url);
        let config = format!(
            "{settings}servers: {{vienna: '{vienna}', berlin: '{berlin}'}}\nstreams: {{{RADIO}: }}\n"
        );
        let balancer = Balancer::start(lab, &config);
        Self { balancer, relays, _source: source, _master: master }
    }

    fn url(&self) -> String {
        self.balancer.url(RADIO)
    }

    fn listeners(&self) -> usize {
        self.relays.iter().map(|relay| relay.listeners(RADIO)).sum()
    }

    fn has(&self, player: Player) -> bool {
        let listening = self.relays.iter().flat_map(|relay| relay.listening(RADIO));
        listening.into_iter().any(|one| one.agent.contains(player.agent()) && one.seconds >= 4)
    }

    /// A relay writes its log when a client has left.
    fn assert_that_no_relay_refused_anybody(&self) {
        eventually("everybody has left", Duration::from_secs(30), || {
            (self.listeners() == 0).then_some(())
        });
        let visits = self.relays.iter().flat_map(Icecast::visits);
        let refused: Vec<_> =
            visits.filter(|visit| visit.path == RADIO && visit.status != 200).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }
}
