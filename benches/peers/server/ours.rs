//! icecast-balancer, as operators run it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::lab::Lab;
use crate::support::process::eventually;
use crate::support::web;
use crate::valgrind;

use super::{START_UP, Server, address_of, port, write};

/// A running balancer.
pub(crate) struct Ours {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    file: PathBuf,
}

impl Ours {
    /// Starts it, and waits until it has looked at every relay.
    pub(crate) fn start(lab: &Lab, program: &Path, config: &str, arguments: &[&str]) -> Self {
        let folder = lab.folder("ours", "root");
        Self::run(Command::new(program), &folder, config, arguments)
    }

    /// The same under valgrind, which leaves its counts in `folder`.
    pub(crate) fn counted(program: &Path, folder: &Path, config: &str) -> Self {
        Self::run(valgrind::under(program, folder), folder, config, &[])
    }

    fn run(mut command: Command, folder: &Path, config: &str, arguments: &[&str]) -> Self {
        let (address, admin) = (address_of(port()), address_of(port()));
        let text = with_ports(address, admin, config);
        let file = write(folder, "balancer.yaml", &text);
        command.arg("serve").arg("-c").arg(&file).args(arguments);
        let server = Server::start(&command, folder);
        let ours = Self { server, address, admin, file };
        eventually("the balancer is ready", START_UP, || {
            (web::get(&ours.at_admin("/readyz")).ok()?.status == 200).then_some(())
        });
        ours
    }

    /// Replaces its configuration in one moment, as git does.
    pub(crate) fn configure(&self, config: &str) {
        let next = self.file.with_extension("next");
        fs::write(&next, with_ports(self.address, self.admin, config)).unwrap();
        fs::rename(next, &self.file).unwrap();
    }

    /// Has it read now, and waits until that is in force.
    pub(crate) fn reload(&self) {
        let answer = web::ask("POST", &self.at_admin("/-/reload"), "").expect("it answers");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// The value of the series that is written so; 0 if there is none.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let page = web::get(&self.at_admin("/metrics")).expect("it tells its metrics").body;
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }

    fn at_admin(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }
}

/// Players come by many addresses of loopback.
fn with_ports(address: SocketAddr, admin: SocketAddr, config: &str) -> String {
    format!("listen: 0.0.0.0:{}\nadmin: {admin}\n{config}", address.port())
}
