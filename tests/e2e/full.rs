//! Who gets to play when a stream is full, by its `when_full`: the table in `docs/players.md`.
//!
//! Each test is the same story. Six listeners fill the slots that the balancer may give away; six
//! players of the kinds people use come; when each of them was told something, or waits, four of
//! the listeners leave.

use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::icecast::{Icecast, Setup};
use crate::support::lab::Lab;
use crate::support::listener::{Listener, Outcome};
use crate::support::player::{Player, Playing};
use crate::support::process::eventually;
use crate::support::source::{Source, Stream};

const RADIO: &str = "/radio.mp3";
const PAUSE: &str = "/pause.mp3";

/// What the balancer may give away on each of two relays.
const SLOTS: u32 = 3;

/// Players that open one connection each, and wait for minutes if they are let.
const PLAYERS: [Player; 6] =
    [Player::Mpg123, Player::Wget, Player::Curl, Player::Ffmpeg, Player::Ffplay, Player::Mpv];

#[test]
fn reject_is_the_end_for_all_who_came_while_the_stream_was_full() {
    let lab = Lab::new();
    let mut station = Station::new(&lab, "when_full: reject", 2 * SLOTS);
    let mut players = station.fill_and_send_players(&lab);
    station.wait_for("all are refused", |balancer| outcome(balancer, "full") >= 6.0);
    station.let_four_leave();
    all_give_up(&mut players);
    station.tell("reject", [0, 0]);
}

#[test]
fn wait_gives_the_places_of_those_who_leave_to_those_who_came() {
    let lab = Lab::new();
    let mut station = Station::new(&lab, "when_full: wait, wait: 1m", 2 * SLOTS);
    let _players = station.fill_and_send_players(&lab);
    let waiting = |balancer: &Balancer| {
        balancer.metric("stream_waiting", &["stream=\"/radio.mp3\""]).unwrap_or_default()
    };
    station.wait_for("all wait", |balancer| waiting(balancer) >= 6.0);
    station.let_four_leave();
    station.wait_for("four were called", |balancer| waiting(balancer) <= 2.0);
    station.tell("wait", [4, 0]);
}

#[test]
fn overflow_lets_all_play_where_relays_take_more_than_the_configuration_says() {
    let lab = Lab::new();
    let mut station = Station::new(&lab, "when_full: overflow", 2 * SLOTS);
    let _players = station.fill_and_send_players(&lab);
    station.wait_for("all were sent", |balancer| outcome(balancer, "redirected") >= 12.0);
    station.tell("overflow", [6, 0]);
    assert!(station.overflows() >= 6.0);
    station.let_four_leave();
}

/// The one place where `overflow` is wrong: it sends players into a refusal, and for good.
#[test]
fn overflow_lets_nobody_play_where_the_limit_is_the_relays_own() {
    let lab = Lab::new();
    let mut station = Station::new(&lab, "when_full: overflow", SLOTS);
    let mut players = station.fill_and_send_players(&lab);
    station.wait_for("all were sent", |balancer| outcome(balancer, "redirected") >= 12.0);
    all_give_up(&mut players);
    station.let_four_leave();
    station.tell("overflow, limits are the relays' own", [0, 0]);
    let refused = station.visits(|visit_path, status| visit_path == RADIO && status != 200);
    assert!(refused >= 6, "the relays refused {refused}");
}

#[test]
fn fallback_lets_all_hear_the_fallback() {
    let lab = Lab::new();
    let mut station = Station::new(&lab, "when_full: fallback", 2 * SLOTS);
    let _players = station.fill_and_send_players(&lab);
    station.wait_for("all were sent", |balancer| outcome(balancer, "redirected") >= 12.0);
    station.let_four_leave();
    station.tell("fallback", [0, 6]);
    let counted = station.balancer.metric("fallback_total", &["stream=\"/radio.mp3\""]);
    assert!(counted >= Some(6.0), "{counted:?}");
}

/// Two relays and the balancer, which may give away less than they have.
struct Station {
    balancer: Balancer,
    relays: [Icecast; 2],
    listeners: Vec<Listener>,
    _sources: [Source; 2],
    _master: Icecast,
}

