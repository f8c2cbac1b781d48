//! One relay fails, and the others are there.

use std::fs;
use std::time::{Duration, Instant};

use super::{Control, OFTEN, Row};
use crate::stage::{
    Air, Door, INTERVAL, QUICK, RADIO, SLACK, Stage, fleet, next_look, pass, s, three_looks,
};
use crate::support::balancer::Balancer;
use crate::support::icecast::{PORT, Setup};
use crate::support::process::promise;
use crate::support::source::Source;
use crate::support::wall::Wall;
use crate::support::watch::Watch;
use crate::support::web;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "killed",
        title: "relay killed",
        expected: "nobody is sent there after an interval; back after its restart",
        control: Control::Naive,
        seconds: 12,
        run: killed,
    },
    Row {
        name: "hung",
        title: "relay hung (SIGSTOP)",
        expected: "nobody is sent there after a look timed out, down after the third; back when it wakes",
        control: Control::Naive,
        seconds: 16,
        run: hung,
    },
    Row {
        name: "blackholed",
        title: "relay blackholed (packets dropped)",
        expected: "nobody is sent there after a look timed out, down after the third",
        control: Control::Naive,
        seconds: 12,
        run: blackholed,
    },
    Row {
        name: "resets",
        title: "relay resets connections",
        expected: "nobody is sent there after an interval",
        control: Control::Naive,
        seconds: 10,
        run: resets,
    },
    Row {
        name: "cut",
        title: "established connections cut, new ones fine",
        expected: "at most one doubt, never down; the live feed connects again",
        control: Control::Without,
        seconds: 60,
        run: cut,
    },
    Row {
        name: "loss",
        title: "30 % of packets to a relay lost",
        expected: "slower looks, no doubt: what is lost once is sent again in time",
        control: Control::Without,
        seconds: 22,
        run: loss,
    },
    Row {
        name: "full",
        title: "relay full to its last client (half-sent requests)",
        expected: "full, never down; nobody is sent there until a slot frees",
        control: Control::Naive,
        seconds: 25,
        run: full,
    },
    Row {
        name: "mount-gone",
        title: "mount gone, relay up",
        expected: "nobody is sent to this mount; the relay stays up",
        control: Control::Naive,
        seconds: 9,
        run: mount_gone,
    },
    Row {
        name: "fallback",
        title: "source gone, fallback set",
        expected: "players get the fallback; without it, offline",
        control: Control::Naive,
        seconds: 9,
        run: fallback,
    },
];

/// Breaks the first of three relays by `fault`, which a look sees at once (`answered`) or by
/// waiting in vain; gives what was seen until it was down, and the moment it broke.
fn broken(air: &mut Air, answered: bool, fault: impl FnOnce(&mut Air)) -> String {
    let watch = Watch::start(RADIO, OFTEN);
    pass(0.5);
    let broke = Instant::now();
    fault(air);
    let down = air.door.until_health("r1", "down", three_looks(answered) + SLACK);
    pass(1.0);
    let record = watch.stop();
    record.assert_all_redirected();
    let address = air.relays[0].address();
    let last = record.last_sent_to(&address, broke);
    let bound = next_look(answered) + SLACK;
    promise(last <= bound, || format!("players are sent there for {}, not {}", s(last), s(bound)));
    air.door.assert_metric("server_up", &["server=\"r1\""], 0.0);
    let wrong = record.sent_to(&address, broke);
    format!(
        "last redirect there after {}, down after {}, {wrong} of {} sent there",
        s(last),
        s(down),
        record.len()
    )
}

/// Waits until players are sent to the first relay again.
fn back(air: &Air) -> String {
    let within = Duration::from_secs(15);
    let address = air.relays[0].address();
    let took =
        air.door.until("r1 is used again", within, || air.door.ask(RADIO).sent_to() == address);
    format!("back after {}", s(took))
}

fn killed(stage: &Stage) -> String {
    let mut air = stage.air(3, QUICK);
    let seen = broken(&mut air, true, |air| air.relays[0].kill());
    air.relays[0].restart();
    air.relays[0].wait_for(RADIO);
    format!("{seen}, {}", back(&air))
}

