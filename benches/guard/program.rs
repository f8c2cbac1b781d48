//! The program under valgrind, with relays that it can send players to.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::{Builder, Runtime};

use crate::kinds::{ALL, GONE, TWO};
use crate::relay::Relay;
use crate::support::lab::{Lab, free_port};
use crate::support::process::eventually;
use crate::support::web;

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tool {
    /// Instructions, none of them the kernel's.
    Instructions,
    /// Blocks of memory that were asked for.
    Allocations,
}

/// The program, until it is ended. Dropped before that, it ends without having counted.
pub(crate) struct Program {
    tool: Tool,
    child: Child,
    address: SocketAddr,
    log: PathBuf,
    relays: Vec<Relay>,
    _runtime: Runtime,
}

/// As many as a stream may want to choose from.
const RELAYS: usize = 100;

/// More listeners than come.
const SLOTS: u64 = 1_000_000;

/// How long it may take to start and to look at every relay; under valgrind everything takes fifty
/// times as long.
const START_UP: Duration = Duration::from_secs(120);

/// Nothing but requests is to be counted: relays are looked at once.
const QUIET: &str = "poll: {interval: 1h, fast_interval: 1h, stale_after: 1h}\n";

impl Program {
    /// Starts it and waits until it has looked at every relay.
    pub(crate) fn start(lab: &Lab, balancer: &Path, tool: Tool) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let relays: Vec<Relay> = (0..RELAYS)
            .map(|_| {
                let _here = runtime.enter();
                let relay = Relay::builder().mount(TWO, SLOTS).mount(ALL, SLOTS);
                relay.start().expect("a free port")
            })
            .collect();
        let folder = lab.folder("guarded", "root");
        let port = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let (address, admin, file) = (port(), port(), folder.join("balancer.yaml"));
        let log = folder.join("valgrind.log");
        fs::write(&file, config(address, admin, &relays)).unwrap();
        // The kernel ends it with the thread that started it, however that one ends. On one processor
        // it has one thread for players, on every machine.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "taskset", "-c", &processor()]);
        // Else one of its threads may keep the others waiting for good.
        command.args(["valgrind", "--fair-sched=yes"]);
        command.args(tool.arguments()).arg(format!("--log-file={}", log.display()));
        command.arg(balancer).arg("serve").arg("-c").arg(&file).env_remove("RUST_LOG");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .arg("--log-level=warn");
        let child = command.spawn().expect("setpriv starts: tests/install has all it takes");
        let program = Self { tool, child, address, log, relays, _runtime: runtime };
        // Whoever asked it whether it is ready would be counted as well, so often as he had to.
        eventually("every relay is looked at under valgrind", START_UP, || {
            program.relays.iter().all(|relay| relay.polls() > 0).then_some(())
        });
        // As long as one is not known, it may have the stream that none of them has.
        eventually("every relay is known", START_UP, || {
            (web::get(&format!("http://{address}{GONE}")).ok()?.status == 503).then_some(())
        });
        program
    }

    /// Where players ask.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, and tells how many there were.
    pub(crate) fn end(mut self) -> u64 {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        let status = self.child.wait().expect("a child of ours");
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        assert!(status.success(), "it ends when it is told to: {status}\n{log}");
        let count = log.lines().find_map(|line| self.tool.count(line));
        count.unwrap_or_else(|| panic!("valgrind tells no count:\n{log}"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _gone = kill_process(Pid::from_child(&self.child), Signal::KILL);
        drop(self.child.wait());
    }
}

impl Tool {
    fn arguments(self) -> [&'static str; 3] {
        match self {
            Self::Instructions => {
                ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
            }
            Self::Allocations => ["--tool=dhat", "--dhat-out-file=/dev/null", "--mode=heap"],
        }
    }

    /// The count in a line of valgrind's log, if it is the one that has it.
    fn count(self, line: &str) -> Option<u64> {
        let number = match self {
            Self::Instructions => line.split("I   refs:").nth(1),
            Self::Allocations => line.split("Total:").nth(1)?.split(" in ").nth(1),
        };
        number?.trim().trim_end_matches(" blocks").replace(',', "").parse().ok()
    }
}

fn config(address: SocketAddr, admin: SocketAddr, relays: &[Relay]) -> String {
    let mut yaml = format!("listen: {address}\nadmin: {admin}\n{QUIET}servers:\n");
    for (number, relay) in relays.iter().enumerate() {
        let url = relay.url();
        // Nobody is held back for the sake of a relay.
        writeln!(yaml, "  r{number}: {{url: '{url}', max_joins_per_second: 1000000}}").unwrap();
    }
    writeln!(yaml, "streams:\n  {TWO}: {{servers: [r0, r1]}}\n  {ALL}:\n  {GONE}:").unwrap();
    yaml
}

/// One of the processors that this program may use.
fn processor() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let first = list.and_then(|list| list.trim().split([',', '-']).next());
    first.unwrap_or("0").to_owned()
}
