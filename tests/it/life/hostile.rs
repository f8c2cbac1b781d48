//! Bytes of strangers in logs: one request is one line, and no control byte gets in.

use std::fs::File;

use serde_json::Value;

use super::deaf::{Deaf, STREAM, prepare};
use crate::support::{Wire, eventually};

/// Bytes that mean something to terminals, to files of lines, and to readers of JSON.
const EVIL: &[&[u8]] = &[
    b"\r\nERROR forged",
    b"\nERROR forged",
    b"\r",
    b"\x1b[31mred\x1b]0;title\x07",
    b"\0",
    b"\x7f\x08\x08",
    b"\xff\xfe\xc3\x28",
    b"\xc2\x9b31m\xe2\x80\xae",
    b"\" \"\\\" forged",
    b"\t\x0b\x0c",
    b"%0d%0aERROR%20forged%1b%00",
    b"{\"level\":\"ERROR\"}",
];

/// Requests with such bytes wherever a stranger can put them.
fn requests() -> Vec<Vec<u8>> {
    let request = |target: &[u8], host: &[u8], agent: &[u8]| {
        let parts: [&[u8]; 7] =
            [b"GET ", target, b" HTTP/1.1\r\nHost: ", host, b"\r\nUser-Agent: ", agent, b"\r\n"];
        [&parts.concat()[..], b"Connection: close\r\n\r\n"].concat()
    };
    let stream = STREAM.as_bytes();
    let mut requests = Vec::new();
    for evil in EVIL {
        requests.push(request(&[b"/x", *evil].concat(), b"x", b"a"));
        requests.push(request(&[stream, b"?x=", evil].concat(), b"x", b"a"));
        requests.push(request(stream, &[b"x", *evil].concat(), b"a"));
        requests.push(request(stream, b"x", &[b"a", *evil, b"z"].concat()));
        requests.push([*evil, b" / HTTP/1.1\r\n\r\n"].concat());
    }
    // A head may have 16 KiB, and this one is refused.
    for length in [255, 256, 257, 15_000, 64_000] {
        requests.push(request(stream, b"x", &b"\xff".repeat(length)));
        requests.push(request(stream, b"x", &b"a".repeat(length)));
        requests.push(request(&[b"/", &b"p".repeat(length)[..]].concat(), b"x", b"a"));
    }
    requests
}

/// Sends everything to a program that logs everything; returns it with what it has logged.
async fn provoked(format: &str) -> (Deaf, String, String) {
    let prepared = prepare();
    let access = prepared.path("access.log");
    let log = File::create(prepared.path("log")).unwrap();
    let mut command = prepared.command(&[
        "--log-level",
        "trace",
        "--log-format",
        format,
        "--access-log",
        access.to_str().unwrap(),
    ]);
    command.stderr(log);
    let mut program = prepared.start(command).await;
    let mut parsed = 0;
    for request in requests() {
        let mut wire = Wire::to(program.public).await;
        wire.send(&request).await;
        // Whatever is no HTTP is answered without being asked further.
        let answer = wire.rest().await;
        parsed += usize::from(answer.contains("access-control-allow-origin"));
    }
    let lines = || program.read("access.log").lines().count();
    eventually("every request has its line", async || lines() >= parsed).await;
    assert_eq!(program.lost().await, 0);
    assert_eq!(program.metric("panics_total").await, 0);
    assert_eq!(program.end().await.0, Some(0));
    assert_eq!(program.read("access.log").lines().count(), parsed);
    assert!(parsed > 20, "{parsed}");
    let logs = ["log", "access.log"].map(|name| program.read(name));
    let [log, access] = logs;
    (program, log, access)
}

/// Bytes that no line may have, by line.
fn controls(text: &str) -> Vec<&str> {
    text.split('\n').filter(|line| line.contains(char::is_control)).collect()
}

#[tokio::test]
async fn no_stranger_writes_in_a_log_for_people() {
    let (_program, log, access) = provoked("text").await;
    assert!(log.contains("TRACE") && log.contains("DEBUG connection ended"), "{log}");
    assert_eq!(controls(&log), [""; 0]);
    assert_eq!(controls(&access), [""; 0]);
    for line in log.lines().filter(|line| !line.starts_with("    ")) {
        let (time, rest) = line.split_once(' ').unwrap_or_default();
        assert!(time.starts_with("20") && time.ends_with('Z'), "{line}");
        let level = rest.trim_start().split(' ').next().unwrap_or_default();
        assert!(["TRACE", "DEBUG", "INFO", "WARN"].contains(&level), "{line}");
    }
    for line in access.lines() {
        let (_, quoted) = line.split_once(" \"").unwrap();
        let (path, agent) = quoted.strip_suffix('"').unwrap().split_once("\" \"").unwrap();
        for field in [path, agent] {
            assert!(field.len() <= 256 && !field.contains('"'), "{line}");
            assert!(field.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
        }
    }
    let whole = format!("\"{}\"", "a".repeat(256));
    assert_eq!(access.lines().filter(|line| line.ends_with(&whole)).count(), 3);
}

#[tokio::test]
async fn no_stranger_writes_in_a_log_for_programs() {
    let (_program, log, access) = provoked("json").await;
    assert!(log.contains("\"TRACE\"") && log.contains("connection ended"), "{log}");
    for text in [&log, &access] {
        assert!(!text.bytes().any(|byte| byte < b' ' && byte != b'\n'));
    }
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(event["timestamp"].is_string() && event["level"] != "ERROR", "{line}");
    }
    for line in access.lines() {
        let request: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        for field in ["path", "agent"] {
            let value = request[field].as_str().unwrap_or_default();
            assert!(value.len() <= 256 && !value.contains(char::is_control), "{line}");
        }
    }
}
