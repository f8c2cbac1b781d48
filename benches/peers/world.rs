//! A network of the benchmark's own, with room for many connections.

use std::fs;
use std::process::{Command, ExitCode};

use rustix::process::getuid;

/// What the kernel is told of that network.
const SETTINGS: &[(&str, &str)] = &[
    // Each request on a connection of its own takes a port for a minute.
    ("ipv4/ip_local_port_range", "10240 65535"),
    ("core/somaxconn", "8192"),
    ("ipv4/tcp_max_syn_backlog", "8192"),
];

/// Runs this program again, in a world without network, that ends with it.
pub(crate) fn enter() -> ExitCode {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare"]);
    if !getuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    // Its processes stay among those of the machine, so that it is seen what others take.
    command.args(["--net", "--"]);
    command.arg(std::env::current_exe().expect("a file")).arg("--inside");
    // All but the program's own name, which comes first.
    command.args(std::env::args_os().skip(1));
    let ended = command.status().expect("setpriv starts");
    if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes its network one that programs can meet on.
pub(crate) fn furnish() {
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(up.expect("ip starts").success(), "loopback is up");
    for (name, value) in SETTINGS {
        fs::write(format!("/proc/sys/net/{name}"), value).expect("the network is our own");
    }
}
