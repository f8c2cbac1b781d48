//! Connections that are opened and never ask for anything: silent ones, heads that come byte by
//! byte, and halves of heads. Whoever is thrown out comes again at once.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::balancer::Balancer;
use crate::options::Options;
use crate::support::lab::Lab;
use crate::support::process::eventually;
use crate::wire::connect;

use super::{Fault, Finding, controls::Nothing};

/// How many there are at one time.
const CONNECTIONS: usize = 1_500;

/// Their addresses lie far from those of players.
const FIRST_PERSON: usize = 1 << 19;

/// What `limits.header_timeout` is by default, and one second more.
const LONGEST: Duration = Duration::from_secs(6);

/// All that is ever sent, at one byte a second.
const HEAD: &[u8] = b"GET /saal1.ogg HTTP/1.1\r\nHost: radio.example.org\r\nUser-Agent: slow\r\n";

pub(super) struct Slow {
    quiet: Nothing,
    runtime: Runtime,
    crowd: JoinSet<()>,
    lives: Arc<Mutex<Lives>>,
}

/// How long connections lived.
#[derive(Debug)]
struct Lives {
    since: Vec<Option<Instant>>,
    closed: usize,
    longest: Duration,
}

impl Slow {
    pub(super) fn prepare(lab: &Lab, options: &Options) -> Self {
        let quiet = Nothing::prepare(lab, options);
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let since = vec![None; CONNECTIONS];
        let lives = Lives { since, closed: 0, longest: Duration::ZERO };
        Self { quiet, runtime, crowd: JoinSet::new(), lives: Arc::new(Mutex::new(lives)) }
    }
}

impl Fault for Slow {
    fn balancer(&self) -> &Balancer {
        self.quiet.balancer()
    }

    fn begin(&mut self) {
        let to = self.balancer().address();
        let before = self.lives.lock().expect("nobody panicked").closed;
        for person in 0..CONNECTIONS {
            let lives = Arc::clone(&self.lives);
            self.crowd.spawn_on(haunt(to, person, lives), self.runtime.handle());
        }
        // The first of them are thrown out by then: from now on they come and go all the time.
        eventually("slow connections are closed", LONGEST * 2, || {
            let closed = self.lives.lock().expect("nobody panicked").closed - before;
            (closed * 10 >= CONNECTIONS).then_some(())
        });
    }

    fn end(&mut self) {
        self.runtime.block_on(self.crowd.shutdown());
        let mut lives = self.lives.lock().expect("nobody panicked");
        for person in 0..CONNECTIONS {
            if let Some(since) = lives.since[person].take() {
                lives.longest = lives.longest.max(since.elapsed());
            }
        }
    }

    fn findings(&self) -> Vec<Finding> {
        let lives = self.lives.lock().expect("nobody panicked");
        let (closed, longest) = (lives.closed, lives.longest.as_secs_f64());
        let text =
            format!("{closed} slow connections were closed, the oldest after {longest:.2} s");
        vec![Finding { text, good: closed > 0 && lives.longest <= LONGEST }]
    }
}

/// One of them, who comes again and again.
async fn haunt(to: SocketAddr, person: usize, lives: Arc<Mutex<Lives>>) {
    loop {
        let Ok(mut connection) = connect(to, FIRST_PERSON + person).await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let since = Instant::now();
        lives.lock().expect("nobody panicked").since[person] = Some(since);
        linger(&mut connection, person).await;
        let mut lives = lives.lock().expect("nobody panicked");
        lives.since[person] = None;
        lives.closed += 1;
        lives.longest = lives.longest.max(since.elapsed());
    }
}

/// Keeps a connection for as long as the other side lets it.
async fn linger(connection: &mut TcpStream, person: usize) {
    let mut heard = [0; 256];
    match person % 3 {
        0 => {}
        1 => {
            for byte in HEAD {
                if connection.write_all(&[*byte]).await.is_err() {
                    return;
                }
                let silence = timeout(Duration::from_secs(1), connection.read(&mut heard)).await;
                if matches!(silence, Ok(Ok(0) | Err(_))) {
                    return;
                }
            }
        }
        _ => {
            if connection.write_all(HEAD).await.is_err() {
                return;
            }
        }
    }
    while matches!(connection.read(&mut heard).await, Ok(1..)) {}
}
