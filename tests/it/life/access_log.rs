//! The access log: what a line tells, where it goes, and how it follows a rename.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::Value;

use super::deaf::{Deaf, SERVER, STREAM, prepare};
use super::program::{Program, command, get, run, text};
use super::{VALID, folder, path, servable};
use crate::relay::Relay;
use crate::support::{Player, eventually, first_answer};

async fn logging(more: &[&str]) -> Deaf {
    let prepared = prepare();
    let log = prepared.path("access.log");
    let all = [&["--access-log", log.to_str().unwrap()], more].concat();
    let mut command = prepared.command(&all);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    prepared.start(command).await
}

/// The lines of a log, once there are so many.
async fn lines(program: &Deaf, name: &str, count: usize) -> Vec<String> {
    let read = || program.read(name).lines().map(str::to_owned).collect::<Vec<_>>();
    eventually(&format!("{count} lines are in {name}"), async || read().len() >= count).await;
    assert_eq!(read().len(), count, "{:?}", read());
    read()
}

/// The fields of a line for people, without the quoted ones; and those.
fn fields(line: &str) -> (Vec<&str>, Vec<&str>) {
    let (words, quoted) = line.split_once(" \"").unwrap();
    (words.split(' ').collect(), quoted.strip_suffix('"').unwrap().split("\" \"").collect())
}

#[tokio::test]
async fn a_line_tells_what_was_asked_and_what_was_told() {
    // Whichever door a request comes in by.
    for doors in [&[][..], &["--one-door"]] {
        lines_tell_what_was_asked_and_what_was_told(doors).await;
    }
}

async fn lines_tell_what_was_asked_and_what_was_told(doors: &[&str]) {
    let program = logging(doors).await;
    let heads = [
        format!("GET {STREAM}?token=Kanarienvogel HTTP/1.1\r\nHost: x\r\nUser-Agent: mpv 0.40\r\n"),
        format!("HEAD {STREAM} HTTP/1.0\r\n"),
        "GET /nothing?token=Kanarienvogel HTTP/1.1\r\nHost: x\r\nUser-Agent: curl\r\n".to_owned(),
        "GET /talks/none.ogg HTTP/1.1\r\nHost: x\r\n".to_owned(),
        format!("OPTIONS {STREAM} HTTP/1.1\r\nHost: x\r\n"),
        "SOURCE /live HTTP/1.1\r\nHost: x\r\nAuthorization: Kanarienvogel\r\n".to_owned(),
        format!("GET {STREAM} HTTP/1.1\r\n"),
    ];
    for (number, head) in heads.iter().enumerate() {
        first_answer(program.public, format!("{head}Connection: close\r\n\r\n")).await;
        lines(&program, "access.log", number + 1).await;
    }
    let lines = lines(&program, "access.log", heads.len()).await;
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            let (words, quoted) = fields(line);
            let [time, client, method, stream, server, outcome, status, micros] = words[..] else {
                panic!("{line}")
            };
            assert!(humantime_like(time), "{line}");
            assert_eq!(client, "127.0.0.0/24");
            micros.parse::<u64>().unwrap();
            (method, stream, server, outcome, status, quoted)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("GET", STREAM, SERVER, "redirected", "302", vec!["", "mpv 0.40"]),
            ("HEAD", STREAM, SERVER, "redirected", "302", vec!["", ""]),
            ("GET", "-", "-", "unknown_path", "404", vec!["/nothing", "curl"]),
            ("GET", "/talks/*", "-", "offline", "503", vec!["/talks/none.ogg", ""]),
            ("OPTIONS", "-", "-", "preflight", "204", vec![STREAM, ""]),
            ("other", "-", "-", "bad_method", "405", vec!["/live", ""]),
            ("GET", "-", "-", "bad_request", "400", vec![STREAM, ""]),
        ]
    );
    assert!(!program.read("access.log").contains("Kanarienvogel"), "no query, no password");
}

/// `2026-11-24T02:45:00.123456Z`.
fn humantime_like(time: &str) -> bool {
    let shape = |c: char| if c.is_ascii_digit() { '0' } else { c };
    time.chars().map(shape).eq("0000-00-00T00:00:00.000000Z".chars())
}

#[tokio::test]
async fn a_line_for_programs_is_a_json_object() {
    let program = logging(&["--log-format", "json"]).await;
    get(program.public, STREAM).await;
    let line = lines(&program, "access.log", 1).await.remove(0);
    let object: Value = serde_json::from_str(&line).unwrap();
    let mut keys: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted = [
        "time",
        "client",
        "method",
        "stream",
        "server",
        "outcome",
        "status",
        "duration_us",
        "path",
        "agent",
    ];
    wanted.sort_unstable();
    keys.sort_unstable();
    assert_eq!(keys, wanted);
    assert_eq!(object["stream"], STREAM);
    assert_eq!(object["server"], SERVER);
    assert_eq!(object["status"], 302);
    assert_eq!(object["path"], Value::Null);
}

