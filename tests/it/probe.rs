//! `probe`: relays held against the configuration, by the program as it is typed.

use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::life::program::{run, text};
use crate::relay::Relay;
use crate::relay::stats::Document;
use crate::support::servers_with;

/// A configuration in a folder of its own.
struct Configured {
    _folder: TempDir,
    path: String,
}

fn configured(yaml: &str) -> Configured {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("balancer.yaml");
    std::fs::write(&path, yaml).unwrap();
    Configured { path: path.to_str().unwrap().to_owned(), _folder: folder }
}

/// What the command prints, what it complains of, and its exit code.
async fn told(config: &Configured, more: &[&str]) -> (String, String, i32) {
    let fixed = ["probe", "-c", &config.path];
    let arguments: Vec<String> = fixed.iter().chain(more).map(|&it| it.to_owned()).collect();
    let ran = tokio::task::spawn_blocking(move || {
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    });
    let output = ran.await.unwrap();
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap())
}

/// What it says of the relay with this name, and its exit code.
async fn seen(yaml: &str, server: &str) -> (Value, i32) {
    let (json, complaint, code) = told(&configured(yaml), &["--format", "json"]).await;
    assert_eq!(complaint, "");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["well"], code == 0, "{json:#}");
    let servers = json["servers"].as_array().unwrap();
    let found = servers.iter().find(|known| known["name"] == server);
    (found.unwrap_or_else(|| panic!("{json:#}")).clone(), code)
}

/// The codes of what is said of a relay, errors with a mark.
fn codes(server: &Value) -> Vec<String> {
    let findings = server["findings"].as_array().unwrap().iter();
    findings
        .map(|finding| {
            let mark = if finding["level"] == "error" { "!" } else { "" };
            format!("{mark}{}", finding["code"].as_str().unwrap())
        })
        .collect()
}

const STREAMS: &str = "streams: {/a.ogg: }\n";

#[tokio::test]
async fn relays_that_match_make_it_end_well() {
    let one = Relay::builder().mount("/a.ogg", 10).start().unwrap();
    let two = Relay::builder().mount("/a.ogg", 20).start().unwrap();
    one.hold_listeners("/a.ogg", 4);
    let config = configured(&(servers_with(&[&one, &two], "") + STREAMS));
    let (shown, complaint, code) = told(&config, &[]).await;
    assert_eq!((complaint.as_str(), code), ("", 0), "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    let words: Vec<Vec<&str>> =
        lines.iter().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["RELAY", "ANSWER", "SOURCE", "TIME", "MOUNTS", "USED", "SLOTS"]);
    assert_eq!(words[1][..3], ["r0", "ok", "slots"]);
    assert_eq!(words[1][5..], ["1", "of", "1", "4", "10"], "{shown}");
    assert_eq!(words[2][5..], ["1", "of", "1", "0", "20"], "{shown}");
    assert_eq!(*lines.last().unwrap(), "2 relays: as the configuration says");
    let (shown, _, code) = told(&config, &["r1"]).await;
    assert!(code == 0 && !shown.contains("r0") && shown.contains("1 relay:"), "{shown}");
}

#[tokio::test]
async fn each_way_not_to_match_is_told_apart() {
    let relay = Relay::builder().mount("/a.ogg", 10).admin("admin", "right").start().unwrap();
    let one = |settings: &str| servers_with(&[&relay], settings);
    let wrong = "stats: {password: wrong}";
    for (settings, streams, expected) in [
        ("stats: {password: right}", STREAMS, vec![]),
        (wrong, STREAMS, vec!["!password"]),
        ("stats: {source: admin, password: wrong}", STREAMS, vec!["!unauthorized"]),
        ("", "streams: {/b.ogg: }\n", vec!["!mount_missing"]),
        ("", "streams: {/talks/*: }\n", vec!["pattern_empty"]),
        (
            "",
            "streams: {/a.ogg: {mounts: {r0: {mount: /a.ogg, max_listeners: 99}}}}\n",
            vec!["!limit_above_relays"],
        ),
        ("state: disabled", STREAMS, vec!["disabled"]),
    ] {
        let (server, code) = seen(&(one(settings) + streams), "r0").await;
        assert_eq!(codes(&server), expected, "{server:#}");
        assert_eq!(code == 0, !expected.iter().any(|code| code.starts_with('!')), "{settings}");
        assert!(!server.to_string().contains("wrong") || settings != wrong, "{server:#}");
    }
    assert!(relay.requests().iter().all(|request| request.target != "/a.ogg"), "no listener");
}

