//! The corners of YAML: what other readers let through or misread is pinned down here.

use super::{good, messages, read};

/// A configuration with one odd piece, and the first problem, or nothing.
const TABLE: [(&str, &str, Option<&str>); 31] = [
    ("unknown field", "poll: {intervall: 2s}", Some("unknown key \"intervall\" in `poll`")),
    (
        "text for a number",
        "poll: {rise: lots}",
        Some("`poll.rise` must be a whole number: \"lots\""),
    ),
    ("number for a mapping", "poll: 5", Some("`poll` must be a mapping, and is a single value")),
    ("list for a mapping", "poll: [5]", Some("`poll` must be a mapping, and is a list")),
    (
        "mapping for a value",
        "admin: {a: b}",
        Some("`admin` must be a single value, and is a mapping"),
    ),
    (
        "same field twice",
        "poll: {rise: 1, rise: 1}",
        Some("\"rise\" is there twice, first in line 1"),
    ),
    ("same name twice", "poll: {}\npoll: {}", Some("\"poll\" is there twice, first in line 1")),
    ("merge key", "poll: {<<: {rise: 1}}", None),
    ("merge list", "poll: {<<: [{rise: 1}, {fall: 1}]}", None),
    ("anchor and alias", "poll: {interval: &x 1s, timeout: *x}", None),
    ("unknown alias", "poll: *x", Some("no anchor of this name stands above")),
    ("null for a mapping", "poll:", Some("`poll` is empty")),
    ("null for a value", "admin: ~", Some("`admin` is empty")),
    ("null for a number", "poll: {rise: null}", Some("`poll.rise` is empty")),
    ("yes", "proxy_protocol: no", Some("`proxy_protocol` must be true or false: \"no\"")),
    ("off", "proxy_protocol: off", Some("`proxy_protocol` must be true or false: \"off\"")),
    ("False", "proxy_protocol: False", None),
    (
        "false in quotes",
        "proxy_protocol: 'false'",
        Some("`proxy_protocol` must be true or false: \"false\""),
    ),
    (
        "number in quotes",
        "poll: {rise: \"5\"}",
        Some("`poll.rise` must be a number, and is the text \"5\""),
    ),
    ("underscore", "poll: {rise: 1_0}", Some("`poll.rise` must be a whole number: \"1_0\"")),
    ("float", "poll: {rise: 5.0}", Some("`poll.rise` must be a whole number: \"5.0\"")),
    ("leading zero", "poll: {rise: 05}", Some("`poll.rise` must be a whole number: \"05\"")),
    ("octal", "poll: {rise: 0o5}", Some("`poll.rise` must be a whole number: \"0o5\"")),
    ("plus", "poll: {rise: +5}", Some("`poll.rise` must be a whole number: \"+5\"")),
    ("exponent", "poll: {rise: 1e2}", Some("`poll.rise` must be a whole number: \"1e2\"")),
    ("infinity", "poll: {rise: .inf}", Some("`poll.rise` must be a whole number: \".inf\"")),
    ("explicit type", "poll: {rise: !!int 5}", None),
    ("foreign type", "poll: {rise: !new 5}", Some("a YAML tag (`!…`) is not understood here")),
    ("base 60", "poll: {interval: 1:30}", Some("`poll.interval` is not a duration: \"1:30\"")),
    (
        "comment without a space",
        "poll: {rise: 5#x}",
        Some("`poll.rise` must be a whole number: \"5#x\""),
    ),
    (
        "folded text",
        "admin: >-\n  127.0.0.1:\n  9090",
        Some("`admin` is not an address: \"127.0.0.1: 9090\""),
    ),
];

const REST: &str = "\nservers: {v: 'http://v'}\nstreams: {/a: }\n";

#[test]
fn the_corners_of_yaml_are_read_as_pinned_down() {
    for (name, odd, expected) in TABLE {
        let found = read(&format!("{odd}{REST}")).map(|_| ()).err();
        let found = found.as_ref().map(messages);
        let expected = expected.map(|message| vec![message]);
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let text = format!("\u{feff}poll:\n  rise: 7{REST}").replace('\n', "\r\n");
    assert_eq!(good(&text).poll.rise, 7);
}

#[test]
fn document_marks_around_the_only_document_change_nothing() {
    assert_eq!(good(&format!("---{REST}...\n")).servers.len(), 1);
}

#[test]
fn empty_files_are_refused() {
    for text in ["", "\n\n", "# nothing\n", "---\n", "~", "\u{feff}"] {
        let problems = read(text).map(|_| ()).unwrap_err();
        assert_eq!(messages(&problems), ["the file is empty"], "{text:?}");
    }
}