fn hung(stage: &Stage) -> String {
    let mut air = stage.air(3, QUICK);
    let seen = broken(&mut air, false, |air| air.relays[0].hang());
    air.relays[0].wake();
    format!("{seen}, {}", back(&air))
}

fn blackholed(stage: &Stage) -> String {
    let mut air = stage.air(3, QUICK);
    let wall = Wall::new();
    let seen = broken(&mut air, false, |_| wall.swallow(1));
    wall.open();
    format!("{seen}, {}", back(&air))
}

fn resets(stage: &Stage) -> String {
    let mut air = stage.air(3, QUICK);
    let wall = Wall::new();
    let seen = broken(&mut air, true, |_| wall.reset(1));
    wall.open();
    format!("{seen}, {}", back(&air))
}

fn cut(stage: &Stage) -> String {
    let live = "{source: live, username: admin, password: adminpw}";
    let relays = stage.relays(2, Setup::default());
    let _sources = [0, 1].map(|at| Source::start(&relays[at], RADIO));
    let config = fleet(1..=2).replace(
        "r1: http://127.0.1.1:8000",
        &format!("r1: {{url: \"http://127.0.1.1:8000\", stats: {live}}}"),
    );
    let door = stage.open(&format!("{QUICK}{config}"));
    let is_live = || Balancer::metric("server_live", &["server=\"r1\""]);
    door.until("the feed is connected", Duration::from_secs(10), || is_live() == Some(1.0));
    let wall = Wall::new();
    let watch = Watch::start(RADIO, OFTEN);
    let cut = ports_to_first_relay(door.balancer());
    assert!(!cut.is_empty(), "the feed is a connection");
    let broke = Instant::now();
    for port in cut {
        wall.cut(1, port);
    }
    // Nothing but the kernel's keep-alive can tell a feed that was cut from one that is idle.
    let noticed = Duration::from_secs(60);
    door.until("the feed is missed", noticed, || is_live() == Some(0.0));
    door.until("the feed is back", noticed, || is_live() == Some(1.0));
    let took = broke.elapsed();
    let record = watch.stop();
    record.assert_all_redirected();
    let doubts = door.turns("r1", "doubtful");
    promise(doubts <= 1, || format!("{doubts} doubts"));
    promise(door.turns("r1", "down") == 0, || "down".to_owned());
    let sent = record.sent_to(&relays[0].address(), broke);
    promise(sent > 0, || "r1 is not used any more".to_owned());
    format!(
        "{doubts} doubts, 0 down, feed back after {}, {sent} of {} sent there",
        s(took),
        record.len()
    )
}

