//! A relay that says and does what a row wants: lies, wrong codes, a byte a second.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::icecast::address;

/// What it does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Does {
    /// Answers with this status and body.
    Answers(u16, String),
    /// Sends a good head and then a byte a second.
    Drips,
}

/// A relay of straw on 127.0.1.`number`.
pub(crate) struct Stub {
    looks: Arc<Mutex<Does>>,
    listeners: Arc<AtomicUsize>,
}

impl Stub {
    /// Starts it: statistics are answered as `looks` says, listeners are always welcome.
    pub(crate) fn start(number: u8, looks: Does) -> Self {
        Self::start_at(&address(number), looks)
    }

    /// The same at another address and port.
    pub(crate) fn start_at(address: &str, looks: Does) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let looks = Arc::new(Mutex::new(looks));
        let listeners = Arc::new(AtomicUsize::new(0));
        let (doing, counting) = (Arc::clone(&looks), Arc::clone(&listeners));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (doing, counting) = (Arc::clone(&doing), Arc::clone(&counting));
                thread::spawn(move || serve(connection, &doing, &counting));
            }
        });
        Self { looks, listeners }
    }

    /// Answers looks otherwise from now on.
    pub(crate) fn now(&self, looks: Does) {
        *self.looks.lock().unwrap() = looks;
    }

    /// How many asked for a stream.
    pub(crate) fn listeners(&self) -> usize {
        self.listeners.load(Relaxed)
    }
}

/// An answer with [`document`].
pub(crate) fn slots(listeners: &str, max_listeners: &str) -> Does {
    Does::Answers(200, document(listeners, max_listeners))
}

/// Statistics as our stylesheet writes them, of `/radio.mp3` alone.
pub(crate) fn document(listeners: &str, max_listeners: &str) -> String {
    format!(
        "<slots version=\"1\" server_id=\"Icecast 2.4.4\" clients=\"1\" listeners=\"{listeners}\" \
         sources=\"1\">\n<mount name=\"/radio.mp3\" listeners=\"{listeners}\" \
         max_listeners=\"{max_listeners}\" free=\"0\" active=\"1\"/>\n</slots>\n"
    )
}

fn serve(mut connection: TcpStream, looks: &Mutex<Does>, listeners: &AtomicUsize) {
    let does = looks.lock().unwrap().clone();
    let mut head = [0; 2048];
    let length = connection.read(&mut head).unwrap_or(0);
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    if head.contains("/radio.mp3") {
        listeners.fetch_add(1, Relaxed);
        let _gone = connection.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n");
        // Stays until the listener leaves.
        let _gone = connection.read(&mut [0; 16]);
        return;
    }
    let _gone = match does {
        Does::Answers(status, body) => {
            write!(connection, "HTTP/1.0 {status} As Told\r\nContent-Type: text/xml\r\n\r\n{body}")
        }
        Does::Drips => drip(connection),
    };
}

fn drip(mut connection: TcpStream) -> std::io::Result<()> {
    connection.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n")?;
    loop {
        connection.write_all(b" ")?;
        thread::sleep(Duration::from_secs(1));
    }
}
