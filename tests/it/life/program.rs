//! The real program as a process, with its log and its end.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::{Answer, PATIENCE, eventually, raw};

/// A running program; killed when dropped.
pub(crate) struct Program {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// The program, not yet started, in an environment without surprises.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icecast-balancer"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET");
    command.stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the program was built")
}

/// What it wrote, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

impl Program {
    /// Starts with the configuration at a path and waits until its ports are known from its log.
    pub(crate) async fn start(config: &Path, more: &[&str]) -> Self {
        let mut command = command(&["--config", config.to_str().expect("a plain path")]);
        command.args(more);
        Self::spawn(command).await
    }

    /// The same for a command that was prepared elsewhere.
    pub(crate) async fn spawn(mut command: Command) -> Self {
        let mut child =
            command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let lines = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        let mut program = Self {
            child,
            log,
            public: SocketAddr::from(([0, 0, 0, 0], 0)),
            admin: SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        program.until_logged("status and metrics are on http://").await;
        program.public = program.address("players are served on http://");
        program.admin = program.address("status and metrics are on http://");
        program
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Waits until the log has these words.
    pub(crate) async fn until_logged(&self, words: &str) {
        eventually(&format!("the log says {words:?}"), async || self.log().contains(words)).await;
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: `TERM`, `HUP`, …
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is installed").success(), "SIG{name} cannot be sent");
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end and returns the exit code, and how long that took.
    pub(crate) async fn end(&mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        let limit = PATIENCE + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return (status.code(), began.elapsed());
            }
            assert!(began.elapsed() < limit, "it does not end:\n{}", self.log());
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whether it runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("it can be waited for").is_none()
    }

    /// What a player that asks for `target` is told.
    pub(crate) async fn get(&self, target: &str) -> Answer {
        get(self.public, target).await
    }

    /// What the admin port tells.
    pub(crate) async fn admin_get(&self, target: &str) -> Answer {
        get(self.admin, target).await
    }

    fn address(&self, words: &str) -> SocketAddr {
        let log = self.log();
        let (_, after) = log.split_once(words).expect("it says so at its start");
        let end = after.find(|c: char| !c.is_ascii_digit() && !".:[]".contains(c));
        after[..end.unwrap_or(after.len())].parse().expect("an address")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One request on a connection of its own.
pub(crate) async fn get(to: SocketAddr, target: &str) -> Answer {
    raw(to, &format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
}
