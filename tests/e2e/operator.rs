//! What an operator asks, of real relays: `probe`, `explain` and `status`, as they are typed.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::balancer::Balancer;
use crate::support::icecast::{ADMIN_PASSWORD, Icecast, Setup};
use crate::support::lab::{Lab, free_port};
use crate::support::listener::{Listener, Outcome};
use crate::support::process::{Program, eventually};
use crate::support::source::{Source, Stream};

const RADIO: &str = "/radio.mp3";

/// Five relays, of which one is as it should be.
struct Station {
    lab: Lab,
    good: Icecast,
    wrong_password: Icecast,
    without_mount: Icecast,
    full: Icecast,
    dead: u16,
    _sources: Vec<Source>,
    _listeners: Vec<Listener>,
}

impl Station {
    fn new() -> Self {
        let lab = Lab::new();
        let relay = |name| Setup::new(&lab, name).max_listeners(RADIO, 5);
        let good = relay("good").start();
        // Without our stylesheet the password is needed.
        let wrong_password = relay("wrong-password").stylesheets(&[]).start();
        let without_mount = relay("without-mount").start();
        // Its source and one listener are all it takes.
        let full = Setup::new(&lab, "full").clients(2).start();
        let mut sources: Vec<_> = [&good, &wrong_password, &full]
            .map(|relay| Source::start(&lab, relay, Stream::Mp3))
            .into();
        sources.push(Source::start(&lab, &without_mount, Stream::Vorbis));
        let listeners = [("anna", &good), ("bela", &full)].map(|(name, relay)| {
            let mut listener = Listener::start(&lab, name, &format!("{}{RADIO}", relay.url()));
            assert!(matches!(listener.outcome(), Outcome::Plays(_)), "{name} plays");
            listener
        });
        let dead = free_port();
        Self {
            lab,
            good,
            wrong_password,
            without_mount,
            full,
            dead,
            _sources: sources,
            _listeners: listeners.into(),
        }
    }

    fn config(&self) -> String {
        format!(
            "balance: {{headroom: 0}}
servers:
  good: {{url: {}, stats: {{password: {ADMIN_PASSWORD}}}}}
  wrong-password: {{url: {}, stats: {{password: guessed}}}}
  without-mount: {}
  full: {}
  dead: http://127.0.0.1:{}
streams:
  {RADIO}:
",
            self.good.url(),
            self.wrong_password.url(),
            self.without_mount.url(),
            self.full.url(),
            self.dead
        )
    }

    /// What a command prints, and its exit code.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let (code, printed) =
            Program::balancer().args(arguments).run(&self.lab.folder("operator", "root"));
        eprintln!("$ icecast-balancer {}\n{printed}", arguments.join(" "));
        let is_narrow = |line: &str| line.chars().count() <= 80;
        assert!(arguments.contains(&"json") || printed.lines().all(is_narrow), "{printed}");
        (code, printed)
    }
}

#[test]
fn probe_tells_what_is_wrong_with_each_relay() {
    let station = Station::new();
    let file = station.lab.folder("probe", "root").join("balancer.yaml");
    fs::write(&file, station.config()).unwrap();
    let file = file.to_str().unwrap();
    let (code, printed) = station.run(&["probe", "-c", file]);
    assert_eq!(code, Some(1), "{printed}");
    let row = |name: &str| -> Vec<String> {
        let line = printed.lines().find(|line| line.starts_with(&format!("{name} ")));
        let words = line.unwrap_or_else(|| panic!("{name} in\n{printed}")).split_whitespace();
        words.map(str::to_owned).collect()
    };
    assert_eq!(row("good")[1..3], ["ok", "slots"]);
    assert_eq!(row("good")[5..], ["1", "of", "1", "1", "5"]);
    assert_eq!(row("wrong-password")[1..3], ["ok", "status-json"]);
    assert_eq!(row("without-mount")[5..8], ["0", "of", "1"]);
    assert_eq!(row("full")[1], "full");
    assert_eq!(row("dead")[1], "connect");
    for words in [
        "error: stats.password is not accepted",
        "401 Unauthorized",
        "error: mount /radio.mp3 is not there",
        "error: its client limit is reached",
        "Connection refused",
        "5 relays: 4 are not as they should be",
    ] {
        assert!(printed.contains(words), "{words:?} in\n{printed}");
    }
    assert!(!printed.contains("guessed") && !printed.contains(ADMIN_PASSWORD), "{printed}");
    let (code, printed) = station.run(&["probe", "-c", file, "good"]);
    assert_eq!(code, Some(0), "{printed}");
    // A probe is no listener.
    assert_eq!(station.good.listeners(RADIO), 1);
}

#[test]
fn explain_and_status_tell_what_the_balancer_knows_and_does() {
    let station = Station::new();
    let balancer = Balancer::start(&station.lab, &station.config());
    balancer.wait_for_health("dead", "down");
    eventually("the full relay is seen to be full", Duration::from_secs(15), || {
        (balancer.passed_over(RADIO, "full") == "full").then_some(())
    });
    let admin = format!("http://127.0.0.1:{}", balancer.admin_port());
    let explain = ["explain", &balancer.url(RADIO), "--client", "192.0.2.7", "--admin", &admin];
    let (code, printed) = station.run(&[&explain[..], &["--format", "json"]].concat());
    assert_eq!(code, Some(0), "{printed}");
    let told: Value = serde_json::from_str(&printed).unwrap();
    let mounts = told["stages"][0]["mounts"].as_array().unwrap();
    let verdicts: Vec<_> = mounts
        .iter()
        .map(|mount| {
            let code = mount["reason"]["code"].as_str().unwrap_or("");
            (mount["server"].as_str().unwrap(), mount["verdict"].as_str().unwrap(), code)
        })
        .collect();
    // The one whose limit nobody tells has no share, so that listeners count: it has none.
    assert_eq!(
        verdicts,
        [
            ("good", "next", "policy"),
            ("wrong-password", "chosen", ""),
            ("without-mount", "passed", "absent"),
            ("full", "passed", "full"),
            ("dead", "passed", "refusing"),
        ]
    );
    let location = told["answer"]["location"].as_str().unwrap();
    assert_eq!(balancer.head(RADIO).header("location"), Some(location));

    let (code, printed) = station.run(&explain);
    assert_eq!(code, Some(0), "{printed}");
    for words in
        ["302 to wrong-password", "full: ", "its relay does not have it", "refuses connections"]
    {
        assert!(printed.contains(words.trim_end_matches(": ")), "{words:?} in\n{printed}");
    }

    let (code, printed) = station.run(&["status", "--admin", &admin]);
    assert_eq!(code, Some(0), "{printed}");
    for words in ["/radio.mp3 up", "passed over: full", "dead            down", "5 relays"] {
        assert!(printed.contains(words), "{words:?} in\n{printed}");
    }
}
