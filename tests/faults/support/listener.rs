//! A listener: asks the door, goes where it is sent, and stays as long as it likes.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::balancer::PUBLIC;
use super::web;

/// What became of a listener's wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// This relay answered 200.
    Played(String),
    /// This relay answered something else.
    Refused(String, u16),
    /// This relay did not answer, for this reason.
    Unanswered(String, String),
    /// The door answered something else than a redirect.
    TurnedAway(u16),
    /// The door did not answer.
    DoorShut(String),
}

/// What it has to tell.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    /// When it asked the door.
    pub(crate) at: Instant,
    /// From there to the relay's answer.
    pub(crate) took: Duration,
    /// What became of it.
    pub(crate) fate: Fate,
}

/// Somebody who listens, in a thread of its own.
pub(crate) struct Listener {
    leave: Arc<AtomicBool>,
    settled: Arc<AtomicBool>,
    listening: JoinHandle<Story>,
}

impl Listener {
    /// Asks for `path` and stays for at most `hold`.
    pub(crate) fn start(path: &str, hold: Duration) -> Self {
        let (leave, settled) = (Arc::default(), Arc::default());
        let (told, tell) = (Arc::clone(&leave), Arc::clone(&settled));
        let path = path.to_owned();
        let listening = thread::Builder::new()
            .stack_size(128 * 1024)
            .spawn(move || listen(&path, hold, &told, &tell))
            .expect("a thread");
        Self { leave, settled, listening }
    }

    /// Whether its fate is known.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Relaxed)
    }

    /// Whether it has left.
    pub(crate) fn has_left(&self) -> bool {
        self.listening.is_finished()
    }

    /// Sends it home.
    pub(crate) fn leave(self) -> Story {
        self.leave.store(true, Relaxed);
        self.listening.join().expect("a listener does not fail")
    }
}

fn listen(path: &str, hold: Duration, leave: &AtomicBool, settled: &AtomicBool) -> Story {
    let at = Instant::now();
    let (fate, stream) = wish(path);
    let took = at.elapsed();
    settled.store(true, Relaxed);
    if let Some(mut stream) = stream {
        let _same_pace = stream.set_read_timeout(Some(Duration::from_millis(200)));
        let mut bytes = [0; 4096];
        while !leave.load(Relaxed) && at.elapsed() < hold {
            match stream.read(&mut bytes) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    }
    Story { at, took, fate }
}

fn wish(path: &str) -> (Fate, Option<std::net::TcpStream>) {
    let answer = match web::ask("GET", PUBLIC, path, "") {
        Ok(answer) => answer,
        Err(error) => return (Fate::DoorShut(error.to_string()), None),
    };
    if answer.status != 302 {
        return (Fate::TurnedAway(answer.status), None);
    }
    let relay = answer.sent_to().to_owned();
    let head = || -> std::io::Result<(u16, std::net::TcpStream)> {
        let mut stream = web::connect(&relay)?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {relay}\r\n\r\n")?;
        let mut line = [0; 12];
        stream.read_exact(&mut line)?;
        Ok((web::status(&String::from_utf8_lossy(&line))?, stream))
    };
    match head() {
        Ok((200, stream)) => (Fate::Played(relay), Some(stream)),
        Ok((status, _)) => (Fate::Refused(relay, status), None),
        Err(error) => (Fate::Unanswered(relay, error.to_string()), None),
    }
}
