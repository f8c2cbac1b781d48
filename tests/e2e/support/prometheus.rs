//! A real Prometheus that scrapes the balancer, and promtool.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::balancer::Balancer;
use super::lab::{Lab, free_port};
use super::process::{Process, Program, eventually};
use super::web;

/// A running Prometheus.
pub(crate) struct Prometheus {
    port: u16,
    _process: Process,
}

impl Prometheus {
    /// Starts one that scrapes `balancer` each second.
    pub(crate) fn start(lab: &Lab, balancer: &Balancer) -> Self {
        Self::start_with(lab, &[balancer], "[]")
    }

    /// Starts one that scrapes `balancers` each second and alerts by our rules, without their
    /// patience.
    pub(crate) fn start_with_our_rules(lab: &Lab, balancers: &[&Balancer]) -> Self {
        let folder = lab.folder("rules", "nobody");
        for name in ["recording.rules.yml", "alerts.rules.yml"] {
            fs::write(folder.join(name), without_patience(&ours(name))).unwrap();
        }
        Self::start_with(lab, balancers, &format!("['{}/*.yml']", folder.display()))
    }

    fn start_with(lab: &Lab, balancers: &[&Balancer], rules: &str) -> Self {
        let folder = lab.folder("prometheus", "nobody");
        let targets: Vec<_> = balancers
            .iter()
            .map(|balancer| format!("'127.0.0.1:{}'", balancer.admin_port()))
            .collect();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: {rules}
scrape_configs:
  - job_name: icecast-balancer
    static_configs: [{{targets: [{}]}}]
",
            targets.join(", ")
        );
        fs::write(folder.join("prometheus.yml"), config).unwrap();
        let port = free_port();
        let process = Program::new("prometheus", "prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .args([format!("--web.listen-address=127.0.0.1:{port}")])
            .start(&folder);
        let prometheus = Self { port, _process: process };
        eventually("Prometheus is ready", Duration::from_secs(30), || {
            let answer = web::get(&prometheus.url("/-/ready")).ok()?;
            (answer.status == 200).then_some(())
        });
        prometheus
    }

    /// The values that `query` gives now.
    pub(crate) fn query(&self, query: &str) -> Vec<f64> {
        let query: String = query
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).into()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
        let answer = web::get(&self.url(&format!("/api/v1/query?query={query}"))).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        let series = answer["data"]["result"].as_array().expect("a vector");
        series.iter().map(|one| one["value"][1].as_str().unwrap().parse().unwrap()).collect()
    }

    /// Waits until `query` gives what `expected` accepts.
    pub(crate) fn wait_for(&self, query: &str, expected: impl Fn(&[f64]) -> bool) {
        eventually(&format!("Prometheus shows {query}"), Duration::from_secs(30), || {
            expected(&self.query(query)).then_some(())
        });
    }

    /// The alerts that fire now.
    pub(crate) fn alerts(&self) -> Vec<Alert> {
        let answer = web::get(&self.url("/api/v1/alerts")).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        let alerts = answer["data"]["alerts"].as_array().expect("alerts").iter();
        alerts.filter(|alert| alert["state"] == "firing").map(Alert::of).collect()
    }

    /// Waits until the alert `name` fires with these labels, given as `key="value"`.
    pub(crate) fn wait_for_alert(&self, name: &str, labels: &[(&str, &str)]) -> Alert {
        let what = format!("{name} fires for {labels:?}");
        let alert = eventually(&what, Duration::from_secs(30), || {
            self.alerts().into_iter().find(|alert| alert.is(name, labels))
        });
        // What Prometheus writes where it could not fill in a word.
        assert!(!alert.words.contains('<'), "{alert:?}");
        alert
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// A firing alert.
#[derive(Debug, Clone)]
pub(crate) struct Alert {
    /// Its name.
    pub(crate) name: String,
    labels: Value,
    /// Summary and description, as people are told them.
    pub(crate) words: String,
}

impl Alert {
    fn of(alert: &Value) -> Self {
        let word = |name: &str| alert["annotations"][name].as_str().unwrap_or_default();
        Self {
            name: alert["labels"]["alertname"].as_str().expect("a name").to_owned(),
            labels: alert["labels"].clone(),
            words: format!("{}. {}", word("summary"), word("description")),
        }
    }

    /// Whether it is the alert `name` with these labels.
    pub(crate) fn is(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.name == name && labels.iter().all(|(label, value)| self.labels[label] == *value)
    }
}

/// A file of `deploy/prometheus`.
pub(crate) fn ours(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Rules that alert at once.
fn without_patience(rules: &str) -> String {
    let lines = rules.lines().map(|line| match line.split_once("for: ") {
        Some((indent, _)) if indent.trim().is_empty() => format!("{indent}for: 0s\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// What promtool has to say with these arguments, in a copy of `deploy/prometheus`; and its exit
/// code.
pub(crate) fn promtool(lab: &Lab, arguments: &str) -> (Option<i32>, String) {
    let folder = lab.folder("promtool", "nobody");
    for name in ["prometheus.yml", "recording.rules.yml", "alerts.rules.yml", "alerts.test.yml"] {
        fs::write(folder.join(name), ours(name)).unwrap();
    }
    Program::new("promtool", "prometheus").words(arguments).run(&folder)
}

/// What `promtool check metrics` has to say of `metrics`, and its exit code.
pub(crate) fn promtool_check(lab: &Lab, metrics: &str) -> (Option<i32>, String) {
    let folder = lab.folder("promtool", "nobody");
    let file = folder.join("metrics.txt");
    fs::write(&file, metrics).unwrap();
    Program::new("promtool", "prometheus")
        .args(["check", "metrics"])
        .input(File::open(&file).unwrap())
        .run(&folder)
}
