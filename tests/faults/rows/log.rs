//! Nobody reads the log, or there is no room for it.

use std::fs::{self, File};
use std::io::{self, PipeReader, Read as _, Write as _};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Control, OFTEN, Row};
use crate::stage::{Door, QUICK, RADIO, SLACK, Stage, fleet, pass, s};
use crate::support::balancer::{ADMIN, Balancer, Launch};
use crate::support::process::{done, promise, until};
use crate::support::stub::{Stub, slots};
use crate::support::watch::Watch;
use crate::support::web;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "log-full",
        title: "log on a full device",
        expected: "no request fails, looks go on, what is lost is counted",
        control: Control::Without,
        seconds: 8,
        run: device_full,
    },
    Row {
        name: "log-disk",
        title: "log disk full (64 KiB), then space again",
        expected: "no request fails, what is lost is counted, the log goes on",
        control: Control::Without,
        seconds: 9,
        run: disk_full,
    },
    Row {
        name: "log-closed",
        title: "log pipe closed",
        expected: "no request fails, looks go on, what is lost is counted",
        control: Control::Without,
        seconds: 8,
        run: pipe_closed,
    },
    Row {
        name: "log-stopped",
        title: "log reader stopped, then reading again",
        expected: "no request waits, what is lost is counted, the log goes on",
        control: Control::Without,
        seconds: 25,
        run: reader_stopped,
    },
];

/// What the program has to say of one refused configuration, about.
const ERRORS: usize = 60;

/// More connections than could have lines in any queue.
const MANY: usize = 20_000;

/// A relay of straw and a door whose log goes to `log`.
fn logging_to(stage: &Stage, log: Stdio) -> (Stub, Door) {
    let stub = Stub::start(1, slots("0", "unlimited"));
    let launch = Launch { log: Some(log), ..Launch::default() };
    (stub, stage.open_with(launch, &format!("{QUICK}{}", fleet(1..=1))))
}

/// Gives the program a lot to complain about, again and again, while players ask; gives what was
/// seen.
fn complain(door: &Door) -> String {
    let file = &door.balancer().file;
    let good = fs::read_to_string(file).unwrap();
    let unknown: Vec<_> = (0..ERRORS).map(|number| format!("unknown{number}: x\n")).collect();
    let looks = Door::looks("r1", "ok");
    let watch = Watch::start(RADIO, OFTEN);
    fs::write(file, format!("{good}{}", unknown.concat())).unwrap();
    let began = Instant::now();
    let mut complaints = 0;
    // Each is several KiB: more than pipes and the disk hold.
    while complaints < 60 && began.elapsed() < Duration::from_secs(20) {
        let answer = web::ask("POST", ADMIN, "/-/reload", "Content-Length: 0\r\n");
        promise(answer.is_ok(), || format!("reload {complaints}: {answer:?}"));
        complaints += 1;
    }
    pass(2.0);
    let looks = Door::looks("r1", "ok") - looks;
    promise(looks >= 2.0, || format!("{looks} good looks meanwhile"));
    fs::write(file, good).unwrap();
    let record = watch.stop();
    record.assert_all_redirected();
    format!(
        "0 of {} requests failed, p99 {} ms, {complaints} complaints, {looks} good looks",
        record.len(),
        record.p99().as_millis()
    )
}

/// How many lines were lost, which must be counted.
fn lost() -> f64 {
    let lost = Balancer::metric("log_lines_dropped_total", &[]);
    promise(lost.is_some_and(|lost| lost > 0.0), || format!("log_lines_dropped_total: {lost:?}"));
    lost.unwrap_or_default()
}

fn device_full(stage: &Stage) -> String {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (_stub, door) = logging_to(stage, full.into());
    format!("{}, {} lines lost", complain(&door), lost())
}

fn disk_full(stage: &Stage) -> String {
    let disk = stage.root.join("disk");
    fs::create_dir(&disk).unwrap();
    done("mount", &format!("-t tmpfs -o size=64k tmpfs {}", disk.display()));
    let path = disk.join("log");
    let log = File::options().append(true).create(true).open(&path).unwrap();
    let (_stub, door) = logging_to(stage, log.into());
    let seen = complain(&door);
    let lost = lost();
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    until("the log goes on", SLACK * 3, || {
        door.balancer().process.signal(Signal::HUP);
        pass(0.2);
        fs::metadata(&path).is_ok_and(|log| log.len() > 0)
    });
    format!("{seen}, {lost} lines lost, the log goes on")
}

fn pipe_closed(stage: &Stage) -> String {
    let (reader, writer) = io::pipe().unwrap();
    let (_stub, door) = logging_to(stage, writer.into());
    drop(reader);
    format!("{}, {} lines lost", complain(&door), lost())
}

fn reader_stopped(stage: &Stage) -> String {
    let (reader, writer) = io::pipe().unwrap();
    let stub = Stub::start(1, slots("0", "unlimited"));
    // At this level each connection that is kept for a while has two lines.
    let env = vec![("RUST_LOG".to_owned(), "trace".to_owned())];
    let launch = Launch { log: Some(writer.into()), env, ..Launch::default() };
    let door = stage.open_with(launch, &format!("{QUICK}{}", fleet(1..=1)));
    let crowd: Vec<_> = (0..8).map(|_| Watch::start(RADIO, Duration::ZERO)).collect();
    // By connections, not by time: a slow machine writes fewer lines in a second. The crowd is answered
    // as it comes; whoever administers is kept.
    let lost = || Balancer::metric("log_lines_dropped_total", &[]).unwrap_or(0.0);
    let fill = (1..=MANY).find(|connection| {
        let answer = web::ask("GET", ADMIN, "/healthz", "");
        promise(answer.is_ok(), || format!("/healthz {connection}: {answer:?}"));
        connection % 100 == 0 && lost() > 0.0
    });
    let (mut asked, mut slowest) = (0, Duration::ZERO);
    for record in crowd.into_iter().map(Watch::stop) {
        record.assert_all_redirected();
        asked += record.len();
        slowest = slowest.max(record.p99());
    }
    let lost = lost();
    promise(fill.is_some(), || format!("no line is lost for {MANY} connections and {asked} more"));
    let size = door.balancer().of_kernel("VmHWM") as f64 / 1024.0;
    let (read, took) = read_again(reader, &door);
    promise(read, || format!("nothing new in the log after {}", s(took)));
    drop(stub);
    format!(
        "0 of {asked} requests failed, p99 {} ms, {lost} lines lost, {size:.0} MiB at the peak, the log \
         goes on after {}",
        slowest.as_millis(),
        s(took)
    )
}

/// Whether something new comes once the reader reads again.
fn read_again(mut reader: PipeReader, door: &Door) -> (bool, Duration) {
    let began = Instant::now();
    let (send, lines) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut bytes = [0; 8 * 1024];
        while let Ok(length) = reader.read(&mut bytes) {
            if length == 0 || send.send(bytes[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    let mut text = Vec::new();
    while began.elapsed() < SLACK * 3 {
        door.balancer().process.signal(Signal::HUP);
        pass(0.1);
        text.extend(lines.try_iter().flatten());
        if String::from_utf8_lossy(&text).contains("SIGHUP") {
            return (true, began.elapsed());
        }
    }
    io::stderr().write_all(&text[text.len().saturating_sub(500)..]).ok();
    (false, began.elapsed())
}
