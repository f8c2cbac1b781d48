//! Who comes by https, and relays that speak it or do not.

use super::*;

/// One relay that speaks TLS, and one that does not.
pub(super) const MIXED: &str = "
servers:
  vienna: {url: 'https://vienna.example.org', http_url: 'http://vienna.example.org:8000'}
  berlin: http://berlin.example.org:8000
balance: {headroom: 0}
streams:
  /x:
";

pub(super) const WHEN_FULL: &str = "  /x: {https_to_http: when_full}";

#[test]
fn by_when_full_who_comes_by_https_is_sent_to_an_https_relay_as_long_as_one_has_room() {
    let mut scene = scene(&MIXED.replace("  /x:", WHEN_FULL));
    scene.saw("vienna", vec![mount("/x", 5, 10)]);
    scene.saw("berlin", vec![mount("/x", 0, 10)]);
    scene.client = Client { https: true, ..Client::ANY };
    assert_eq!(scene.ask_times(5, "vienna"), 5);
    assert_eq!([scene.ask(), scene.ask()], ["berlin", "berlin"]);
}

#[test]
fn who_comes_by_https_stays_with_it_on_a_relay_in_doubt_in_a_higher_tier_or_just_left() {
    let yaml = MIXED.replace("http_url", "tier: 9, http_url").replace("  /x:", WHEN_FULL);
    let mut scene = scene(&yaml);
    scene.saw("vienna", vec![mount("/x", 0, 100)]);
    scene.saw("berlin", vec![mount("/x", 0, 100)]);
    scene.failed("vienna", Evidence::Soft, 1);
    scene.client = Client { https: true, came_from: Some(0), ..Client::ANY };
    assert_eq!(scene.ask_times(20, "vienna"), 20);
    scene.failed("vienna", Evidence::Hard, 1);
    assert_eq!(scene.ask(), "berlin");
}

#[test]
fn where_there_are_https_relays_who_comes_by_https_is_sent_to_no_other() {
    let mut scene = scene(MIXED);
    scene.saw("vienna", vec![mount("/x", 9, 10)]);
    scene.saw("berlin", vec![mount("/x", 0, 10)]);
    scene.client = Client { https: true, ..Client::ANY };
    assert_eq!(scene.why_not(1), Some(Reason::PlainHttp));
    assert_eq!([scene.ask(), scene.ask()], ["vienna", "full"]);
    scene.failed("vienna", Evidence::Hard, 3);
    scene.saw("berlin", vec![mount("/x", 10, 10)]);
    assert_eq!(scene.ask(), "unreachable by https", "that the other is full is not the reason");
    scene.saw("vienna", vec![]);
    assert_eq!(scene.ask(), "offline");
}

#[test]
fn that_an_https_relay_is_disabled_opens_no_way_to_plain_http() {
    let mut scene = scene(&MIXED.replace("http_url", "state: disabled, http_url"));
    scene.saw("berlin", vec![mount("/x", 0, 10)]);
    assert_eq!(scene.ask(), "berlin");
    scene.client = Client { https: true, ..Client::ANY };
    assert_eq!(scene.ask(), "offline");
}

#[test]
fn where_there_is_no_https_relay_who_comes_by_https_is_sent_to_plain_http_unless_never() {
    for (rule, answer) in [
        ("", "vienna"),
        ("{https_to_http: no_https_relay}", "vienna"),
        ("{https_to_http: when_full}", "vienna"),
        ("{https_to_http: never}", "unreachable by https"),
    ] {
        let servers = "servers: {vienna: 'http://vienna.example.org:8000'}";
        let mut scene = scene(&format!("{servers}\nstreams:\n  /x: {rule}\n"));
        scene.saw("vienna", vec![mount("/x", 0, 10)]);
        assert_eq!(scene.ask(), "vienna");
        scene.client = Client { https: true, ..Client::ANY };
        assert_eq!(scene.ask(), answer, "{rule}");
    }
}

#[test]
fn a_fallback_that_is_reached_by_https_keeps_its_own_rule() {
    let yaml = |fallback: &str, rule: &str| {
        format!(
            "servers: {{vienna: 'https://vienna.example.org', berlin: 'http://berlin.example.org'}}
streams:
  /x: {{servers: [vienna], fallback: '{fallback}'}}
  /pause: {{servers: [berlin], https_to_http: {rule}}}
"
        )
    };
    for (fallback, rule, answer) in [
        ("/pause", "no_https_relay", "berlin"),
        ("/pause", "never", "unreachable by https"),
        ("https://example.org/sorry", "never", "https://example.org/sorry"),
        ("http://example.org/sorry", "never", "offline"),
    ] {
        let mut scene = scene(&yaml(fallback, rule));
        scene.saw("vienna", vec![]);
        scene.saw("berlin", vec![mount("/pause", 0, 10)]);
        scene.client = Client { https: true, ..Client::ANY };
        assert_eq!(scene.ask(), answer, "{fallback} {rule}");
    }
}

#[test]
fn who_comes_by_plain_http_is_sent_to_either() {
    let mut scene = scene(MIXED);
    scene.saw("vienna", vec![mount("/x", 0, 100)]);
    scene.saw("berlin", vec![mount("/x", 0, 100)]);
    let vienna = scene.ask_times(100, "vienna");
    assert!((30..=70).contains(&vienna), "{vienna} of 100");
}

#[test]
fn slots_are_the_same_whichever_way_players_come() {
    let mut scene = scene(MIXED);
    scene.saw("vienna", vec![mount("/x", 8, 10)]);
    scene.saw("berlin", vec![mount("/x", 10, 10)]);
    let by_https = Client { https: true, ..Client::ANY };
    let answers: Vec<_> = [Client::ANY, by_https, Client::ANY, by_https]
        .into_iter()
        .map(|client| {
            scene.client = client;
            scene.ask()
        })
        .collect();
    assert_eq!(answers, ["vienna", "vienna", "full", "full"]);
}
