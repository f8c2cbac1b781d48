use super::*;

const STATUS: &str = r#"{
  "version": "0.1.0", "uptime_seconds": 75.2,
  "config": {"sha256": "0123456789abcdef", "loaded_unix": 1764000000.0, "refused": null,
    "restart_required": [], "watching": true, "warnings": []},
  "streams": [{
    "path": "/x", "up": true, "free": 42, "when_full": "reject", "waiting": 3, "fallbacks": 2,
    "mounts": [
      {"server": "vienna", "mount": "/x", "presence": "active", "listeners": 50,
       "max_listeners": 100, "reserved": 10, "free": 38, "candidate": true, "reason": null},
      {"server": "berlin", "mount": "/y", "presence": "absent", "listeners": null,
       "max_listeners": null, "reserved": 0, "free": 0, "candidate": false, "reason": "down"}
    ]
  }],
  "servers": [
    {"name": "vienna", "state": "active", "health": "up", "source": "slots", "age_seconds": 0.42,
     "clients": 51, "reserved": 10, "max_listeners": 200, "trouble": null, "live": null},
    {"name": "berlin", "state": "draining", "health": "down", "source": null, "age_seconds": null,
     "clients": null, "reserved": 0, "max_listeners": null, "trouble": "refused", "live": null}
  ],
  "something_new": 1
}"#;

fn view(json: &str) -> View {
    serde_json::from_str(json).unwrap()
}

fn shown(json: &str) -> String {
    Page { view: &view(json), coloured: false, is_still: false }.to_string()
}

#[test]
fn the_page_has_streams_mounts_and_relays() {
    let expected = "\
icecast-balancer 0.1.0, up for 75 s
configuration 0123456789ab of 2025-11-24 16:00:00 UTC

/x up, 42 free, 3 waiting, 2 sent to its fallback
RELAY   SLOTS                 USED  HELD  LIMIT  FREE
vienna  ██████████▒▒░░░░░░░░    50    10    100    38
berlin                           –     0   none     0
    mount /y
    passed over: down

2 relays
RELAY   HEALTH    SOURCE    AGE  CLIENTS  HELD  LIMIT
vienna  up        slots   0.4 s       51    10    200
berlin  draining  –       never        –     0   none
    refused
";
    assert_eq!(shown(STATUS), expected);
}

const CLUSTER: &str = r#""cluster": {"replicas": 3, "lent": 4, "borrowed": 0, "lent_total": 120,
  "borrowed_total": 7, "engine": {"address": "redis:6379", "up": true, "trouble": null},
  "members": [
    {"name": "0a1b", "host": "balancer-0", "config": "0123456789ab", "age_seconds": 0.04, "self": true},
    {"name": "2c3d", "host": "balancer-1", "config": "ffffffffffff", "age_seconds": 0.02, "self": false}
  ]}, "streams"#;

#[test]
fn the_other_balancers_and_what_is_on_loan_are_told() {
    let json = STATUS.replacen("\"streams", CLUSTER, 1);
    let json = json.replace("\"free\": 38,", "\"free\": 38, \"lent\": 4, \"borrowed\": 2,");
    let shown = shown(&json);
    let expected = "
3 balancers, 2 known
engine redis:6379 answers
4 slots lent now, 120 since the start
0 slots borrowed now, 7 since the start
BALANCER      CONFIGURATION    AGE  PROCESS
balancer-0 *  0123456789ab   0.0 s  0a1b
balancer-1    ffffffffffff   0.0 s  2c3d
    another configuration
";
    assert!(shown.ends_with(expected), "{shown}");
    let loans = "\n    4 lent to other balancers, 2 borrowed from other balancers\n";
    assert!(shown.contains(loans), "{shown}");
}

#[test]
fn an_engine_that_does_not_answer_is_told_with_the_reason() {
    let json = STATUS.replacen("\"streams", CLUSTER, 1);
    let json = json
        .replace("\"up\": true, \"trouble\": null", "\"up\": false, \"trouble\": \"no\\u001b[2J\"");
    let down = shown(&json);
    assert!(down.contains("engine redis:6379 does not answer\n    no\\u{1b}[2J\n"), "{down}");
    let alone = STATUS.replacen("\"streams", "\"cluster\": {\"replicas\": 2}, \"streams", 1);
    assert!(shown(&alone).ends_with("\n2 balancers, each with its share\n"));
}

#[test]
fn a_configuration_that_is_refused_is_told_with_its_diagnostics() {
    let json =
        STATUS.replace("\"refused\": null", "\"refused\": \"error: bad\\n --> here\\u001b[2J\"");
    let shown = shown(&json);
    assert!(shown.contains("is refused"), "{shown}");
    assert!(shown.contains("\n  error: bad\n   --> here\\u{1b}[2J\n"), "{shown}");
}

#[test]
fn a_still_page_is_the_same_as_time_goes_by() {
    let later = STATUS.replace("75.2", "76.2").replace("0.42", "1.42");
    let still = |json| Page { view: &view(json), coloured: false, is_still: true }.to_string();
    assert_eq!(still(STATUS), still(&later));
    assert_ne!(still(STATUS), still(&STATUS.replace("50", "51")));
}

#[test]
fn colours_say_nothing_that_the_words_do_not() {
    let (view, mut bare) = (view(STATUS), String::new());
    let coloured = Page { view: &view, coloured: true, is_still: false }.to_string();
    assert!(coloured.contains('\x1b'));
    for part in coloured.split('\x1b') {
        let code = part.strip_prefix('[').and_then(|part| part.split_once('m'));
        bare.push_str(code.map_or(part, |(_, text)| text));
    }
    assert_eq!(bare, shown(STATUS));
}

#[test]
fn a_bar_shows_one_in_use_and_one_that_is_free() {
    let bar = |listeners, reserved, limit| {
        let mount = format!(
            r#"{{"server": "a", "mount": "/x", "listeners": {listeners}, "reserved": {reserved},
                "max_listeners": {limit}}}"#
        );
        let bar = bar(&serde_json::from_str(&mount).unwrap());
        ["█", "▒", "░"].map(|part| bar.matches(part).count())
    };
    assert_eq!(bar(0, 0, 1_000), [0, 0, 20]);
    assert_eq!(bar(1, 0, 1_000), [1, 0, 19]);
    assert_eq!(bar(999, 0, 1_000), [19, 0, 1]);
    assert_eq!(bar(1_000, 0, 1_000), [20, 0, 0]);
    assert_eq!(bar(400, 300, 1_000), [8, 6, 6]);
    assert_eq!(bar(2_000, u64::MAX, 1_000), [20, 0, 0]);
    assert_eq!(bar(5, 0, 0), [0, 0, 0]);
}

#[test]
fn no_line_is_wider_than_a_terminal() {
    let long = "x".repeat(300);
    let json =
        STATUS.replace("\"down\", \"source\": null", &format!("\"down\", \"source\": \"{long}\""));
    let json = json.replace("\"trouble\": \"refused\"", &format!("\"trouble\": \"{long}\""));
    for line in shown(&json).lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn mounts_that_are_not_told_are_counted() {
    let json = STATUS.replace("\"fallbacks\": 2,", "\"fallbacks\": 2, \"mounts_left_out\": 7,");
    assert!(
        shown(&json).contains("2 sent to its fallback, 7 relays not shown"),
        "{}",
        shown(&json)
    );
}
