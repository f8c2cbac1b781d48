//! The public port against those who mean it harm, or have too little of everything.

mod beside;
mod exhaustion;
mod slow;
#[path = "../edge/vectors.rs"]
mod vectors;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::balancer::Balancer;
use crate::support::lab::{Lab, free_port};
use crate::support::process::{Process, Program, eventually};
use crate::support::web;

const STREAM: &str = "/saal1.ogg";

/// What every player sends.
const REQUEST: &[u8] = b"GET /saal1.ogg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// A relay with room for everybody, and the settings that name it.
fn relay(lab: &Lab) -> (Process, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let relay = Program::example("relay")
        .args(["--listen", &address, "--mount", STREAM])
        .start(&lab.folder("relay", "nobody"));
    eventually("the relay answers", Duration::from_secs(20), || {
        web::get(&format!("http://{address}/slots.xsl")).ok()
    });
    let config = format!(
        "servers: {{one: {{url: 'http://{address}', max_joins_per_second: 100000}}}}\n\
         streams: {{{STREAM}: }}\n"
    );
    (relay, config)
}

/// What is answered to these bytes: the first head, or as much of it as comes.
fn answer(port: u16, request: &[u8]) -> String {
    let ask = || {
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        // It may be answered and closed before all of it is out.
        drop(socket.write_all(request));
        let (mut come, mut bytes) = (Vec::new(), [0; 1024]);
        while !come.windows(4).any(|end| end == b"\r\n\r\n") {
            match socket.read(&mut bytes) {
                Ok(length) if length > 0 => come.extend_from_slice(&bytes[..length]),
                _ended => break,
            }
        }
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&come).into_owned())
    };
    ask().unwrap_or_default()
}

/// Somebody who only wants to listen, fifty times a second.
struct Normal {
    done: Arc<AtomicBool>,
    asking: JoinHandle<(Vec<Duration>, Vec<String>)>,
}

impl Normal {
    fn asks(port: u16) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&done);
        let asking = thread::spawn(move || {
            let (mut took, mut failed) = (Vec::new(), Vec::new());
            while !told.load(Relaxed) {
                let began = Instant::now();
                let answer = answer(port, REQUEST);
                if answer.starts_with("HTTP/1.1 302 ") {
                    took.push(began.elapsed());
                } else {
                    failed.push(answer);
                }
                thread::sleep(Duration::from_millis(20).saturating_sub(began.elapsed()));
            }
            (took, failed)
        });
        Self { done, asking }
    }

    /// Ends it, fails unless all it asked was answered, and tells how.
    fn was_always_served(self) -> String {
        self.done.store(true, Relaxed);
        let (mut took, failed) = self.asking.join().unwrap();
        assert!(failed.is_empty(), "{} of {}: {failed:?}", failed.len(), took.len());
        took.sort();
        let at = |share: usize| took[(took.len() - 1) * share / 100];
        format!("{} of {0} redirected, median {:?}, p99 {:?}", took.len(), at(50), at(99))
    }
}

/// As many open files as this process may have: it plays thousands of clients.
fn raise_limit() {
    icecast_balancer::server::Descriptors::raised();
}

fn start(lab: &Lab, settings: &str) -> (Process, Balancer) {
    let (relay, config) = relay(lab);
    (relay, Balancer::start(lab, &format!("{settings}{config}")))
}
