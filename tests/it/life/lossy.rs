//! Logs that cannot be written, and logs that nobody reads: they cost lines, and no request.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, PipeReader, pipe};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use super::deaf::{Deaf, prepare, text_of};
use super::program::{command, get};
use super::{INVALID, folder, path};
use crate::support::{PATIENCE, eventually};

/// The access log on standard output, and everything there is in the log.
const ALL: &[&str] = &["--access-log", "-", "--log-level", "trace"];

/// Holds what it promises with nobody to tell it to: players, operators, reloads.
async fn outlives(program: &Deaf) {
    for _ in 0..3 {
        program.crowd(4, 400).await;
        program.nonsense().await;
    }
    let file = program.path("balancer.yaml");
    let good = text_of(&file);
    fs::write(&file, "streams: [\n").unwrap();
    let applied = async |yes: bool| {
        let metrics = get(program.admin, "/metrics").await.body;
        let value = u8::from(yes);
        metrics.contains(&format!("icecast_balancer_config_last_reload_successful {value}"))
    };
    eventually("the bad configuration is refused", async || applied(false).await).await;
    fs::write(&file, good).unwrap();
    eventually("the good one is in force", async || applied(true).await).await;
    program.crowd(4, 400).await;
    assert_eq!(program.metric("panics_total").await, 0);
}

#[tokio::test]
async fn logs_on_a_full_device_cost_lines_and_nothing_else() {
    let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let mut program = Deaf::start(ALL, full(), full()).await;
    outlives(&program).await;
    // Each request has a line, and none of them can be written.
    eventually("every line is counted", async || program.lost().await >= 1_600).await;
    println!("full device: {} lines lost, 0 requests", program.lost().await);
    assert_eq!(program.end().await.0, Some(0));
}

#[tokio::test]
async fn logs_whose_readers_have_gone_cost_lines_and_nothing_else() {
    let gone = || {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let mut program = Deaf::start(ALL, gone(), gone()).await;
    outlives(&program).await;
    eventually("every line is counted", async || program.lost().await >= 1_600).await;
    assert_eq!(program.end().await.0, Some(0));
}

#[tokio::test]
async fn a_disk_that_fills_and_is_freed_has_lines_again() {
    let prepared = prepare();
    let disk = prepared.path("disk");
    fs::create_dir(&disk).unwrap();
    // The disk exists for this program alone, and goes with it.
    let script =
        "mount -t tmpfs -o size=64k none \"$1\" && cd \"$1\" && shift && exec \"$@\" 2>>log";
    let inner = prepared.command(&["--access-log", "access.log", "--log-level", "trace"]);
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = Command::new("unshare");
    command.args(if is_root { &["-m"][..] } else { &["-Urm"] });
    command.args(["sh", "-c", script, "sh"]).arg(&disk).arg(inner.get_program());
    command.args(inner.get_args()).env_remove("RUST_LOG").stdin(Stdio::null());
    let mut program = prepared.start(command).await;
    // Seen from outside, the disk is below the program's own root.
    let inside = |name: &str| format!("/proc/{}/root{}/{name}", program.id(), disk.display());
    let length = |name: &str| fs::metadata(inside(name)).unwrap().len();

    let mut asked = 0;
    while program.lost().await == 0 {
        asked += program.crowd(2, 200).await;
        assert!(asked < 20_000, "the disk does not fill");
    }
    let full = length("access.log") + length("log");
    println!("tmpfs: {full} bytes of logs after {asked} requests, then lines are lost");
    assert!(full <= 64 * 1024);
    outlives(&program).await;

    // Somebody makes room.
    for name in ["access.log", "log"] {
        File::options().write(true).open(inside(name)).unwrap().set_len(0).unwrap();
    }
    let told = || fs::read_to_string(inside("log")).unwrap();
    eventually("the log says what was lost", async || {
        program.crowd(1, 1).await;
        told().contains("has lost lines") && told().contains("lines=")
    })
    .await;
    let lost = program.lost().await;
    program.crowd(1, 20).await;
    eventually("requests are written down again", async || {
        let text = fs::read_to_string(inside("access.log")).unwrap();
        text.lines().filter(|line| line.ends_with("\"crowd/1\"")).count() > 20
    })
    .await;
    assert_eq!(program.lost().await, lost, "nothing is lost while there is room");
    assert_eq!(program.metric("panics_total").await, 0);
    assert_eq!(program.end().await.0, Some(0));
}

/// Kilobytes of a process that are in memory.
fn resident(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Reads a pipe to its end; tells how many lines have come so far.
fn count(reader: PipeReader) -> Arc<AtomicUsize> {
    let lines = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lines);
    thread::spawn(move || {
        for _ in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            counted.fetch_add(1, Relaxed);
        }
    });
    lines
}

