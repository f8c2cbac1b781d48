//! HLS by the master playlist alone: who was sent to a relay once stays there, since what the
//! playlist names stands beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::hls::{LiveFolder, MASTER, Nginx};
use crate::support::lab::{Lab, give};
use crate::support::player::{Player, browser};
use crate::support::process::{Process, eventually};
use crate::support::proxy::documented_in;

const PAGE: &str = "docs/relays.md";

/// Two relays that serve the same live stream, and a balancer that can merely ask for it.
struct Station {
    lab: Lab,
    balancer: Balancer,
    relays: [Option<Nginx>; 2],
    _live: LiveFolder,
}

impl Station {
    fn start(server: &str) -> Self {
        let lab = Lab::new();
        let live = LiveFolder::start(&lab);
        let relays = ["vienna", "berlin"].map(|name| Nginx::start(&lab, name, server, live.root()));
        let [vienna, berlin] = relays.each_ref().map(Nginx::url);
        let config = format!(
            "servers:\n  vienna: {{url: '{vienna}', max_listeners: 100, stats: {{source: probe}}}}\n  \
             berlin: {{url: '{berlin}', max_listeners: 100, stats: {{source: probe}}}}\n\
             streams: {{{MASTER}: }}\n"
        );
        let balancer = Balancer::start(&lab, &config);
        for name in ["vienna", "berlin"] {
            assert_eq!(balancer.server(name)["source"], "probe");
        }
        Self { lab, balancer, relays: relays.map(Some), _live: live }
    }

    fn relay(&self, number: usize) -> &Nginx {
        self.relays[number].as_ref().expect("it runs")
    }

    /// Waits until some relay has given a player so many segments: the relay's number.
    fn playing(&self, segments: usize) -> usize {
        eventually("a relay is played from", Duration::from_secs(60), || {
            (0..2).find(|relay| self.relay(*relay).segments() >= segments)
        })
    }

    /// How many players were redirected.
    fn redirected(&self) -> Option<f64> {
        self.balancer.metric("requests_total", &["outcome=\"redirected\""])
    }

    /// Stops a relay, and waits until the balancer knows.
    fn stop(&mut self, relay: usize) {
        self.relays[relay] = None;
        let name = ["vienna", "berlin"][relay];
        eventually("the balancer knows that it stopped", Duration::from_secs(15), || {
            (self.balancer.passed_over(MASTER, name) == "refuses connections").then_some(())
        });
    }
}

/// The `server` that the documentation gives a relay.
fn documented_server() -> String {
    let mut servers = documented_in(PAGE, "nginx").into_iter();
    servers.find(|server| server.contains("/hls/")).expect("an example of nginx")
}

#[test]
fn mpv_plays_all_from_one_relay_and_from_the_other_when_that_one_has_stopped() {
    let mut station = Station::start(&documented_server());
    let url = station.balancer.url(MASTER);
    let mut mpv = Player::Mpv.play(&station.lab, "first", &url);
    let first = station.playing(6);
    mpv.still_plays();
    let media = station.relay(first).media();
    let playlists = media.iter().filter(|request| request.path.ends_with("/index.m3u8")).count();
    assert!(playlists >= 2, "{media:?}");
    assert_eq!(station.relay(1 - first).media(), [], "all from one relay");
    // It looks at a stream before it plays it, and asks for both.
    assert_eq!(station.redirected(), Some(2.0), "requests to the balancer");
    // Nobody knows how many play.
    let mount = ["stream=\"/hls/live.m3u8\"", "server=\"vienna\""];
    assert_eq!(station.balancer.metric("mount_listeners", &mount), None);
    assert_eq!(station.balancer.metric("mount_up", &mount), Some(1.0));
    mpv.stop();

    station.stop(first);
    let mut mpv = Player::Mpv.play(&station.lab, "second", &url);
    station.relay(1 - first).wait_for_segments(6);
    mpv.still_plays();
}

