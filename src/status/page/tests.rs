use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::source::Sources;
use crate::fleet::compile::{Nothing, compile};
use crate::icecast::{Activity, Limit, MountReport, Report};
use crate::members::Member;
use crate::slots::{begin_look, record};
use crate::state::{Snapshot, State};
use crate::status::{Status, Wanted};

fn state(yaml: &str) -> Arc<State> {
    let fleet = compile(&Sources::new("balancer.yaml", yaml), &Nothing)
        .unwrap_or_else(|problems| panic!("{problems}"));
    Arc::new(State::new(Snapshot::first(fleet, "first".to_owned())))
}

fn shown(state: &State, query: &str) -> String {
    page(&Overview::of(state, Duration::from_secs(100)), &View::of(query))
}

/// So many streams on so many relays each.
fn large(streams: usize, relays: usize) -> Arc<State> {
    let mut yaml = "servers:\n".to_owned();
    for relay in 0..relays {
        writeln!(yaml, "  relay{relay:03}: 'http://relay{relay:03}.example.org:8000'").unwrap();
    }
    yaml += "streams:\n";
    for stream in 0..streams {
        writeln!(yaml, "  /stream{stream:05}.ogg:").unwrap();
    }
    state(&yaml)
}

#[test]
fn a_page_is_bounded_however_much_there_is() {
    let state = large(1_000, 50);
    for query in ["", "page=7", "q=stream", "trouble=1", "q=relay007"] {
        let html = shown(&state, query);
        assert!(html.len() < 512 * 1024, "{query}: {}", html.len());
        assert_eq!(html.matches("<tbody data-key=\"/stream").count(), 50, "{query}");
        assert!(html.matches("<tr").count() < 50 * 14 + 120, "{query}");
        assert!(html.contains("of 1,000"), "{query}");
    }
    let alone = shown(&state, "stream=%2Fstream00007.ogg");
    assert_eq!(
        alone.matches("<tr data-key=\"relay").count(),
        2 * 50,
        "all its relays, and each one"
    );
}

