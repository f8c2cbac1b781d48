//! The descriptions of keys against what the program makes of them.

use std::fs;

use icecast_balancer::config::keys::{self, Absent, Form, Mapping, TOP};
use icecast_balancer::fleet::Fleet;
use icecast_balancer::fleet::changes::Changes;
use serde_json::{Map, Value, json};

use super::{good, messages, read};

/// A configuration in which every key but those of TLS has an effect.
fn base() -> Value {
    json!({
        "balance": {"when_full": "wait", "geoip": "country.mmdb"},
        "trusted_proxies": ["10.0.0.7"],
        "servers": {"vienna": {
            "url": "http://vienna.example.org:8000",
            "clients": {"countries": ["AT"]},
            "stats": {"password": "x"},
        }},
        "streams": {
            "/a.ogg": {"mounts": {"vienna": {"mount": "/a.ogg"}}},
            "/talks/*": {},
        },
    })
}

/// Where in the base a mapping is.
fn place(mapping: &Mapping, key: &str) -> Option<Vec<&'static str>> {
    Some(match (mapping.name, key) {
        ("top", _) => vec![],
        ("poll", _) => vec!["poll"],
        ("balance", _) => vec!["balance"],
        ("limits", _) => vec!["limits"],
        ("server", _) => vec!["servers", "vienna"],
        ("clients", _) => vec!["servers", "vienna", "clients"],
        ("stats", _) => vec!["servers", "vienna", "stats"],
        ("stream", "max_streams") => vec!["streams", "/talks/*"],
        ("stream", _) => vec!["streams", "/a.ogg"],
        ("mount", _) => vec!["streams", "/a.ogg", "mounts", "vienna"],
        // Certificates have tests of their own, and a cluster is refused.
        ("tls" | "cluster", _) => return None,
        other => panic!("{other:?} is new: say where it stands"),
    })
}

/// The base with one value more.
fn with(place: &[&str], key: &str, value: Value) -> String {
    let mut config = base();
    let mut at = &mut config;
    for name in place {
        at = at.as_object_mut().unwrap().entry(*name).or_insert(Value::Object(Map::new()));
    }
    at[key] = value;
    serde_json::to_string_pretty(&config).unwrap()
}

fn written(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

fn differences(old: &Fleet, new: &Fleet) -> Option<String> {
    let changes = Changes::between(old, new);
    let same = changes == Changes::default() && old.listen == new.listen && old.admin == new.admin;
    (!same).then(|| format!("{changes:?}"))
}

#[test]
fn a_default_that_is_written_changes_nothing() {
    let plain = good(&serde_json::to_string_pretty(&base()).unwrap());
    let mut written_out = 0;
    for mapping in keys::all() {
        for key in mapping.keys {
            let (Absent::Default(default), Some(place)) = (&key.absent, place(mapping, key.name))
            else {
                continue;
            };
            if key.name == "when_full" || key.name == "trusted_proxies" {
                // The base has another value, and they are in the tests of what they mean.
                continue;
            }
            let fleet = good(&with(&place, key.name, written(default)));
            assert_eq!(differences(&plain, &fleet), None, "{}: {default}", key.name);
            written_out += 1;
        }
    }
    assert!(written_out >= 24, "{written_out}");
}

#[test]
fn a_value_other_than_the_default_does_change_something() {
    let plain = good(&serde_json::to_string_pretty(&base()).unwrap());
    for (place, key, value) in [
        (&["poll"][..], "rise", json!(7)),
        (&["balance"], "wait", json!("7s")),
        (&["streams", "/talks/*"], "max_streams", json!(7)),
        (&["servers", "vienna", "stats"], "username", json!("root")),
    ] {
        let fleet = good(&with(place, key, value));
        assert!(differences(&plain, &fleet).is_some(), "{key}");
    }
}

#[test]
fn numbers_are_taken_from_the_least_to_the_most_and_no_further() {
    let mut ranges = 0;
    for mapping in keys::all() {
        for key in mapping.keys {
            let Some(place) = place(mapping, key.name) else { continue };
            let Some(range) = range(&key.form) else { continue };
            ranges += 1;
            for edge in [*range.start(), *range.end()] {
                good(&with(&place, key.name, json!(edge)));
            }
            let beyond = [range.start().checked_sub(1), range.end().checked_add(1)];
            for beyond in beyond.into_iter().flatten() {
                let problems = read(&with(&place, key.name, json!(beyond))).expect_err(key.name);
                let said = messages(&problems).join("\n");
                assert!(said.contains(key.name), "{}: {said}", key.name);
            }
        }
    }
    assert!(ranges >= 12, "{ranges}");
}

fn range(form: &Form) -> Option<&std::ops::RangeInclusive<u64>> {
    match form {
        Form::Count(range) => Some(range),
        Form::Either(forms) => forms.iter().find_map(range),
        _ => None,
    }
}

#[test]
fn every_word_of_a_choice_is_taken() {
    let mut choices = 0;
    for mapping in keys::all() {
        for key in mapping.keys {
            let (Form::Choice(words), Some(place)) = (&key.form, place(mapping, key.name)) else {
                continue;
            };
            choices += 1;
            for word in words() {
                // Some are refused for what stands elsewhere; none for the word.
                let said = match read(&with(&place, key.name, json!(word))) {
                    Ok(_) => String::new(),
                    Err(problems) => messages(&problems).join("\n"),
                };
                assert!(!said.contains("cannot be"), "{}: {word}: {said}", key.name);
            }
        }
    }
    assert_eq!(choices, 8);
}

#[test]
fn the_commented_file_has_every_key() {
    let reference =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/balancer.yaml")).unwrap();
    for key in keys::all().into_iter().flat_map(|mapping| mapping.keys) {
        assert!(reference.contains(&format!("{}:", key.name)), "`{}` is missing", key.name);
    }
    assert!(TOP.keys.len() > 10);
}