#[tokio::test]
async fn where_no_document_tells_a_limit_that_is_noted_and_no_error() {
    let relay = Relay::builder().mount("/a.ogg", 10).only(Document::StatusJson).start().unwrap();
    let (server, code) = seen(&(servers_with(&[&relay], "") + STREAMS), "r0").await;
    assert_eq!((codes(&server), code), (vec!["no_limit".to_owned()], 0));
    assert_eq!((&server["source"], &server["slots"]), (&json!("status-json"), &Value::Null));
}

#[tokio::test]
async fn a_full_relay_and_a_dead_one_are_told_and_the_others_as_well() {
    let well = Relay::builder().mount("/a.ogg", 10).start().unwrap();
    let full = Relay::builder().mount("/a.ogg", 10).clients(2).start().unwrap();
    full.hold_listeners("/a.ogg", 2);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let yaml = format!(
        "servers:\n  well: '{}'\n  full: '{}'\n  dead: 'http://{}'\n{STREAMS}",
        well.url(),
        full.url(),
        socket.local_addr().unwrap()
    );
    for (name, answer, reachable, code) in [
        ("well", "ok", true, ""),
        ("full", "full", true, "!full"),
        ("dead", "connect", false, "!connect"),
    ] {
        let (server, exit) = seen(&yaml, name).await;
        assert_eq!((&server["answer"], &server["reachable"]), (&json!(answer), &json!(reachable)));
        assert_eq!(codes(&server).concat(), code, "{server:#}");
        assert_eq!(exit, 1);
    }
    let (shown, _, _) = told(&configured(&yaml), &[]).await;
    assert!(shown.ends_with("3 relays: 2 are not as they should be\n"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
}

#[tokio::test]
async fn where_players_are_sent_is_tried_too() {
    let relay = Relay::builder().mount("/a.ogg", 10).start().unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let yaml = format!(
        "servers: {{r0: {{url: 'http://{}', stats: {{url: '{}'}}}}}}\n{STREAMS}",
        socket.local_addr().unwrap(),
        relay.url()
    );
    let (server, code) = seen(&yaml, "r0").await;
    assert_eq!((&server["answer"], code), (&json!("ok"), 1));
    assert_eq!(codes(&server), ["!players_url"]);
}

#[tokio::test]
async fn relays_that_hang_are_waited_for_all_at_once() {
    let relays: Vec<Relay> =
        (0..8).map(|_| Relay::builder().mount("/a.ogg", 10).start().unwrap()).collect();
    relays.iter().for_each(Relay::hang);
    let servers = servers_with(&relays.iter().collect::<Vec<_>>(), "");
    let began = Instant::now();
    let (server, code) = seen(&format!("poll: {{timeout: 2s}}\n{servers}{STREAMS}"), "r7").await;
    assert_eq!((&server["answer"], code), (&json!("timeout"), 1));
    // One after the other they would take sixteen seconds.
    assert!(began.elapsed().as_secs() < 12, "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_unknown_server_and_a_bad_configuration_end_with_2() {
    let config = configured(&format!("servers: {{vienna: 'http://127.0.0.1:9'}}\n{STREAMS}"));
    let (shown, complaint, code) = told(&config, &["vinena"]).await;
    assert_eq!((shown.as_str(), code), ("", 2));
    assert_eq!(complaint, "error: unknown server \"vinena\"; did you mean \"vienna\"?\n");
    let (shown, complaint, code) = told(&configured("sevrers: {}\n"), &[]).await;
    assert_eq!((shown.as_str(), code), ("", 2));
    assert!(complaint.contains("balancer.yaml:1:1"), "{complaint}");
}
