//! A web player on a page of another site, in Chromium.

use crate::support::icecast::Setup;
use crate::support::lab::Lab;
use crate::support::player::{Playing, browser_at};
use crate::support::proxy::{Proxy, documented_in};
use crate::support::source::{Source, Stream};

use super::{Station, balancer};

/// What the web player does: it tells each outcome on the console.
const SCRIPT: &str = "
const say = (...words) => console.log('SAID ' + words.map(String).join(' '));
const audio = document.querySelector('audio');
const tried = async (what, options) => {
  try {
    const answer = await fetch(url, options);
    const { value } = await answer.body.getReader().read();
    const { status, redirected, headers } = answer;
    say(what, status, redirected, headers.get('icy-name'), headers.get('icy-metaint'), value.length > 0);
  } catch (error) {
    say(what, 'failed');
  }
};
(async () => {
  await tried('fetch', {});
  await tried('titles', { headers: { 'Icy-MetaData': '1' } });
  const missing = await fetch(url + '.missing');
  say('missing', missing.status, await missing.text());
  audio.addEventListener('error', () => say('audio failed'));
  audio.addEventListener('timeupdate', function plays() {
    if (audio.currentTime < 2) return;
    audio.removeEventListener('timeupdate', plays);
    say('audio plays');
  });
  audio.src = url;
  audio.play();
})();
";

/// A page by https, of a site of its own, that plays `url` in Chromium; `crossorigin` is the
/// attribute of its `<audio>`.
fn page(lab: &Lab, url: &str, crossorigin: &str) -> (Proxy, Playing) {
    let html = format!(
        "<!doctype html><audio {crossorigin}></audio><script>const url = '{url}';{SCRIPT}</script>"
    );
    let site = Proxy::page(lab, &html);
    let playing = browser_at(lab, &site.url("https", "/page.html"));
    (site, playing)
}

#[test]
fn a_web_player_of_another_site_plays_from_icecast_by_https() {
    let exposed = "icy-name, icy-metaint";
    let station =
        Station::start(Stream::Mp3, |relay| relay.header("Access-Control-Expose-Headers", exposed));
    let url = station.url(Stream::Mp3.mount());
    let (_site, playing) = page(&station.lab, &url, "crossorigin=anonymous");
    playing.prints("SAID fetch 200 true a test null true");
    playing.prints("SAID missing 404 there is no such stream here");
    playing.prints("SAID audio plays");
    // To send the header a browser asks the relay first whether it may, and Icecast 2.4 does not
    // know how to answer.
    playing.prints("SAID titles failed");
}

#[test]
fn with_nginx_before_the_relay_as_documented_a_web_player_is_told_the_titles_as_well() {
    let lab = Lab::new();
    let relay = Setup::new(&lab, "vienna").start();
    let _source = Source::start(&lab, &relay, Stream::Mp3);
    let mut servers = documented_in("docs/relays.md", "nginx").into_iter();
    let server = servers.find(|server| server.contains("OPTIONS")).expect("an example of nginx");
    let nginx = Proxy::nginx(&lab, &server, relay.port());
    let url = nginx.url("https", "");
    let server = format!("{{url: '{url}', stats: {{url: '{}'}}}}", relay.url());
    let (_balancer, port, _) = balancer(&lab, &server, Stream::Mp3);
    let url = format!("https://127.0.0.1:{port}{}", Stream::Mp3.mount());
    let (_site, playing) = page(&lab, &url, "crossorigin=anonymous");
    playing.prints("SAID fetch 200 true a test null true");
    playing.prints("SAID titles 200 true a test 16000 true");
    playing.prints("SAID audio plays");
}

/// What Chromium makes of a page by https whose stream has relays by plain http alone.
#[test]
fn on_a_page_by_https_a_script_reads_nothing_from_a_relay_by_plain_http_and_audio_plays() {
    let lab = Lab::new();
    let relay = Setup::new(&lab, "vienna").start();
    let _source = Source::start(&lab, &relay, Stream::Mp3);
    // By its name: what is on this very host a browser takes for safe in any case.
    let plain = relay.url().replace("127.0.0.1", "relay.example");
    let server = format!("{{url: '{plain}', stats: {{url: '{}'}}}}", relay.url());
    let (_balancer, port, _) = balancer(&lab, &server, Stream::Mp3);
    let url = format!("https://127.0.0.1:{port}{}", Stream::Mp3.mount());
    for crossorigin in ["", "crossorigin=anonymous"] {
        let (_site, playing) = page(&lab, &url, crossorigin);
        playing.prints("Mixed Content");
        playing.prints("SAID fetch failed");
        playing.prints("SAID titles failed");
        playing.prints("SAID audio plays");
    }
}
