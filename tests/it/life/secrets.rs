//! Secrets go to relays and nowhere else: canaries are put where secrets are, and looked for
//! wherever anything comes out.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use icecast_balancer::reload;
use tempfile::TempDir;

use super::program::{Program, command, get, run, text};
use crate::relay::Relay;
use crate::support::{PORTS, eventually, raw};

const LITERAL: &str = "canary-literal/1";
const VARIABLE: &str = "canary-variable/2";
const FILE: &str = "canary-file/3";
const TOKEN: &str = "canary-token/4";
const OFFERED: &str = "canary-offered/5";

/// Fails if a canary is in `text`, bare or in one of the disguises that secrets travel in.
fn assert_silent(place: &str, text: &str) {
    for canary in [LITERAL, VARIABLE, FILE, TOKEN, OFFERED] {
        let disguises = [
            canary.to_owned(),
            canary.replace('/', "%2F"),
            canary.replace('/', "\\/"),
            STANDARD.encode(canary),
            STANDARD.encode(format!("admin:{canary}")),
        ];
        for disguise in disguises {
            if let Some(at) = text.find(&disguise) {
                let begin = text[..at].rfind('\n').map_or(0, |at| at + 1);
                let line: String = text[begin..].lines().next().unwrap_or_default().to_owned();
                panic!("{canary} is in {place}: {line}");
            }
        }
    }
}

/// A configuration with a secret in every place there is, whose relays know them.
fn guarded() -> (TempDir, String, Vec<Relay>) {
    let relays: Vec<_> = [LITERAL, VARIABLE, FILE]
        .iter()
        .map(|password| {
            Relay::builder().mount("/a.ogg", 5).admin("admin", password).start().unwrap()
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("password"), FILE).unwrap();
    fs::write(folder.path().join("token"), TOKEN).unwrap();
    let [one, two, three] = [0, 1, 2].map(|at: usize| relays[at].url());
    let yaml = format!(
        "{PORTS}admin_token_file: token\npoll: {{interval: 100ms, fast_interval: 50ms}}\nservers:\n  \
         one:\n    url: '{one}'\n    stats:\n      source: admin\n      password: '{LITERAL}'\n  \
         two:\n    url: '{two}'\n    stats:\n      source: admin\n      password: '${{CANARY}}'\n  \
         three:\n    url: '{three}'\n    stats:\n      source: admin\n      \
         password_file: password\nstreams:\n  /a.ogg:\n"
    );
    fs::write(folder.path().join("balancer.yaml"), &yaml).unwrap();
    (folder, yaml, relays)
}

#[tokio::test]
async fn no_secret_is_in_anything_that_comes_out() {
    let (folder, yaml, relays) = guarded();
    let file = folder.path().join("balancer.yaml");
    let mut command = command(&["--config", file.to_str().unwrap(), "--log-level", "trace"]);
    command.env("CANARY", VARIABLE);
    let mut program = Program::spawn(command).await;
    let admin = program.admin;
    eventually("every relay has taken its password", async || {
        let status = get(admin, "/api/v1/status").await.body;
        status.matches("\"health\":\"up\"").count() == 3
    })
    .await;
    let pages = async || {
        for path in ["/", "/metrics", "/api/v1/status", "/nothing"] {
            assert_silent(path, &get(admin, path).await.body);
        }
    };
    pages().await;

    // Wrong at the relay, wrong on the admin port, wrong on the public port.
    for relay in &relays {
        relay.answer_stats_with(401, "no");
    }
    eventually("the relays refuse", async || {
        get(admin, "/api/v1/status").await.body.matches("\"health\":\"up\"").count() == 0
    })
    .await;
    pages().await;
    for credentials in [format!("Bearer {OFFERED}"), format!("Bearer {TOKEN}")] {
        for (to, path) in [(admin, "/-/reload"), (program.public, "/a.ogg")] {
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {credentials}\r\n\
                 Connection: close\r\n\r\n"
            );
            let answer = raw(to, &request).await;
            assert_silent(path, &format!("{answer:?}"));
        }
    }

    // Mistakes beside, in and around a password, and in the files.
    for (from, to) in [
        ("password: '", "password: ['"),
        ("      password: '", "      pasword: '"),
        ("password: 'canary", "password 'canary"),
        ("password: 'canary", "password: \"canary"),
        ("source: admin\n      password: '", "source: admin\n     password: '"),
        ("url: '", "url: 'nonsense"),
        ("${CANARY}", "canary-literal/1${NOT_SET}"),
        ("password_file: password", "password_file: nowhere"),
        ("streams:", "streamz:"),
    ] {
        let bad = yaml.replace(from, to);
        assert_ne!(bad, yaml, "{from}");
        fs::write(&file, bad).unwrap();
        let request = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let answer = raw(admin, request).await;
        assert_eq!(answer.status, 422, "{to}");
        assert_silent("the answer to a reload", &answer.body);
        pages().await;
    }
    fs::write(&file, &yaml).unwrap();
    fs::write(folder.path().join("password"), format!("{FILE}\n{FILE}")).unwrap();
    program.signal("HUP");
    program.until_logged("has more than one line").await;
    pages().await;

    program.signal("TERM");
    program.end().await;
    let log = program.log();
    assert!(log.contains("TRACE"), "the log has everything");
    assert_silent("the log", &log);
}

#[test]
fn no_secret_is_in_what_check_prints() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("b.yaml");
    for line in
        ["password: ['canary-literal/1']", "pasword: canary-literal/1", "password canary-literal/1"]
    {
        let yaml = format!(
            "servers:\n  one:\n    url: http://h\n    stats:\n      {line}\nstreams: {{/a: }}\n"
        );
        fs::write(&file, yaml).unwrap();
        for format in ["human", "json", "github"] {
            let output = run(&["check", file.to_str().unwrap(), "--format", format]);
            assert_eq!(output.status.code(), Some(2), "{line}");
            assert_silent("the report", &text(&output.stdout));
            assert_silent("stderr", &text(&output.stderr));
        }
    }
}

#[test]
fn no_secret_is_in_the_debug_of_what_was_loaded() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), FILE).unwrap();
    let yaml = format!(
        "admin_token_file: secret\nservers:\n  one: {{url: 'http://h', stats: {{password: \
         '{LITERAL}'}}}}\n  two: {{url: 'http://i', stats: {{password_file: secret}}}}\n\
         streams: {{/a: }}\n"
    );
    fs::write(folder.path().join("b.yaml"), yaml).unwrap();
    let loaded = reload::load(&folder.path().join("b.yaml")).unwrap();
    assert_silent("Debug", &format!("{loaded:?} {loaded:#?}"));
}
