//! What is logged, in which form, and what happens when nobody can write it down.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Stdio};

use serde_json::Value;

use super::program::{Program, command, get, run, text};
use super::{INVALID, VALID, folder, path, servable, serving};
use crate::support::eventually;

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

/// A program whose log cannot be read; killed when dropped.
struct Mute(Child);

impl Drop for Mute {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts one that logs everything it can to `stderr`, and has it log much.
async fn outlives(stderr: Stdio) {
    let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [public, admin]: [SocketAddr; 2] = ports.each_ref().map(|port| port.local_addr().unwrap());
    drop(ports);
    let yaml = format!("listen: '{public}'\nadmin: '{admin}'\n{VALID}");
    let folder = folder(&[("b.yaml", &yaml)]);
    let file = folder.path().join("b.yaml");
    let mut command = command(&["--config", file.to_str().unwrap(), "--log-level", "trace"]);
    let mut program = Mute(command.stderr(stderr).spawn().unwrap());
    eventually("it serves", async || get(admin, "/readyz").await.status == 200).await;
    for round in 0..100 {
        assert_ne!(get(public, "/a.ogg").await.status, 404, "request {round}");
    }
    std::fs::write(&file, "streams: [\n").unwrap();
    eventually("the bad configuration is refused", async || {
        let metrics = get(admin, "/metrics").await.body;
        metrics.contains("icecast_balancer_config_last_reload_successful 0")
    })
    .await;
    assert_ne!(get(public, "/a.ogg").await.status, 404);
    assert!(program.0.try_wait().unwrap().is_none(), "it has ended");
}

#[tokio::test]
async fn a_log_on_a_full_disk_stops_nothing() {
    outlives(File::options().write(true).open("/dev/full").unwrap().into()).await;
}

#[tokio::test]
async fn a_log_whose_reader_has_gone_stops_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    outlives(writer.into()).await;
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
