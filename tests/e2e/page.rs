//! The status page in a real browser, driven by Playwright: whatever stands on it, nothing of it
//! runs; and it is of use to everybody, with a script or without, on a phone, by the keyboard alone.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::engine::Engine;
use crate::support::icecast::{Icecast, Setup};
use crate::support::lab::Lab;
use crate::support::process::{Program, eventually};
use crate::support::source::{Source, Stream};
use crate::support::web::{self, Answer};

mod picture;

/// What a script that runs says on the console, and what a dialog would show.
const FIRED: &str = "FIRED";

/// Text that runs wherever it is taken for markup, in each of the places where it may come to stand.
const HOSTILE: [&str; 7] = [
    "<script>console.log('FIRED')</script>",
    "<img src=x onerror=console.log('FIRED')>",
    "\"><svg onload=console.log('FIRED')>",
    "'><body onpageshow=console.log('FIRED')>",
    "</pre></td></table><iframe srcdoc=\"<script>parent.console.log('FIRED')</script>\"></iframe>",
    "<a autofocus onfocus=console.log('FIRED') href=\"javascript:alert('FIRED')\">x</a>",
    "<script>alert('FIRED')</script>",
];

/// A balancer of which every text that can be somebody else's is hostile: names of streams and
/// mounts, what a relay answers, and the lines of a configuration that is refused.
fn hostile(lab: &Lab) -> Balancer {
    let relay = hostile_relay();
    let mut config =
        format!("servers:\n  one: {{url: '{relay}', stats: {{source: status-json}}}}\nstreams:\n");
    for text in HOSTILE {
        let mut path = "/".to_owned();
        for byte in text.bytes() {
            write!(path, "%{byte:02X}").unwrap();
        }
        writeln!(config, "  '{path}':\n    mounts: {{one: '{path}'}}").unwrap();
    }
    let balancer = Balancer::start(lab, &config);
    let unknown: Vec<_> =
        HOSTILE.iter().map(|text| format!("\"{}\": 1\n", text.replace('"', "\\\""))).collect();
    balancer.edit(&format!("{}{config}", unknown.concat()));
    balancer
}

/// A relay whose every word is hostile; its address.
fn hostile_relay() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let body = HOSTILE.concat();
            let head = format!("HTTP/1.0 500 {}\r\nServer: {}\r\n", HOSTILE[0], HOSTILE[1]);
            answer(stream, &format!("{head}Content-Type: {}\r\n\r\n{body}", HOSTILE[2]));
        }
    });
    address
}

/// Reads a request and answers it; whether that arrives is the browser's business.
fn answer(mut stream: TcpStream, text: &str) {
    let _request = stream.read(&mut [0; 4096]);
    let _answered = stream.write_all(text.as_bytes());
    let _closed = stream.shutdown(Shutdown::Write);
    // A socket that is closed over bytes that were not read takes its answer back.
    let _rest = stream.read(&mut [0; 4096]);
}

/// A web server that gives this page to everybody; its address.
fn serving(headers: &str, html: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let head = "HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n";
    let text = format!("{head}{headers}\r\n{html}");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            answer(stream, &text);
        }
    });
    address
}

