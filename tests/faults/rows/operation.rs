//! What operators and their machines do to the program: files, signals, restarts.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Control, OFTEN, Row};
use crate::stage::{Door, QUICK, RADIO, SLACK, Stage, fleet, pass, s};
use crate::support::balancer::{ADMIN, Balancer, Launch, PUBLIC};
use crate::support::icecast::Setup;
use crate::support::process::{promise, until};
use crate::support::stub::{Stub, slots};
use crate::support::wall::Wall;
use crate::support::watch::Watch;
use crate::support::web;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "bad-config",
        title: "configuration half-written, nonsense, empty, a folder, gone",
        expected: "the old one stays in force, it is said so, the next good one is applied",
        control: Control::Without,
        seconds: 20,
        run: bad_config,
    },
    Row {
        name: "reload-storm",
        title: "reload storm (100 renames in a second)",
        expected: "the last one wins, few are applied, no request fails",
        control: Control::Without,
        seconds: 9,
        run: reload_storm,
    },
    Row {
        name: "signals",
        title: "SIGHUP flood, SIGPIPE, players that leave unanswered",
        expected: "no request fails",
        control: Control::Without,
        seconds: 6,
        run: signals,
    },
    Row {
        name: "sigterm",
        title: "SIGTERM with silent, half-sent and kept connections",
        expected: "not ready at once, requests under way answered, ended within 10 s with 0",
        control: Control::Without,
        seconds: 15,
        run: sigterm,
    },
    Row {
        name: "sigkill",
        title: "50 random kill -9 under load, and a start without any relay",
        expected: "serves within 0.5 s each time (2 s on a busy machine), ready within 5 s",
        control: Control::Without,
        seconds: 40,
        run: sigkill,
    },
];

/// A relay of straw and a door.
fn simple(stage: &Stage) -> (Stub, Door) {
    let stub = Stub::start(1, slots("0", "unlimited"));
    let door = stage.open(&format!("{QUICK}{}", fleet(1..=1)));
    (stub, door)
}

fn digest() -> String {
    let metrics = web::ask("GET", ADMIN, "/metrics", "").unwrap().body;
    let line = metrics.lines().find(|line| line.contains("config_info{"));
    line.unwrap_or_default().to_owned()
}

fn applied() -> bool {
    Balancer::metric("config_last_reload_successful", &[]) == Some(1.0)
}

fn bad_config(stage: &Stage) -> String {
    let (_stub, door) = simple(stage);
    let file = &door.balancer().file;
    let good = fs::read_to_string(file).unwrap();
    let before = digest();
    let watch = Watch::start(RADIO, OFTEN);
    let half = &good[..good.len() - 20];
    let mut slowest = Duration::ZERO;
    let unknown = good.replace("servers:", "server:");
    let twice = format!("{good}streams:\n  /x:\n");
    let bad: [&[u8]; 6] =
        [half.as_bytes(), b"\xff\xfe{", b"", b"- 1", unknown.as_bytes(), twice.as_bytes()];
    let mut cases = 0;
    let mut refused = |what: &str| {
        // A file that is gone is missed after five seconds: it may be on its way.
        let within = Duration::from_secs(5) + SLACK;
        let took = until(&format!("it says that it is refused: {what}"), within, || !applied());
        promise(digest() == before, || format!("{what} is in force"));
        fs::remove_dir_all(file).ok();
        fs::write(file, &good).unwrap();
        until("the good one is good", SLACK * 2, applied);
        slowest = slowest.max(took);
        cases += 1;
    };
    for text in bad {
        fs::write(file, text).unwrap();
        refused(&String::from_utf8_lossy(text));
    }
    fs::remove_file(file).unwrap();
    refused("gone");
    fs::remove_file(file).unwrap();
    fs::create_dir(file).unwrap();
    refused("an empty folder");
    let changed = good.replace("/radio.mp3:", "/radio.mp3:\n  /new.mp3:");
    fs::write(file, changed).unwrap();
    let took = until("the next good one is in force", SLACK * 2, || digest() != before);
    let record = watch.stop();
    record.assert_all_redirected();
    format!(
        "{cases} of {cases} refused, told within {}, {} of {} redirected, the next good one after {}",
        s(slowest),
        record.len(),
        record.len(),
        s(took)
    )
}

fn reload_storm(stage: &Stage) -> String {
    let (_stub, door) = simple(stage);
    let file = &door.balancer().file;
    let good = fs::read_to_string(file).unwrap();
    let next = file.with_extension("next");
    let reloads = || Balancer::metric("config_reloads_total", &["result=\"ok\""]).unwrap();
    let before = reloads();
    let watch = Watch::start(RADIO, OFTEN);
    let began = Instant::now();
    for number in 1..=100 {
        fs::write(&next, format!("{good}  /n{number}.mp3:\n")).unwrap();
        fs::rename(&next, file).unwrap();
        pass(0.01);
    }
    let stormed = began.elapsed();
    let took = until("the last one is in force", SLACK * 2, || door.ask("/n100.mp3").status != 404);
    pass(2.0);
    promise(door.ask("/n100.mp3").status != 404, || "the last one did not stay".to_owned());
    let count = reloads() - before;
    let record = watch.stop();
    record.assert_all_redirected();
    // Two a second, and one at each end.
    let most = 2.0 * (stormed + took).as_secs_f64() + 2.0;
    promise(count <= most, || format!("{count} reloads in {}", s(stormed + took)));
    format!(
        "{count} reloads for 100 renames in {}, the last in force after {}, 0 of {} failed",
        s(stormed),
        s(took),
        record.len()
    )
}

