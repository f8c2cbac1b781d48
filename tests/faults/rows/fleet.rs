//! Many relays at once, and crowds.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use super::{Control, OFTEN, Row};
use crate::stage::{
    Door, QUICK, RADIO, SLACK, Stage, fleet, next_look, pass, patient, s, three_looks,
};
use crate::support::balancer::{Balancer, PUBLIC};
use crate::support::icecast::{Icecast, Setup, address};
use crate::support::listener::{Fate, Listener};
use crate::support::process::promise;
use crate::support::stub::{Stub, slots};
use crate::support::wall::Wall;
use crate::support::watch::Watch;
use crate::support::web;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "all-killed",
        title: "all relays killed",
        expected: "a quick 503 that says so, and redirects again once one is back",
        control: Control::Naive,
        seconds: 9,
        run: all_killed,
    },
    Row {
        name: "all-hung",
        title: "all relays hung",
        expected: "redirects go on from the last good state, then by guess, and say so",
        control: Control::Without,
        seconds: 16,
        run: all_hung,
    },
    Row {
        name: "our-network",
        title: "our network down (no relay is reached)",
        expected: "held: no relay goes down, all are redirected, nobody to a drained relay",
        control: Control::Naive,
        seconds: 16,
        run: our_network,
    },
    Row {
        name: "most-relays",
        title: "60 % of the relays unreachable at once",
        expected: "held: no relay goes down, everybody goes to those that answer",
        control: Control::Naive,
        seconds: 12,
        run: most_relays,
    },
    Row {
        name: "flash-crowd",
        title: "flash crowd of 400 in a second between two looks",
        expected: "no relay refuses anybody, 95 % of the free slots are used",
        control: Control::Naive,
        seconds: 15,
        run: flash_crowd,
    },
    Row {
        name: "retry-storm",
        title: "retry storm: a relay drops every listener, who comes back at once",
        expected: "who comes back goes elsewhere; 10,000 such bounces take no relay down",
        control: Control::Naive,
        seconds: 12,
        run: retry_storm,
    },
];

fn all_killed(stage: &Stage) -> String {
    let mut air = stage.air(2, QUICK);
    air.relays.iter_mut().for_each(Icecast::kill);
    let refused = air
        .door
        .until("players are told", next_look(true) + SLACK, || air.door.ask(RADIO).status == 503);
    let (watch, since) = (Watch::start(RADIO, OFTEN), Instant::now());
    pass(2.0);
    let record = watch.stop();
    let sent: usize = (1..=2).map(|number| record.sent_to(&address(number), since)).sum();
    promise(sent == 0, || format!("{sent} of {} are sent to dead relays", record.len()));
    let answer = air.door.ask(RADIO);
    promise(answer.body.starts_with("unreachable: "), || format!("{answer:?}"));
    promise(answer.header("Retry-After").is_some(), || format!("{answer:?}"));
    air.relays[0].restart();
    air.relays[0].wait_for(RADIO);
    let back = air
        .door
        .until("it is used again", Duration::from_secs(10), || air.door.ask(RADIO).status == 302);
    format!("503 after {}, 0 of {} redirected, back after {}", s(refused), record.len(), s(back))
}

fn all_hung(stage: &Stage) -> String {
    let air = stage.air(2, QUICK);
    let watch = Watch::start(RADIO, OFTEN);
    air.relays.iter().for_each(Icecast::hang);
    let within = three_looks(false) + SLACK;
    let down = air.door.until("both are down", within, || {
        ["r1", "r2"].iter().all(|server| Balancer::server(server)["health"] == "down")
    });
    pass(3.0);
    air.door.assert_metric("panic_mode", &[], 1.0);
    air.relays.iter().for_each(Icecast::wake);
    let back = air.door.until("the guessing ends", Duration::from_secs(10), || {
        Balancer::metric("panic_mode", &[]) == Some(0.0)
    });
    let record = watch.stop();
    record.assert_all_redirected();
    format!(
        "down after {}, 0 of {} not redirected, panic_mode 1, and 0 {} after they woke",
        s(down),
        record.len(),
        s(back)
    )
}

/// Five relays, the last one draining.
fn five(stage: &Stage) -> (Vec<Stub>, Door) {
    let stubs = (1..=5).map(|number| Stub::start(number, slots("0", "100"))).collect();
    let r5 = format!("http://{}", address(5));
    let config = fleet(1..=5)
        .replace(&format!("r5: {r5}"), &format!("r5: {{url: \"{r5}\", state: draining}}"));
    (stubs, stage.open(&format!("{}{config}", patient())))
}

fn is_held(door: &Door, held: f64, within: Duration) -> Duration {
    door.until(&format!("network_hold is {held}"), within, || {
        Balancer::metric("network_hold", &[]) == Some(held)
    })
}

fn all_downs(door: &Door) -> usize {
    (1..=5).map(|number| door.turns(&format!("r{number}"), "down")).sum()
}

fn our_network(stage: &Stage) -> String {
    let (_stubs, door) = five(stage);
    let wall = Wall::new();
    let (watch, broke) = (Watch::start(RADIO, OFTEN), Instant::now());
    (1..=5).for_each(|number| wall.swallow(number));
    let held = is_held(&door, 1.0, next_look(false) + SLACK);
    pass(8.0);
    wall.open();
    let over = is_held(&door, 0.0, next_look(true) + SLACK);
    let record = watch.stop();
    record.assert_all_redirected();
    let downs = all_downs(&door);
    promise(downs == 0, || format!("{downs} relays taken for down"));
    let drained = record.sent_to(&address(5), broke);
    promise(drained == 0, || format!("{drained} sent to a drained relay"));
    format!(
        "held after {}, 0 down in 8 s, {} of {} redirected, 0 of them to the drained relay, over \
         after {}",
        s(held),
        record.len(),
        record.len(),
        s(over)
    )
}

