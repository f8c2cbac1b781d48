//! Playlists, opened by the players people use: with a token that the relay insists on, and after
//! the relay that was played is lost.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::doorman::Doorman;
use crate::support::icecast::{Icecast, Setup};
use crate::support::lab::Lab;
use crate::support::player::{Player, Playing};
use crate::support::process::{Program, eventually};
use crate::support::source::{Source, Stream};
use crate::table::tell;

const RADIO: &str = "/radio.mp3";

/// How long a relay must have a player among its listeners.
const SECONDS: u64 = 3;

/// The ends that ask for a list, as the table of players has them.
const LISTS: [(&str, &str); 3] = [(".m3u", "`.m3u`"), (".pls", "`.pls`"), (".xspf", "`.xspf`")];

/// The schema is our own, made from the specification: the program that has one, libxspf, is not in
/// Debian.
const SCHEMA: &str = "tests/fixtures/playlist/xspf.rng";

#[test]
fn vlc_opens_all_lists_and_keeps_a_token() {
    opens(Player::Vlc, Stream::Mp3, &[".m3u", ".pls", ".xspf"]);
}

#[test]
fn mpv_opens_m3u_and_pls_and_keeps_a_token() {
    opens(Player::Mpv, Stream::Mp3, &[".m3u", ".pls"]);
}

#[test]
fn mplayer_opens_m3u_and_pls_and_keeps_a_token() {
    opens(Player::Mplayer, Stream::Mp3, &[".m3u", ".pls"]);
}

#[test]
fn mpg123_opens_m3u_and_pls_and_keeps_a_token() {
    opens(Player::Mpg123, Stream::Mp3, &[".m3u", ".pls"]);
}

/// xine knows a list by the last letters of its URL, so that behind one there must be no query.
#[test]
fn xine_opens_m3u_and_xspf_without_a_query() {
    opens_with("", Player::Xine, Stream::Mp3, &[".m3u", ".xspf"]);
}

#[test]
fn xine_opens_no_list_with_a_query_and_keeps_a_token() {
    let lab = Lab::new();
    let station = Station::new(&lab, Stream::Mp3, &query());
    station.plays(&lab, Player::Xine, &[]);
}

#[test]
fn gstreamer_opens_no_list_and_keeps_a_token() {
    opens(Player::GStreamer, Stream::Mp3, &[]);
}

#[test]
fn ffplay_opens_no_list_and_keeps_a_token() {
    opens(Player::Ffplay, Stream::Mp3, &[]);
}

#[test]
fn ffmpeg_opens_no_list_and_keeps_a_token() {
    opens(Player::Ffmpeg, Stream::Mp3, &[]);
}

#[test]
fn ogg123_opens_no_list_and_keeps_a_token() {
    opens(Player::Ogg123, Stream::Vorbis, &[]);
}

#[test]
fn curl_opens_no_list_and_keeps_a_token() {
    opens(Player::Curl, Stream::Mp3, &[]);
}

#[test]
fn wget_opens_no_list_and_keeps_a_token() {
    opens(Player::Wget, Stream::Mp3, &[]);
}

#[test]
fn chromium_opens_no_list_and_keeps_a_token() {
    opens(Player::Chromium, Stream::Mp3, &[]);
}

/// A token with all that advertisers put beside it.
fn query() -> String {
    format!("token=aB-3_x~&consent={}&gdpr=1", "CPXxRfAPXxRfAAfKABENB.".repeat(70))
}

/// The player first tries the lists that it cannot open, which must lead nowhere; then it plays the
/// stream itself and by the lists that it can open, all at once and all with a token.
fn opens(player: Player, stream: Stream, able: &[&str]) {
    opens_with(&query(), player, stream, able);
}

fn opens_with(query: &str, player: Player, stream: Stream, able: &[&str]) {
    let lab = Lab::new();
    let station = Station::new(&lab, stream, query);
    let (can, cannot): (Vec<_>, Vec<_>) = LISTS.iter().partition(|(end, _)| able.contains(end));
    for (end, column) in cannot {
        station.leads_nowhere(&lab, player, end);
        tell(player.name(), column, "no", "asked for the list, and not for the stream");
    }
    station.plays(&lab, player, able);
    for (_, column) in can {
        tell(player.name(), column, "plays", &format!("{SECONDS} s on the relay"));
    }
}