#[tokio::test]
async fn a_player_that_waited_has_a_line_with_its_server() {
    let relay = Relay::builder().mount("/x", 1).start().unwrap();
    let folder = folder(&[]);
    let log = path(&folder, "access.log");
    let yaml = format!(
        "servers: {{one: '{}'}}\nstreams: {{/x: }}\npoll: {{fast_interval: 50ms}}\n\
         balance: {{headroom: 0, settle: 200ms, when_full: wait, wait: 1m}}\n",
        relay.url()
    );
    let (_config, file) = servable(&yaml);
    let program = Program::start(&file, &["--access-log", &log]).await;
    eventually("the relay is known", async || program.get("/x").await.status == 302).await;
    let first = Player::follow(&format!("{}/x", relay.url())).await;
    let waiting = async {
        eventually("it is full", async || {
            let metrics = program.admin_get("/metrics").await.body;
            metrics.contains("mount_listeners{stream=\"/x\",server=\"one\"} 1")
        })
        .await;
        let next = program.get("/x");
        let leaving = async {
            eventually("somebody waits", async || {
                let metrics = program.admin_get("/metrics").await.body;
                metrics.contains("stream_waiting{stream=\"/x\"} 1")
            })
            .await;
            drop(first);
        };
        tokio::join!(next, leaving).0
    };
    assert_eq!(waiting.await.status, 302);
    let read = || fs::read_to_string(&log).unwrap_or_default();
    eventually("its line is there", async || {
        let text = read();
        let last = text.lines().last().map(|line| fields(line).0);
        last.is_some_and(|words| words[3..7] == ["/x", "one", "redirected", "302"])
    })
    .await;
}

#[tokio::test]
async fn a_hangup_opens_the_file_anew() {
    let program = logging(&[]).await;
    get(program.public, STREAM).await;
    lines(&program, "access.log", 1).await;
    fs::rename(program.path("access.log"), program.path("access.log.1")).unwrap();
    get(program.public, STREAM).await;
    lines(&program, "access.log.1", 2).await;
    program.signal("HUP");
    eventually("there is a new file", async || program.path("access.log").exists()).await;
    get(program.public, STREAM).await;
    lines(&program, "access.log", 1).await;
    lines(&program, "access.log.1", 2).await;
    let mode = fs::metadata(program.path("access.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[tokio::test]
async fn nothing_is_lost_at_the_end_and_a_file_is_added_to() {
    let mut program = logging(&[]).await;
    program.crowd(4, 1_000).await;
    assert_eq!(program.end().await.0, Some(0));
    assert_eq!(program.read("access.log").lines().count(), 1_000);

    let log = program.path("access.log");
    let (_folder, file) = servable(VALID);
    let again = Program::start(&file, &["--access-log", log.to_str().unwrap()]).await;
    again.get(STREAM).await;
    lines(&program, "access.log", 1_001).await;
}

#[tokio::test]
async fn a_dash_is_standard_output() {
    let prepared = prepare();
    let out = File::create(prepared.path("out")).unwrap();
    let mut command = prepared.command(&["--access-log", "-"]);
    command.stdout(out).stderr(Stdio::null());
    let program = prepared.start(command).await;
    get(program.public, STREAM).await;
    let line = lines(&program, "out", 1).await.remove(0);
    assert!(line.contains(&format!(" GET {STREAM} {SERVER} redirected 302 ")), "{line}");
}

#[tokio::test]
async fn without_an_access_log_nothing_is_written_down() {
    let prepared = prepare();
    let out = File::create(prepared.path("out")).unwrap();
    let err = File::create(prepared.path("err")).unwrap();
    let mut command = prepared.command(&[]);
    command.stdout(out).stderr(err);
    let mut program = prepared.start(command).await;
    program.crowd(2, 100).await;
    assert_eq!(program.end().await.0, Some(0));
    assert_eq!(program.read("out"), "");
    assert!(!program.read("err").contains("redirected"), "{}", program.read("err"));
}

#[test]
fn a_file_that_cannot_be_made_is_exit_code_1_and_named() {
    let (_folder, file) = servable(VALID);
    let output = run(&["-c", file.to_str().unwrap(), "--access-log", "/nonexistent/access.log"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("access log /nonexistent/access.log"), "{stderr}");
    // The configuration is told of first: it has more to say.
    let mut bad =
        command(&["-c", "/nonexistent/b.yaml", "--access-log", "/nonexistent/access.log"]);
    assert_eq!(bad.stderr(Stdio::null()).status().unwrap().code(), Some(2));
}
