//! A relay's statistics come late, in pieces, wrong, or not at all.

use std::time::{Duration, Instant};

use super::{Control, OFTEN, Row};
use crate::stage::{
    Door, QUICK, RADIO, SLACK, Stage, fleet, next_look, pass, patient, s, since, three_looks,
};
use crate::support::icecast::{Icecast, Setup, address};
use crate::support::process::promise;
use crate::support::proxy::{Proxy, Toxics};
use crate::support::source::Source;
use crate::support::stub::{Does, Stub, slots};
use crate::support::watch::Watch;
use crate::support::web;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "slow-link",
        title: "slow link to a relay",
        expected: "used while an answer comes in time, else down by timeouts",
        control: Control::Naive,
        seconds: 14,
        run: slow_link,
    },
    Row {
        name: "latency",
        title: "latency of 300 ms, more or less by 200",
        expected: "nothing changes",
        control: Control::Without,
        seconds: 10,
        run: latency,
    },
    Row {
        name: "broken-link",
        title: "answers in pieces, closed late, cut short, reset",
        expected: "pieces and late ends change nothing; what is cut short or reset is down by the third",
        control: Control::Naive,
        seconds: 15,
        run: broken_link,
    },
    Row {
        name: "drip",
        title: "statistics of one byte a second",
        expected: "each look ends at its deadline, down by the third; other relays' looks go on",
        control: Control::Naive,
        seconds: 9,
        run: drip,
    },
    Row {
        name: "refused-statistics",
        title: "statistics answer 401, 404, 500",
        expected: "each its own reason, down by the third look",
        control: Control::Naive,
        seconds: 8,
        run: refused,
    },
    Row {
        name: "invalid-json",
        title: "invalid JSON from a real Icecast (title \"-\")",
        expected: "never down, numbers are still read",
        control: Control::Without,
        seconds: 8,
        run: invalid_json,
    },
    Row {
        name: "lies",
        title: "a relay lies: no listeners, room without end",
        expected: "no more than the configured slots are given away",
        control: Control::Naive,
        seconds: 6,
        run: lies,
    },
];

/// A relay behind a proxy as `r1`, another one as `r2`.
fn behind_proxy(stage: &Stage, settings: &str) -> (Vec<Icecast>, Vec<Source>, Proxy, Door) {
    let relays = stage.relays(2, Setup::default());
    let sources = relays.iter().map(|relay| Source::start(relay, RADIO)).collect();
    let proxy = Proxy::start(PROXY, &relays[0].address());
    let config = fleet(1..=2).replace(&address(1), PROXY);
    let door = stage.open(&format!("{settings}{config}"));
    (relays, sources, proxy, door)
}

const PROXY: &str = "127.0.1.9:8000";

/// Watches for so long; nothing may change, but for one doubt on a busy machine. Gives how many were sent to the proxied relay.
fn nothing_changes(door: &Door, seconds: f64) -> usize {
    let watch = Watch::start(RADIO, OFTEN);
    let began = Instant::now();
    pass(seconds);
    let record = watch.stop();
    record.assert_all_redirected();
    for (health, most) in [("doubtful", 1), ("down", 0)] {
        let turns = door.turns("r1", health);
        promise(turns <= most, || format!("{turns} times {health}"));
    }
    let sent = record.sent_to(PROXY, began);
    promise(sent > 0, || "it is not used any more".to_owned());
    sent
}

/// Waits until the proxied relay is down; nobody may be sent there then.
fn goes_down(door: &Door) -> String {
    let down = door.until_health("r1", "down", three_looks(false) + SLACK);
    let (watch, began) = (Watch::start(RADIO, OFTEN), Instant::now());
    pass(1.0);
    let record = watch.stop();
    record.assert_all_redirected();
    let wrong = record.sent_to(PROXY, began);
    promise(wrong == 0, || format!("{wrong} of {} are sent there", record.len()));
    s(down)
}