#[tokio::test]
async fn readers_that_stop_cost_lines_and_nothing_else() {
    const REQUESTS: usize = 100_000;
    // They stop before the first byte.
    let (access, stdout) = pipe().unwrap();
    let (log, stderr) = pipe().unwrap();
    let mut program = Deaf::start(ALL, stdout.into(), stderr.into()).await;
    // Pipe and queue are full after that many.
    let mut asked = program.crowd(8, REQUESTS / 5).await;
    assert!(program.lost().await > 0, "the reader is not felt");
    let before = resident(program.id());
    asked += program.crowd(8, REQUESTS * 4 / 5).await;
    let (after, lost) = (resident(program.id()), program.lost().await);
    println!("readers stopped: {asked} answered, {lost} lines lost, {before} kB, then {after} kB");
    assert_eq!(asked, REQUESTS);
    assert!(after < before + 8 * 1024, "{before} kB became {after} kB");
    assert!(lost > REQUESTS as u64 / 2);
    assert_eq!(program.metric("panics_total").await, 0);

    // One of them reads again; the other one never does.
    let taken = count(access);
    eventually("what waited is taken", async || taken.load(Relaxed) > 8_000).await;
    let before = taken.load(Relaxed);
    program.crowd(1, 10).await;
    eventually("requests are written down again", async || taken.load(Relaxed) >= before + 10)
        .await;
    let (code, took) = program.end().await;
    println!("readers stopped: it ended after {took:?}");
    assert_eq!(code, Some(0));
    // The end of connections that idle, and what a busy machine adds.
    assert!(took < PATIENCE, "{took:?}");
    drop(log);
}

#[tokio::test]
async fn who_asks_twice_to_end_does_not_wait_for_a_reader() {
    let (_access, stdout) = pipe().unwrap();
    let (_log, stderr) = pipe().unwrap();
    let mut program = Deaf::start(ALL, stdout.into(), stderr.into()).await;
    program.crowd(4, 12_000).await;
    let mut held = tokio::net::TcpStream::connect(program.public).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut held, b"GET /a.o").await.unwrap();
    program.signal("TERM");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(program.end().await.0, Some(1));
}

#[test]
fn the_reasons_for_an_end_are_written_before_it() {
    let folder = folder(&[("bad.yaml", INVALID)]);
    let bad = path(&folder, "bad.yaml");
    for (arguments, code) in [
        (&["--config", &bad][..], 2),
        (&["--config", &bad, "--log-format", "json"], 2),
        (&["--config", &bad, "--log-level", "inof"], 1),
    ] {
        for _ in 0..5 {
            let output = command(arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(code));
            assert!(output.stderr.ends_with(b"\n"), "{arguments:?}: {output:?}");
        }
    }
}

#[test]
fn a_bad_configuration_is_exit_code_2_even_where_nobody_reads_why() {
    // More than a pipe holds.
    let bad = (0..2_000).fold(String::new(), |bad, number| bad + &format!("bogus{number}: 1\n"));
    let folder = folder(&[("bad.yaml", &bad)]);
    let bad = path(&folder, "bad.yaml");
    for format in ["text", "json"] {
        let (_reader, stderr) = pipe().unwrap();
        let mut command = command(&["--config", &bad, "--log-format", format]);
        assert_eq!(command.stderr(stderr).status().unwrap().code(), Some(2));
    }
}
