//! Something runs out: descriptors, disk, memory, processor time; or the clock jumps.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Control, OFTEN, Row};
use crate::stage::{Door, QUICK, RADIO, SLACK, Stage, fleet, next_look, pass, patient, s};
use crate::support::balancer::{ADMIN, Balancer, Launch, PUBLIC};
use crate::support::icecast::address;
use crate::support::process::{promise, until};
use crate::support::proxy::{Proxy, Toxics};
use crate::support::stub::{Stub, slots};
use crate::support::watch::{Record, Watch};
use crate::support::web;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "descriptors",
        title: "64 file descriptors and 200 held connections",
        expected: "looks, metrics and reloads go on, no busy loop; full service within a second after",
        control: Control::Without,
        seconds: 12,
        run: descriptors,
    },
    Row {
        name: "memory",
        title: "memory capped at 64 MiB, 1,000 connections with half a head of 15 KiB",
        expected: "it lives, and serves afterwards",
        control: Control::Without,
        seconds: 10,
        run: memory,
    },
    Row {
        name: "starved",
        title: "starved of processor time (runs one moment in five)",
        expected: "no relay is taken for down",
        control: Control::Without,
        seconds: 19,
        run: starved,
    },
    Row {
        name: "paused",
        title: "our own process paused for 10 s",
        expected: "no relay is taken for down, all are looked at within two intervals",
        control: Control::Without,
        seconds: 15,
        run: paused,
    },
    Row {
        name: "clock",
        title: "the clock jumps by an hour and by ten years, both ways",
        expected: "nothing changes",
        control: Control::Without,
        seconds: 11,
        run: clock,
    },
    Row {
        name: "slow-clients",
        title: "slowloris, silent clients, tiny segments, pipelining",
        expected: "players are served, slow ones closed by the head's deadline",
        control: Control::Naive,
        seconds: 9,
        run: slow_clients,
    },
    Row {
        name: "overload",
        title: "scrape and readiness while overloaded",
        expected: "each is answered, and none waits for the crowd",
        control: Control::Without,
        seconds: 8,
        run: overload,
    },
];

/// Two relays of straw behind a door that is opened in a special way.
fn behind(stage: &Stage, launch: Launch, settings: &str) -> (Vec<Stub>, Door) {
    let stubs = (1..=2).map(|number| Stub::start(number, slots("0", "unlimited"))).collect();
    (stubs, stage.open_with(launch, &format!("{settings}{}", fleet(1..=2))))
}

fn through(words: &str) -> Launch {
    let through = words.split_whitespace().map(str::to_owned).collect();
    Launch { through, ..Launch::default() }
}

fn nothing_down(door: &Door) {
    for server in ["r1", "r2"] {
        let downs = door.turns(server, "down");
        promise(downs == 0, || format!("{server} is taken for down {downs} times"));
    }
}

fn descriptors(stage: &Stage) -> String {
    let settings = format!("{QUICK}limits: {{header_timeout: 30s}}\n");
    let (_stubs, door) = behind(stage, through("prlimit --nofile=64:64"), &settings);
    let held: Vec<_> = (0..200).map(|_| web::connect(PUBLIC).unwrap()).collect();
    pass(1.0);
    let balancer = door.balancer();
    let lines = || balancer.process.printed().lines().count();
    let (looks, used, said) = (Door::looks("r1", "ok"), balancer.processor_seconds(), lines());
    let began = Instant::now();
    let scrapes = Watch::of("GET", ADMIN, "/readyz", Duration::from_millis(200));
    pass(4.0);
    let scrapes = scrapes.stop();
    let answered = scrapes.0.iter().filter(|asked| asked.status == Ok(200)).count();
    promise(answered == scrapes.len(), || format!("admin: {answered} of {}", scrapes.len()));
    let looks = Door::looks("r1", "ok") - looks;
    promise(looks >= 2.0, || format!("{looks} good looks meanwhile"));
    let reloaded = web::ask("POST", ADMIN, "/-/reload", "Content-Length: 0\r\n").unwrap();
    promise(reloaded.status == 200, || format!("reload: {reloaded:?}"));
    let seconds = began.elapsed().as_secs_f64();
    let busy = (balancer.processor_seconds() - used) / seconds * 100.0;
    promise(busy <= 10.0, || format!("{busy:.0} % of a processor"));
    let said = lines() - said;
    promise(said as f64 <= seconds + 5.0, || format!("{said} log lines in {seconds:.1} s"));
    drop(held);
    let back = until("players are served again", Duration::from_secs(1) + SLACK, || {
        web::answers(302, PUBLIC, RADIO)
    });
    nothing_down(&door);
    format!(
        "{answered} of {answered} admin requests, {looks} good looks, {busy:.1} % of a processor, \
         {said} log lines in {seconds:.0} s; served {} after",
        s(back)
    )
}

