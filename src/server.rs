//! Sockets: accepting, deadlines, limits and a graceful stop, for any service. Knows no radio.
//!
//! A peer can take a connection, a few KiB and a few seconds, and no more: the head of a request
//! must be complete within a deadline, buffers are small, and beyond a number of connections new
//! ones are answered 503 and closed.

mod closing;
mod status_line;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use status_line::StatusLine;

/// A service's answer: always whole, always small.
pub type Answer = Response<Full<Bytes>>;

/// What answers the requests of one port.
pub trait Service: Send + Sync + 'static {
    /// Answers one request of `peer`.
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Answer> + Send;

    /// Learns of a request that was not HTTP and has been answered 400.
    fn malformed(&self);

    /// Learns of a connection that was turned away because there are too many.
    fn shed(&self);

    /// What peers may take now; asked for each connection.
    fn bounds(&self) -> Bounds;
}

/// What peers may take of a port.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at one time; more are turned away.
    pub max_connections: usize,
    /// From a request's first moment to the end of its head.
    pub header_timeout: Duration,
}

/// The connections of one port.
#[derive(Debug, Default)]
pub struct Connections {
    open: AtomicUsize,
    busy: AtomicUsize,
}

/// After a stop, who is connected may send a request for this long: its bytes may be on their way,
/// or in the socket and not read yet.
const LAST_REQUESTS: Duration = Duration::from_millis(100);

/// After a stop, who has begun to connect may complete that for this long: a network's round trip.
const LAST_HANDSHAKES: Duration = Duration::from_millis(150);

/// How many connections may wait to be accepted.
const BACKLOG: u16 = 4096;

/// Larger heads are refused with 431.
const MAX_HEAD: usize = 16 * 1024;

/// What a connection is told that is one too many.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
    Retry-After: 10\r\nContent-Length: 25\r\nContent-Type: text/plain\r\n\r\n\
    busy: too many listeners\n";

/// Takes a port. An IPv6 wildcard address listens to IPv4 as well.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG.into())?;
    Ok(socket.into())
}

/// Serves one port until `stop`, then lets requests under way end, within `drain_limit`.
pub async fn serve(
    listener: TcpListener,
    service: Arc<impl Service>,
    connections: Arc<Connections>,
    stop: CancellationToken,
    drain_limit: Duration,
) {
    let under_way = TaskTracker::new();
    let abandon = CancellationToken::new();
    let mut complained = None;
    let welcome = |stream: TcpStream, peer| {
        let bounds = service.bounds();
        if connections.open() >= bounds.max_connections {
            service.shed();
            turn_away(&stream);
            return;
        }
        let guard = Open::new(Arc::clone(&connections));
        let service = Arc::clone(&service);
        let serving = converse(stream, peer, service, bounds.header_timeout, guard, stop.clone());
        let abandon = abandon.clone();
        under_way.spawn(async move {
            tokio::select! {
                () = serving => {}
                () = abandon.cancelled() => {}
            }
        });
    };
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => welcome(stream, peer),
            Err(error) => {
                // Out of file descriptors, most likely: some will be closed soon. To go on at
                // once would only burn the processor.
                if complained.is_none_or(|at: tokio::time::Instant| at.elapsed().as_secs() >= 1) {
                    warn!(%error, "cannot accept connections; trying again");
                    complained = Some(tokio::time::Instant::now());
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    let limit = tokio::time::Instant::now() + drain_limit;
    match closing::ignore_newcomers(&listener) {
        Ok(()) => tokio::time::sleep(LAST_HANDSHAKES).await,
        Err(error) => debug!(%error, "a connection may be cut off while the port is closed"),
    }
    for (stream, peer) in waiting(listener) {
        welcome(stream, peer);
    }
    under_way.close();
    if tokio::time::timeout_at(limit, under_way.wait()).await.is_err() {
        warn!(connections = under_way.len(), "closing connections that did not end in time");
        abandon.cancel();
        under_way.wait().await;
    }
}

/// The connections that wait to be accepted; closes the port after them. To their peers they have
/// long been open, and a port that is closed over them resets them.
fn waiting(listener: TcpListener) -> impl Iterator<Item = (TcpStream, SocketAddr)> {
    let listener = listener.into_std().ok();
    (0..BACKLOG).map_while(move |_| {
        let (stream, peer) = listener.as_ref()?.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, peer))
    })
}

/// Serves one connection to its end.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    service: Arc<impl Service>,
    header_timeout: Duration,
    guard: Open,
    stop: CancellationToken,
) {
    // Small answers must not wait for more; where this fails, the connection is gone anyway.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "connection lost");
        return;
    }
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let answering = service_fn(|request| {
        let service = &service;
        let busy = guard.busy();
        async move {
            let answer = service.answer(request, peer).await;
            drop(busy);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEAD)
        .max_headers(64)
        .serve_connection(TokioIo::new(StatusLine::new(stream)), answering);
    tokio::pin!(connection);
    let told_to_end = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_REQUESTS).await;
    };
    let ended = tokio::select! {
        // A request that has come is read before the end is told.
        biased;
        ended = &mut connection => ended,
        () = told_to_end => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        if error.is_parse() {
            service.malformed();
        }
        debug!(%peer, %error, "connection ended");
    }
}

/// Tells a connection that it is one too many, as far as its socket takes the words at once.
fn turn_away(stream: &TcpStream) {
    if let Err(error) = stream.try_write(TOO_MANY) {
        debug!(%error, "connection turned away without a word");
    }
}

impl Connections {
    /// How many there are.
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// How many of them have a request under way.
    pub fn busy(&self) -> usize {
        self.busy.load(Relaxed)
    }
}

/// Counts a connection for as long as it lives.
struct Open(Arc<Connections>);

/// Counts a request for as long as it is under way.
struct Busy(Arc<Connections>);

impl Open {
    fn new(connections: Arc<Connections>) -> Self {
        connections.open.fetch_add(1, Relaxed);
        Self(connections)
    }

    fn busy(&self) -> Busy {
        self.0.busy.fetch_add(1, Relaxed);
        Busy(Arc::clone(&self.0))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}
