use std::time::Duration;

use super::*;
use crate::config::source::Sources;
use crate::fleet::compile::{Nothing, compile};

/// Two relays of 100 clients each, of whom one is the source and another our own look.
const TWO: &str = "\
servers:
  vienna: {url: 'http://vienna.example:8000', max_listeners: 100}
  berlin: {url: 'http://berlin.example:8000', max_listeners: 100}
streams:
  /saal1.ogv:
";

/// What two relays of 100 clients can take, headroom aside.
const ROOM: u64 = 2 * 98;

fn fleet(yaml: &str) -> Fleet {
    compile(&Sources::new("balancer.yaml", yaml), &Nothing).expect("a good example")
}

fn crowd(yaml: &str, count: u64, seconds: u64) -> (Fleet, Plan) {
    let fleet = fleet(yaml);
    let plan = Plan::evenly(count, Duration::from_secs(seconds), &[Who::OfAll], &fleet);
    (fleet, plan.expect("a plan"))
}

fn event(fleet: &Fleet, kind: EventKind, written: &str) -> Event {
    Event::read(written, kind, Start::Zero, fleet).expect("an event")
}

#[test]
fn a_crowd_that_fits_is_served_and_spread() {
    let (fleet, plan) = crowd(TWO, 180, 1);
    let outcome = play(fleet, &plan);
    assert_eq!(outcome.unserved(), 0, "{outcome}");
    assert_eq!(outcome.streams[0].played, 180);
    let peaks: Vec<_> = outcome.servers.iter().map(|server| server.peak).collect();
    assert_eq!(peaks.iter().sum::<u64>(), 180);
    assert!(peaks.iter().all(|peak| peak.abs_diff(90) <= 8), "{peaks:?}");
}

#[test]
fn of_a_crowd_that_does_not_fit_exactly_the_rest_is_refused_by_us_and_nobody_by_a_relay() {
    let (fleet, plan) = crowd(TWO, 300, 20);
    let outcome = play(fleet, &plan);
    assert_eq!(outcome.streams[0].played, ROOM, "{outcome}");
    assert_eq!(outcome.streams[0].full, 300 - ROOM);
    assert_eq!(outcome.streams[0].lost, 0);
    assert!(outcome.first_refusal.is_some());
}

#[test]
fn a_relay_that_drains_gets_nobody_from_then_on() {
    let (fleet, mut plan) = crowd(TWO, 90, 90);
    plan.events.push(event(&fleet, EventKind::Drain, "vienna@30s"));
    let outcome = play(fleet, &plan);
    assert_eq!(outcome.unserved(), 0, "{outcome}");
    assert!(outcome.servers[0].peak <= 30, "{outcome}");
    assert_eq!(outcome.servers[0].peak + outcome.servers[1].peak, 90);
}

#[test]
fn the_listeners_of_a_relay_that_dies_find_room_on_the_other_or_are_refused() {
    let (fleet, mut plan) = crowd(TWO, 150, 30);
    plan.events.push(event(&fleet, EventKind::Kill, "vienna@40s"));
    let outcome = play(fleet, &plan);
    let [vienna, berlin] = &outcome.servers[..] else { panic!("two relays") };
    assert_eq!(vienna.thrown_out, vienna.peak, "{outcome}");
    assert_eq!(berlin.peak, ROOM / 2, "it is filled, and not beyond: {outcome}");
    let stream = &outcome.streams[0];
    assert_eq!(stream.arrived, 150 + vienna.thrown_out);
    assert_eq!(outcome.unserved(), 150 - ROOM / 2, "{outcome}");
}

#[test]
fn listeners_who_leave_make_room() {
    let (fleet, mut plan) = crowd(TWO, 600, 600);
    plan.stay = Some(Duration::from_secs(60));
    let outcome = play(fleet, &plan);
    assert_eq!(outcome.unserved(), 0, "{outcome}");
    assert_eq!(outcome.streams[0].played, 600);
    let most: u64 = outcome.servers.iter().map(|server| server.peak).sum();
    assert!(most < ROOM, "{outcome}");
}

#[test]
fn who_may_wait_is_served_by_whoever_leaves() {
    let yaml = format!("balance: {{when_full: wait, wait: 8s}}\n{TWO}");
    let (fleet, mut plan) = crowd(&yaml, 400, 60);
    plan.stay = Some(Duration::from_secs(30));
    let waits = play(fleet, &plan);
    let (fleet, mut plan) = crowd(TWO, 400, 60);
    plan.stay = Some(Duration::from_secs(30));
    let rejects = play(fleet, &plan);
    assert!(rejects.streams[0].full > 0, "{rejects}");
    assert!(waits.streams[0].played > rejects.streams[0].played, "{waits}\n{rejects}");
}

#[test]
fn a_stream_that_overflows_is_played_by_all_and_the_peaks_tell_what_it_takes() {
    let (fleet, plan) = crowd(&format!("balance: {{when_full: overflow}}\n{TWO}"), 400, 60);
    let outcome = play(fleet, &plan);
    assert_eq!(outcome.streams[0].played, 400, "{outcome}");
    let peaks: Vec<u64> = outcome.servers.iter().map(|server| server.peak).collect();
    assert!(peaks.iter().sum::<u64>() > ROOM, "{outcome}");
}