/// The ports of the balancer's own connections to 127.0.1.1:8000.
fn ports_to_first_relay(balancer: &Balancer) -> Vec<u16> {
    let files = fs::read_dir(format!("/proc/{}/fd", balancer.process.id())).unwrap();
    let sockets: Vec<_> = files
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .filter_map(|link| {
            let name = link.to_string_lossy().into_owned();
            Some(name.strip_prefix("socket:[")?.trim_end_matches(']').to_owned())
        })
        .collect();
    let relay = format!("0101007F:{PORT:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() > 9 && row[2] == relay && sockets.iter().any(|s| s == row[9]))
        .filter_map(|row| u16::from_str_radix(row[1].split(':').nth(1)?, 16).ok())
        .collect()
}

fn loss(stage: &Stage) -> String {
    // As by default, but for how often: a lost first packet is sent again after a second.
    let settings = "poll: {interval: 500ms, fast_interval: 200ms, timeout: 2s, slow_start: 1s}\n";
    let air = stage.air(2, settings);
    let wall = Wall::new();
    let watch = Watch::start(RADIO, OFTEN);
    wall.lose_by_turns(1);
    let began = Instant::now();
    pass(18.0);
    let record = watch.stop();
    record.assert_all_redirected();
    let looks: Vec<_> =
        ["ok", "timeout", "connect"].iter().map(|how| Door::looks("r1", how)).collect();
    let (doubts, downs) = (air.door.turns("r1", "doubtful"), air.door.turns("r1", "down"));
    let figures = format!(
        "{doubts} doubts, {downs} down in {}; looks: {} good, {} timed out, {} without connection",
        s(began.elapsed()),
        looks[0],
        looks[1],
        looks[2]
    );
    // One for a busy machine.
    promise(downs == 0 && doubts <= 1, || figures.clone());
    figures
}

fn full(stage: &Stage) -> String {
    let small = stage.relay(1, Setup { clients: 20, ..Setup::default() });
    let other = stage.relay(2, Setup::default());
    let _sources = [Source::start(&small, RADIO), Source::start(&other, RADIO)];
    // A refusal takes Icecast 0.4 s. If it is looked at more often than that it finds time for
    // nothing else, and never drops the requests that fill it.
    let settings = QUICK.replace("fast_interval: 200ms", "fast_interval: 500ms");
    let door = stage.open(&format!("{settings}{}", fleet(1..=2)));
    // Requests without an end hold a client each.
    let held: Vec<_> = (0..24)
        .map(|_| {
            let mut half = web::connect(&small.address()).unwrap();
            std::io::Write::write_all(&mut half, b"GET /radio.mp3 HT").unwrap();
            half
        })
        .collect();
    let seen = door.until("r1 says that it is full", Duration::from_secs(10), || {
        Balancer::server("r1")["trouble"].as_str().is_some_and(|trouble| trouble.contains("full"))
    });
    let (watch, filled) = (Watch::start(RADIO, OFTEN), Instant::now());
    pass(4.0);
    let record = watch.stop();
    record.assert_all_redirected();
    let wrong = record.sent_to(&small.address(), filled);
    promise(wrong == 0, || format!("{wrong} of {} are sent to the full relay", record.len()));
    promise(door.turns("r1", "down") == 0, || "it is taken for down".to_owned());
    door.assert_metric("server_up", &["server=\"r1\""], 1.0);
    drop(held);
    // Icecast waits for the rest of a request for 15 s, even if nobody is there to send it.
    let back = door.until("r1 is used again", Duration::from_secs(25), || {
        door.ask(RADIO).sent_to() == small.address()
    });
    format!(
        "full seen after {}, 0 of {} sent there, 0 down, back after {}",
        s(seen),
        record.len(),
        s(back)
    )
}

fn mount_gone(stage: &Stage) -> String {
    let mut air = stage.air(2, QUICK);
    let watch = Watch::start(RADIO, OFTEN);
    pass(0.5);
    let broke = Instant::now();
    drop(air.sources[0].take());
    let labels = ["stream=\"/radio.mp3\"", "server=\"r1\""];
    air.door.until("the mount is shown down", next_look(true) + SLACK, || {
        Balancer::metric("mount_up", &labels) == Some(0.0)
    });
    pass(2.0);
    let record = watch.stop();
    record.assert_all_redirected();
    let last = record.last_sent_to(&air.relays[0].address(), broke);
    // Icecast itself takes up to a second to see that a source has left.
    let bound = INTERVAL + SLACK;
    promise(last <= bound, || format!("players are sent there for {}, not {}", s(last), s(bound)));
    air.door.assert_metric("server_up", &["server=\"r1\""], 1.0);
    format!("last redirect there after {}, relay up, {} asked", s(last), record.len())
}

fn fallback(stage: &Stage) -> String {
    let relay = stage.relay(1, Setup::default());
    let radio = Source::start(&relay, RADIO);
    let pause = Source::start(&relay, "/pause.mp3");
    let door = stage.open(&format!(
        "{QUICK}servers: {{r1: \"http://127.0.1.1:8000\"}}\nstreams:\n  {RADIO}: {{fallback: /pause.mp3}}\n  /pause.mp3:\n"
    ));
    let location = |door: &Door| door.ask(RADIO).header("Location").unwrap_or_default().to_owned();
    assert_eq!(location(&door), "http://127.0.1.1:8000/radio.mp3");
    drop(radio);
    let paused = door.until("the fallback plays", next_look(true) + SLACK, || {
        location(&door) == "http://127.0.1.1:8000/pause.mp3"
    });
    let there = location(&door);
    promise(there == "http://127.0.1.1:8000/pause.mp3", || format!("players get {there}"));
    drop(pause);
    let off = door.until("it is offline", next_look(true) + SLACK, || {
        door.ask(RADIO).body.starts_with("offline: ")
    });
    let answer = door.ask(RADIO);
    promise(answer.status == 503, || format!("{answer:?}"));
    format!("fallback after {}, without it offline after {}", s(paused), s(off))
}
