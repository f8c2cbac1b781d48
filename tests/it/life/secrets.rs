//! Secrets go to relays and nowhere else: canaries are put where secrets are, and looked for
//! wherever anything comes out.

mod search;

use std::fs;
use std::path::PathBuf;

use icecast_balancer::reload;
use tempfile::TempDir;

use super::program::{Program, command, get, run, text};
use crate::relay::Relay;
use crate::support::{PORTS, eventually, raw};
use search::{CANARY, assert_silent, find, searched};

const LITERAL: &str = "canary-literal/1";
const VARIABLE: &str = "canary-variable/2";
const FILE: &str = "canary-file/3";
const TOKEN: &str = "canary-token/4";
const OFFERED: &str = "canary-offered/5";
const USER_INFO: &str = "canary-user:canary-info";
const QUERY: &str = "canary-listener/8";

/// Streams beside the one that is asked for, so that pages are long.
const STREAMS: usize = 60;

/// Each run goes on until so many bytes have come out of it.
const ENOUGH: usize = 12_500_000;

/// A balancer with a secret in every place there is, whose relays know them.
struct Guarded {
    folder: TempDir,
    yaml: String,
    relays: Vec<Relay>,
}

impl Guarded {
    fn new() -> Self {
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
        let more = (0..STREAMS).fold(String::new(), |more, at| more + &format!("  /{at}.ogg:\n"));
        let yaml = format!(
            "{PORTS}admin_token_file: token\npoll: {{interval: 100ms, fast_interval: 50ms}}\n\
             servers:\n  \
             one:\n    url: '{one}'\n    stats:\n      source: admin\n      \
             password: '{LITERAL}'\n  \
             two:\n    url: '{two}'\n    stats:\n      source: admin\n      \
             password: '${{CANARY}}'\n  \
             three:\n    url: '{three}'\n    stats:\n      source: admin\n      \
             password_file: password\nstreams:\n  /a.ogg:\n{more}"
        );
        fs::write(folder.path().join("balancer.yaml"), &yaml).unwrap();
        Self { folder, yaml, relays }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it with everything that can be written down.
    async fn start(&self, more: &[&str], log_filter: Option<&str>) -> Program {
        let [file, access] = ["balancer.yaml", "access.log"].map(|name| self.path(name));
        let always = ["--config", file.to_str().unwrap(), "--access-log", access.to_str().unwrap()];
        let mut command = command(&[&always, more].concat());
        command.env("CANARY", VARIABLE);
        if let Some(filter) = log_filter {
            command.env("RUST_LOG", filter);
        }
        Program::spawn(command).await
    }

    /// Sees to it that every secret is used, well and badly, and that every place where one could
    /// come out is looked at.
    async fn provoke(&self, program: &Program) {
        let admin = program.admin;
        let healthy = async |count: usize| {
            eventually(&format!("{count} relays are well"), async || {
                let status = get(admin, "/api/v1/status").await.body;
                status.matches("\"health\":\"up\"").count() == count
            })
            .await;
        };
        healthy(3).await;
        pages(program).await;

        // Wrong at the relay, wrong on the admin port, wrong on the public port.
        for relay in &self.relays {
            relay.answer_stats_with(401, "no");
        }
        healthy(0).await;
        pages(program).await;
        for relay in &self.relays {
            relay.heal();
        }
        for credentials in [OFFERED, TOKEN] {
            for (to, path) in [(admin, "/-/reload"), (program.public, "/a.ogg")] {
                for method in ["GET", "POST", "SOURCE"] {
                    let request = format!(
                        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \
                         {credentials}\r\nCookie: {credentials}\r\nConnection: close\r\n\r\n"
                    );
                    let answer = raw(to, &request).await;
                    assert_silent(path, &format!("{answer:?}"));
                }
            }
        }
        // A listener's own token goes to the relay with the listener, and into no log.
        get(program.public, &format!("/a.ogg?token={QUERY}")).await;
        get(program.public, &format!("/nothing?token={QUERY}")).await;

        self.spoil(program).await;
    }

    /// Makes mistakes beside, in and around a secret, and in the files.
    async fn spoil(&self, program: &Program) {
        let file = self.path("balancer.yaml");
        let post = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        for (from, to) in [
            ("password: '", "password: ['"),
            ("      password: '", "      pasword: '"),
            ("password: 'canary", "password 'canary"),
            ("password: 'canary", "password: \"canary"),
            ("source: admin\n      password: '", "source: admin\n     password: '"),
            ("url: '", "url: 'nonsense"),
            ("url: 'http://", &*format!("url: 'http://{USER_INFO}@")),
            ("url: 'http://", &*format!("url: 'ftp://{USER_INFO}@")),
            ("${CANARY}", "canary-literal/1${NOT_SET}"),
            ("password_file: password", "password_file: nowhere"),
            ("streams:", "streamz:"),
        ] {
            let bad = self.yaml.replace(from, to);
            assert_ne!(bad, self.yaml, "{from}");
            fs::write(&file, bad).unwrap();
            let answer = raw(program.admin, post).await;
            assert_eq!(answer.status, 422, "{to}");
            assert_silent("the answer to a reload", &answer.body);
            pages(program).await;
        }
        fs::write(&file, &self.yaml).unwrap();
        fs::write(self.path("password"), format!("{FILE}\n{FILE}")).unwrap();
        let answer = raw(program.admin, post).await;
        assert!(answer.body.contains("has more than one line"), "{}", answer.body);
        assert_silent("the answer to a reload", &answer.body);
        pages(program).await;
        fs::write(self.path("password"), FILE).unwrap();
        assert_eq!(raw(program.admin, post).await.status, 200);
    }

    /// One run from start to end; returns its log.
    async fn run(&self, more: &[&str], log_filter: Option<&str>) -> String {
        let mut program = self.start(more, log_filter).await;
        self.provoke(&program).await;
        let goal = searched() + ENOUGH;
        while searched() < goal {
            pages(&program).await;
        }
        program.signal("TERM");
        assert_eq!(program.end().await.0, Some(0));
        let log = program.log();
        assert_silent("the log", &log);
        let access = fs::read_to_string(self.path("access.log")).unwrap();
        assert!(access.lines().count() > 10, "{access}");
        assert_silent("the access log", &access);
        log
    }
}

/// Looks at every page there is.
async fn pages(program: &Program) {
    for path in ["/", "/metrics", "/api/v1/status", "/readyz", "/nothing"] {
        assert_silent(path, &program.admin_get(path).await.body);
    }
    assert_silent("a refusal", &format!("{:?}", program.get("/nothing").await));
}

#[tokio::test]
async fn no_secret_comes_out_of_a_program_that_logs_everything() {
    let log = Guarded::new().run(&["--log-level", "trace"], None).await;
    assert!(log.contains("TRACE"), "the log has everything");
    println!("trace: {} bytes searched, {} of them log", searched(), log.len());
}

#[tokio::test]
async fn no_secret_comes_out_of_a_program_that_logs_everything_as_json() {
    let log = Guarded::new().run(&["--log-format", "json"], Some("trace")).await;
    assert!(log.contains("\"TRACE\""), "the log has everything");
    println!("trace as JSON: {} bytes searched, {} of them log", searched(), log.len());
}

#[tokio::test]
async fn no_secret_comes_out_of_a_program_that_is_debugged() {
    let filter = "debug,icecast_balancer=trace,hyper=trace,hyper_util=trace,mio=trace,rustls=trace";
    let log = Guarded::new().run(&[], Some(filter)).await;
    assert!(log.contains("TRACE"), "the log has much");
    println!("debug: {} bytes searched, {} of them log", searched(), log.len());
}

#[tokio::test]
async fn no_secret_comes_out_of_a_program_that_logs_as_usual() {
    let log = Guarded::new().run(&["--log-level", "info"], None).await;
    println!("info: {} bytes searched, {} of them log", searched(), log.len());
}

#[tokio::test]
async fn what_is_no_secret_is_found_by_the_same_search() {
    // A server's name is shown everywhere; one that begins like a secret must be found everywhere.
    let guarded = Guarded::new();
    let leaking = guarded.yaml.replace("  three:", &format!("  {CANARY}three:"));
    fs::write(guarded.path("balancer.yaml"), leaking).unwrap();
    let program = guarded.start(&["--log-level", "trace"], None).await;
    for path in ["/", "/metrics", "/api/v1/status"] {
        assert!(find(&get(program.admin, path).await.body).is_some(), "{path}");
    }
    program.until_logged(CANARY).await;
    assert!(find(&program.log()).is_some());
    eventually("it is in the access log", async || {
        program.get("/a.ogg").await;
        find(&fs::read_to_string(guarded.path("access.log")).unwrap()).is_some()
    })
    .await;
}

#[test]
fn no_secret_is_in_what_check_prints() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("b.yaml");
    for line in [
        "password: ['canary-literal/1']",
        "pasword: canary-literal/1",
        "password canary-literal/1",
        "url: http://canary-user:canary-info@h",
        "password: \"canary-literal/1\" canary-literal/1",
    ] {
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
        for format in ["text", "json"] {
            let output = run(&["-c", file.to_str().unwrap(), "--log-format", format]);
            assert_eq!(output.status.code(), Some(2), "{line}");
            assert_silent("the end at the start", &text(&output.stderr));
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
