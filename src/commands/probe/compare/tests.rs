use std::time::Duration;

use super::*;
use crate::counters::PollResult;
use crate::reload::load_once;

fn fleet(yaml: &str) -> Fleet {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), yaml).unwrap();
    load_once(file.path()).unwrap_or_else(|problems| panic!("{problems}")).fleet
}

fn seen(name: &str, listeners: u64, limit: Limit) -> MountReport {
    MountReport {
        name: name.to_owned(),
        listeners: Some(listeners),
        limit,
        activity: Activity::Active,
        bytes: None,
    }
}

fn report(mounts: Vec<MountReport>) -> Look {
    let report = Report { clients: Some(7), mounts };
    look(Ok(Sight::Report { report, source: "slots" }))
}

fn look(seen: Result<Sight, Trouble>) -> Look {
    let glance = Glance { took: Duration::ZERO, seen, password: None, remark: None };
    Look { glance, doors: Vec::new() }
}

/// What is said of the first server, each with its level.
fn said(yaml: &str, look: &Look) -> Vec<(bool, &'static str, String)> {
    let fleet = fleet(yaml);
    let findings = findings(&fleet, 0, &fleet.servers[0], look);
    findings.into_iter().map(|it| (it.is_error(), it.code, it.text)).collect()
}

const PLAIN: &str = "servers: {vienna: 'http://127.0.0.1:1'}\nstreams: {/saal1.ogv: }\n";

#[test]
fn a_relay_that_matches_has_nothing_said_of_it() {
    let look = report(vec![seen("/saal1.ogv", 3, Limit::Listeners(10))]);
    assert_eq!(said(PLAIN, &look), []);
}

#[test]
fn a_mount_that_is_missing_is_an_error_with_the_one_that_may_be_meant() {
    let look = report(vec![seen("/saal1.ogg", 3, Limit::Listeners(10))]);
    let text = "mount /saal1.ogv is not there; it lists /saal1.ogg: is that meant?";
    assert_eq!(said(PLAIN, &look), [(true, "mount_missing", text.to_owned())]);
    let text = "mount /saal1.ogv is not there; it lists no mount at all";
    assert_eq!(said(PLAIN, &report(vec![])), [(true, "mount_missing", text.to_owned())]);
}

#[test]
fn a_limit_above_the_relays_own_is_an_error_and_one_below_is_none() {
    let yaml = |limit| {
        format!(
            "servers: {{vienna: 'http://127.0.0.1:1'}}\n\
             streams: {{/x: {{mounts: {{vienna: {{mount: /y, max_listeners: {limit}}}}}}}}}\n"
        )
    };
    let look = report(vec![seen("/y", 3, Limit::Listeners(10))]);
    let said_of = |limit: u64| said(&yaml(limit), &look);
    assert_eq!([said_of(9), said_of(10)], [vec![], vec![]]);
    assert_eq!((said_of(11)[0].0, said_of(11)[0].1), (true, "limit_above_relays"));
    assert!(said_of(11)[0].2.contains("is 11, but the relay lets 10 in"), "{:?}", said_of(11));
}

#[test]
fn where_no_limit_is_known_that_is_noted() {
    let look = report(vec![seen("/saal1.ogv", 3, Limit::Unknown)]);
    let said_of_plain = said(PLAIN, &look);
    assert_eq!((said_of_plain[0].0, said_of_plain[0].1), (false, "no_limit"));
    let limited =
        PLAIN.replace("'http://127.0.0.1:1'", "{url: 'http://127.0.0.1:1', max_listeners: 9}");
    assert_eq!(said(&limited, &look), []);
    let fewer = limited.replace('9', "6");
    assert_eq!(said(&fewer, &look)[0].1, "more_than_max_listeners");
}

#[test]
fn a_relay_that_is_full_or_fails_is_an_error_and_its_mounts_are_not_missed() {
    assert_eq!(said(PLAIN, &look(Ok(Sight::Full)))[0].1, "full");
    let trouble = Trouble { result: PollResult::Connect, why: "refused".to_owned() };
    assert_eq!(said(PLAIN, &look(Err(trouble))), [(true, "connect", "refused".to_owned())]);
}

#[test]
fn a_password_that_no_look_needed_is_an_error_if_it_is_wrong() {
    let trouble = || Trouble { result: PollResult::Unauthorized, why: "401".to_owned() };
    let mut look = report(vec![seen("/saal1.ogv", 3, Limit::Listeners(10))]);
    look.glance.password = Some(Ok(()));
    assert_eq!(said(PLAIN, &look), []);
    look.glance.password = Some(Err(trouble()));
    assert_eq!(said(PLAIN, &look)[0].1, "password");
}

#[test]
fn an_address_that_players_cannot_reach_is_told() {
    let by = |ip: &str| {
        PLAIN.replace("'http://127.0.0.1:1'", &format!("{{url: 'http://a.example', {ip}}}"))
    };
    let mut look = report(vec![seen("/saal1.ogv", 3, Limit::Listeners(10))]);
    let mut with = |ip: &str, families: Result<Vec<Family>, String>, knocked| {
        let url = "http://a.example".parse().unwrap();
        look.doors = vec![Door { url, families, knocked }];
        said(&by(ip), &look).first().map(|it| (it.0, it.1))
    };
    let both = || Ok(vec![Family::V4, Family::V6]);
    assert_eq!(with("", both(), Ok(())), None);
    assert_eq!(with("ip: 6", both(), Ok(())), None);
    assert_eq!(with("ip: 6", Ok(vec![Family::V4]), Ok(())), Some((true, "ip")));
    assert_eq!(with("", Ok(vec![Family::V4]), Ok(())), None);
    assert_eq!(with("", Ok(vec![Family::V6]), Ok(())), Some((false, "ip")));
    assert_eq!(with("", Err("no".to_owned()), Ok(())), Some((true, "no_address")));
    let trouble = Trouble { result: PollResult::Timeout, why: "silence".to_owned() };
    assert_eq!(with("", both(), Err(trouble)), Some((true, "players_url")));
}

#[test]
fn mounts_under_a_pattern_are_found_as_the_balancer_finds_them() {
    let yaml = "servers: {vienna: 'http://127.0.0.1:1'}
streams: {/talks/*: , /talks/own: {mounts: {vienna: /elsewhere}}}
";
    let fleet = fleet(yaml);
    let report = Report {
        clients: None,
        mounts: ["/talks/a", "/talks/own", "/talks/../b", "/other"]
            .map(|name| seen(name, 1, Limit::Listeners(5)))
            .to_vec(),
    };
    let found = mounts(&fleet, 0, &report);
    let found: Vec<_> =
        found.iter().map(|it| (it.stream.as_str(), it.mount.as_str(), it.presence)).collect();
    assert_eq!(
        found,
        [("/talks/own", "/elsewhere", "absent"), ("/talks/a", "/talks/a", "active"),]
    );
}
