//! The servers that are compared, each a process, or several, on the servers' core.

mod haproxy;
mod nginx;
mod ours;

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::options::Options;
use crate::station::Station;
use crate::support::lab::Lab;
use crate::support::process::eventually;
use crate::{bare, cores, machine};

pub(crate) use haproxy::Haproxy;
pub(crate) use nginx::{AS_PACKAGED, MANY, Nginx};
pub(crate) use ours::Ours;

/// How long a server may take to start, also under valgrind.
const START_UP: Duration = Duration::from_secs(60);

/// How long it may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(15);

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// The same answer to everybody.
    Bare,
    /// icecast-balancer.
    Ours,
    /// icecast-balancer with hyper for every request.
    OneDoor,
    /// nginx, `return 302`: nothing is chosen.
    NginxReturn,
    /// nginx, `split_clients`: one of twelve, by weight.
    NginxSplit,
    /// nginx, `return 302` and `listen … deferred`.
    NginxDeferred,
    /// HAProxy, a map and a random number: one of twelve.
    HaproxyMap,
    /// HAProxy, `redir` and `random(2)` with checks: one of twelve that is well.
    HaproxyRedir,
}

impl Peer {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Bare => "bare epoll, one answer for all",
            Self::Ours => "**icecast-balancer**",
            Self::OneDoor => "icecast-balancer, `--one-door` (hyper)",
            Self::NginxReturn => "nginx, `return 302`",
            Self::NginxSplit => "nginx, `split_clients`",
            Self::NginxDeferred => "nginx, `return 302`, `deferred`",
            Self::HaproxyMap => "HAProxy, map",
            Self::HaproxyRedir => "HAProxy, `redir`, `random(2)`, checks",
        }
    }
}

/// A program that runs. Dropping it ends it.
pub(crate) struct Server {
    child: Child,
}

impl Server {
    /// Starts a command, which may begin with a tool that runs it, on the servers' core. What it
    /// prints goes into a file of `folder`.
    pub(crate) fn start(command: &Command, folder: &Path) -> Self {
        let out = File::create(folder.join("out")).expect("a file");
        let core = cores::SERVERS.to_string();
        let mut started = Command::new("setpriv");
        // The kernel ends it with the thread that started it, however that one ends.
        started.args(["--pdeathsig", "KILL", "--", "taskset", "--cpu-list", &core]);
        started.arg(command.get_program()).args(command.get_args()).env_remove("RUST_LOG");
        started.stdin(Stdio::null()).stdout(out.try_clone().expect("a handle")).stderr(out);
        Self { child: started.spawn().expect("setpriv starts") }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its processes: itself and its children.
    fn processes(&self) -> Vec<u32> {
        let own = self.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let children = children.unwrap_or_default();
        let children = children.split_whitespace().filter_map(|id| id.parse().ok());
        std::iter::once(own).chain(children).collect()
    }

    /// The processor time that it has used.
    pub(crate) fn cpu(&self) -> Duration {
        self.processes().into_iter().map(machine::threads_cpu).sum()
    }

    /// Bytes of memory that it has.
    pub(crate) fn memory(&self) -> u64 {
        self.processes().into_iter().map(machine::memory).sum()
    }

    /// The threads of this name.
    pub(crate) fn threads(&self, name: &str) -> Vec<u32> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id())).expect("it runs").flatten();
        let named = threads.filter(|thread| {
            let comm = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
            comm.trim() == name
        });
        named.filter_map(|thread| thread.file_name().to_str()?.parse().ok()).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        let _gone = self.child.kill();
        self.child.wait().expect("a child of ours");
    }
}

/// All of them, side by side.
pub(crate) struct Servers {
    bare: Server,
    bare_address: SocketAddr,
    ours: Ours,
    one_door: Ours,
    nginx: Nginx,
    haproxy: Haproxy,
}

impl Servers {
    pub(crate) fn start(lab: &Lab, station: &Station, options: &Options) -> Self {
        let bare_address = address_of(port_pair());
        let mut bare = Command::new(std::env::current_exe().expect("a file"));
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, bare_address.port()));
        bare.args([bare::WORD, &everywhere.to_string(), "--bench"]);
        let servers = Self {
            bare: Server::start(&bare, &lab.folder("bare", "root")),
            bare_address,
            ours: Ours::start(lab, &options.balancer, &station.config(0), &[]),
            one_door: Ours::start(lab, &options.balancer, &station.config(0), &["--one-door"]),
            nginx: Nginx::start(lab, MANY),
            haproxy: Haproxy::start(lab, station),
        };
        let close = SocketAddr::new(bare_address.ip(), bare_address.port() + 1);
        for address in [bare_address, close] {
            listening(address);
        }
        servers
    }

    /// All their processes.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let all = [&self.bare, &self.ours.server, &self.one_door.server, &self.nginx.server];
        let all = all.into_iter().chain([&self.haproxy.server]);
        all.flat_map(Server::processes).collect()
    }

    /// The program behind a peer, and where players ask it.
    pub(crate) fn of(&self, peer: Peer, keeps: bool) -> (&Server, SocketAddr) {
        let bare =
            SocketAddr::new(self.bare_address.ip(), self.bare_address.port() + u16::from(!keeps));
        match peer {
            Peer::Bare => (&self.bare, bare),
            Peer::Ours => (&self.ours.server, self.ours.address),
            Peer::OneDoor => (&self.one_door.server, self.one_door.address),
            Peer::NginxReturn => (&self.nginx.server, self.nginx.plain),
            Peer::NginxSplit => (&self.nginx.server, self.nginx.split),
            Peer::NginxDeferred => (&self.nginx.server, self.nginx.deferred),
            Peer::HaproxyMap => (&self.haproxy.server, self.haproxy.map),
            Peer::HaproxyRedir => (&self.haproxy.server, self.haproxy.redir),
        }
    }
}

/// A file of a folder with this in it.
fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, text).unwrap();
    file
}

fn command(program: &str, arguments: &[&str], file: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).arg(OsString::from(file));
    command
}

/// The next of the ports of this world, which nobody else uses.
fn port() -> u16 {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(8000);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// The first of two neighbours.
fn port_pair() -> u16 {
    let first = port();
    assert_eq!(port(), first + 1, "one thread starts servers");
    first
}

/// Where players ask; servers listen at every address.
fn address_of(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn listening(address: SocketAddr) {
    eventually(&format!("somebody listens at {address}"), START_UP, || {
        TcpStream::connect(address).ok()
    });
}