fn comes_back(door: &Door) {
    door.until_health("r1", "up", Duration::from_secs(10));
}

fn slow_link(stage: &Stage) -> String {
    let (_relays, _sources, proxy, door) = behind_proxy(stage, QUICK);
    proxy.set(Toxics { bandwidth: 4000, ..Toxics::default() });
    let sent = nothing_changes(&door, 3.0);
    proxy.set(Toxics { bandwidth: 100, ..Toxics::default() });
    format!("4 kB/s: {sent} sent there; 100 B/s: down after {}", goes_down(&door))
}

fn latency(stage: &Stage) -> String {
    let (_relays, _sources, proxy, door) = behind_proxy(stage, &patient());
    proxy.set(Toxics {
        latency: Duration::from_millis(300),
        jitter: Duration::from_millis(200),
        ..Toxics::default()
    });
    let sent = nothing_changes(&door, 8.0);
    format!(
        "{} doubts, 0 down in 8 s, {sent} sent there, {} looks",
        door.turns("r1", "doubtful"),
        Door::looks("r1", "ok")
    )
}

fn broken_link(stage: &Stage) -> String {
    let (_relays, _sources, proxy, door) = behind_proxy(stage, QUICK);
    let slow_close = Duration::from_millis(300);
    proxy.set(Toxics { slicer: 7, slow_close, ..Toxics::default() });
    nothing_changes(&door, 2.0);
    proxy.set(Toxics { limit_data: 300, ..Toxics::default() });
    let short = goes_down(&door);
    proxy.set(Toxics::default());
    comes_back(&door);
    proxy.set(Toxics { reset_peer: true, ..Toxics::default() });
    let reset = goes_down(&door);
    proxy.set(Toxics::default());
    comes_back(&door);
    proxy.set(Toxics { hang: true, ..Toxics::default() });
    let hang = goes_down(&door);
    format!(
        "pieces of 7 bytes: not down; cut at 300 bytes: down after {short}; reset: {reset}; held: {hang}"
    )
}

fn drip(stage: &Stage) -> String {
    let bad = Stub::start(1, slots("0", "100"));
    let _good = Stub::start(2, slots("0", "100"));
    let door = stage.open(&format!("{QUICK}{}", fleet(1..=2)));
    let (watch, broke) = (Watch::start(RADIO, OFTEN), Instant::now());
    bad.now(Does::Drips);
    let before = if door.knows() { Door::looks("r2", "ok") } else { 0.0 };
    let down = door.until_health("r1", "down", three_looks(false) + SLACK);
    let meanwhile = if door.knows() { Door::looks("r2", "ok") - before } else { 0.0 };
    let took = broke.elapsed();
    let record = watch.stop();
    record.assert_all_redirected();
    let last = record.last_sent_to(&address(1), broke);
    let bound = next_look(false) + SLACK;
    promise(last <= bound, || format!("players are sent there for {}, not {}", s(last), s(bound)));
    if door.knows() {
        // Half of what is due, for a busy machine.
        let due = took.as_secs_f64() / next_look(true).as_secs_f64() / 2.0;
        promise(meanwhile >= due.floor(), || format!("{meanwhile} looks at the other relay"));
    }
    format!(
        "last redirect there after {}, down after {}, {meanwhile} good looks at the other meanwhile",
        s(last),
        s(down)
    )
}

