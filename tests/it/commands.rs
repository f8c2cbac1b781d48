//! The commands beside `serve`, as they are typed.

use std::path::Path;

use tempfile::TempDir;

use crate::life::program::{run, text};

/// Two relays of 100 clients.
const OLD: &str = "\
servers:
  vienna: {url: 'http://vienna.example:8000', max_listeners: 100}
  berlin: {url: 'http://berlin.example:8000', max_listeners: 100}
streams:
  /saal1.ogv:
  /saal2.ogv:
";

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        plain(&path)
    }
}

fn plain(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// What a command prints, what it complains of, and its exit code.
fn told(arguments: &[&str]) -> (String, String, i32) {
    let output = run(arguments);
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap())
}

#[test]
fn what_means_the_same_is_no_difference() {
    let folder = Folder::new();
    let old = folder.file("old.yaml", OLD);
    let new = folder.file("new.yaml", &OLD.replace("  /saal1", "  # the large hall\n  /saal1"));
    assert_eq!(told(&["diff", &old, &new]), ("both mean the same\n".into(), String::new(), 0));
}

#[test]
fn a_difference_is_told_with_each_streams_capacity_before_and_after() {
    let folder = Folder::new();
    let old = folder.file("old.yaml", OLD);
    let new = OLD
        .replace("8000', max_listeners: 100}\n  berlin", "8000', max_listeners: 250}\n  berlin")
        .replace("  /saal2.ogv:\n", "  /saal3.ogv: {servers: [berlin]}\n");
    let new = folder.file("new.yaml", &new);
    let (report, complaint, code) = told(&["diff", &old, &new]);
    assert_eq!((complaint.as_str(), code), ("", 1));
    assert_eq!(
        report,
        "\
servers: ~vienna
streams: +/saal3.ogv -/saal2.ogv

/saal1.ogv: 200 listeners on 2 mounts → 350 listeners on 2 mounts
  + vienna /saal1.ogv, 250 listeners
  - vienna /saal1.ogv, 100 listeners

/saal3.ogv: nowhere → 100 listeners on 1 mount
  + berlin /saal3.ogv, 100 listeners

/saal2.ogv: 200 listeners on 2 mounts → nowhere
  - vienna /saal2.ogv, 100 listeners
  - berlin /saal2.ogv, 100 listeners
"
    );
}

