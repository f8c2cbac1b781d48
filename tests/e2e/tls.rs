//! The balancer by https, before Icecast by https: curl, the players, and a web player in Chromium.

mod browser;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::certificate;
use crate::support::icecast::{Icecast, Setup};
use crate::support::lab::{Lab, free_port};
use crate::support::player::Player;
use crate::support::process::{Program, eventually};
use crate::support::source::{Source, Stream};
use crate::table::tell;

/// How long a relay must have a player among its listeners.
const SECONDS: u64 = 4;

/// A balancer and a relay, both with a certificate of their own, and a source.
struct Station {
    balancer: Balancer,
    port: u16,
    folder: PathBuf,
    relay: Icecast,
    _source: Source,
    lab: Lab,
}

/// A balancer by https before one relay; its port for that, and the folder with its certificate.
fn balancer(lab: &Lab, server: &str, stream: Stream) -> (Balancer, u16, PathBuf) {
    let (folder, port) = (lab.folder("certificate", "root"), free_port());
    certificate::make(&folder, "root");
    let config = format!(
        "tls: {{listen: '127.0.0.1:{port}', certificate: '{}', key: '{}'}}
servers: {{vienna: {server}}}
streams: {{{}: }}
",
        folder.join("radio.crt").display(),
        folder.join("radio.key").display(),
        stream.mount(),
    );
    (Balancer::start(lab, &config), port, folder)
}