fn refused(stage: &Stage) -> String {
    let real = stage.relays(2, Setup::default());
    let _sources = [Source::start(&real[0], RADIO), Source::start(&real[1], RADIO)];
    let _failing = Stub::start(3, Does::Answers(500, "no".to_owned()));
    let _good: Vec<_> = (4..=7).map(|number| Stub::start(number, slots("0", "100"))).collect();
    real[1].lose_stylesheet();
    let wrong = "{source: admin, username: admin, password: wrong}";
    let config = fleet(1..=7)
        .replace(
            "r1: http://127.0.1.1:8000",
            &format!("r1: {{url: \"http://127.0.1.1:8000\", stats: {wrong}}}"),
        )
        .replace(
            "r2: http://127.0.1.2:8000",
            "r2: {url: \"http://127.0.1.2:8000\", stats: {source: slots}}",
        );
    let opened = Instant::now();
    let door = stage.open(&format!("{QUICK}{config}"));
    for server in ["r1", "r2", "r3"] {
        door.until_health(server, "down", three_looks(true) + SLACK);
    }
    let down = since(opened);
    let (watch, began) = (Watch::start(RADIO, OFTEN), Instant::now());
    pass(1.5);
    let record = watch.stop();
    record.assert_all_redirected();
    let wrong: usize = (1..=3).map(|number| record.sent_to(&address(number), began)).sum();
    promise(wrong == 0, || format!("{wrong} of {} are sent there", record.len()));
    for (server, result) in [("r1", "unauthorized"), ("r2", "http_status"), ("r3", "http_status")] {
        promise(Door::looks(server, result) >= 3.0, || format!("{server} is not {result}"));
    }
    format!("all three down {down} after the start, 0 of {} sent there", record.len())
}

fn invalid_json(stage: &Stage) -> String {
    let relay = stage.relay(1, Setup { stylesheet: false, ..Setup::default() });
    let _source = Source::start(&relay, RADIO);
    let config = "servers: {r1: {url: \"http://127.0.1.1:8000\", stats: {source: status-json}, \
                  max_listeners: 100}}\nstreams:\n  /radio.mp3:\n";
    let door = stage.open(&format!("{QUICK}{config}"));
    relay.set_title(RADIO, "-");
    let document = || web::ask("GET", &relay.address(), "/status-json.xsl", "").unwrap().body;
    door.until("the document is invalid", SLACK, || {
        serde_json::from_str::<serde_json::Value>(&document()).is_err()
    });
    let before = Door::looks("r1", "ok");
    let watch = Watch::start(RADIO, OFTEN);
    pass(4.0);
    let record = watch.stop();
    record.assert_all_redirected();
    let good = Door::looks("r1", "ok") - before;
    promise(good >= 3.0, || format!("only {good} good looks"));
    promise(door.turns("r1", "down") == 0, || "it is taken for down".to_owned());
    format!("{good} good looks at the invalid document, 0 down, {} redirected", record.len())
}

fn lies(stage: &Stage) -> String {
    const SLOTS: usize = 20;
    let relay = Stub::start(1, slots("0", "1000000000"));
    let settings = QUICK.replace("settle: 1s", "settle: 60s");
    let door = stage.open(&format!(
        "{settings}servers: {{r1: {{url: \"http://127.0.1.1:8000\", max_listeners: {SLOTS}}}}}\n\
         streams:\n  {RADIO}:\n"
    ));
    let mut sent = 0;
    let most = ["-5", "0", "1e308", "18446744073709551617", "unlimited", "", "NaN", "0x10"];
    for max_listeners in most {
        for listeners in ["0", "-5", "1e308", "12abc"] {
            relay.now(slots(listeners, max_listeners));
            pass(0.1);
            sent += usize::from(door.ask(RADIO).status == 302);
        }
    }
    promise(sent <= SLOTS, || format!("{sent} sent to a relay with {SLOTS} slots"));
    relay.now(slots("0", "1000000000"));
    door.until_health("r1", "up", Duration::from_secs(10));
    for _ in 0..2 * SLOTS {
        sent += usize::from(door.ask(RADIO).status == 302);
    }
    promise(sent <= SLOTS, || format!("{sent} sent to a relay with {SLOTS} slots"));
    assert_eq!(relay.listeners(), 0, "nobody of ours went there");
    let last = door.ask(RADIO);
    promise(last.body.starts_with("full: "), || format!("{last:?}"));
    format!("{sent} of {} sent to its {SLOTS} slots, the rest told that it is full", 72)
}
