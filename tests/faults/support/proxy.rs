//! The fault proxy: stands between us and a relay, and does to what the relay sends what the
//! kernel here cannot do. Its words are those of toxiproxy.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::web;

/// What is done to what comes from the relay. Without any, it passes as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Toxics {
    /// It comes so much later.
    pub(crate) latency: Duration,
    /// The latency is more or less by up to so much.
    pub(crate) jitter: Duration,
    /// So many bytes a second pass; 0: all.
    pub(crate) bandwidth: usize,
    /// It comes in pieces of so many bytes, each sent by itself; 0: as it is.
    pub(crate) slicer: usize,
    /// Nothing passes any more, and the connection stays.
    pub(crate) hang: bool,
    /// After so many bytes the connection is closed; 0: never.
    pub(crate) limit_data: usize,
    /// Connections are reset as soon as the relay answers.
    pub(crate) reset_peer: bool,
    /// The end of the connection is passed on so much later.
    pub(crate) slow_close: Duration,
}

/// A proxy on an address of its own.
pub(crate) struct Proxy {
    toxics: Arc<Mutex<Toxics>>,
}

impl Proxy {
    /// Starts one on `listen` (address and port) before the relay at `to`, without a toxic.
    pub(crate) fn start(listen: &str, to: &str) -> Self {
        let listener = TcpListener::bind(listen).unwrap();
        let toxics = Arc::<Mutex<Toxics>>::default();
        let (shared, to) = (Arc::clone(&toxics), to.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (toxics, to) = (Arc::clone(&shared), to.clone());
                thread::spawn(move || {
                    // Whoever leaves first ends the connection, which is no failure.
                    let _end = pass(&client, &to, &toxics);
                });
            }
        });
        Self { toxics }
    }

    /// Does something else from now on, to connections that are open as well.
    pub(crate) fn set(&self, toxics: Toxics) {
        *self.toxics.lock().unwrap() = toxics;
    }
}

/// Carries one connection.
fn pass(client: &TcpStream, to: &str, toxics: &Mutex<Toxics>) -> std::io::Result<()> {
    let relay = web::connect(to)?;
    relay.set_read_timeout(None)?;
    let (mut from_client, mut to_relay) = (client.try_clone()?, relay.try_clone()?);
    thread::spawn(move || {
        let _end = std::io::copy(&mut from_client, &mut to_relay);
        let _gone = to_relay.shutdown(Shutdown::Write);
    });
    let ended = downstream(relay, client, toxics);
    // A reset is what closing does where nothing was shut down before.
    let way = if ended.is_ok() { Shutdown::Both } else { Shutdown::Read };
    let _gone = client.shutdown(way);
    ended
}

/// Carries what the relay says, in the way the toxics want.
fn downstream(
    mut relay: TcpStream,
    mut client: &TcpStream,
    toxics: &Mutex<Toxics>,
) -> std::io::Result<()> {
    let mut passed = 0;
    let mut bytes = [0; 16 * 1024];
    loop {
        let count = relay.read(&mut bytes)?;
        let now = *toxics.lock().unwrap();
        if now.reset_peer {
            // Closing without lingering throws away what is unsent and sends a reset.
            SockRef::from(client).set_linger(Some(Duration::ZERO))?;
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        if count == 0 {
            thread::sleep(now.slow_close);
            return Ok(());
        }
        thread::sleep(delay(now));
        let piece = if now.slicer == 0 { count } else { now.slicer };
        let piece = if now.bandwidth == 0 { piece } else { piece.min(now.bandwidth.div_ceil(10)) };
        for slice in bytes[..count].chunks(piece) {
            let began = Instant::now();
            while toxics.lock().unwrap().hang {
                thread::sleep(Duration::from_millis(20));
            }
            if now.limit_data > 0 && passed + slice.len() >= now.limit_data {
                return client.write_all(&slice[..now.limit_data.saturating_sub(passed)]);
            }
            client.write_all(slice)?;
            passed += slice.len();
            if now.bandwidth > 0 {
                let takes = Duration::from_secs_f64(slice.len() as f64 / now.bandwidth as f64);
                thread::sleep(takes.saturating_sub(began.elapsed()));
            } else if now.slicer > 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

fn delay(toxics: Toxics) -> Duration {
    let spread = toxics.jitter.mul_f64(2.0 * fastrand::f64());
    (toxics.latency + spread).saturating_sub(toxics.jitter)
}