impl Station {
    fn start(stream: Stream, relay: impl FnOnce(Setup<'_>) -> Setup<'_>) -> Self {
        let lab = Lab::new();
        let relay = relay(Setup::new(&lab, "vienna").https()).start();
        let source = Source::start(&lab, &relay, stream);
        let (plain, secure) = (relay.url(), relay.https_url());
        let server = format!("{{url: '{secure}', http_url: '{plain}', stats: {{url: '{plain}'}}}}");
        let (balancer, port, folder) = balancer(&lab, &server, stream);
        Self { balancer, port, folder, relay, _source: source, lab }
    }

    fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// A folder with the certificates of both, and both in one file.
    fn trusted(&self) -> (PathBuf, PathBuf) {
        let folder = self.lab.folder("trusted", "nobody");
        let read = |file: &Path| fs::read_to_string(file).unwrap();
        let (ours, relays) = (self.folder.join("radio.crt"), self.relay.certificate());
        let all = folder.with_extension("pem");
        fs::write(&all, read(&ours) + &read(&relays)).unwrap();
        fs::write(folder.join("balancer.pem"), read(&ours)).unwrap();
        fs::write(folder.join("relay.pem"), read(&relays)).unwrap();
        (folder, all)
    }

    /// What curl makes of `path` with these further words: its exit code and what it printed.
    fn curl(&self, words: &str, path: &str) -> (Option<i32>, String) {
        let certificate = self.folder.join("radio.crt");
        Program::new("curl", "curl")
            .args(["-sS", "-m", "20", "-o", "body"])
            .args(["-w", "%{http_code} HTTP/%{http_version} %{redirect_url}"])
            .args(["--cacert".as_ref(), certificate.as_os_str()])
            .words(words)
            .args([self.url(path)])
            .run(&self.lab.folder("curl", "nobody"))
    }
}

#[test]
fn curl_is_redirected_by_tls_1_2_and_1_3_and_by_nothing_older() {
    let station = Station::start(Stream::Mp3, |relay| relay);
    let mount = Stream::Mp3.mount();
    let expected = format!("302 HTTP/1.1 {}{mount}", station.relay.https_url());
    for words in [
        "--tlsv1.2 --tls-max 1.2",
        "--tlsv1.3",
        "--http2",
        "--http1.1",
        "--http1.0",
        "--no-alpn",
        "--tls-max 1.2 --http1.0",
    ] {
        let (code, printed) = station.curl(words, mount);
        assert_eq!((code, printed.as_str()), (Some(0), expected.as_str()), "{words}");
    }
    for words in ["--tlsv1.1 --tls-max 1.1", "--tlsv1.0 --tls-max 1.0"] {
        let (code, printed) = station.curl(&format!("{words} --ciphers DEFAULT@SECLEVEL=0"), mount);
        assert_eq!(code, Some(35), "{words}: {printed}");
    }
    // Who forgets the s is told so, and who comes without TLS to the other port stays without.
    let plain = station.url(mount).replace("https:", "http:");
    let folder = station.lab.folder("plain", "nobody");
    let (code, printed) =
        Program::new("curl", "curl").args(["-sS", "-m", "20", &plain]).run(&folder);
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(printed, "bad request: this port speaks https, not plain http\n");
    let answer = station.balancer.ask(mount);
    assert_eq!(answer.header("Location"), Some(&*format!("{}{mount}", station.relay.url())));
    assert_eq!(station.balancer.metric("tls_handshake_failures_total", &[]), Some(2.0));
}

#[test]
fn an_unreadable_pair_is_exit_code_2_and_check_says_the_same() {
    let lab = Lab::new();
    let folder = lab.folder("balancer", "root");
    certificate::make(&folder, "root");
    let other = lab.folder("other", "root");
    certificate::make(&other, "root");
    fs::copy(other.join("radio.key"), folder.join("radio.key")).unwrap();
    let config = "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n\
        tls: {listen: '127.0.0.1:0', certificate: radio.crt, key: radio.key}\n\
        servers: {vienna: 'http://127.0.0.1:1'}\nstreams: {/x: }\n";
    fs::write(folder.join("balancer.yaml"), config).unwrap();
    for words in ["serve -c balancer.yaml", "check balancer.yaml"] {
        let (code, printed) = Program::balancer().words(words).run(&folder);
        assert_eq!(code, Some(2), "{words}: {printed}");
        assert!(printed.contains("balancer.yaml:3:"), "{words}: {printed}");
        assert!(printed.contains("has the key of another certificate in it"), "{printed}");
    }
    fs::copy(other.join("radio.crt"), folder.join("radio.crt")).unwrap();
    let (code, printed) = Program::balancer().words("check balancer.yaml").run(&folder);
    assert_eq!(code, Some(0), "{printed}");
}

#[test]
fn vlc_mpv_ffmpeg_curl_and_wget_play_by_https_from_beginning_to_end() {
    plays(&[Player::Vlc, Player::Mpv, Player::Ffmpeg, Player::Curl, Player::Wget]);
}

#[test]
fn ffplay_and_chromium_play_by_https_from_beginning_to_end() {
    plays(&[Player::Ffplay, Player::Chromium]);
}

fn plays(players: &[Player]) {
    let station = Station::start(Stream::Vorbis, |relay| relay);
    let mount = Stream::Vorbis.mount();
    let (folder, file) = station.trusted();
    let url = station.url(mount);
    for (number, player) in players.iter().enumerate() {
        let name = format!("{number}-{player:?}").to_lowercase();
        let mut playing = player.play_trusting(&station.lab, &name, &url, (&folder, &file));
        let what = format!("{player:?} is among the relay's listeners for {SECONDS} s");
        eventually(&what, Duration::from_secs(30), || {
            playing.still_plays();
            let listening = station.relay.listening(mount);
            let plays = listening
                .iter()
                .any(|one| one.agent.contains(player.agent()) && one.seconds >= SECONDS);
            plays.then_some(())
        });
        playing.stop();
        let evidence = format!("{SECONDS} s on the relay, by TLS all the way");
        tell(player.name(), "https", Stream::Vorbis.name(), &evidence);
    }
    let labels = [format!("stream=\"{mount}\""), "server=\"vienna\"".to_owned()];
    let labels = labels.each_ref().map(String::as_str);
    let redirects = station.balancer.metric("redirects_total", &labels).unwrap();
    assert!(redirects >= players.len() as f64, "{redirects}");
}
