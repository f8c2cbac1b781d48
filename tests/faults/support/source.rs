//! A live source: silence in MP3 frames, sent into an Icecast as long as it exists.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use super::icecast::Icecast;
use super::web;

/// An MPEG 1 layer III frame of 128 kbit/s at 44.1 kHz.
const FRAME: usize = 417;
/// A tenth of a second passes between two of them: a slow stream, but one that flows.
const PAUSE: Duration = Duration::from_millis(100);

/// A source that plays, and connects again when it is cut off. Dropping it takes the mount off the
/// air.
pub(crate) struct Source {
    stop: Arc<AtomicBool>,
}

impl Source {
    /// Plays on `mount` of `icecast`; waits until it is on the air.
    pub(crate) fn start(icecast: &Icecast, mount: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, relay, path) = (Arc::clone(&stop), icecast.address(), mount.to_owned());
        let mut frame = [0; FRAME];
        frame[..4].copy_from_slice(&[0xFF, 0xFB, 0x90, 0x00]);
        thread::spawn(move || {
            while !told.load(Relaxed) {
                if let Ok(mut stream) = knock(&relay, &path) {
                    while !told.load(Relaxed) && stream.write_all(&frame).is_ok() {
                        thread::sleep(PAUSE);
                    }
                }
                thread::sleep(PAUSE);
            }
        });
        icecast.wait_for(mount);
        Self { stop }
    }
}

/// A connection that the relay takes for the mount's source.
fn knock(relay: &str, mount: &str) -> io::Result<TcpStream> {
    let mut stream = web::connect(relay)?;
    // `source:sourcepw`.
    write!(
        stream,
        "SOURCE {mount} HTTP/1.0\r\nAuthorization: Basic c291cmNlOnNvdXJjZXB3\r\n\
         Content-Type: audio/mpeg\r\n\r\n"
    )?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    match web::status(&String::from_utf8_lossy(&head))? {
        200 => Ok(stream),
        status => Err(io::Error::other(format!("{mount}: {status}"))),
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}