fn signals(stage: &Stage) -> String {
    let (_stub, door) = simple(stage);
    let watch = Watch::start(RADIO, OFTEN);
    for _ in 0..200 {
        door.balancer().process.signal(Signal::HUP);
        door.balancer().process.signal(Signal::PIPE);
        pass(0.005);
    }
    // Players who leave before they are answered.
    for _ in 0..200 {
        let mut player = web::connect(PUBLIC).unwrap();
        player.write_all(b"GET /radio.mp3 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    pass(1.0);
    let record = watch.stop();
    record.assert_all_redirected();
    promise(applied(), || "the configuration is not the one in force".to_owned());
    format!("200 SIGHUP, 200 SIGPIPE, 200 players gone early: 0 of {} failed", record.len())
}

fn sigterm(stage: &Stage) -> String {
    let (_stub, mut door) = simple(stage);
    let silent: Vec<_> = (0..50).map(|_| web::connect(PUBLIC).unwrap()).collect();
    let mut half: Vec<_> = (0..50)
        .map(|_| {
            let mut player = web::connect(PUBLIC).unwrap();
            player.write_all(b"GET /radio.mp3 HTTP/1.1\r\nHo").unwrap();
            player
        })
        .collect();
    let mut kept: Vec<_> = (0..20)
        .map(|_| {
            let mut player = web::connect(PUBLIC).unwrap();
            player.write_all(b"HEAD /radio.mp3 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut bytes = [0; 1024];
            assert!(player.read(&mut bytes).unwrap() > 0);
            player
        })
        .collect();
    let began = Instant::now();
    door.balancer().process.signal(Signal::TERM);
    // Whoever has sent half of a request when the program is asked to end may send the rest.
    let mut answered = 0;
    for player in &mut half[..10] {
        let mut text = String::new();
        let sent = player.write_all(b"st: x\r\nConnection: close\r\n\r\n").is_ok();
        answered +=
            u32::from(sent && player.read_to_string(&mut text).is_ok() && text.contains("302"));
    }
    let mut closed = 0;
    for player in &mut kept {
        closed += u32::from(player.read(&mut [0; 16]).is_ok_and(|count| count == 0));
    }
    let idle = began.elapsed();
    let balancer = door.balancer_mut();
    let limit = Duration::from_millis(10_500) + SLACK;
    let took = until("it has ended", limit, || balancer.process.ended().is_some());
    let status = balancer.process.ended().expect("it has ended");
    drop(silent);
    promise(status.code() == Some(0), || format!("it ended with {status}"));
    promise(answered == 10, || format!("{answered} of 10 half-sent requests answered"));
    promise(closed == 20, || format!("{closed} of 20 idle connections closed"));
    format!(
        "ended with 0 after {}, idle connections closed after {}, {answered} of 10 half-sent requests answered",
        s(took),
        s(idle)
    )
}

fn sigkill(stage: &Stage) -> String {
    const KILLS: u32 = 50;
    let relay = stage.relay(1, Setup::default());
    let config = format!("{QUICK}{}", fleet(1..=1));
    let load: Vec<_> = (0..4).map(|_| Watch::of("GET", PUBLIC, RADIO, OFTEN)).collect();
    let (mut slowest, mut sum) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..KILLS {
        let took = serves_after_start(stage.program(), &stage.root, &config);
        slowest = slowest.max(took);
        sum += took;
    }
    let asked: usize = load.into_iter().map(|watch| watch.stop().len()).sum();
    // A busy machine takes longer to begin anything.
    promise(slowest <= SLACK, || format!("it serves after {}", s(slowest)));
    let wall = Wall::new();
    wall.swallow(1);
    let began = Instant::now();
    let _balancer = Launch::default().begin(stage.program(), &stage.root, &config);
    let within = Duration::from_secs(5) + SLACK;
    until("it is ready without any relay", within, || web::answers(200, ADMIN, "/readyz"));
    drop(relay);
    format!(
        "{KILLS} of {KILLS} starts clean among {asked} requests, serving after {} on average and {} at \
         most; without any relay ready after {}",
        millis(sum / KILLS),
        millis(slowest),
        s(began.elapsed())
    )
}

/// Starts it, kills it at some moment, and gives how long it took from the start until the first
/// answer.
fn serves_after_start(program: &Path, root: &Path, config: &str) -> Duration {
    let mut balancer = Launch::default().begin(program, root, config);
    let took = until("it serves", Duration::from_secs(20), || {
        if let Some(status) = balancer.process.ended() {
            panic!("it did not start: {status}\n{}", balancer.process.printed());
        }
        web::ask("HEAD", PUBLIC, RADIO, "").is_ok()
    });
    pass(fastrand::f64() * 0.3);
    balancer.process.kill();
    took
}

fn millis(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
