//! A live source: silence in MP3 frames, sent into an Icecast as long as it exists.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::icecast::Icecast;
use super::process::until;
use super::web;

/// An MPEG 1 layer III frame of 128 kbit/s at 44.1 kHz.
const FRAME: usize = 417;
/// A tenth of a second passes between two of them: a slow stream, but one that flows.
const PAUSE: Duration = Duration::from_millis(100);

/// A source that plays. Dropping it takes the mount off the air.
pub(crate) struct Source {
    stop: Arc<AtomicBool>,
    playing: JoinHandle<()>,
}

impl Source {
    /// Whether the relay still takes what it plays.
    pub(crate) fn plays(&self) -> bool {
        !self.playing.is_finished()
    }

    /// Plays on `mount` of `icecast`; waits until it is on the air.
    pub(crate) fn start(icecast: &Icecast, mount: &str) -> Self {
        let mut stream = None;
        // A relay that has just come to itself may still take the source before for alive.
        until(&format!("{mount} is free"), Duration::from_secs(30), || {
            stream = knock(icecast, mount).ok();
            stream.is_some()
        });
        let mut stream = stream.expect("a connection");
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let mut frame = [0; FRAME];
        frame[..4].copy_from_slice(&[0xFF, 0xFB, 0x90, 0x00]);
        let playing = thread::spawn(move || {
            // A relay that died takes nothing any more.
            while !told.load(Relaxed) && stream.write_all(&frame).is_ok() {
                thread::sleep(PAUSE);
            }
        });
        icecast.wait_for(mount);
        Self { stop, playing }
    }
}

/// A connection that the relay takes for the mount's source.
fn knock(icecast: &Icecast, mount: &str) -> io::Result<TcpStream> {
    let mut stream = web::connect(&icecast.address())?;
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
