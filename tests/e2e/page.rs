//! The status page in a real browser: whatever stands on it, nothing of it runs.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use crate::support::balancer::Balancer;
use crate::support::lab::Lab;
use crate::support::player::browser;
use crate::support::web::{self, Answer};

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

/// What Chromium made of a page: the document after it was shown, and all that was said meanwhile.
fn shown(lab: &Lab, url: &str) -> String {
    let folder = lab.folder("chromium", "nobody");
    // Virtual time: all that happens within three seconds, and no longer waiting than needed.
    let program = browser(&folder).args(["--virtual-time-budget=3000", "--dump-dom", url]);
    let (_code, printed) = program.env("HOME", &folder).run(&folder);
    assert!(printed.contains("</html>"), "no page was shown:\n{printed}");
    printed
}

/// What of it was run: lines of the console.
fn fired(printed: &str) -> Vec<&str> {
    printed.lines().filter(|line| line.contains("CONSOLE") && line.contains(FIRED)).collect()
}

fn page(balancer: &Balancer) -> Answer {
    web::get(&format!("http://127.0.0.1:{}/", balancer.admin_port())).unwrap()
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
    let printed = shown(&lab, &format!("http://127.0.0.1:{}/", balancer.admin_port()));
    assert_eq!(fired(&printed), [""; 0], "{printed}");
    // It is there, as text.
    let text = "&lt;script&gt;alert('FIRED')&lt;/script&gt;";
    assert!(printed.contains(text), "{printed}");
    for element in ["<script", "<img", "<svg", "<iframe", "<a "] {
        assert!(!printed.contains(element), "{element}: {printed}");
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
