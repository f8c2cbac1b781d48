//! HAProxy: a relay by chance, or the better of two that are well.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::station::{RELAYS, Station, public_url};
use crate::support::lab::Lab;

use super::{Server, address_of, command, listening, port, write};

/// A running HAProxy of one thread, with a port for each way to redirect.
pub(crate) struct Haproxy {
    pub(crate) server: Server,
    pub(crate) map: SocketAddr,
    pub(crate) redir: SocketAddr,
}

impl Haproxy {
    /// Starts one that runs in the foreground.
    pub(crate) fn start(lab: &Lab, station: &Station) -> Self {
        Self::run(lab, station, &["-db", "-f"])
    }

    /// Starts one with a master, which can be told to reload.
    pub(crate) fn start_with_master(lab: &Lab, station: &Station) -> Self {
        Self::run(lab, station, &["-W", "-f"])
    }

    fn run(lab: &Lab, station: &Station, arguments: &[&str]) -> Self {
        let folder = lab.folder("haproxy", "root");
        let [map, redir] = [(); 2].map(|()| address_of(port()));
        let lines = (0..RELAYS).map(|relay| format!("{relay} {}\n", public_url(relay)));
        let relays = write(&folder, "relays.map", &lines.collect::<String>());
        let mut config = format!(
            "global
  nbthread 1
  maxconn 9500
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 5s
frontend map
  bind :{}
  http-request redirect location %[rand({RELAYS}),map({})]%[path] code 302
frontend redir
  bind :{}
  default_backend relays
backend relays
  balance random(2)
  option httpchk GET /status-json.xsl
  default-server check inter 2s
",
            map.port(),
            relays.display(),
            redir.port(),
        );
        for (at, address) in station.addresses().enumerate() {
            writeln!(config, "  server relay{at} {address} weight 10 redir {}", public_url(at))
                .unwrap();
        }
        let file = write(&folder, "haproxy.cfg", &config);
        let server = Server::start(&command("haproxy", arguments, &file), &folder);
        let haproxy = Self { server, map, redir };
        for address in [map, redir] {
            listening(address);
        }
        haproxy
    }
}
