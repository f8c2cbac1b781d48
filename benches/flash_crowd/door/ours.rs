//! This project's balancer, as operators run it: the binary and a file, with every default.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::START_UP;
use crate::icecast::{ADMIN_PASSWORD, MOUNT};
use crate::support::lab::{Lab, free_port};
use crate::support::process::{Process, Program, eventually};
use crate::support::web;

/// A running balancer.
pub(crate) struct Balancer {
    address: SocketAddr,
    admin: SocketAddr,
    relays: Vec<SocketAddr>,
    stats: &'static str,
    file: PathBuf,
    _process: Process,
}

impl Balancer {
    /// Starts it with these relays and waits until it has looked at all of them.
    pub(crate) fn start(lab: &Lab, relays: Vec<SocketAddr>, stats: &'static str) -> Self {
        let folder = lab.folder("balancer", "root");
        let port = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let (address, admin, file) = (port(), port(), folder.join("balancer.yaml"));
        fs::write(&file, config(address, admin, &relays, stats, None)).unwrap();
        let process = Program::balancer()
            .args(["serve".as_ref(), "-c".as_ref(), file.as_os_str()])
            .start(&folder);
        let ready = format!("http://{admin}/readyz");
        eventually("the balancer is ready", START_UP, || {
            (web::get(&ready).ok()?.status == 200).then_some(())
        });
        Self { address, admin, relays, stats, file, _process: process }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Writes `state: draining` into its file, as a commit would.
    pub(super) fn drain(&self, relay: usize) {
        let edited = config(self.address, self.admin, &self.relays, self.stats, Some(relay));
        fs::write(&self.file, edited).unwrap();
    }
}

fn config(
    address: SocketAddr,
    admin: SocketAddr,
    relays: &[SocketAddr],
    stats: &str,
    draining: Option<usize>,
) -> String {
    let mut config = format!("listen: {address}\nadmin: {admin}\nservers:\n");
    for (at, relay) in relays.iter().enumerate() {
        // The feed needs the password; without it nothing else changes.
        let password = match stats {
            "live" => format!(", password: {ADMIN_PASSWORD}"),
            _ => String::new(),
        };
        let mode = if draining == Some(at) { "draining" } else { "active" };
        writeln!(
            config,
            "  relay{}: {{url: 'http://{relay}', state: {mode}, stats: {{source: {stats}{password}}}}}",
            at + 1
        )
        .unwrap();
    }
    write!(config, "streams:\n  {MOUNT}:\n").unwrap();
    config
}
