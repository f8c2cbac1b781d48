//! Who may listen: tokens in the query pass through us, names and passwords do not.

use std::fs;
use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::icecast::Setup;
use crate::support::lab::Lab;
use crate::support::listener::{Listener, Outcome};
use crate::support::player::Player;
use crate::support::process::{Program, eventually};
use crate::support::source::{Source, Stream};

const RADIO: &str = "/radio.mp3";

/// `listener:secret`, as Icecast keeps it: a name and the MD5 of its password.
const PASSWORDS: &str = "listener:5ebe2294ecd0e0f08eab7690d2a6ee69\n";

/// What browsers, curl and everybody else do for good reason: a name and password that were meant
/// for one host are not told to another. So a mount that wants them cannot be reached by a redirect.
#[test]
fn a_name_and_password_in_the_url_do_not_reach_the_relay() {
    let lab = Lab::new();
    let folder = lab.folder("passwords", "icecast2");
    let file = folder.join("passwords");
    fs::write(&file, PASSWORDS).unwrap();
    let vienna = Setup::new(&lab, "vienna").wants_password(RADIO, &file).start();
    let _source = Source::start(&lab, &vienna, Stream::Mp3);
    let config = format!("servers: {{vienna: '{}'}}\nstreams: {{{RADIO}: }}\n", vienna.url());
    let balancer = Balancer::start(&lab, &config);
    let named = |url: &str| url.replace("http://", "http://listener:secret@");

    let at_the_relay = named(&format!("{}{RADIO}", vienna.url()));
    let mut direct = Listener::start(&lab, "direct", &at_the_relay);
    assert!(matches!(direct.outcome(), Outcome::Plays(_)), "the password is right");
    direct.leave();

    let through_us = named(&balancer.url(RADIO));
    let players =
        [Player::Vlc, Player::Mpv, Player::Mplayer, Player::Xine, Player::Mpg123, Player::Curl];
    for player in players {
        let mut playing = player.play(&lab, player.name(), &through_us);
        eventually(&format!("{player:?} is refused"), Duration::from_secs(30), || {
            let visits = vienna.visits();
            let refused = visits.iter().any(|visit| {
                visit.path == RADIO && visit.agent.contains(player.agent()) && visit.status == 401
            });
            refused.then_some(())
        });
        playing.stop();
    }
    let heard =
        vienna.visits().into_iter().filter(|visit| visit.path == RADIO && visit.status == 200);
    let heard: Vec<_> = heard.map(|visit| visit.agent).collect();
    assert!(heard.iter().all(|agent| agent == "direct"), "{heard:?}");
}

/// Unless they are told to, as curl can be.
#[test]
fn a_password_reaches_the_relay_where_the_player_is_told_to_trust_it() {
    let lab = Lab::new();
    let folder = lab.folder("passwords", "icecast2");
    let file = folder.join("passwords");
    fs::write(&file, PASSWORDS).unwrap();
    let vienna = Setup::new(&lab, "vienna").wants_password(RADIO, &file).start();
    let _source = Source::start(&lab, &vienna, Stream::Mp3);
    let config = format!("servers: {{vienna: '{}'}}\nstreams: {{{RADIO}: }}\n", vienna.url());
    let balancer = Balancer::start(&lab, &config);
    let folder = lab.folder("trusting", "nobody");
    let _curl = Program::new("curl", "curl")
        .words("-sSN --location-trusted -u listener:secret -A trusting -o heard")
        .args([balancer.url(RADIO)])
        .start(&folder);
    eventually("it listens", Duration::from_secs(20), || {
        (vienna.listeners(RADIO) == 1).then_some(())
    });
}

/// A wrong token is the relay's to refuse; we pass it on like any other.
#[test]
fn a_wrong_token_is_refused_by_the_relay() {
    let lab = Lab::new();
    let doorman = crate::support::doorman::Doorman::start("token=right");
    let vienna = Setup::new(&lab, "vienna").asks_at_the_door(RADIO, &doorman.url()).start();
    let _source = Source::start(&lab, &vienna, Stream::Mp3);
    let config = format!("servers: {{vienna: '{}'}}\nstreams: {{{RADIO}: }}\n", vienna.url());
    let balancer = Balancer::start(&lab, &config);
    for (query, plays) in [("?token=right", true), ("?token=wrong", false), ("", false)] {
        let name = format!("with{}", query.replace(['?', '='], "-"));
        let mut listener = Listener::start(&lab, &name, &balancer.url(&format!("{RADIO}{query}")));
        let outcome = listener.outcome();
        assert_eq!(matches!(outcome, Outcome::Plays(_)), plays, "{query}: {outcome:?}");
        assert!(plays || matches!(outcome, Outcome::Refused(401, _)), "{query}: {outcome:?}");
    }
    let came = doorman.came();
    assert_eq!(came.let_in, ["with-token-right"]);
    assert_eq!(came.turned_away, [format!("{RADIO}?token=wrong"), RADIO.to_owned()]);
}
