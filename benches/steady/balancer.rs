//! The program that is put to the test, as operators run it.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::machine;
use crate::options::Options;
use crate::support::lab::{Lab, free_port};
use crate::support::process::eventually;
use crate::support::web;

/// How long it may take to start and to look at every relay.
const START_UP: Duration = Duration::from_secs(20);

/// A running balancer. Dropping it ends it.
pub(crate) struct Balancer {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    file: PathBuf,
    reading: Arc<Reading>,
}

/// Whether what it prints is read.
#[derive(Debug)]
struct Reading {
    goes_on: Mutex<bool>,
    changed: Condvar,
}

impl Balancer {
    /// Starts it with a configuration that lacks nothing but ports, and waits until it has looked
    /// at every relay. What it prints goes into pipes, and is read until it is told otherwise.
    pub(crate) fn start(lab: &Lab, options: &Options, config: &str, arguments: &[&str]) -> Self {
        let folder = lab.folder("balancer", "root");
        let port = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let (address, admin, file) = (port(), port(), folder.join("balancer.yaml"));
        fs::write(&file, with_ports(address, admin, config)).unwrap();
        // The kernel ends it with the thread that started it, however that one ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&options.balancer);
        command.arg("serve").arg("-c").arg(&file).args(arguments).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("setpriv starts");
        let reading = Arc::new(Reading { goes_on: Mutex::new(true), changed: Condvar::new() });
        read(child.stdout.take().expect("a pipe"), &reading);
        read(child.stderr.take().expect("a pipe"), &reading);
        let balancer = Self { child, address, admin, file, reading };
        eventually("the balancer is ready", START_UP, || {
            (web::get(&balancer.at_admin("/readyz")).ok()?.status == 200).then_some(())
        });
        balancer
    }

    /// Whether this build knows an option of `serve`.
    pub(crate) fn knows(options: &Options, argument: &str) -> bool {
        let help = Command::new(&options.balancer).args(["serve", "--help"]).output();
        let help = help.expect("the balancer tells what it knows").stdout;
        String::from_utf8_lossy(&help).contains(argument)
    }

    /// Where players ask.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Replaces its configuration in one moment, as git does.
    pub(crate) fn configure(&self, config: &str) {
        let next = self.file.with_extension("next");
        fs::write(&next, with_ports(self.address, self.admin, config)).unwrap();
        fs::rename(next, &self.file).unwrap();
    }

    /// The value of the series that is written so; 0 if there is none.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let page = self.metrics();
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }

    /// The sum of a metric over the series in which this stands.
    pub(crate) fn sum(&self, metric: &str, label: &str) -> f64 {
        let page = self.metrics();
        let series = page.lines().filter_map(|line| line.strip_prefix(metric));
        let chosen = series.filter(|rest| rest.starts_with(['{', ' ']) && rest.contains(label));
        chosen
            .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
            .fold(0.0, |a, b| a + b)
    }

    /// All metrics; none, and a word, if they are not told.
    fn metrics(&self) -> String {
        match web::get(&self.at_admin("/metrics")) {
            Ok(page) => page.body,
            Err(error) => {
                eprintln!("  the balancer does not tell its metrics: {error}");
                String::new()
            }
        }
    }

    /// Goes on reading what it prints, or stops.
    pub(crate) fn read_output(&self, goes_on: bool) {
        *self.reading.goes_on.lock().expect("nobody panicked") = goes_on;
        self.reading.changed.notify_all();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        eventually("the balancer has ended", START_UP, || {
            self.child.try_wait().expect("a child of ours").map(drop)
        });
    }

    /// The processor time of its threads so far.
    pub(crate) fn cpu(&self) -> Duration {
        machine::threads_cpu(self.id())
    }

    /// Bytes of memory it has.
    pub(crate) fn memory(&self) -> u64 {
        machine::memory(self.id())
    }

    fn at_admin(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.read_output(true);
        // Once it has ended its number may be somebody else's.
        if matches!(self.child.try_wait(), Ok(None)) {
            // It may have been stopped, and then it could not end.
            for signal in [Signal::CONT, Signal::KILL] {
                let _gone = kill_process(Pid::from_child(&self.child), signal);
            }
        }
        self.child.wait().expect("a child of ours");
    }
}

fn with_ports(address: SocketAddr, admin: SocketAddr, config: &str) -> String {
    format!("listen: {address}\nadmin: {admin}\n{config}")
}

/// Reads a pipe to its end, on a thread of its own, whenever reading goes on.
fn read(mut pipe: impl Read + Send + 'static, reading: &Arc<Reading>) {
    let reading = Arc::clone(reading);
    thread::spawn(move || {
        let mut lines = [0; 8192];
        loop {
            let goes_on = reading.goes_on.lock().expect("nobody panicked");
            drop(reading.changed.wait_while(goes_on, |goes_on| !*goes_on));
            if !matches!(pipe.read(&mut lines), Ok(1..)) {
                return;
            }
        }
    });
}
