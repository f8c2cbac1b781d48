//! nginx: redirects that nobody has chosen, and some that chance has.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::station::{RELAYS, STREAMS, path, public_url};
use crate::support::lab::Lab;
use crate::valgrind;

use super::{Server, address_of, command, listening, port, write};

/// As many connections as nginx has room for unless told otherwise.
pub(crate) const AS_PACKAGED: usize = 768;

/// Room for all who come here.
pub(crate) const MANY: usize = 15_000;

/// A running nginx of one worker, with a port for each way to redirect.
pub(crate) struct Nginx {
    pub(crate) server: Server,
    pub(crate) plain: SocketAddr,
    pub(crate) split: SocketAddr,
    pub(crate) deferred: SocketAddr,
}

impl Nginx {
    /// Starts one that has room for so many connections.
    pub(crate) fn start(lab: &Lab, connections: usize) -> Self {
        let folder = lab.folder("nginx", "root");
        Self::run(&folder, connections, "", |file| command("nginx", &["-c"], file))
    }

    /// One process under valgrind, which leaves its counts in `folder`.
    pub(crate) fn counted(folder: &Path) -> Self {
        Self::run(folder, MANY, "master_process off;\n", |file| {
            let mut command = valgrind::under("nginx", folder);
            command.arg("-c").arg(file);
            command
        })
    }

    fn run(
        folder: &Path,
        connections: usize,
        more: &str,
        command: impl FnOnce(&Path) -> Command,
    ) -> Self {
        let [plain, split, deferred] = [(); 3].map(|()| address_of(port()));
        let mut config = format!(
            "daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 40000;
pid {folder}/pid;
error_log {folder}/error.log;
{more}events {{ worker_connections {connections}; multi_accept on; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  split_clients $remote_port$msec $relay {{
",
            folder = folder.display(),
        );
        for relay in 1..RELAYS {
            writeln!(config, "    8.33% {};", public_url(relay)).unwrap();
        }
        writeln!(config, "    * {};\n  }}", public_url(0)).unwrap();
        for (address, option, splits) in
            [(plain, "", false), (split, "", true), (deferred, " deferred", false)]
        {
            writeln!(config, "  server {{\n    listen {}{option};", address.port()).unwrap();
            for stream in 0..STREAMS {
                let (path, relay) = (path(stream), public_url(stream));
                let relay = if splits { "$relay" } else { &relay };
                writeln!(config, "    location = {path} {{ return 302 {relay}{path}; }}").unwrap();
            }
            config.push_str("  }\n");
        }
        config.push_str("}\n");
        let file = write(folder, "nginx.conf", &config);
        let server = Server::start(&command(&file), folder);
        let nginx = Self { server, plain, split, deferred };
        for address in [plain, split, deferred] {
            listening(address);
        }
        nginx
    }
}
