//! Starts rows, each in a world of its own, several at a time, and adds up what they say.

use std::collections::VecDeque;
use std::io::{self, Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::getuid;

use crate::options::Options;
use crate::rows::{self, Control, Row};
use crate::soak;
use crate::stage::Stage;
use crate::support::process::BROKEN;

/// A row that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(150);

/// The name under which the soak is started inside.
const SOAK: &str = "soak";

/// What a row said.
struct Outcome {
    row: &'static Row,
    /// What was seen, or what went wrong.
    said: Result<String, String>,
    took: Duration,
}

/// Runs the matrix; returns whether all of it passed.
pub(crate) fn matrix(options: &Options) -> bool {
    let (mut passed, mut failed) = (0, 0);
    run(options, &chosen(options, false), |Outcome { row, said, took }| match said {
        Ok(figures) => {
            passed += 1;
            println!("ok    {}: {figures} ({:.0} s)", row.title, took.as_secs_f64());
        }
        Err(why) => {
            failed += 1;
            println!("FAIL  {}: {} [--only {}]", row.title, indented(&why), row.name);
        }
    });
    println!("{passed} passed, {failed} failed");
    failed == 0 && passed > 0
}

/// Runs the rows that have a control with the naive redirector; returns whether all failed.
pub(crate) fn control(options: &Options) -> bool {
    let rows = chosen(options, true);
    let mut failed = 0;
    run(options, &rows, |Outcome { row, said, .. }| match said {
        Ok(figures) => println!("BLIND {}: passed all the same: {figures}", row.title),
        // What else goes wrong proves nothing.
        Err(why) => match why.lines().find_map(|line| line.strip_prefix(BROKEN)) {
            Some(how) => {
                failed += 1;
                println!("ok    {}: {how}", row.title);
            }
            None => println!("FAIL  {}: {}", row.title, indented(&why)),
        },
    });
    println!("control: {failed} of {} rows fail without the balancer's protection", rows.len());
    println!("{failed} passed, {} failed", rows.len() - failed);
    failed == rows.len() && failed > 0
}

/// Runs the soak; returns whether no invariant broke.
pub(crate) fn soak(options: &Options) -> bool {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("soak: seed {seed}");
    let mut inside = world(SOAK, options);
    inside.args(["--seed", &seed.to_string()]);
    if let Some(length) = options.soak {
        inside.args(["--soak", &humantime::format_duration(length).to_string()]);
    }
    inside.status().expect("unshare starts").success()
}

/// Runs one row here, in the world that was made for it. A panic is its failure.
pub(crate) fn inside(name: &str, options: &Options) {
    let stage = Stage::enter(options);
    if name == SOAK {
        return soak::run(&stage, options);
    }
    let row = rows::ALL.iter().copied().flatten().find(|row| row.name == name);
    let figures = (row.expect("a row of this name").run)(&stage);
    println!("{figures}");
    io::stdout().flush().expect("the runner listens");
}

fn chosen(options: &Options, control: bool) -> Vec<&'static Row> {
    let wanted = |row: &&Row| {
        let named = options.only.is_empty()
            || options.only.iter().any(|part| row.name.contains(part.as_str()));
        named && (!control || matches!(row.control, Control::Naive))
    };
    rows::ALL.iter().copied().flatten().filter(wanted).collect()
}

/// Runs `rows`, the longest first, and tells of each as it ends.
fn run(options: &Options, rows: &[&'static Row], mut tell: impl FnMut(Outcome)) {
    let mut queue: Vec<_> = rows.to_vec();
    queue.sort_by_key(|row| std::cmp::Reverse(row.seconds));
    let queue = Mutex::new(VecDeque::from(queue));
    let (send, outcomes) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            let send = send.clone();
            let queue = &queue;
            scope.spawn(move || {
                loop {
                    let next = queue.lock().unwrap().pop_front();
                    let Some(row) = next else { break };
                    let began = Instant::now();
                    let said = play(row, options);
                    send.send(Outcome { row, said, took: began.elapsed() }).unwrap();
                }
            });
        }
        drop(send);
        for outcome in outcomes {
            tell(outcome);
        }
    });
}

/// Runs one row in a new world.
fn play(row: &Row, options: &Options) -> Result<String, String> {
    let mut command = world(row.name, options);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("unshare: {error}"))?;
    let longest = LONGEST + options.starved;
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    thread::scope(|scope| {
        let out = scope.spawn(|| text(out));
        let err = scope.spawn(|| text(err));
        let ended = wait(&mut child, longest);
        let (out, err) = (out.join().unwrap(), err.join().unwrap());
        match ended {
            Some(true) => Ok(out.trim().to_owned()),
            Some(false) => Err(err.trim().to_owned()),
            None => Err(format!("hung for {longest:?}\n{}", err.trim())),
        }
    })
}

/// Whether it succeeded; nothing if it had to be ended.
fn wait(child: &mut Child, longest: Duration) -> Option<bool> {
    let deadline = Instant::now() + longest;
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return Some(status.success());
        }
        if Instant::now() > deadline {
            child.kill().expect("a child of ours");
            child.wait().expect("a child of ours");
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn text(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// This program again, as the first process of a world without network, that ends with us.
fn world(name: &str, options: &Options) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare"]);
    if !getuid().is_root() {
        // Where this is forbidden, unshare says so.
        command.args(["--user", "--map-root-user"]);
    }
    command.args([
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child=KILL",
        "--mount-proc",
        "--",
    ]);
    command.arg(std::env::current_exe().expect("this test is a file"));
    command.args(["--inside", name]);
    command.arg("--starved").arg(humantime::format_duration(options.starved).to_string());
    if options.control {
        command.arg("--control");
    }
    if let Some(balancer) = &options.balancer {
        command.arg("--balancer").arg(balancer);
    }
    command.stdin(Stdio::null());
    command
}

fn indented(why: &str) -> String {
    why.replace('\n', "\n      ")
}