/// A relay that lets nobody in without the query, and the balancer.
struct Station {
    mount: &'static str,
    query: String,
    doorman: Doorman,
    vienna: Icecast,
    balancer: Balancer,
    _source: Source,
}

impl Station {
    /// Without a query everybody is let in.
    fn new(lab: &Lab, stream: Stream, query: &str) -> Self {
        let mount = stream.mount();
        let doorman = Doorman::start(query);
        let setup = Setup::new(lab, "vienna");
        let guarded = !query.is_empty();
        let setup = if guarded { setup.asks_at_the_door(mount, &doorman.url()) } else { setup };
        let vienna = setup.start();
        let source = Source::start(lab, &vienna, stream);
        let config = format!("servers: {{vienna: '{}'}}\nstreams: {{{mount}: }}\n", vienna.url());
        let balancer = Balancer::start(lab, &config);
        Self { mount, query: query.to_owned(), doorman, vienna, balancer, _source: source }
    }

    /// The URL of the stream, or of a list of it.
    fn url(&self, end: &str) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        self.balancer.url(&format!("{}{end}{mark}{}", self.mount, self.query))
    }

    /// `player` asks for a list and then for no stream.
    fn leads_nowhere(&self, lab: &Lab, player: Player, end: &str) {
        let mut trying = player.play_list(lab, &format!("tries{end}"), &self.url(end));
        eventually(&format!("{player:?} gives up {end}"), Duration::from_secs(30), || {
            let asked = listed(&self.balancer) > Some(0.0);
            (asked && gave_up(&mut trying, &self.balancer)).then_some(())
        });
        trying.stop();
        assert_eq!(redirected(&self.balancer), Some(0.0), "{player:?} has played by {end}");
    }

    /// `player` plays by the lists with these ends, and the stream itself.
    fn plays(&self, lab: &Lab, player: Player, ends: &[&str]) {
        let lists =
            ends.iter().map(|end| player.play_list(lab, &format!("list{end}"), &self.url(end)));
        let mut playing: Vec<Playing> = lists.collect();
        playing.push(player.play(lab, "stream", &self.url("")));
        let what = format!("a relay has {player:?} {} times", playing.len());
        eventually(&what, Duration::from_secs(60), || {
            (listening(&self.vienna, self.mount, player) == playing.len()).then_some(())
        });
        for one in &mut playing {
            one.still_plays();
        }
        let all = Some(playing.len() as f64);
        assert!(redirected(&self.balancer) >= all, "all came by way of the balancer");
        if !self.query.is_empty() {
            let came = self.doorman.came();
            assert_eq!(came.turned_away, [""; 0], "the token has changed on its way");
            assert!(came.let_in.len() >= playing.len(), "{came:?}");
            let evidence = format!("let in with a query of {} bytes", self.query.len());
            tell(player.name(), "token", "plays", &evidence);
        }
    }
}

/// Whether a player has done all that it will do with a list: xine takes what it does not understand
/// for the name of a stream, and goes on showing its window.
fn gave_up(player: &mut Playing, balancer: &Balancer) -> bool {
    let nonsense = balancer.metric("requests_total", &["outcome=\"unknown_path\""]);
    player.gave_up() || nonsense > Some(0.0)
}

/// How many lists were asked for.
fn listed(balancer: &Balancer) -> Option<f64> {
    balancer.metric("requests_total", &["outcome=\"playlist\""])
}

/// How often somebody was sent to a relay.
fn redirected(balancer: &Balancer) -> Option<f64> {
    balancer.metric("requests_total", &["outcome=\"redirected\""])
}

/// How many of `player` a relay has had on `mount` for long enough.
fn listening(relay: &Icecast, mount: &str, player: Player) -> usize {
    let listening = relay.listening(mount);
    let long = listening.iter().filter(|one| one.seconds >= SECONDS);
    long.filter(|one| one.agent.contains(player.agent())).count()
}

#[test]
fn vlc_goes_on_to_the_next_entry_of_its_list_and_from_the_last_to_the_balancer() {
    goes_on(Player::Vlc, true);
}

#[test]
fn mpv_goes_on_to_the_next_entry_of_its_list_and_from_the_last_to_the_balancer() {
    goes_on(Player::Mpv, true);
}

#[test]
fn mplayer_goes_on_to_the_next_entry_of_its_list() {
    goes_on(Player::Mplayer, false);
}

