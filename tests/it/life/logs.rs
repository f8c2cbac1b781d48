//! What is logged, in which form, and what happens when nobody can write it down.

use std::fs::File;
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::Value;

use super::deaf::Deaf;
use super::program::{Program, command, run, text};
use super::{INVALID, VALID, folder, path, servable, serving};

fn assert_json(log: &str) {
    assert!(!log.is_empty());
    for line in log.lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        for field in ["timestamp", "level", "message"] {
            assert!(value[field].is_string(), "no {field}: {line}");
        }
    }
}

#[tokio::test]
async fn every_line_of_a_json_log_is_json() {
    let (_relay, folder, mut program) = serving(&["--log-format", "json"]).await;
    let file = folder.path().join("balancer.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("/a.ogg: ", "/a.ogg: , '/with \"quotes\".ogg': ")).unwrap();
    program.until_logged("configuration reloaded").await;
    std::fs::write(&file, INVALID.replace("onne", "a\\u001b[31mb")).unwrap();
    program.until_logged("refused").await;
    program.signal("TERM");
    program.end().await;
    assert_json(&program.log());
}

#[test]
fn a_bad_configuration_at_the_start_is_told_in_json_as_well() {
    let folder = folder(&[("bad.yaml", INVALID)]);
    for level in ["info", "error"] {
        let bad = path(&folder, "bad.yaml");
        let output = run(&["--config", &bad, "--log-format", "json", "--log-level", level]);
        assert_eq!(output.status.code(), Some(2));
        assert_json(&text(&output.stderr));
        assert!(text(&output.stderr).contains("bad.yaml:2:"), "{output:?}");
    }
}

#[test]
fn a_port_that_is_taken_is_told_in_json_as_well() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let yaml = format!("listen: '{}'\n{VALID}", taken.local_addr().unwrap());
    let folder = folder(&[("b.yaml", &yaml)]);
    let output = run(&["--config", &path(&folder, "b.yaml"), "--log-format", "json"]);
    assert_json(&text(&output.stderr));
}

#[tokio::test]
async fn the_level_can_be_given_on_the_command_line_and_in_the_environment() {
    let (_folder, file) = servable(VALID);
    let file = file.to_str().unwrap();
    let by_argument = command(&["--config", file, "--log-level", "debug"]);
    let mut by_environment = command(&["--config", file]);
    by_environment.env("RUST_LOG", "info,icecast_balancer=debug");
    for command in [by_argument, by_environment] {
        let program = Program::spawn(command).await;
        // A connection that is cut in the middle of a request is worth a word to who debugs.
        crate::support::raw(program.public, "no HTTP\r\n\r\n").await;
        program.until_logged("DEBUG connection ended").await;
    }
}

#[tokio::test]
async fn who_wants_few_lines_is_served_none_the_less_and_as_long() {
    for level in ["warn", "error", "off"] {
        let mut program = Deaf::start(&["--log-level", level], Stdio::null(), Stdio::null()).await;
        // Whatever is done at the start has been done.
        program.crowd(4, 400).await;
        assert_eq!(program.end().await.0, Some(0), "{level}");
    }
}

#[tokio::test]
async fn an_empty_variable_is_one_that_was_not_set() {
    let (_folder, file) = servable(VALID);
    let mut command = command(&["--config", file.to_str().unwrap()]);
    command.env("RUST_LOG", "");
    // That it says where it listens is what this waits for.
    Program::spawn(command).await;
}

#[test]
fn a_misspelt_level_is_a_mistake_and_not_silence() {
    let (_folder, file) = servable(VALID);
    for level in ["inof", "warn,inof", "icecast_balancer=inof"] {
        let output = run(&["--config", file.to_str().unwrap(), "--log-level", level]);
        assert_eq!(output.status.code(), Some(1), "{level}");
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with("error: --log-level or RUST_LOG: "), "{stderr}");
    }
}

#[tokio::test]
async fn a_reload_is_one_line_that_says_what_changed() {
    let (_relay, folder, program) = serving(&[]).await;
    let file = folder.path().join("balancer.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("/a.ogg", "/b.ogg")).unwrap();
    program.until_logged("configuration reloaded: streams: +/b.ogg -/a.ogg sha256=").await;
}

#[tokio::test]
async fn an_edit_by_rename_leaves_no_chatter_of_the_watcher_in_the_log() {
    let (_relay, folder, program) = serving(&[]).await;
    let [file, aside] = ["balancer.yaml", "aside"].map(|name| folder.path().join(name));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&aside, text.replace("/a.ogg", "/b.ogg")).unwrap();
    std::fs::rename(&aside, &file).unwrap();
    program.until_logged("configuration reloaded").await;
    assert!(!program.log().contains("inotify"), "{}", program.log());
}

#[test]
fn a_bad_configuration_is_exit_code_2_even_where_nobody_can_read_why() {
    let folder = folder(&[("bad.yaml", INVALID)]);
    let bad = path(&folder, "bad.yaml");
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for arguments in [vec!["--config"], vec!["--log-format", "json", "--config"], vec!["check"]] {
        let all = [&arguments[..], &[&bad]].concat();
        let status = command(&all).stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(2), "{arguments:?}");
    }
}
