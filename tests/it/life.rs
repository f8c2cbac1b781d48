//! The program from its start to its end: what it prints, how it stops, what it never tells.

mod access_log;
mod deaf;
mod hostile;
mod logs;
mod lossy;
pub(crate) mod program;
mod secrets;
mod stop;
mod supervised;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::relay::Relay;
use crate::support::{PORTS, first_answer};
use program::{Program, run, text};

const VALID: &str = "servers: {one: 'http://127.0.0.1:9'}\nstreams: {/a.ogg: }\n";
const INVALID: &str =
    "servers: {one: 'http://127.0.0.1:9'}\nstreams: {/a.ogg: {servers: [onne]}}\n";

/// A folder with files in it.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// A folder with a configuration that can be served, and its path.
fn servable(yaml: &str) -> (TempDir, PathBuf) {
    let folder = folder(&[("balancer.yaml", &format!("{PORTS}{yaml}"))]);
    let file = folder.path().join("balancer.yaml");
    (folder, file)
}

/// A program over a relay that takes everybody.
async fn serving(more: &[&str]) -> (Relay, TempDir, Program) {
    let relay = Relay::builder().unlimited("/a.ogg").start().unwrap();
    let (folder, file) =
        servable(&format!("servers: {{one: '{}'}}\nstreams: {{/a.ogg: }}\n", relay.url()));
    let program = Program::start(&file, more).await;
    (relay, folder, program)
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_bad_configuration_is_exit_code_2_with_the_diagnostics_on_stderr() {
    let folder = folder(&[("bad.yaml", INVALID)]);
    for arguments in [vec!["--config"], vec!["serve", "-c"]] {
        let output = run(&[&arguments[..], &[&path(&folder, "bad.yaml")]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains("bad.yaml:2:"), "{stderr}");
        assert!(stderr.contains("did you mean \"one\"?"), "{stderr}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
}

#[test]
fn a_configuration_that_is_not_there_is_exit_code_2_and_named() {
    let output = run(&["--config", "/nonexistent/b.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("/nonexistent/b.yaml"), "{output:?}");
}

#[test]
fn a_port_that_is_taken_is_exit_code_1_with_the_address_and_the_reason() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for key in ["listen", "admin"] {
        let ports = PORTS.replace(&format!("{key}: '127.0.0.1:0'"), &format!("{key}: '{address}'"));
        let folder = folder(&[("b.yaml", &format!("{ports}{VALID}"))]);
        let output = run(&["--config", &path(&folder, "b.yaml")]);
        assert_eq!(output.status.code(), Some(1), "{key}");
        let stderr = text(&output.stderr);
        let words = format!("cannot listen on {address} ({key}): Address already in use");
        assert!(stderr.contains(&words), "{stderr}");
        assert!(stderr.contains("another program has the port"), "{stderr}");
    }
}

/// Its own threads share the port, which no other program may.
#[tokio::test]
async fn a_second_program_on_the_port_of_the_first_is_exit_code_1_and_takes_none_of_its_players() {
    let (_relay, _folder, mut first) = serving(&[]).await;
    let port = format!("listen: '{}'", first.public);
    let ports = PORTS.replace("listen: '127.0.0.1:0'", &port);
    let folder = folder(&[("b.yaml", &format!("{ports}{VALID}"))]);
    let file = path(&folder, "b.yaml");
    let second = tokio::task::spawn_blocking(move || run(&["--config", &file])).await.unwrap();
    assert_eq!(second.status.code(), Some(1));
    let stderr = text(&second.stderr);
    let words = format!("cannot listen on {} (listen): Address already in use", first.public);
    assert!(stderr.contains(&words), "{stderr}");
    for _ in 0..8 {
        let answer = first_answer(first.public, "GET /a.ogg HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(answer.status, 302);
    }
    first.signal("TERM");
    assert_eq!(first.end().await.0, Some(0));
}

#[test]
fn an_address_that_is_not_of_this_machine_is_exit_code_1() {
    let ports = PORTS.replace("listen: '127.0.0.1:0'", "listen: '192.0.2.1:8000'");
    let folder = folder(&[("b.yaml", &format!("{ports}{VALID}"))]);
    let output = run(&["--config", &path(&folder, "b.yaml")]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("cannot listen on 192.0.2.1:8000 (listen): "), "{stderr}");
}

#[test]
fn check_says_that_a_file_is_valid() {
    let folder = folder(&[("good.yaml", VALID)]);
    let good = path(&folder, "good.yaml");
    let output = run(&["check", &good]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), format!("{good}: valid\n"));
}

#[test]
fn check_shows_what_is_valid_but_deserves_a_word() {
    let unused = "servers: {one: 'http://h', two: 'http://i'}\nstreams: {/a: {servers: [one]}}\n";
    let folder = folder(&[("b.yaml", unused)]);
    let output = run(&["check", &path(&folder, "b.yaml")]);
    assert_eq!(output.status.code(), Some(0));
    let stdout = text(&output.stdout);
    assert!(stdout.contains("server \"two\" is used by no stream"), "{stdout}");
}

#[test]
fn check_reports_every_file_in_one_go() {
    let folder = folder(&[("good.yaml", VALID), ("bad.yaml", INVALID), ("worse.yaml", "[")]);
    let [good, bad, worse] = ["good.yaml", "bad.yaml", "worse.yaml"].map(|f| path(&folder, f));
    let output = run(&["check", &good, &bad, &worse]);
    assert_eq!(output.status.code(), Some(2));
    let stdout = text(&output.stdout);
    assert!(stdout.contains(&format!("{good}: valid\n")), "{stdout}");
    assert!(stdout.contains(&format!("{bad}:2:")), "{stdout}");
    assert!(stdout.contains(&format!("{worse}:1:")), "{stdout}");
}

#[test]
fn check_reads_a_directory_as_one_configuration() {
    let (servers, streams) = VALID.split_once('\n').unwrap();
    let folder = folder(&[("a.yaml", servers), ("b.yaml", streams)]);
    let output = run(&["check", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn check_reports_as_json() {
    let folder = folder(&[("good.yaml", VALID), ("bad.yaml", INVALID)]);
    let [good, bad] = ["good.yaml", "bad.yaml"].map(|name| path(&folder, name));
    let output = run(&["check", &good, "--format", "json"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "[]\n"));
    let output = run(&["check", &good, &bad, "--format", "json"]);
    assert_eq!(output.status.code(), Some(2));
    let problems: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(problems.as_array().unwrap().len(), 1);
    assert_eq!((&problems[0]["file"], &problems[0]["line"]), (&bad.into(), &2.into()));
}

#[test]
fn check_reports_as_annotations_of_github() {
    let folder = folder(&[("good.yaml", VALID), ("bad.yaml", INVALID)]);
    let [good, bad] = ["good.yaml", "bad.yaml"].map(|name| path(&folder, name));
    let output = run(&["check", &good, &bad, "--format", "github"]);
    assert_eq!(output.status.code(), Some(2));
    let stdout = text(&output.stdout);
    assert!(stdout.starts_with(&format!("::error file={bad},line=2,col=")), "{stdout}");
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    let output = run(&["check", &good, "--format", "github"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), ""));
}

#[test]
fn check_without_a_file_takes_the_balancer_yaml_of_this_folder() {
    let folder = folder(&[("balancer.yaml", VALID)]);
    let output = program::command(&["check"]).current_dir(folder.path()).output().unwrap();
    assert_eq!(text(&output.stdout), "balancer.yaml: valid\n");
}

#[test]
fn an_environment_for_logs_does_not_disturb_check() {
    let folder = folder(&[("good.yaml", VALID)]);
    let mut command = program::command(&["check", &path(&folder, "good.yaml")]);
    let output = command.env("RUST_LOG", "debug").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn every_command_tells_its_version() {
    let version = concat!(env!("CARGO_PKG_VERSION"), "\n");
    for arguments in [&["--version"][..], &["serve", "--version"], &["check", "--version"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(text(&output.stdout).ends_with(version), "{output:?}");
    }
}

#[test]
fn every_command_tells_how_it_is_used() {
    for (arguments, words) in [
        (&["--help"][..], ["serve", "check", "SIGHUP", "balancer.yaml"]),
        (&["serve", "--help"], ["--config", "--log-format", "--access-log", "Exit code: 0"]),
        (&["check", "--help"], ["[FILE]...", "--format", "github", "Exit code: 0"]),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        let help = text(&output.stdout);
        for word in words {
            assert!(help.contains(word), "{arguments:?} does not say {word}:\n{help}");
        }
    }
}

#[test]
fn a_secret_in_the_environment_is_not_shown_in_the_help() {
    let mut command = program::command(&["serve", "--help"]);
    let output = command.env("RUST_LOG", "canary").output().unwrap();
    assert!(!text(&output.stdout).contains("canary"), "{output:?}");
}

#[test]
fn an_unknown_word_on_the_command_line_is_exit_code_2_with_a_suggestion() {
    let output = run(&["chekc"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("'check'"), "{stderr}");
}

#[tokio::test]
async fn the_words_serve_can_be_left_out() {
    let (_folder, file) = servable(VALID);
    for arguments in [vec!["serve", "--config"], vec!["-c"]] {
        let all = [&arguments[..], &[file.to_str().unwrap()]].concat();
        Program::spawn(program::command(&all)).await;
    }
}

#[tokio::test]
async fn a_directory_is_served_as_one_configuration() {
    let (servers, streams) = VALID.split_once('\n').unwrap();
    let folder = folder(&[("a.yaml", &format!("{PORTS}{servers}")), ("b.yaml", streams)]);
    let program = Program::start(Path::new(&path(&folder, "")), &[]).await;
    assert_ne!(program.get("/a.ogg").await.status, 404);
}

#[tokio::test]
async fn it_starts_though_no_relay_answers_and_no_name_resolves() {
    let yaml = "servers: {gone: 'http://127.0.0.1:9', nameless: 'http://no.such.invalid'}\n\
                streams: {/a.ogg: }\n";
    let (_folder, file) = servable(yaml);
    let program = Program::start(&file, &[]).await;
    assert_eq!(program.admin_get("/healthz").await.status, 200);
    assert_ne!(program.get("/a.ogg").await.status, 404);
}

#[tokio::test]
async fn a_program_that_was_killed_starts_again_at_once_on_the_same_ports() {
    let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [public, admin] = ports.each_ref().map(|port| port.local_addr().unwrap());
    drop(ports);
    let folder = folder(&[("b.yaml", &format!("listen: '{public}'\nadmin: '{admin}'\n{VALID}"))]);
    let file = folder.path().join("b.yaml");
    for _ in 0..3 {
        let mut program = Program::start(&file, &[]).await;
        program.get("/a.ogg").await;
        program.signal("KILL");
        program.end().await;
    }
}