#[test]
fn mpg123_goes_on_to_the_next_entry_of_its_list() {
    goes_on(Player::Mpg123, false);
}

/// The relay that a player was sent to dies; then, if the player repeats its list, the other one.
fn goes_on(player: Player, repeats: bool) {
    let lab = Lab::new();
    let master = Setup::new(&lab, "master").start();
    let _source = Source::start(&lab, &master, Stream::Mp3);
    let relay = |name| Setup::new(&lab, name).pulls(master.port(), RADIO).start();
    let mut relays = [relay("vienna"), relay("berlin")];
    let config = format!(
        "servers: {{vienna: '{}', berlin: '{}'}}\nstreams: {{{RADIO}: }}\n",
        relays[0].url(),
        relays[1].url()
    );
    let balancer = Balancer::start(&lab, &config);
    let url = balancer.url(&format!("{RADIO}.m3u"));
    let open = if repeats { Player::repeat_list } else { Player::play_list };
    let mut playing = open(player, &lab, "plays", &url);

    let first = plays_on(&relays, player);
    let asked = redirected(&balancer);
    assert!(asked >= Some(1.0), "the first entry leads through the balancer");
    relays[first].kill();
    let second = plays_on(&relays, player);
    assert_ne!(first, second);
    playing.still_plays();
    assert_eq!(redirected(&balancer), asked, "the second entry is a relay itself");
    let evidence = "on the other relay after the first was killed";
    tell(player.name(), "list after its relay is lost", "next entry", evidence);

    if repeats {
        relays[second].kill();
        eventually("it asks the balancer again", Duration::from_secs(60), || {
            (Some(answered(&balancer)) > asked).then_some(())
        });
        let evidence = "asked again after both relays were killed";
        tell(player.name(), "list after its relay is lost", "us again if it repeats", evidence);
    }
}

/// How often somebody who asked for a stream was told anything.
fn answered(balancer: &Balancer) -> f64 {
    let outcomes = ["redirected", "full", "offline", "unreachable"];
    let count = |outcome: &str| {
        balancer.metric("requests_total", &[&format!("outcome=\"{outcome}\"")]).unwrap_or_default()
    };
    outcomes.into_iter().map(count).sum()
}

/// The relay that has the player.
fn plays_on(relays: &[Icecast; 2], player: Player) -> usize {
    eventually(&format!("{player:?} plays"), Duration::from_secs(60), || {
        relays.iter().position(|relay| listening(relay, RADIO, player) > 0)
    })
}

#[test]
fn an_xspf_is_one_by_its_schema_whatever_the_query() {
    let lab = Lab::new();
    let config = "public_url: https://radio.example.org/live
servers: {vienna: 'http://127.0.0.1:9'}
streams: {/radio.mp3: , '/säle/<große> & \"kleine\".ogg': }
";
    let balancer = Balancer::start(&lab, config);
    let folder = lab.folder("lists", "root");
    for path in ["/radio.mp3", "/s%C3%A4le/%3Cgro%C3%9Fe%3E%20&%20%22kleine%22.ogg"] {
        for query in ["", "?a=b&c='d'", "?x=%3C%26;y|z"] {
            let answer = balancer.ask(&format!("{path}.xspf{query}"));
            assert_eq!(answer.status, 200, "{path}{query}");
            assert_eq!(valid(&folder, &answer.body), Ok(()), "{}", answer.body);
        }
    }
    let answer = balancer.ask(&format!("{RADIO}.xspf?a=b&c=d"));
    for (sound, spoiled) in [("&amp;", "&"), ("trackList", "tracks"), ("location", "url")] {
        let spoiled = answer.body.replace(sound, spoiled);
        assert!(valid(&folder, &spoiled).is_err(), "the schema would notice: {spoiled}");
    }
}

/// What xmllint says of an XSPF.
fn valid(folder: &Path, xspf: &str) -> Result<(), String> {
    let file = folder.join("list.xspf");
    fs::write(&file, xspf).unwrap();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join(SCHEMA);
    let mut xmllint = Program::new("xmllint", "libxml2-utils")
        .args(["--noout", "--nonet", "--relaxng"])
        .args([&schema, &file])
        .start(folder);
    let status = eventually("xmllint ends", Duration::from_secs(20), || xmllint.ended());
    if status.success() { Ok(()) } else { Err(xmllint.printed()) }
}
