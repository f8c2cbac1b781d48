//! What `deploy` has, as far as it can be judged without the tools that it is for: that the dashboard is
//! laid out well, and that nobody who is alerted finds an empty page.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

/// What a section of `docs/alerts.md` has to say.
const PARTS: [&str; 4] = ["**Means:**", "**Look first:**", "**Do:**", "**False alarm:**"];

#[test]
fn every_panel_of_the_dashboard_has_a_place_of_its_own() {
    let mut taken = BTreeMap::new();
    for panel in panels() {
        let title = panel["title"].as_str().expect("a title").to_owned();
        let at = |key: &str| panel["gridPos"][key].as_u64().expect("a position");
        assert!(at("x") + at("w") <= 24 && at("w") > 0 && at("h") > 0, "{title} is too wide");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                let other = taken.insert((x, y), title.clone());
                assert_eq!(other, None, "{title} lies over it");
            }
        }
    }
}

#[test]
fn every_panel_of_the_dashboard_has_a_number_a_source_a_unit_and_a_word_of_help() {
    let panels = panels();
    let numbers: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert!(!numbers.contains(&None) && numbers.len() == panels.len(), "{numbers:?}");
    let shown: Vec<_> = panels.iter().filter(|panel| panel["type"] != "row").collect();
    assert!(shown.len() > 30);
    for panel in shown {
        let title = &panel["title"];
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        assert!(panel["description"].as_str().is_some_and(|words| words.len() > 5), "{title}");
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{title}");
        let names: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str()).collect();
        assert_eq!(names.len(), targets.len(), "{title}");
        for target in targets {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}

#[test]
fn the_dashboard_says_which_version_it_is_written_for_and_uses_all_its_variables() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 39));
    assert_eq!(dashboard["uid"], "icecast-balancer");
    assert!(dashboard.get("id").is_none(), "an import must not meet another's number");
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let names: Vec<_> = variables.iter().map(|one| one["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["datasource", "job", "instance", "stream", "server"]);
    let text = read("deploy/grafana/icecast-balancer.json");
    for name in names {
        assert!(text.contains(&format!("${name}")) || text.contains(&format!("${{{name}}}")));
    }
}

#[test]
fn every_alert_says_how_bad_it_is_how_long_it_waits_and_where_to_read_on() {
    let alerts = alerts();
    assert!(alerts.len() > 20);
    for (name, alert) in &alerts {
        for key in ["expr:", "for:", "severity:", "summary:", "description:", "runbook_url:"] {
            assert!(alert.contains(key), "{name} has no {key}");
        }
        let severity = line(alert, "severity:");
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
    }
}

#[test]
fn every_alert_has_its_section_and_every_section_its_alert() {
    let page = read("docs/alerts.md");
    let sections: BTreeMap<_, _> = page
        .split("\n## ")
        .skip(1)
        .map(|section| section.split_once('\n').expect("a title and more"))
        .collect();
    let mut linked = BTreeSet::new();
    for (name, alert) in alerts() {
        let url = line(&alert, "runbook_url:");
        let anchor = url.strip_prefix("docs/alerts.md#").unwrap_or_else(|| panic!("{name}: {url}"));
        let found = sections.iter().find(|(title, _)| title.to_lowercase() == anchor);
        let (title, text) = found.unwrap_or_else(|| panic!("{name}: no section {anchor}"));
        for part in PARTS {
            assert!(text.contains(part), "{title} does not say {part}");
        }
        linked.insert(*title);
    }
    assert_eq!(linked.len(), sections.len(), "a section of an alert that is gone");
}

#[test]
fn every_alert_is_made_to_fire_by_a_test_of_promtool() {
    let tests = read("deploy/prometheus/alerts.test.yml");
    for (name, _) in alerts() {
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} fires in no test");
    }
}

#[test]
fn every_metric_that_alerts_and_dashboard_ask_for_is_one_that_we_document() {
    let documented = read("docs/operation.md");
    let mut asked = BTreeSet::new();
    for file in [
        "deploy/prometheus/alerts.rules.yml",
        "deploy/prometheus/recording.rules.yml",
        "deploy/grafana/icecast-balancer.json",
    ] {
        let text = read(file);
        // The names of recording rules have a colon before it, and none of ours has.
        for (at, _) in text.match_indices("icecast_balancer_") {
            let name = text[at..].trim_start_matches("icecast_balancer_");
            let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
            let name = &name[..end.unwrap_or(name.len())];
            if !name.contains(':') && !text[..at].ends_with(':') {
                asked.insert(name.trim_end_matches("_bucket").to_owned());
            }
        }
    }
    assert!(asked.len() > 25, "{asked:?}");
    let missing: Vec<_> =
        asked.iter().filter(|name| !documented.contains(&format!("`{name}`"))).collect();
    assert_eq!(missing, [""; 0]);
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/grafana/icecast-balancer.json")).expect("JSON")
}

fn panels() -> Vec<Value> {
    dashboard()["panels"].as_array().expect("panels").clone()
}

/// Each alert with its part of the file.
fn alerts() -> Vec<(String, String)> {
    let rules = read("deploy/prometheus/alerts.rules.yml");
    let alerts = rules.split("- alert: ").skip(1);
    alerts
        .map(|alert| alert.split_once('\n').expect("more than a name"))
        .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
        .collect()
}

/// What stands behind `key` on its line.
fn line<'a>(text: &'a str, key: &str) -> &'a str {
    let (_, behind) = text.split_once(key).expect("it is there");
    behind.lines().next().unwrap_or_default().trim()
}
