//! A program whose standard streams go wherever a test wants them to.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::program::{command, get};
use crate::relay::Relay;
use crate::support::{PATIENCE, eventually};

/// A program over a relay that takes everybody, whose log nobody follows; killed when dropped.
pub(super) struct Deaf {
    child: Child,
    pub(super) public: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) folder: TempDir,
    _relay: Relay,
}

/// One that is not started yet.
pub(super) struct Preparation {
    public: SocketAddr,
    admin: SocketAddr,
    folder: TempDir,
    relay: Relay,
}

/// The server's and the stream's names in the configuration.
pub(super) const SERVER: &str = "vienna";
pub(super) const STREAM: &str = "/a.ogg";

/// Takes ports, and writes a configuration with them.
pub(super) fn prepare() -> Preparation {
    let relay = Relay::builder().unlimited(STREAM).start().unwrap();
    let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [public, admin] = ports.each_ref().map(|port| port.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "listen: '{public}'\nadmin: '{admin}'\n\
         servers: {{{SERVER}: {{url: '{}', max_joins_per_second: 1000000}}}}\n\
         streams: {{{STREAM}: , /talks/*: }}\n",
        relay.url()
    );
    fs::write(folder.path().join("balancer.yaml"), yaml).unwrap();
    Preparation { public, admin, folder, relay }
}

impl Preparation {
    /// A path in its folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its command line.
    pub(super) fn command(&self, more: &[&str]) -> Command {
        let config = self.path("balancer.yaml");
        command(&[&["--config", config.to_str().unwrap()], more].concat())
    }

    /// Starts it and waits until it serves.
    pub(super) async fn start(self, mut command: Command) -> Deaf {
        let child = command.spawn().expect("it can be started");
        let Self { public, admin, folder, relay } = self;
        let deaf = Deaf { child, public, admin, folder, _relay: relay };
        eventually("it serves", async || get(admin, "/readyz").await.status == 200).await;
        deaf
    }
}

impl Deaf {
    /// Starts one with these streams.
    pub(super) async fn start(more: &[&str], stdout: Stdio, stderr: Stdio) -> Self {
        let prepared = prepare();
        let mut command = prepared.command(more);
        command.stdout(stdout).stderr(stderr);
        prepared.start(command).await
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A path in its folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The value of a metric without labels.
    pub(super) async fn metric(&self, name: &str) -> u64 {
        let metrics = get(self.admin, "/metrics").await.body;
        let prefix = format!("icecast_balancer_{name} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&prefix));
        value.expect("the metric is there").parse().expect("a whole number")
    }

    /// Lines of its logs that were lost.
    pub(super) async fn lost(&self) -> u64 {
        self.metric("log_lines_dropped_total").await
    }

    /// Asks for the stream so often, on connections that are kept; fails if one request is not sent
    /// to the relay. Returns how many were.
    pub(super) async fn crowd(&self, connections: usize, requests: usize) -> usize {
        let each = requests / connections;
        let players: Vec<_> =
            (0..connections).map(|_| tokio::spawn(redirected(self.public, each))).collect();
        let mut answered = 0;
        for player in players {
            answered += player.await.unwrap();
        }
        assert_eq!(answered, each * connections, "requests were not answered");
        answered
    }

    /// A request that is none, which the log tells of where it tells everything.
    pub(super) async fn nonsense(&self) {
        crate::support::raw(self.public, "no HTTP\r\n\r\n").await;
    }

    /// Sends a signal: `TERM`, `HUP`, …
    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(sent.expect("kill is installed").success(), "SIG{name} cannot be sent");
    }

    /// Tells it to end; returns its exit code and how long it took.
    pub(super) async fn end(&mut self) -> (Option<i32>, Duration) {
        self.signal("TERM");
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return (status.code(), began.elapsed());
            }
            assert!(began.elapsed() < PATIENCE * 2, "it does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What a file of its folder holds; empty if it is not there.
    pub(super) fn read(&self, name: &str) -> String {
        text_of(&self.path(name))
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(super) fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Requests that are sent before the one before is answered.
const AHEAD: usize = 50;

/// Asks for the stream on one connection; returns how often it was sent to a relay.
async fn redirected(to: SocketAddr, requests: usize) -> usize {
    let one = format!("GET {STREAM} HTTP/1.1\r\nHost: x\r\nUser-Agent: crowd/1\r\n\r\n");
    let mut socket = TcpStream::connect(to).await.expect("it listens");
    let mut answered = 0;
    while answered < requests {
        let some = AHEAD.min(requests - answered);
        socket.write_all(one.repeat(some).as_bytes()).await.expect("it reads");
        let mut answers = String::new();
        while answers.matches("\r\n\r\n").count() < some {
            let mut bytes = Vec::new();
            let reading = timeout(PATIENCE, socket.read_buf(&mut bytes));
            let length = reading.await.expect("an answer in time").expect("a connection");
            assert!(length > 0, "the connection ended after {answered} answers");
            answers.push_str(std::str::from_utf8(&bytes).expect("heads are ASCII"));
        }
        assert_eq!(answers.matches("HTTP/1.1 302 ").count(), some, "{answers}");
        answered += some;
    }
    answered
}