#[test]
fn the_same_plan_and_seed_come_out_the_same() {
    let run = || {
        let (fleet, mut plan) = crowd(TWO, 250, 10);
        plan.stay = Some(Duration::from_secs(20));
        play(fleet, &plan).to_string()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_curve_says_who_arrives_when_and_for_what() {
    let fleet = fleet(&format!("{TWO}  /saal2.ogv:\n"));
    let csv = "time,stream,arrivals\n20:00,/saal1.ogv,30\n20:00,/saal2.ogv,5\n20:01,,10\n";
    let plan = Plan::curve(csv.as_bytes(), &fleet).unwrap();
    let of = |stream, from, to| {
        let during = Duration::from_secs(from)..Duration::from_secs(to);
        let arrivals = plan.arrivals.iter();
        arrivals.filter(|one| one.stream == stream && during.contains(&one.at)).count()
    };
    assert_eq!([of(0, 0, 60), of(1, 0, 60), of(0, 60, 120), of(1, 60, 120)], [30, 5, 5, 5]);
    assert_eq!(plan.start.show(Duration::from_secs(90)), "20:01:30");
    assert_eq!(plan.start.moment("19:59"), Ok(Duration::from_secs(86_400 - 60)));
}

#[test]
fn a_plan_that_cannot_be_played_says_why() {
    let fleet = fleet(TWO);
    for (csv, why) in [
        ("", "there is no column `time`"),
        ("time,stream\n", "there is no column `arrivals`"),
        ("time,arrivals\n", "there is nobody in it"),
        ("time,arrivals\n20:00,many\n", "line 2: `many` is no number"),
        ("time,arrivals\nsoon,5\n", "line 2: `soon` is no time"),
        ("time,arrivals\n20:00,5\n19:00x,5\n", "line 3: `19:00x` is no time"),
        ("time,stream,arrivals\n20:00,/saal3.ogv,5\n", "line 2: there is no stream /saal3.ogv"),
        ("time,arrivals\n2m,5\n1m,5\n", "the times are not in order"),
        ("time,arrivals\n20:00,99999999999\n", "more than can be played"),
        ("time,arrivals\n20:00\n", "fields"),
    ] {
        let told = Plan::curve(csv.as_bytes(), &fleet).unwrap_err().to_string();
        assert!(told.contains(why), "{csv:?}: {told}");
    }
    for (written, why) in [
        ("vienna", "write SERVER@TIME"),
        ("viena@90s", "there is no server `viena`; there are vienna, berlin"),
        ("vienna@20:05", "is a time of day, but the arrivals have none"),
    ] {
        let told = Event::read(written, EventKind::Drain, Start::Zero, &fleet).unwrap_err();
        assert!(told.to_string().contains(why), "{written}: {told}");
    }
}

fn drawn() -> (Outcome, String) {
    let yaml = "\
servers:
  '<wild> & \"wide\"': {url: 'http://vienna.example:8000', max_listeners: 100}
  berlin: http://berlin.example:8000
streams:
  /saal1.ogv:
";
    let (fleet, mut plan) = crowd(&yaml.replace("berlin.example:8000", "berlin.example"), 300, 60);
    plan.events.push(event(&fleet, EventKind::Drain, "berlin@10s"));
    plan.events.push(event(&fleet, EventKind::Kill, "<wild> & \"wide\"@50s"));
    let outcome = play(fleet, &plan);
    let picture = Picture(&outcome).to_string();
    (outcome, picture)
}

#[test]
fn a_picture_is_whole_says_what_it_shows_and_needs_nothing_else() {
    let (outcome, picture) = drawn();
    let mut reader = quick_xml::Reader::from_str(&picture);
    loop {
        match reader.read_event().expect("XML") {
            quick_xml::events::Event::Eof => break,
            quick_xml::events::Event::Text(text) => drop(text.into_owned()),
            _ => {}
        }
    }
    let desc = picture.split("<desc id=\"desc\">").nth(1).expect("a description");
    let desc = desc.split("</desc>").next().expect("its end");
    let peak = format!("berlin: at most {} at ", outcome.servers[1].peak);
    assert!(desc.contains(&peak), "{desc}");
    assert!(desc.contains(&format!("{} were not served", outcome.unserved())), "{desc}");
    assert!(desc.contains("berlin drained at 10s."), "{desc}");
    assert!(desc.contains("&lt;wild&gt; &amp; &quot;wide&quot; died at 50s."), "{desc}");
    assert!(picture.contains("aria-labelledby=\"title desc\"") && picture.contains("dark"));
    let elsewhere = picture.replace("http://www.w3.org/2000/svg", "");
    assert!(!elsewhere.contains("://") && !elsewhere.contains("url("), "{elsewhere}");
}

#[test]
fn a_picture_marks_what_happened_and_when_nobody_was_served() {
    let (outcome, picture) = drawn();
    let marks = |class: &str| picture.matches(&format!("<path class=\"{class}\" d=\"M")).count();
    // One of each is in the legend.
    assert_eq!((marks("drain"), marks("kill"), marks("load")), (2, 2, 3));
    assert_eq!(marks("limit"), 2, "berlin has none");
    assert!(marks("unserved") > 2, "{picture}");
    assert_eq!(outcome.unserved_over_time.parts().sum::<u64>(), outcome.unserved());

    let (fleet, plan) = crowd(TWO, 50, 10);
    let outcome = play(fleet, &plan);
    let calm = Picture(&outcome).to_string();
    assert!(calm.contains("50 asked, 50 played, nobody was refused"), "{calm}");
    assert!(!calm.contains("class=\"unserved\""), "{calm}");
}

#[test]
fn the_same_play_is_drawn_the_same() {
    assert_eq!(drawn().1, drawn().1);
}

#[test]
fn who_watches_a_play_sees_it_go_on_to_the_end() {
    let (fleet, plan) = crowd(TWO, 20_000, 600);
    let mut seen = Vec::new();
    play_watched(fleet, &plan, &mut |share| seen.push(share));
    assert!(seen.len() >= 4 && seen.is_sorted(), "{seen:?}");
    assert!(seen.iter().all(|share| (0.0..=1.0).contains(share)));
}
