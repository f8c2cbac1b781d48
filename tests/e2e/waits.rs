//! Every player waits for a slot that frees, as long as `when_full: wait` holds it by default.

use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::icecast::Setup;
use crate::support::lab::Lab;
use crate::support::listener::{Listener, Outcome};
use crate::support::player::Player;
use crate::support::process::eventually;
use crate::support::source::{Source, Stream};
use crate::table::tell;

/// How long a relay must have a player among its listeners.
const SECONDS: u64 = 3;

#[test]
fn vlc_waits() {
    waits(Player::Vlc, Stream::Mp3);
}

#[test]
fn mpv_waits() {
    waits(Player::Mpv, Stream::Mp3);
}

#[test]
fn mplayer_waits() {
    waits(Player::Mplayer, Stream::Mp3);
}

#[test]
fn xine_waits() {
    waits(Player::Xine, Stream::Mp3);
}

#[test]
fn gstreamer_waits() {
    waits(Player::GStreamer, Stream::Mp3);
}

#[test]
fn ffplay_waits() {
    waits(Player::Ffplay, Stream::Mp3);
}

#[test]
fn ffmpeg_waits() {
    waits(Player::Ffmpeg, Stream::Mp3);
}

#[test]
fn mpg123_waits() {
    waits(Player::Mpg123, Stream::Mp3);
}

#[test]
fn ogg123_waits() {
    waits(Player::Ogg123, Stream::Vorbis);
}

#[test]
fn curl_waits() {
    waits(Player::Curl, Stream::Mp3);
}

#[test]
fn wget_waits() {
    waits(Player::Wget, Stream::Mp3);
}

#[test]
fn chromium_waits() {
    waits(Player::Chromium, Stream::Mp3);
}

/// A relay with two slots that two others have; one player that wants one, or two as VLC does.
fn waits(player: Player, stream: Stream) {
    let lab = Lab::new();
    let mount = stream.mount();
    let vienna = Setup::new(&lab, "vienna").max_listeners(mount, 2).start();
    let _source = Source::start(&lab, &vienna, stream);
    let config = format!(
        "servers: {{vienna: '{}'}}\nstreams: {{{mount}: }}\nbalance: {{when_full: wait}}\n",
        vienna.url()
    );
    let balancer = Balancer::start(&lab, &config);
    let mut others = ["one", "other"].map(|name| Listener::start(&lab, name, &balancer.url(mount)));
    for other in &mut others {
        assert!(matches!(other.outcome(), Outcome::Plays(_)), "{} plays", other.name);
    }
    eventually("the two are seen", Duration::from_secs(10), || {
        (balancer.metric("mount_listeners", &[]) == Some(2.0)).then_some(())
    });

    let mut playing = player.play(&lab, "waits", &balancer.url(mount));
    let waiting = || balancer.metric("stream_waiting", &[]);
    eventually(&format!("{player:?} waits"), Duration::from_secs(30), || {
        (waiting() == Some(1.0)).then_some(())
    });
    drop(others);
    eventually(&format!("the relay has {player:?}"), Duration::from_secs(40), || {
        let listening = vienna.listening(mount);
        let stays = listening
            .iter()
            .any(|one| one.agent.contains(player.agent()) && one.seconds >= SECONDS);
        stays.then_some(())
    });
    playing.still_plays();
    let refused = balancer.metric("requests_total", &["outcome=\"full\""]);
    assert_eq!(refused, Some(0.0), "it was not refused meanwhile");
    tell(player.name(), "wait", "plays", &format!("{SECONDS} s on the relay, after a wait"));
}
