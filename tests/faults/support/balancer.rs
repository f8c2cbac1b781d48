//! The balancer itself, as operators run it: the binary, a file, two ports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::process::{Process, until};
use super::web;

/// Where players ask.
pub(crate) const PUBLIC: &str = "127.0.0.1:8000";
/// Where operators ask.
pub(crate) const ADMIN: &str = "127.0.0.1:9090";

/// A running balancer.
pub(crate) struct Balancer {
    /// Its configuration.
    pub(crate) file: PathBuf,
    /// The program.
    pub(crate) process: Process,
}

/// How it is started, where that is out of the ordinary.
#[derive(Debug, Default)]
pub(crate) struct Launch {
    /// A program and its arguments that start it in turn, such as `prlimit --nofile=64`.
    pub(crate) through: Vec<String>,
    /// Further environment variables.
    pub(crate) env: Vec<(String, String)>,
    /// Where its log goes, if not to a file.
    pub(crate) log: Option<Stdio>,
}

impl Launch {
    /// Starts `program` with `config` in `root`, and waits until it is ready.
    pub(crate) fn start(self, program: &Path, root: &Path, config: &str) -> Balancer {
        let mut balancer = self.begin(program, root, config);
        until("the balancer is ready", Duration::from_secs(20), || {
            if let Some(status) = balancer.process.ended() {
                panic!("the balancer ended: {status}\n{}", balancer.process.printed());
            }
            web::answers(200, ADMIN, "/readyz")
        });
        balancer
    }

    /// Starts it and waits for nothing.
    pub(crate) fn begin(self, program: &Path, root: &Path, config: &str) -> Balancer {
        let folder = root.join("balancer");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("balancer.yaml");
        fs::write(&file, addressed(config)).unwrap();
        let mut words = self.through.into_iter();
        let mut command = words.next().map_or_else(
            || Command::new(program),
            |first| {
                let mut command = Command::new(first);
                command.args(words).arg(program);
                command
            },
        );
        command.args(["serve", "-c"]).arg(&file).envs(self.env);
        let process = match self.log {
            None => Process::start("balancer", command, &folder),
            Some(log) => {
                command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
                Process::spawn(command, folder.join("none"))
            }
        };
        Balancer { file, process }
    }
}

impl Balancer {
    /// A metric's value whose labels include `labels`, each as `name="value"`.
    pub(crate) fn metric(name: &str, labels: &[&str]) -> Option<f64> {
        let metrics = web::ask("GET", ADMIN, "/metrics", "").ok()?.body;
        let line = metrics.lines().find(|line| {
            let series = line.rsplit_once(' ').map_or("", |(series, _)| series);
            let (metric, set) = series.split_once('{').unwrap_or((series, ""));
            metric == format!("icecast_balancer_{name}")
                && labels.iter().all(|label| set.contains(label))
        })?;
        line.rsplit_once(' ')?.1.parse().ok()
    }

    /// The server `name` in `/api/v1/status`.
    pub(crate) fn server(name: &str) -> Value {
        let Ok(answer) = web::ask("GET", ADMIN, "/api/v1/status", "") else { return Value::Null };
        let status: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let found = status["servers"].as_array();
        let found = found.and_then(|list| list.iter().find(|server| server["name"] == name));
        found.cloned().unwrap_or_default()
    }

    /// A line of `/proc/PID/status`, in its unit: `VmRSS` and `VmHWM` in KiB, `Threads`.
    pub(crate) fn of_kernel(&self, key: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// How many file descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.process.id());
        fs::read_dir(path).map_or(0, Iterator::count)
    }

    /// The seconds of processor time that it has used.
    pub(crate) fn processor_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()));
        // A figure of 0 for want of one would let every bound pass.
        let stat = stat.expect("the time of a process that runs");
        let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
        // utime and stime are the 12th and 13th, in hundredths of a second.
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks = ticks.map(|ticks| ticks.parse::<f64>().expect("a number of ticks"));
        ticks.sum::<f64>() / 100.0
    }
}

/// `config` with the addresses.
pub(crate) fn addressed(config: &str) -> String {
    format!("listen: {PUBLIC}\nadmin: {ADMIN}\n{config}")
}
