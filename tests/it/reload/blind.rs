//! What is noticed where the kernel tells nothing: no watch to be had, or one on the wrong file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{ROUNDS, config, post_reload, stream, within_promise};
use crate::life::program::{Program, command};
use crate::support::eventually;

/// The file is compared every ten seconds, and a busy machine adds something.
const COMPARED: Duration = Duration::from_secs(12);

const WATCHING: &str = "icecast_balancer_config_watch_active";

/// A folder with a configuration in it.
fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("balancer.yaml");
    fs::write(&file, config(0)).unwrap();
    (folder, file)
}

/// The program in namespaces of its own, after `script`, in which `$1` is `file`.
async fn isolated(script: &str, file: &Path) -> Program {
    let program = command(&[]);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-ec"]);
    command.arg(format!("{script}\nexec \"$0\" --config \"$1\""));
    command.args([program.get_program(), file.as_os_str()]);
    command.env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET");
    Program::spawn(command).await
}

/// Runs a script in the namespaces of a program.
fn inside(program: &Program, script: &str) {
    let mut command = Command::new("nsenter");
    command.args(["--preserve-credentials", "--user", "--mount", "--target"]);
    let output = command.arg(program.id().to_string()).args(["sh", "-ec", script]).output();
    let output = output.expect("nsenter of util-linux");
    assert!(output.status.success(), "{output:?}");
}

/// How many watchers the program may have.
fn allow_watchers(most: u32) -> String {
    format!("echo {most} > /proc/sys/user/max_inotify_instances")
}

async fn knows(program: &Program, round: usize) -> bool {
    program.get(&stream(round)).await.status != 404
}

async fn is_watching(program: &Program) -> bool {
    let metrics = program.admin_get("/metrics").await.body;
    metrics.contains(&format!("{WATCHING} 1\n"))
}

#[expect(clippy::print_stdout, reason = "what is promised is measured and shown")]
async fn compared(what: &str, condition: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < COMPARED, "{what}: not compared every ten seconds");
        sleep(Duration::from_millis(50)).await;
    }
    println!("{what}: after {:?}", began.elapsed());
}

#[tokio::test]
async fn where_no_watcher_is_to_be_had_a_hangup_works_and_the_file_is_compared() {
    let (_folder, file) = folder();
    let program = isolated(&allow_watchers(0), &file).await;
    program.until_logged("changes of the configuration are noticed only every 10 s").await;
    assert!(!is_watching(&program).await);
    let mut slowest = Duration::ZERO;
    for round in 1..=ROUNDS {
        fs::write(&file, config(round)).unwrap();
        program.signal("HUP");
        let known = async || knows(&program, round).await;
        slowest = slowest.max(within_promise("SIGHUP, no watcher", known).await);
    }
    println!("SIGHUP without a watcher: {ROUNDS} of {ROUNDS}, the slowest after {slowest:?}");
    fs::write(&file, config(ROUNDS + 1)).unwrap();
    compared("no watcher", async || knows(&program, ROUNDS + 1).await).await;
    assert!(!is_watching(&program).await);
}

#[tokio::test]
async fn a_watcher_that_was_lost_is_told_and_taken_again_when_there_is_one() {
    let (_folder, file) = folder();
    let program = isolated("", &file).await;
    // The first comparison makes a watcher of its own.
    post_reload(program.admin).await;
    assert!(is_watching(&program).await);
    inside(&program, &allow_watchers(0));
    fs::write(&file, config(1)).unwrap();
    within_promise("the last event", async || knows(&program, 1).await).await;
    eventually("the loss is shown", async || !is_watching(&program).await).await;
    fs::write(&file, config(2)).unwrap();
    compared("lost watcher", async || knows(&program, 2).await).await;
    inside(&program, &allow_watchers(100));
    compared("watcher taken again", async || is_watching(&program).await).await;
    fs::write(&file, config(3)).unwrap();
    within_promise("watched again", async || knows(&program, 3).await).await;
}

#[tokio::test]
async fn of_a_file_that_is_mounted_alone_a_write_is_noticed_and_a_replacement_cannot_be_seen() {
    let (folder, outside) = folder();
    let mounted = tempfile::NamedTempFile::new().unwrap();
    let mount =
        |file: &Path| format!("mount --bind '{}' '{}'", file.display(), mounted.path().display());
    let program = isolated(&mount(&outside), mounted.path()).await;
    for round in 1..=ROUNDS {
        fs::write(&outside, config(round)).unwrap();
        within_promise("mounted alone", async || knows(&program, round).await).await;
    }
    // What is mounted is the file and not its name.
    let aside = folder.path().join("aside");
    fs::write(&aside, config(50)).unwrap();
    fs::rename(&aside, &outside).unwrap();
    let answer = post_reload(program.admin).await;
    assert!(answer.body.starts_with("unchanged"), "{answer:?}");
    // Mounted anew, it is another file, of which no event tells.
    let unmount = format!("umount --lazy '{}'", mounted.path().display());
    inside(&program, &format!("{unmount}; {}", mount(&outside)));
    compared("mounted anew", async || knows(&program, 50).await).await;
    fs::write(&outside, config(51)).unwrap();
    within_promise("the one that was mounted anew", async || knows(&program, 51).await).await;
}
