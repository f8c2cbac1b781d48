//! The policy of 2010: everybody goes to the relay that had the most free slots when the relays
//! were looked at last.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, timeout};

use crate::icecast::{MOUNT, told};

/// A running balancer of this kind. Dropping it ends its tasks.
pub(crate) struct MostFree {
    address: SocketAddr,
    relays: Arc<Vec<Relay>>,
    _tasks: JoinSet<()>,
}

struct Relay {
    address: SocketAddr,
    /// Free slots at the last look; zero where it failed.
    free: AtomicU64,
    draining: AtomicBool,
}

impl MostFree {
    /// Looks at all relays now, half of `every` later, and then each `every`: as somebody would
    /// meet it who comes at no particular moment.
    pub(super) fn start(runtime: &Runtime, relays: Vec<SocketAddr>, every: Duration) -> Self {
        let relay =
            |address| Relay { address, free: AtomicU64::new(0), draining: AtomicBool::new(false) };
        let relays: Arc<Vec<_>> = Arc::new(relays.into_iter().map(relay).collect());
        let listener = runtime.block_on(async {
            look(&relays).await;
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port")
        });
        let address = listener.local_addr().expect("an address");
        let mut tasks = JoinSet::new();
        tasks.spawn_on(serve(listener, Arc::clone(&relays)), runtime.handle());
        let looking = Arc::clone(&relays);
        let looks = async move {
            let mut ticks = interval_at(Instant::now() + every / 2, every);
            loop {
                ticks.tick().await;
                look(&looking).await;
            }
        };
        tasks.spawn_on(looks, runtime.handle());
        Self { address, relays, _tasks: tasks }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn drain(&self, relay: usize) {
        self.relays[relay].draining.store(true, Relaxed);
    }
}

async fn look(relays: &[Relay]) {
    for relay in relays {
        let page = timeout(Duration::from_secs(2), page(relay.address)).await;
        let free = page.ok().and_then(Result::ok).and_then(|page| told(&page, "free"));
        relay.free.store(free.unwrap_or(0), Relaxed);
    }
}

async fn page(relay: SocketAddr) -> io::Result<String> {
    let mut connection = TcpStream::connect(relay).await?;
    connection.write_all(b"GET /slots.xsl HTTP/1.0\r\n\r\n").await?;
    let mut page = String::new();
    connection.read_to_string(&mut page).await?;
    Ok(page)
}

async fn serve(listener: TcpListener, relays: Arc<Vec<Relay>>) {
    let mut answering = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        let relays = Arc::clone(&relays);
        // A player that goes away before it has its answer is no failure.
        answering.spawn(async move { answer(connection, &relays).await.unwrap_or_default() });
        while answering.try_join_next().is_some() {}
    }
}

async fn answer(mut connection: TcpStream, relays: &[Relay]) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if connection.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let answer = match most_free(relays) {
        Some(relay) => format!("302 Found\r\nLocation: http://{relay}{MOUNT}"),
        None => "404 Not Found".to_owned(),
    };
    let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    connection.write_all(answer.as_bytes()).await
}

fn most_free(relays: &[Relay]) -> Option<SocketAddr> {
    relays
        .iter()
        .filter(|relay| !relay.draining.load(Relaxed) && relay.free.load(Relaxed) > 0)
        .max_by_key(|relay| relay.free.load(Relaxed))
        .map(|relay| relay.address)
}
