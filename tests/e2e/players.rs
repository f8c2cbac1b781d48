//! Every player people use plays what the balancer sends it to, by the word of the relays.

use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::icecast::{Icecast, Setup, Visit};
use crate::support::lab::Lab;
use crate::support::player::Player;
use crate::support::process::eventually;
use crate::support::source::{Source, Stream};
use crate::table::tell;

/// How long a relay must have a player among its listeners.
const SECONDS: u64 = 4;

/// What a relay must have sent to a player meanwhile: more than any burst and 3 s of the stream.
const BYTES: u64 = 55_000;

/// Listeners per mount and relay; players come one per stream, but may open two connections.
const LIMIT: u32 = 4;

#[test]
fn gstreamer_plays_theora_opus_and_mp3() {
    plays(Player::GStreamer, &[Stream::Theora, Stream::Opus, Stream::Mp3]);
}

#[test]
fn xine_plays_theora_opus_and_mp3() {
    plays(Player::Xine, &[Stream::Theora, Stream::Opus, Stream::Mp3]);
}

#[test]
fn mplayer_plays_theora_opus_and_mp3() {
    plays(Player::Mplayer, &[Stream::Theora, Stream::Opus, Stream::Mp3]);
}

#[test]
fn vlc_plays_theora_opus_and_mp3() {
    plays(Player::Vlc, &[Stream::Theora, Stream::Opus, Stream::Mp3]);
}

#[test]
fn mpv_plays_theora_opus_and_mp3() {
    plays(Player::Mpv, &[Stream::Theora, Stream::Opus, Stream::Mp3]);
}

#[test]
fn ffplay_plays_theora_opus_and_mp3() {
    plays(Player::Ffplay, &[Stream::Theora, Stream::Opus, Stream::Mp3]);
}

#[test]
fn ffmpeg_plays_theora_opus_and_mp3() {
    plays(Player::Ffmpeg, &[Stream::Theora, Stream::Opus, Stream::Mp3]);
}

#[test]
fn curl_plays_theora_opus_and_mp3() {
    plays(Player::Curl, &[Stream::Theora, Stream::Opus, Stream::Mp3]);
}

#[test]
fn wget_plays_theora_opus_and_mp3() {
    plays(Player::Wget, &[Stream::Theora, Stream::Opus, Stream::Mp3]);
}

#[test]
fn ogg123_plays_vorbis() {
    plays(Player::Ogg123, &[Stream::Vorbis]);
}

#[test]
fn mpg123_plays_mp3() {
    plays(Player::Mpg123, &[Stream::Mp3]);
}

/// Browsers have given up Theora; the sound of it would play, and the picture not.
#[test]
fn chromium_plays_opus_and_mp3() {
    plays(Player::Chromium, &[Stream::Opus, Stream::Mp3]);
}

/// A master, two small relays and the balancer; one player for each stream asks the balancer.
fn plays(player: Player, streams: &[Stream]) {
    let lab = Lab::new();
    let master = Setup::new(&lab, "master").start();
    let _sources: Vec<Source> =
        streams.iter().map(|stream| Source::start(&lab, &master, *stream)).collect();
    let vienna = relay(&lab, "vienna", &master, streams);
    let berlin = relay(&lab, "berlin", &master, streams);
    let relays = [("vienna", &vienna), ("berlin", &berlin)];
    let paths: Vec<_> = streams.iter().map(|stream| format!("  {}:", stream.mount())).collect();
    let config = format!(
        "servers:
  vienna: {}
  berlin: {}
streams:
{}
",
        vienna.url(),
        berlin.url(),
        paths.join("\n")
    );
    let balancer = Balancer::start(&lab, &config);

    let mut playing = Vec::new();
    for stream in streams {
        let mount = stream.mount();
        let name = mount.trim_start_matches('/');
        playing.push(player.play(&lab, name, &balancer.url(mount)));
    }
    for stream in streams {
        let mount = stream.mount();
        let what = format!("a relay has {player:?} on {mount} for {SECONDS} s");
        eventually(&what, Duration::from_secs(40), || {
            relays.iter().any(|(_, relay)| listens(relay, mount, player)).then_some(())
        });
    }
    for one in &mut playing {
        one.still_plays();
        if player == Player::Chromium {
            one.prints("played 2");
        }
        one.stop();
    }

    for stream in streams {
        let mount = stream.mount();
        let what = format!("a relay has sent {player:?} {BYTES} bytes of {mount}");
        let (name, visit) = eventually(&what, Duration::from_secs(20), || {
            relays.iter().find_map(|(name, relay)| Some((*name, long_visit(relay, mount, player)?)))
        });
        let labels = [&*format!("stream=\"{mount}\""), &*format!("server=\"{name}\"")];
        let redirects = balancer.metric("redirects_total", &labels).unwrap_or_default();
        assert!(redirects >= 1.0, "the redirect of {mount} to {name} is counted, not {redirects}");
        seen(player, *stream, name, &visit);
    }
}

fn relay(lab: &Lab, name: &str, master: &Icecast, streams: &[Stream]) -> Icecast {
    let empty = Setup::new(lab, name);
    let setup = streams.iter().fold(empty, |setup, stream| {
        setup.pulls(master.port(), stream.mount()).max_listeners(stream.mount(), LIMIT)
    });
    setup.start()
}

/// Whether `relay` has had `player` on `mount` for long enough.
fn listens(relay: &Icecast, mount: &str, player: Player) -> bool {
    let listening = relay.listening(mount);
    listening.iter().any(|one| one.agent.contains(player.agent()) && one.seconds >= SECONDS)
}

/// The visit of `player`, now over, in which it was sent enough.
fn long_visit(relay: &Icecast, mount: &str, player: Player) -> Option<Visit> {
    relay.visits().into_iter().find(|visit| {
        visit.path == mount
            && visit.status == 200
            && visit.agent.contains(player.agent())
            && visit.bytes >= BYTES
            && visit.seconds >= 3
    })
}

/// What `player` was seen to do.
fn seen(player: Player, stream: Stream, server: &str, visit: &Visit) {
    let Visit { bytes, seconds, .. } = visit;
    let evidence = format!("{bytes} bytes in {seconds} s from {server}");
    tell(player.name(), "redirect", stream.name(), &evidence);
}