fn most_relays(stage: &Stage) -> String {
    let (_stubs, door) = five(stage);
    let wall = Wall::new();
    (1..=3).for_each(|number| wall.swallow(number));
    let held = is_held(&door, 1.0, next_look(false) + SLACK);
    door.until("all three are doubted", next_look(false) + SLACK, || {
        (1..=3).all(|number| Balancer::server(&format!("r{number}"))["health"] == "doubtful")
    });
    let began = Instant::now();
    let watch = Watch::start(RADIO, OFTEN);
    pass(4.0);
    let record = watch.stop();
    record.assert_all_redirected();
    let good = record.sent_to(&address(4), began);
    promise(good == record.len(), || {
        format!("{good} of {} go to the one that answers", record.len())
    });
    let downs = all_downs(&door);
    promise(downs == 0, || format!("{downs} relays taken for down"));
    format!("held after {}, 0 down in 4 s, {good} of {good} to the one that answers", s(held))
}

fn flash_crowd(stage: &Stage) -> String {
    const SLOTS: u32 = 50;
    const CROWD: usize = 400;
    let setup = Setup { clients: 500, max_listeners: SLOTS, ..Setup::default() };
    let settings = "poll: {interval: 10s, fast_interval: 2s}\n";
    let air = stage.air_of(3, setup, settings);
    let began = Instant::now();
    let crowd: Vec<_> = (0..CROWD)
        .map(|number| {
            let due = Duration::from_secs(1).mul_f64(number as f64 / CROWD as f64);
            thread::sleep(due.saturating_sub(began.elapsed()));
            Listener::start(RADIO, Duration::from_secs(60))
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(12);
    while crowd.iter().any(|listener| !listener.is_settled()) && Instant::now() < deadline {
        pass(0.05);
    }
    let most = air.relays.iter().map(|relay| relay.listeners(RADIO)).max().unwrap_or(0);
    let mut fates = BTreeMap::<&str, usize>::new();
    for story in crowd.into_iter().map(Listener::leave) {
        *fates
            .entry(match story.fate {
                Fate::Played(_) => "played",
                Fate::Refused(..) => "refused by a relay",
                Fate::Unanswered(..) => "not answered by a relay",
                Fate::TurnedAway(_) => "turned away",
                Fate::DoorShut(_) => "not answered by us",
            })
            .or_default() += 1;
    }
    let of = |fate| fates.get(fate).copied().unwrap_or(0);
    let refused: usize = air.relays.iter().map(Icecast::refusals).sum();
    promise(of("refused by a relay") == 0 && refused == 0, || {
        format!("{fates:?}, {refused} refusals")
    });
    promise(of("not answered by us") == 0, || format!("{fates:?}"));
    // Two slots of each relay are kept free.
    let free = 3 * (SLOTS as usize - 2);
    let used = of("played") + of("not answered by a relay");
    promise(used * 100 >= free * 95, || format!("{used} of {free} free slots used: {fates:?}"));
    format!(
        "{fates:?} of {CROWD}; {free} slots; most on one relay {most} of {SLOTS}; 0 refusals in the relays' logs"
    )
}

fn retry_storm(stage: &Stage) -> String {
    const PLAYERS: u8 = 200;
    const BOUNCES: u32 = 10_000;
    // Its statistics are fine; what a player would find there is of no interest to this row.
    let _dropping = Stub::start(1, slots("0", "unlimited"));
    let _good = Stub::start(2, slots("0", "unlimited"));
    let door = stage.open(&format!("{QUICK}{}", fleet(1..=2)));
    // Others ask meanwhile, so that to take turns is not enough.
    let others = Watch::start(RADIO, Duration::from_millis(3));
    let (mut bounced, mut sent_back) = (0, 0);
    for player in 1..=PLAYERS {
        let player = Ipv4Addr::new(127, 2, 0, player);
        let mut before = String::new();
        // Who asks oftener than this is taken for a household.
        for _ in 0..4 {
            let sent_to = web::ask_from(player, "GET", PUBLIC, RADIO).unwrap().sent_to().to_owned();
            bounced += u32::from(sent_to == address(1));
            sent_back += u32::from(sent_to == before);
            before = sent_to;
        }
    }
    others.stop().assert_all_redirected();
    promise(sent_back == 0, || format!("{sent_back} sent back to where they came from"));
    let began = Instant::now();
    let storm: Vec<_> = (1..=10)
        .map(|player| {
            thread::spawn(move || {
                let player = Ipv4Addr::new(127, 3, 0, player);
                let ask = |_: &u32| web::ask_from(player, "GET", PUBLIC, RADIO);
                (0..BOUNCES / 10)
                    .filter(|at| ask(at).is_ok_and(|answer| answer.status == 302))
                    .count()
            })
        })
        .collect();
    let answered: usize = storm.into_iter().map(|player| player.join().expect("a player")).sum();
    promise(answered == BOUNCES as usize, || format!("{answered} of {BOUNCES} redirected"));
    for server in ["r1", "r2"] {
        promise(door.turns(server, "down") == 0, || format!("{server} is taken for down"));
    }
    format!(
        "0 of {bounced} sent back to where they came from; {BOUNCES} more in {}: 0 down",
        s(began.elapsed())
    )
}