#[test]
fn every_stream_stands_on_one_of_the_pages() {
    let state = large(120, 2);
    let mut seen = Vec::new();
    for at in 1..=3 {
        let html = shown(&state, &format!("page={at}"));
        let keys = html.split("<tbody data-key=\"").skip(1);
        seen.extend(keys.map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    let all: Vec<String> = (0..120).map(|n| format!("/stream{n:05}.ogg")).collect();
    assert_eq!(seen, all);
    assert!(
        shown(&state, "page=4").contains("of 120"),
        "a page beyond the last tells the way back"
    );
}

#[test]
fn more_troubles_than_are_listed_are_counted() {
    let state = large(300, 3);
    let overview = Overview::of(&state, Duration::from_secs(100));
    assert_eq!(overview.troubles.len(), Overview::MOST_TROUBLES);
    let all = overview.totals.critical + overview.totals.warnings;
    // Nothing is known of any: each stream and each relay is one, and nobody watches the file.
    assert_eq!(all, 304);
    let html = shown(&state, "");
    assert!(html.contains("and 292 more"), "{html}");
}

#[test]
fn what_others_wrote_is_text_in_every_place() {
    let hostile = "<script>alert('\"&</script>";
    let state = state("servers: {vienna: 'http://v:8000'}\nstreams: {'/%3Cb%3E%22%27.ogg': }\n");
    state.note_reload(|reloads| {
        reloads.refused = Some(hostile.to_owned());
        reloads.file = hostile.to_owned();
    });
    let snapshot = state.load_full();
    snapshot.server(0).unwrap().note(|notes| notes.trouble = Some(hostile.to_owned()));
    let query: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("q", hostile).finish();
    for query in [String::new(), query, "stream=%2F%3Cb%3E%22%27.ogg".to_owned()] {
        let html = shown(&state, &query);
        assert!(!html.contains("<script>") && !html.contains("<b>"), "{query}: {html}");
        assert!(!html.contains("'\"&<") && !html.contains("\"'.ogg"), "{query}: {html}");
        assert!(
            html.contains("&lt;script&gt;alert('&quot;&amp;&lt;/script&gt;"),
            "{query}: {html}"
        );
    }
}

/// A balancer of three with an engine, that has heard of two others.
fn one_of_three() -> Arc<State> {
    let state = state(
        "cluster: {replicas: 3, engine: 'redis://redis.example.org:6379'}\nbalance: {headroom: 0}\n\
         servers: {vienna: {url: 'http://v:8000', max_listeners: 90}}\n\
         streams: {/a: {mounts: {vienna: {mount: /a, max_listeners: 90}}}}\n",
    );
    let member = |name: &str, host: &str, config: &str| Member {
        name: name.to_owned(),
        host: host.to_owned(),
        config: config.to_owned(),
        heard: Duration::from_secs(99),
        is_self: name == "a1",
    };
    let hostile = "<script>alert('\"&</script>";
    state.members.found(
        3,
        vec![
            member("a1", "ham-1", "first"),
            member("b2", "ham-2", "first"),
            member("c3", hostile, "other"),
        ],
    );
    state
}

#[test]
fn the_other_balancers_are_told_and_what_is_wrong_with_them() {
    let state = one_of_three();
    let html = shown(&state, "");
    assert!(
        html.contains("3 of 3 known") && html.contains("redis.example.org:6379</code> answers"),
        "{html}"
    );
    assert!(html.contains("ham-1 <span class=\"remark\">this one</span>"), "{html}");
    assert!(html.contains("Not all balancers have the same configuration"), "{html}");
    assert!(!html.contains("<script>") && html.contains("&lt;script&gt;"), "{html}");
    assert!(!html.contains("no slots are lent"), "{html}");
    state.members.lost(Some(format!("no answer {}", "<b>")));
    let html = shown(&state, "");
    assert!(html.contains("does not answer: no answer &lt;b&gt;"), "{html}");
    assert!(html.contains("no slots are lent between balancers"), "{html}");
    // Nobody tells of others where there are none.
    assert!(!shown(&large(1, 1), "").contains("id=\"cluster\""));
}

#[test]
fn what_is_lent_and_borrowed_stands_with_its_mount_and_in_sum() {
    let state = one_of_three();
    let snapshot = state.load_full();
    let (now, until) = (Duration::from_secs(100), Duration::from_secs(102));
    let (server, mounts) = (snapshot.server(0).unwrap(), snapshot.listed(0));
    let mount = MountReport {
        name: "/a".to_owned(),
        listeners: Some(0),
        limit: Limit::Listeners(90),
        activity: Activity::Active,
        bytes: None,
    };
    let report = Report { clients: Some(0), mounts: vec![mount] };
    let look = begin_look(server, &mounts, Duration::from_secs(99));
    record(server, &mounts, look, &report, Duration::from_secs(5));
    let seats = &mounts[0].slots.seats;
    assert_eq!(seats.withhold(7), 7);
    seats.lent(7, 7, until);
    seats.borrow(5, until);
    let status =
        serde_json::to_value(Status::of(&state, now, &Wanted::default()).unwrap()).unwrap();
    let mount = &status["streams"][0]["mounts"][0];
    assert_eq!((&mount["lent"], &mount["borrowed"]), (&7.into(), &5.into()), "{status}");
    let cluster = &status["cluster"];
    assert_eq!((&cluster["lent"], &cluster["borrowed"]), (&7.into(), &5.into()), "{status}");
    assert_eq!(cluster["members"][0]["age_seconds"], 1.0, "{status}");
    assert_eq!(status["servers"][0].get("lent"), None, "what is nothing is not told: {status}");
    let html = shown(&state, "");
    assert!(html.contains("7 lent</span> <span class=\"remark\">5 borrowed"), "{html}");
    assert!(html.contains("<dd>7 slots now, 0 since the start"), "{html}");
}

#[test]
fn what_is_wrong_is_said_first_and_in_the_title() {
    let state = state("servers: {vienna: 'http://v:8000'}\nstreams: {/a: }\n");
    state.note_reload(|reloads| reloads.watching = true);
    let html = shown(&state, "");
    // Nothing is known of its only relay.
    assert!(html.contains("<title>▲ 1 · icecast-balancer</title>"), "{html}");
    assert!(html.contains("Players are at risk, and one thing wants a look"), "{html}");
    let verdict = html.find("id=\"verdict\"").unwrap();
    assert!(verdict < html.find("<table").unwrap());
}
