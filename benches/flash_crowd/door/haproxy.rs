//! HAProxy as a balancer of listeners: it redirects to its servers, which it checks four times as
//! often as it would by default.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::START_UP;
use crate::support::lab::{Lab, free_port};
use crate::support::process::{Process, Program, eventually};

/// A running HAProxy.
pub(crate) struct Haproxy {
    address: SocketAddr,
    control: PathBuf,
    _process: Process,
}

impl Haproxy {
    pub(super) fn start(lab: &Lab, relays: &[SocketAddr]) -> Self {
        let folder = lab.folder("haproxy", "root");
        let control = folder.join("control");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut config = format!(
            "global
  stats socket {} level admin
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend players
  bind {address}
  default_backend relays
backend relays
  balance random(2)
  option httpchk GET /slots.xsl
  default-server check inter 500ms fall 2
",
            control.display()
        );
        for (at, relay) in relays.iter().enumerate() {
            writeln!(config, "  server {} {relay} redir http://{relay}", name(at)).unwrap();
        }
        let file = folder.join("haproxy.cfg");
        fs::write(&file, config).unwrap();
        let process = Program::new("haproxy", "haproxy")
            .args(["-db".as_ref(), "-f".as_ref(), file.as_os_str()])
            .start(&folder);
        eventually("HAProxy listens", START_UP, || TcpStream::connect(address).ok());
        Self { address, control, _process: process }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn drain(&self, relay: usize) {
        let mut control = UnixStream::connect(&self.control).expect("HAProxy can be told");
        writeln!(control, "set server relays/{} state drain", name(relay)).unwrap();
        let mut answer = String::new();
        control.read_to_string(&mut answer).unwrap();
        assert_eq!(answer.trim(), "", "HAProxy drains a server");
    }
}

fn name(relay: usize) -> String {
    format!("relay{}", relay + 1)
}
