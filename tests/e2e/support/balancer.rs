//! The balancer itself, as operators run it: the binary, a file, two ports.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::lab::{Lab, free_port};
use super::process::{Process, Program, eventually};
use super::web::{self, Answer};

/// A running balancer. Dropping it ends it.
pub(crate) struct Balancer {
    listen: &'static str,
    port: u16,
    admin: u16,
    file: PathBuf,
    process: Process,
}

impl Balancer {
    /// Starts one with `config`, to which the addresses are added, and waits until it is ready.
    pub(crate) fn start(lab: &Lab, config: &str) -> Self {
        Self::start_as(Program::balancer(), lab, "127.0.0.1", config)
    }

    /// The same on a socket for both address families.
    pub(crate) fn start_dual_stack(lab: &Lab, config: &str) -> Self {
        Self::start_as(Program::balancer(), lab, "[::]", config)
    }

    /// The same by a program that runs the one in its arguments: `prlimit`, `strace`.
    pub(crate) fn start_under(program: Program, lab: &Lab, config: &str) -> Self {
        Self::start_as(program.args([Program::BALANCER]), lab, "127.0.0.1", config)
    }

    fn start_as(program: Program, lab: &Lab, listen: &'static str, config: &str) -> Self {
        let folder = lab.folder("balancer", "root");
        let (port, admin, file) = (free_port(), free_port(), folder.join("balancer.yaml"));
        fs::write(&file, addressed(listen, port, admin, config)).unwrap();
        let process = serve(program, &file);
        let mut balancer = Self { listen, port, admin, file, process };
        balancer.wait_until_ready();
        balancer
    }

    fn wait_until_ready(&mut self) {
        eventually("the balancer is ready", Duration::from_secs(15), || {
            if let Some(status) = self.process.ended() {
                panic!("the balancer ended: {status}");
            }
            (web::get(&self.admin("/readyz")).ok()?.status == 200).then_some(())
        });
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process.stop_with(Signal::KILL);
    }

    /// Asks it to end, as service managers do, and waits until it has.
    pub(crate) fn stop(&mut self) {
        self.process.signal(Signal::TERM);
        let ended = || self.process.ended();
        let status = eventually("the balancer has ended", Duration::from_secs(15), ended);
        assert!(status.success(), "{status}");
    }

    /// Starts one in its place, with its file and its ports, and waits until it is ready.
    pub(crate) fn start_again(&mut self) {
        self.process = serve(Program::balancer(), &self.file);
        self.wait_until_ready();
    }

    /// The URL that players are given.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Its public port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its admin port.
    pub(crate) fn admin_port(&self) -> u16 {
        self.admin
    }

    /// What it answers to somebody who asks for `path`.
    pub(crate) fn ask(&self, path: &str) -> Answer {
        web::get(&self.url(path)).expect("the balancer answers")
    }

    /// What it answers to `HEAD path`, which takes no slot.
    pub(crate) fn head(&self, path: &str) -> Answer {
        web::head(&self.url(path)).expect("the balancer answers")
    }

    /// Overwrites its file while it runs.
    pub(crate) fn edit(&self, config: &str) {
        fs::write(&self.file, addressed(self.listen, self.port, self.admin, config)).unwrap();
    }

    /// The same, with another public port than it has.
    pub(crate) fn edit_to_listen_at(&self, port: u16, config: &str) {
        fs::write(&self.file, addressed(self.listen, port, self.admin, config)).unwrap();
    }

    /// All its metrics as text.
    pub(crate) fn metrics(&self) -> String {
        let answer = web::get(&self.admin("/metrics")).expect("the balancer answers");
        assert_eq!(answer.status, 200, "GET /metrics");
        answer.body
    }

    /// The value of `icecast_balancer_NAME` with these labels, given as `key="value"`.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let metrics = self.metrics();
        let line = metrics.lines().find(|line| {
            let series = line.rsplit_once(' ').map_or("", |(series, _)| series);
            let (metric, set) = series.split_once('{').unwrap_or((series, ""));
            metric == format!("icecast_balancer_{name}")
                && labels.iter().all(|label| set.contains(label))
        })?;
        line.rsplit_once(' ')?.1.parse().ok()
    }

    /// The value of a metric of its process, such as `process_resident_memory_bytes`.
    pub(crate) fn process(&self, name: &str) -> f64 {
        let metrics = self.metrics();
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {metrics}"))
    }

    /// Seconds of processor time that it, or what runs it, has used.
    pub(crate) fn cpu(&self) -> f64 {
        self.process.cpu()
    }

    /// All it has logged.
    pub(crate) fn log(&self) -> String {
        self.process.printed()
    }

    /// The server `name` in `/api/v1/status`.
    pub(crate) fn server(&self, name: &str) -> Value {
        find(&self.status()["servers"], "name", name)
    }

    /// The mount of the stream `path` on `server` in `/api/v1/status`.
    pub(crate) fn mount(&self, path: &str, server: &str) -> Value {
        let stream = find(&self.status()["streams"], "path", path);
        find(&stream["mounts"], "server", server)
    }

    /// Why the stream `path` passes over its mount on `server`; null while it does not.
    pub(crate) fn passed_over(&self, path: &str, server: &str) -> Value {
        let mount = self.mount(path, server);
        if mount["candidate"] == false { mount["reason"].clone() } else { Value::Null }
    }

    /// Waits until the status shows `server` with this health.
    pub(crate) fn wait_for_health(&self, server: &str, health: &str) {
        let what = format!("{server} is shown {health}");
        eventually(&what, Duration::from_secs(30), || {
            (self.server(server)["health"] == health).then_some(())
        });
    }

    fn status(&self) -> Value {
        let answer = web::get(&self.admin("/api/v1/status")).expect("the balancer answers");
        assert_eq!(answer.status, 200, "GET /api/v1/status");
        serde_json::from_str(&answer.body).expect("the status is JSON")
    }

    fn admin(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.admin)
    }
}

/// Has a program run with this configuration.
fn serve(program: Program, file: &Path) -> Process {
    let folder = file.parent().expect("a file in a folder");
    program.args(["serve".as_ref(), "-c".as_ref(), file.as_os_str()]).start(folder)
}

/// `config` with the addresses, and polls quick enough for a test unless it says how to poll.
fn addressed(listen: &str, port: u16, admin: u16, config: &str) -> String {
    let poll = if config.contains("poll:") { "" } else { QUICK };
    format!("listen: '{listen}:{port}'\nadmin: 127.0.0.1:{admin}\n{poll}{config}")
}

const QUICK: &str =
    "poll: {interval: 500ms, fast_interval: 200ms, timeout: 2s, rise: 1, slow_start: 1s}\n";

/// The element of `list` whose `key` is `value`, or null.
fn find(list: &Value, key: &str, value: &str) -> Value {
    let found = list.as_array().and_then(|list| list.iter().find(|item| item[key] == value));
    found.cloned().unwrap_or(Value::Null)
}