#[test]
fn chromium_stays_with_its_relay_and_asks_again_when_it_is_lost() {
    let mut station = Station::start(&documented_server());
    let page = Page::with(&station.lab, &station.balancer.url(MASTER));
    let browser = page.open(&station.lab);
    prints(&browser, "played 5");
    let first = station.playing(5);
    assert_eq!(station.relay(1 - first).requests(), [], "all from one relay");
    assert_eq!(station.redirected(), Some(1.0), "one request to the balancer");
    assert!(!browser.printed().contains("lost"), "{}", browser.printed());

    station.stop(first);
    prints(&browser, "lost");
    station.relay(1 - first).wait_for_segments(5);
    prints(&browser, "played on 5");
    assert!(station.redirected() >= Some(2.0), "it has asked the balancer again");
}

/// What the test above is worth, and why the documentation asks for the header.
#[test]
fn chromium_plays_from_no_relay_that_forbids_other_sites() {
    let server = documented_server();
    let lines = server.lines().filter(|line| !line.contains("Access-Control-Allow-Origin"));
    let silent: Vec<_> = lines.collect();
    assert!(silent.len() < server.lines().count(), "{server}");
    let station = Station::start(&silent.join("\n"));
    let page = Page::with(&station.lab, &station.balancer.url(MASTER));
    let browser = page.open(&station.lab);
    prints(&browser, "lost: manifestLoadError");
    assert!(!browser.printed().contains("played"), "{}", browser.printed());
}

fn prints(browser: &Process, sign: &str) {
    eventually(&format!("Chromium prints {sign:?}"), Duration::from_secs(60), || {
        browser.printed().contains(sign).then_some(())
    });
}

/// A web site with hls.js, as the documentation has it, which tells on the console how it goes.
struct Page {
    site: Nginx,
}

impl Page {
    fn with(lab: &Lab, stream: &str) -> Self {
        let folder = lab.folder("site", "nobody");
        let hls_js = hls_js();
        fs::copy(&hls_js, folder.join("hls.min.js")).unwrap_or_else(|error| {
            panic!("{}: {error}; run `tests/install`, which installs hls.js", hls_js.display())
        });
        let [script] = &documented_in(PAGE, "js")[..] else { panic!("one example of hls.js") };
        let example = "https://radio.example.org/hls/live.m3u8";
        assert!(script.contains(example), "{script}");
        let script = script.replace(example, stream);
        let html = format!(
            "<!doctype html><video muted></video><script src=hls.min.js></script><script>
{script}
const video = document.querySelector('video');
let lost = false;
let told = 0;
hls.on(Hls.Events.ERROR, (_, error) => {{
  if (!error.fatal) return;
  console.log('lost: ' + error.details);
  lost = true;
  told = 0;
}});
let second = 0;
video.addEventListener('timeupdate', () => {{
  // The time of what is played goes on, whatever it begins with.
  if (Math.floor(video.currentTime) === second) return;
  second = Math.floor(video.currentTime);
  told += 1;
  console.log((lost ? 'played on ' : 'played ') + told);
}});
setInterval(() => {{ if (video.paused) video.play().catch(() => {{}}); }}, 200);
</script>"
        );
        let page = folder.join("index.html");
        fs::write(&page, html).unwrap();
        for file in [&page, &folder.join("hls.min.js")] {
            give(file, "nobody");
        }
        let server = "server { listen 80; root /srv/radio; }\n";
        Self { site: Nginx::start(lab, "site", server, &folder) }
    }

    fn open(&self, lab: &Lab) -> Process {
        let folder = lab.folder("chromium", "nobody");
        browser(&folder)
            .words("--autoplay-policy=no-user-gesture-required")
            .args([format!("{}/index.html", self.site.url())])
            .env("HOME", &folder)
            .start(&folder)
    }
}

/// Where `tests/install` puts hls.js.
fn hls_js() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target");
    target.join("npm/node_modules/hls.js/dist/hls.min.js")
}
