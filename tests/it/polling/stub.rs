//! A relay that answers bytes, for answers that no Icecast gives.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// Answers every connection in the same way, and counts them. It ends when dropped.
pub(super) struct Stub {
    address: SocketAddr,
    counts: Arc<Counts>,
    accepting: AbortHandle,
}

#[derive(Default)]
struct Counts {
    asked: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

#[derive(Clone)]
enum Way {
    /// At once, to the end.
    Whole(Vec<u8>),
    /// This document, where it is asked for, and nothing elsewhere.
    Showing { path: &'static str, body: &'static [u8] },
    /// The beginning, then a byte again and again.
    Dripping(Vec<u8>),
    /// Slots, after some thought.
    Thinking(Duration),
}

const SLOTS: &[u8] = b"HTTP/1.0 200 OK\r\n\r\n<slots version=\"1\" clients=\"1\">\
    <mount name=\"/saal1.ogg\" listeners=\"0\" max_listeners=\"9\" active=\"1\"/></slots>";

impl Stub {
    pub(super) async fn answering(bytes: Vec<u8>) -> Self {
        Self::start(Way::Whole(bytes)).await
    }

    /// One that has a document at `path` and nothing else.
    pub(super) async fn showing(path: &'static str, body: &'static [u8]) -> Self {
        Self::start(Way::Showing { path, body }).await
    }

    pub(super) async fn dripping(beginning: Vec<u8>) -> Self {
        Self::start(Way::Dripping(beginning)).await
    }

    pub(super) async fn thinking(time: Duration) -> Self {
        Self::start(Way::Thinking(time)).await
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A configuration with it as the only server, `r0`.
    pub(super) fn config(&self, poll: &str, streams: &str) -> String {
        format!("{poll}servers: {{r0: 'http://{}'}}\n{streams}", self.address)
    }

    /// Connections so far.
    pub(super) fn asked(&self) -> usize {
        self.counts.asked.load(SeqCst)
    }

    /// The most connections there were at one time.
    pub(super) fn most_at_once(&self) -> usize {
        self.counts.most.load(SeqCst)
    }

    async fn start(way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let counts = Arc::<Counts>::default();
        let counted = Arc::clone(&counts);
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (way, counts) = (way.clone(), Arc::clone(&counted));
                counts.asked.fetch_add(1, SeqCst);
                counts.most.fetch_max(counts.now.fetch_add(1, SeqCst) + 1, SeqCst);
                tokio::spawn(async move {
                    // Whoever asks may leave before the end.
                    drop(answer(socket, way, &counts.now).await);
                });
            }
        });
        Self { address, counts, accepting: accepting.abort_handle() }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Answers one connection; `now` counts those that were not answered yet.
async fn answer(mut socket: TcpStream, way: Way, now: &AtomicUsize) -> io::Result<()> {
    let _counted = Counted(now);
    let mut head = [0; 4096];
    let length = socket.read(&mut head).await?;
    match way {
        Way::Whole(bytes) => socket.write_all(&bytes).await,
        Way::Showing { path, body }
            if head[..length].starts_with(format!("GET {path} ").as_bytes()) =>
        {
            socket.write_all(&[b"HTTP/1.0 200 OK\r\n\r\n", body].concat()).await
        }
        Way::Showing { .. } => socket.write_all(b"HTTP/1.0 404 Not Found\r\n\r\n").await,
        Way::Dripping(beginning) => {
            socket.write_all(&beginning).await?;
            loop {
                socket.write_all(b" ").await?;
                sleep(Duration::from_millis(1)).await;
            }
        }
        Way::Thinking(time) => {
            sleep(time).await;
            socket.write_all(SLOTS).await
        }
    }
}

struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