fn memory(stage: &Stage) -> String {
    const CAP: u64 = 64 << 20;
    let (_stubs, door) = behind(stage, through(&format!("prlimit --data={CAP}")), QUICK);
    let head = format!("GET {RADIO} HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(15_000));
    let fat: Vec<_> = (0..1000)
        .filter_map(|_| {
            let mut player = web::connect(PUBLIC).ok()?;
            player.write_all(head.as_bytes()).ok()?;
            Some(player)
        })
        .collect();
    let watch = Watch::start(RADIO, OFTEN);
    pass(3.0);
    let record = watch.stop();
    let refused = record.not_redirected();
    drop(fat);
    until("players are served", SLACK * 3, || web::answers(302, PUBLIC, RADIO));
    let peak = door.balancer().of_kernel("VmHWM") as f64 / 1024.0;
    promise(peak <= 64.0, || format!("{peak:.1} MiB at its peak"));
    nothing_down(&door);
    format!("{peak:.1} MiB at its peak; {refused} of {} not redirected meanwhile", record.len())
}

/// Lets the balancer run for a fifth of the time, as a quota does: so long, out of every `period`.
fn starve(door: &Door, period: f64, seconds: f64) {
    let (process, began) = (&door.balancer().process, Instant::now());
    while began.elapsed().as_secs_f64() < seconds {
        process.signal(Signal::STOP);
        pass(period * 0.8);
        process.signal(Signal::CONT);
        pass(period * 0.2);
    }
}

/// The same, with relays so far away that most looks are under way when we stop.
fn far_away(stage: &Stage) -> (Vec<Stub>, Vec<Proxy>, Door) {
    let stubs = (1..=2).map(|number| Stub::start(number, slots("0", "unlimited"))).collect();
    let mut config = fleet(1..=2);
    let proxies = (1..=2)
        .map(|number| {
            let far = format!("127.0.1.{}:8000", 10 + number);
            let proxy = Proxy::start(&far, &address(number));
            proxy.set(Toxics { latency: Duration::from_millis(250), ..Toxics::default() });
            config = config.replace(&address(number), &far);
            proxy
        })
        .collect();
    (stubs, proxies, stage.open(&format!("{QUICK}{config}")))
}

fn starved(stage: &Stage) -> String {
    let (_stubs, _proxies, door) = far_away(stage);
    let load: Vec<_> = (0..4).map(|_| Watch::start(RADIO, Duration::ZERO)).collect();
    starve(&door, 0.1, stage.starved.as_secs_f64());
    // Longer at a time than a look may take.
    starve(&door, 1.6, 12.0);
    let records: Vec<_> = load.into_iter().map(Watch::stop).collect();
    records.iter().for_each(Record::assert_all_redirected);
    nothing_down(&door);
    let asked: usize = records.iter().map(Record::len).sum();
    let doubts = door.turns("r1", "doubtful") + door.turns("r2", "doubtful");
    format!("0 down, {doubts} doubts, {asked} of {asked} redirected")
}

fn paused(stage: &Stage) -> String {
    let (_stubs, _proxies, door) = far_away(stage);
    let looks = || [Door::looks("r1", "ok"), Door::looks("r2", "ok")];
    let before = looks();
    door.balancer().process.signal(Signal::STOP);
    pass(10.0);
    door.balancer().process.signal(Signal::CONT);
    let watch = Watch::start(RADIO, OFTEN);
    let took = until("all are looked at again", next_look(true) * 2 + SLACK, || {
        looks().iter().zip(before).all(|(now, before)| *now > before)
    });
    pass(2.0);
    let record = watch.stop();
    record.assert_all_redirected();
    nothing_down(&door);
    let doubts = door.turns("r1", "doubtful") + door.turns("r2", "doubtful");
    format!("0 down, {doubts} doubts, all looked at {} after, {} redirected", s(took), record.len())
}

fn clock(stage: &Stage) -> String {
    const HOUR: i64 = 3600;
    const TEN_YEARS: i64 = 10 * 365 * 24 * HOUR;
    let file = stage.root.join("clock");
    fs::write(&file, "+0").unwrap();
    let env = [
        ("LD_PRELOAD", faketime().display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let (_stubs, door) = behind(stage, Launch { env, ..Launch::default() }, &patient());
    let clock = || {
        let name = "server_last_success_timestamp_seconds";
        Balancer::metric(name, &["server=\"r1\""]).unwrap_or(0.0)
    };
    let start = clock();
    let watch = Watch::start(RADIO, OFTEN);
    for jump in [HOUR, -HOUR, TEN_YEARS, -TEN_YEARS, 0] {
        fs::write(&file, format!("{jump:+}")).unwrap();
        until("its clock has jumped", SLACK * 2, || (clock() - start - jump as f64).abs() < 60.0);
        pass(1.0);
    }
    let record = watch.stop();
    record.assert_all_redirected();
    for server in ["r1", "r2"] {
        for health in ["doubtful", "down"] {
            promise(door.turns(server, health) == 0, || format!("{server} is {health}"));
        }
    }
    format!("+-1 h, +-10 y: 0 doubts, 0 down, {} of {} redirected", record.len(), record.len())
}

fn faketime() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap();
    let found = folders
        .map(|folder| folder.unwrap().path().join("faketime/libfaketimeMT.so.1"))
        .find(|file| file.exists());
    found.expect("libfaketime is not installed: run `tests/install`")
}

fn slow_clients(stage: &Stage) -> String {
    const SLOW: usize = 600;
    let settings = format!("{QUICK}limits: {{header_timeout: 2s}}\n");
    let (_stubs, _door) = behind(stage, Launch::default(), &settings);
    let watch = Watch::start(RADIO, OFTEN);
    let began = Instant::now();
    let mut slow: Vec<_> = (0..SLOW)
        .map(|number| {
            let mut player = web::connect(PUBLIC).unwrap();
            if number % 3 > 0 {
                player.write_all(b"G").unwrap();
            }
            player.set_nonblocking(true).unwrap();
            player
        })
        .collect();
    let request = format!("GET {RADIO} HTTP/1.1\r\nHost: x\r\n\r\n");
    let limit = Duration::from_secs(3) + SLACK;
    let mut rest = "ET /radio.mp3 HTTP/1.1\r\nX: ".chars().chain(std::iter::repeat('x'));
    let (mut tiny, mut pipelined) = (0, 0);
    while !slow.is_empty() && began.elapsed() < limit {
        let byte = [rest.next().map_or(b'x', |c| c as u8)];
        slow = slow
            .into_iter()
            .enumerate()
            .filter_map(|(number, mut player)| {
                // Every third says nothing, every third a byte now and then, every third one byte.
                if number % 3 == 1 {
                    let _closed = player.write(&byte);
                }
                (!is_closed(&mut player)).then_some(player)
            })
            .collect();
        tiny += u32::from(bytewise(&request));
        pipelined = pipelined.max(pipeline(&request, 20));
        pass(0.1);
    }
    let took = began.elapsed();
    let record = watch.stop();
    record.assert_all_redirected();
    promise(slow.is_empty(), || format!("{} of {SLOW} still open after {}", slow.len(), s(took)));
    promise(tiny > 0 && pipelined == 20, || {
        format!("{tiny} bytewise, {pipelined} of 20 pipelined")
    });
    format!(
        "{SLOW} of {SLOW} slow ones closed after {}, {tiny} of {tiny} bytewise and 20 of 20 pipelined \
         answered, {} of {} redirected, p99 {} ms",
        s(took),
        record.len(),
        record.len(),
        record.p99().as_millis()
    )
}

fn is_closed(player: &mut TcpStream) -> bool {
    match player.read(&mut [0; 512]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// Whether a request is answered that comes in segments of one byte.
fn bytewise(request: &str) -> bool {
    let mut player = web::connect(PUBLIC).unwrap();
    player.set_nodelay(true).unwrap();
    request.bytes().all(|byte| player.write_all(&[byte]).is_ok())
        && player.read(&mut [0; 512]).is_ok_and(|count| count > 0)
}

/// How many of `count` requests sent at once are answered.
fn pipeline(request: &str, count: usize) -> usize {
    let mut player = web::connect(PUBLIC).unwrap();
    player.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    player.write_all(request.repeat(count).as_bytes()).unwrap();
    let (mut bytes, mut text) = ([0; 4096], String::new());
    while text.matches("HTTP/1.1 302").count() < count {
        match player.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(length) => text += &String::from_utf8_lossy(&bytes[..length]),
        }
    }
    text.matches("HTTP/1.1 302").count()
}

fn overload(stage: &Stage) -> String {
    let (_stubs, _door) = behind(stage, Launch::default(), QUICK);
    let load: Vec<_> = (0..16).map(|_| Watch::start(RADIO, Duration::ZERO)).collect();
    let pause = Duration::from_millis(100);
    let scrapes = Watch::of("GET", ADMIN, "/metrics", pause);
    let ready = Watch::of("GET", ADMIN, "/readyz", pause);
    pass(5.0);
    let asked: usize = load.into_iter().map(|watch| watch.stop().len()).sum();
    let mut figures = Vec::new();
    for (what, record) in [("scrapes", scrapes.stop()), ("readiness", ready.stop())] {
        let good = record.0.iter().filter(|asked| asked.status == Ok(200)).count();
        let slowest = record.0.iter().map(|asked| asked.took).max().unwrap_or_default();
        let all = record.len();
        promise(good == all, || format!("{what}: {good} of {all} answered"));
        promise(slowest <= SLACK, || format!("{what}: {}", s(slowest)));
        figures.push(format!(
            "{good} of {all} {what} (p99 {} ms, slowest {} ms)",
            record.p99().as_millis(),
            slowest.as_millis()
        ));
    }
    format!("{} among {asked} requests", figures.join(", "))
}