impl Station {
    /// The relays themselves have so many slots each.
    fn new(lab: &Lab, policy: &str, own: u32) -> Self {
        let master = Setup::new(lab, "master").start();
        let sources =
            [RADIO, PAUSE].map(|mount| Source::start_at(lab, &master, Stream::Mp3, mount));
        let relay = |name| {
            let relay = Setup::new(lab, name).pulls(master.port(), RADIO);
            relay.pulls(master.port(), PAUSE).max_listeners(RADIO, own).start()
        };
        let relays = [relay("vienna"), relay("berlin")];
        let [vienna, berlin] = relays.each_ref().map(Icecast::url);
        let balancer = Balancer::start(
            lab,
            &format!(
                "balance: {{headroom: 0}}
servers: {{vienna: '{vienna}', berlin: '{berlin}'}}
streams:
  {RADIO}:
    mounts: {{vienna: {{max_listeners: {SLOTS}}}, berlin: {{max_listeners: {SLOTS}}}}}
    fallback: {PAUSE}
    {}
  {PAUSE}:
",
                policy.replace(", ", "\n    ")
            ),
        );
        Self { balancer, relays, listeners: Vec::new(), _sources: sources, _master: master }
    }

    fn fill_and_send_players(&mut self, lab: &Lab) -> Vec<Playing> {
        let url = self.balancer.url(RADIO);
        self.listeners =
            (1..=6).map(|n| Listener::start(lab, &format!("first-{n}"), &url)).collect();
        for listener in &mut self.listeners {
            assert!(matches!(listener.outcome(), Outcome::Plays(_)), "{} plays", listener.name);
        }
        let play = |player: Player| player.play(lab, &format!("{player:?}"), &url);
        PLAYERS.into_iter().map(play).collect()
    }

    fn let_four_leave(&mut self) {
        let mut four = self.listeners.split_off(2);
        four.iter_mut().for_each(Listener::leave);
        eventually("the relays have noticed", Duration::from_secs(30), || {
            let left = self.agents(RADIO).filter(|agent| agent.starts_with("first")).count();
            (left == 2).then_some(())
        });
    }

    fn wait_for(&self, what: &str, condition: impl Fn(&Balancer) -> bool) {
        eventually(what, Duration::from_secs(45), || condition(&self.balancer).then_some(()));
    }

    fn agents(&self, mount: &str) -> impl Iterator<Item = String> {
        let listening = self.relays.iter().flat_map(|relay| relay.listening(mount));
        listening.map(|one| one.agent).collect::<Vec<_>>().into_iter()
    }

    fn newcomers(&self, mount: &str) -> usize {
        self.agents(mount).filter(|agent| !agent.starts_with("first")).count()
    }

    /// Holds that so many of the six play the stream and its fallback, and prints it.
    fn tell(&self, policy: &str, expected: [usize; 2]) {
        let playing = || [RADIO, PAUSE].map(|mount| self.newcomers(mount));
        eventually("as many play as should", Duration::from_secs(45), || {
            (playing() == expected).then_some(())
        });
        let [stream, fallback] = expected;
        eprintln!("{policy}: of 6 players {stream} play the stream and {fallback} its fallback");
    }

    fn overflows(&self) -> f64 {
        let of = |server| {
            let labels = ["stream=\"/radio.mp3\"", server];
            self.balancer.metric("overflow_total", &labels).unwrap_or_default()
        };
        of("server=\"vienna\"") + of("server=\"berlin\"")
    }

    fn visits(&self, which: impl Fn(&str, u16) -> bool) -> usize {
        let visits = self.relays.iter().flat_map(Icecast::visits);
        visits.filter(|visit| which(&visit.path, visit.status)).count()
    }
}

fn outcome(balancer: &Balancer, outcome: &str) -> f64 {
    let labels = ["stream=\"/radio.mp3\"", &*format!("outcome=\"{outcome}\"")];
    balancer.metric("stream_requests_total", &labels).unwrap_or_default()
}

fn all_give_up(players: &mut [Playing]) {
    eventually("all players have given up", Duration::from_secs(45), || {
        players.iter_mut().all(Playing::has_ended).then_some(())
    });
}