/// A browser that does something with a page; `tests/e2e/page/browser.mjs` says what there is.
fn browser(does: &str, url: &str, rest: &[&str]) -> Program {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target");
    let modules = target.join("npm");
    for module in ["playwright-core", "axe-core"] {
        let folder = modules.join("node_modules").join(module);
        assert!(
            folder.is_dir(),
            "{}: run `tests/install`, which installs {module}",
            folder.display()
        );
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/page/browser.mjs");
    Program::new("node", "nodejs")
        .env("MODULES", modules)
        .args([script.as_os_str(), does.as_ref(), url.as_ref()])
        .args(rest)
}

/// The same to its end, which has to be a good one; all that was said meanwhile.
fn browse(lab: &Lab, does: &str, url: &str, rest: &[&str]) -> String {
    let folder = lab.folder("browser", "root");
    let (code, printed) = browser(does, url, rest).env("HOME", &folder).run(&folder);
    assert_eq!(code, Some(0), "{does} {url}:\n{printed}");
    printed
}

/// What the browser made of a page: the document after it was shown, and all that was said meanwhile.
fn shown(lab: &Lab, url: &str) -> String {
    let printed = browse(lab, "dump", url, &[]);
    assert!(printed.contains("</html>"), "no page was shown:\n{printed}");
    printed
}

/// What of it was run: lines of the console.
fn fired(printed: &str) -> Vec<&str> {
    printed.lines().filter(|line| line.contains("CONSOLE") && line.contains(FIRED)).collect()
}

fn address(balancer: &Balancer) -> String {
    format!("http://127.0.0.1:{}/", balancer.admin_port())
}

fn page(balancer: &Balancer) -> Answer {
    web::get(&address(balancer)).unwrap()
}

/// The page as it would be if nothing were escaped.
fn unescaped(page: &str) -> String {
    let mut html = page.to_owned();
    for (entity, character) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
    {
        html = html.replace(entity, character);
    }
    html
}

#[test]
fn nothing_runs_of_what_others_wrote_on_the_page() {
    let lab = Lab::new();
    let balancer = hostile(&lab);
    let printed = shown(&lab, &address(&balancer));
    assert_eq!(fired(&printed), [""; 0], "{printed}");
    // It is there, as text.
    let text = "&lt;script&gt;alert('FIRED')&lt;/script&gt;";
    assert!(printed.contains(text), "{printed}");
    let ours = printed.replace("<script src=\"live.js\" defer=\"\">", "");
    for element in ["<script", "<img", "<svg onload", "<iframe", "<body on", "<a autofocus"] {
        assert!(!ours.contains(element), "{element}: {printed}");
    }
}

#[test]
fn without_escaping_the_policy_alone_lets_nothing_run_and_without_both_it_runs() {
    let lab = Lab::new();
    let balancer = hostile(&lab);
    let page = page(&balancer);
    let html = unescaped(&page.body);
    let policy = page.header("Content-Security-Policy").expect("a policy");
    let with_policy = serving(&format!("Content-Security-Policy: {policy}\r\n"), &html);
    assert_eq!(fired(&shown(&lab, &with_policy)), [""; 0]);
    // A dialog would hold the browser for ever, as it would in the test above.
    let html = html.replace("alert(", "console.log(");
    let fired = fired(&shown(&lab, &serving("", &html))).len();
    assert!(fired >= 4, "this browser runs nothing at all: {fired}");
}

/// Two real relays that play the same, and a balancer.
struct Station {
    relays: [(Icecast, Source); 2],
    balancer: Balancer,
    config: String,
}

impl Station {
    fn start(lab: &Lab) -> Self {
        let mount = Stream::Vorbis.mount();
        let relays = ["vienna", "berlin"].map(|name| {
            let icecast = Setup::new(lab, name).max_listeners(mount, 20).start();
            let source = Source::start(lab, &icecast, Stream::Vorbis);
            (icecast, source)
        });
        let [vienna, berlin] = [0, 1].map(|at| relays[at].0.url());
        let config = format!(
            "servers: {{vienna: '{vienna}', berlin: '{berlin}'}}\nstreams: {{{mount}: }}\n"
        );
        let balancer = Balancer::start(lab, &config);
        Self { relays, balancer, config }
    }

    fn url(&self, query: &str) -> String {
        format!("{}{query}", address(&self.balancer))
    }

    /// A power cut at one of its relays.
    fn kill(&mut self, at: usize, name: &str) {
        self.relays[at].0.kill();
        self.balancer.wait_for_health(name, "down");
    }
}

#[test]
fn everybody_can_use_it_while_all_is_well() {
    let lab = Lab::new();
    let station = Station::start(&lab);
    station.balancer.ask(Stream::Vorbis.mount());
    browse(&lab, "judge", &station.url(""), &[]);
    browse(&lab, "judge", &station.url("?stream=%2Fvorbis.ogg"), &[]);
}

#[test]
fn everybody_can_use_it_while_things_are_wrong() {
    let lab = Lab::new();
    let mut station = Station::start(&lab);
    // Something is wrong with a relay, and with the configuration.
    station.kill(0, "vienna");
    station.balancer.edit(&format!("{}unknown: 1\n", station.config));
    eventually("the page says what is refused", Duration::from_secs(20), || {
        page(&station.balancer).body.contains("Diagnostics").then_some(())
    });
    browse(&lab, "judge", &station.url(""), &[]);
    // And nothing is left.
    station.kill(1, "berlin");
    browse(&lab, "judge", &station.url("?trouble=1"), &[]);
}

#[test]
fn everybody_can_use_it_where_there_are_several_balancers() {
    let lab = Lab::new();
    let (station, mut engine) = (Station::start(&lab), Engine::start(&lab));
    let cluster = format!("cluster: {{replicas: 3, engine: '{}'}}\n", engine.url());
    station.balancer.edit(&(station.config.clone() + &cluster));
    let engine_is = |value| {
        eventually("it knows how the engine is", Duration::from_secs(20), || {
            (station.balancer.metric("cluster_engine_up", &[]) == Some(value)).then_some(())
        });
    };
    engine_is(1.0);
    let url = engine.url();
    assert!(page(&station.balancer).body.contains(url.trim_start_matches("redis://")));
    browse(&lab, "judge", &station.url(""), &[]);
    engine.kill();
    engine_is(0.0);
    browse(&lab, "judge", &station.url(""), &[]);
}

#[test]
fn hostile_text_spoils_it_for_nobody() {
    let lab = Lab::new();
    let balancer = hostile(&lab);
    browse(&lab, "judge", &address(&balancer), &[]);
    browse(&lab, "judge", &format!("{}?q=nothing", address(&balancer)), &[]);
}

#[test]
fn a_relay_that_goes_down_is_seen_without_a_new_page() {
    let lab = Lab::new();
    let mut station = Station::start(&lab);
    let folder = lab.folder("browser", "root");
    let browser = browser("live", &station.url(""), &["Players are served; one thing"]);
    let mut browser = browser.env("HOME", &folder).start(&folder);
    eventually("the page is live", Duration::from_secs(60), || {
        browser.printed().lines().any(|line| line == "live").then_some(())
    });
    station.relays[0].0.kill();
    let ended = eventually("it is seen", Duration::from_secs(60), || browser.ended());
    assert!(ended.success(), "{}", browser.printed());
}

#[test]
fn without_scripts_the_page_comes_anew_by_itself() {
    let lab = Lab::new();
    let mut station = Station::start(&lab);
    browse(&lab, "plain", &station.url("?q=vienna"), &["All is well"]);
    let folder = lab.folder("browser", "root");
    let words = "Players are served; one thing";
    let browser = browser("plain", &station.url(""), &[words]).env("HOME", &folder);
    let mut browser = browser.start(&folder);
    station.kill(0, "vienna");
    let ended = eventually("it is seen", Duration::from_secs(60), || browser.ended());
    assert!(ended.success(), "{}", browser.printed());
}

#[test]
fn the_keyboard_gets_everywhere_and_the_filter_looks_while_it_is_typed() {
    let lab = Lab::new();
    let mut station = Station::start(&lab);
    station.kill(0, "vienna");
    station.balancer.edit("nonsense");
    eventually("the page says what is refused", Duration::from_secs(20), || {
        page(&station.balancer).body.contains("Diagnostics").then_some(())
    });
    browse(&lab, "keys", &station.url(""), &[]);
    browse(&lab, "typed", &station.url(""), &["vorbis"]);
}
