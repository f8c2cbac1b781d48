//! A real Prometheus that scrapes the balancer, and promtool.

use std::fs::{self, File};
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
        let folder = lab.folder("prometheus", "nobody");
        let config = format!(
            "global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: icecast-balancer
    static_configs: [{{targets: ['127.0.0.1:{}']}}]
",
            balancer.admin_port()
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

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
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