#[test]
fn a_server_that_drains_carries_nobody() {
    let folder = Folder::new();
    let old = folder.file("old.yaml", OLD);
    let new = OLD.replace("8000', max_listeners: 100}\n  b", "8000', state: draining}\n  b");
    let (report, _, code) =
        told(&["diff", &old, &folder.file("new.yaml", &new), "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(code, 1);
    assert_eq!(report["streams"][0]["before"], serde_json::json!({"mounts": 2, "slots": 200}));
    assert_eq!(report["streams"][0]["after"], serde_json::json!({"mounts": 1, "slots": 100}));
    assert_eq!(report["streams"][0]["added"][0], "vienna /saal1.ogv, draining");
}

#[test]
fn of_two_bad_configurations_everything_is_told() {
    let folder = Folder::new();
    let old = folder.file("old.yaml", &OLD.replace("servers", "sevrers"));
    let new = folder.file("new.yaml", &OLD.replace("max_listeners: 100", "max_listener: 1"));
    let (report, complaint, code) = told(&["diff", &old, &new]);
    assert_eq!((report.as_str(), code), ("", 2));
    assert!(complaint.contains("old.yaml:1:1") && complaint.contains("new.yaml:2:"), "{complaint}");
}

#[test]
fn a_crowd_that_fits_is_played_to_the_end() {
    let folder = Folder::new();
    let config = folder.file("balancer.yaml", OLD);
    let crowd = ["--arrivals", "150", "--within", "30s", "--stream", "/saal1.ogv"];
    let (report, complaint, code) = told(&[&["simulate", "-c", &config], &crowd[..]].concat());
    assert_eq!((complaint.as_str(), code), ("", 0), "{report}");
    assert!(report.ends_with("nobody was refused\n"), "{report}");
    assert!(report.contains("vienna") && report.contains("of"), "{report}");
}

#[test]
fn an_evening_that_overloads_a_relay_is_found_before_it_comes() {
    let folder = Folder::new();
    let config = folder.file("balancer.yaml", OLD);
    let curve =
        folder.file("evening.csv", "time,stream,arrivals\n20:00,/saal1.ogv,60\n21:00,,150\n");
    let arguments = ["simulate", "-c", &config, "--curve", &curve, "--drain", "vienna@20:30"];
    let (report, complaint, code) = told(&arguments);
    assert_eq!((complaint.as_str(), code), ("", 1), "{report}");
    assert!(report.contains("listeners were not served, the first at 21:"), "{report}");

    let (json, _, code) = told(&[&arguments[..], &["--format", "json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(code, 1);
    let played = &json["streams"][0]["played"];
    assert!(played.as_u64() > Some(60), "{json:#}");
    assert_eq!(json["servers"][1]["limit"], 100);
}

#[test]
fn an_outcome_is_drawn_into_a_file() {
    let folder = Folder::new();
    let config = folder.file("balancer.yaml", OLD);
    let picture = folder.file("evening.svg", "");
    let arguments = ["simulate", "-c", &config, "--arrivals", "20", "--within", "5s", "--svg"];
    let (report, complaint, code) = told(&[&arguments[..], &[&picture]].concat());
    assert_eq!((complaint.as_str(), code), ("", 0), "{report}");
    assert!(std::fs::read_to_string(&picture).unwrap().starts_with("<svg "));

    let (report, complaint, code) = told(&[&arguments[..], &["/nowhere/evening.svg"]].concat());
    assert_eq!((report.as_str(), code), ("", 2));
    assert!(complaint.starts_with("error: /nowhere/evening.svg cannot be written"), "{complaint}");
}

#[test]
fn what_cannot_be_played_is_told() {
    let folder = Folder::new();
    let config = folder.file("balancer.yaml", OLD);
    let with = |more: &[&str]| told(&[&["simulate", "-c", &config], more].concat());
    let ten = ["--arrivals", "10", "--within", "1s"];
    for (more, why) in [
        (&["--stream", "/saal9.ogv"][..], "error: there is no stream /saal9.ogv\n"),
        (&["--kill", "graz@3s"], "error: there is no server `graz`; there are vienna, berlin\n"),
    ] {
        assert_eq!(with(&[&ten[..], more].concat()), (String::new(), why.into(), 2));
    }
    let (_, complaint, code) = with(&["--curve", "/nowhere/evening.csv"]);
    assert_eq!(code, 2);
    assert!(complaint.starts_with("error: /nowhere/evening.csv: "), "{complaint}");
    let (_, complaint, code) = with(&[]);
    assert_eq!(code, 2);
    assert!(complaint.contains("--arrivals <N>|--curve <FILE.csv>"), "{complaint}");
}

#[test]
fn a_pattern_is_compared_and_played_as_one_stream() {
    let folder = Folder::new();
    let servers = "servers: {vienna: {url: 'http://v.example', max_listeners: 40}}\n";
    let old = folder.file("old.yaml", &format!("{servers}streams: {{/talks/*: }}\n"));
    let limited =
        "/talks/*: {mounts: {vienna: {mount: /talks/*, max_listeners: 20}}, max_streams: 9}";
    let new = folder.file("new.yaml", &format!("{servers}streams: {{{limited}}}\n"));
    let (report, complaint, code) = told(&["diff", &old, &new]);
    assert_eq!((complaint.as_str(), code), ("", 1), "{report}");
    assert!(report.contains("~/talks/*"), "{report}");
    assert!(
        report.contains("/talks/*: 40 listeners on 1 mount → 20 listeners on 1 mount"),
        "{report}"
    );

    let ten = ["--arrivals", "10", "--within", "10s", "--format", "json"];
    let stream = ["--stream", "/talks/a.ogg"];
    let (json, complaint, code) = told(&[&["simulate", "-c", &new][..], &ten, &stream].concat());
    assert_eq!((complaint.as_str(), code), ("", 0), "{json}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["streams"][0]["played"], 10, "{json:#}");
}
