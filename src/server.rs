//! Sockets: accepting, deadlines, limits and a graceful stop, for any service. Knows no radio.
//!
//! A peer can take a connection, a few KiB and a few seconds, and no more: the head of a request
//! must be complete within a deadline, an answer be taken within the same, buffers are small, and
//! beyond a number of connections, of everybody or of one client, new ones are answered 503 and
//! closed.

mod closing;
mod connections;
mod descriptors;
mod handshake;
mod head;
mod proxied;
mod status_line;
mod wire;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::forwarded::Peer;

pub use connections::Connections;
pub use descriptors::Descriptors;

use status_line::StatusLine;
use wire::{Talk, Wire};

/// A service's answer: always whole, always small.
pub type Answer = Response<Full<Bytes>>;

/// What answers the requests of one port.
pub trait Service: Send + Sync + 'static {
    /// Answers one request of `peer`.
    fn answer(&self, request: Request<Incoming>, peer: Peer)
    -> impl Future<Output = Answer> + Send;

    /// Whether connections from this address begin with a PROXY header; asked for each.
    fn begins_with_proxy_header(&self, _from: IpAddr) -> bool {
        false
    }

    /// Learns of a connection that was closed because it did not begin so.
    fn without_proxy_header(&self) {}

    /// What is spoken on a port for TLS; asked for each connection. `None`: there is nothing to
    /// prove ourselves with, and the connection is closed.
    fn tls(&self) -> Option<Arc<ServerConfig>> {
        None
    }

    /// Learns of a connection that was closed because its handshake failed.
    fn without_handshake(&self) {}

    /// Learns of a request that was not HTTP and has been answered 400, 414 or 431.
    fn malformed(&self);

    /// Learns of a connection that was turned away.
    fn shed(&self, why: Shed);

    /// What `peer` may take now; asked for each connection.
    fn bounds(&self, peer: IpAddr) -> Bounds;
}

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// HTTP.
    Plain,
    /// HTTP over TLS.
    Tls,
}

/// What a peer may take of a port.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections of everybody at one time; more are turned away.
    pub max_connections: usize,
    /// Connections of this peer's address (IPv6: its /64) at one time; more are turned away.
    /// `None`: any number, since it speaks for many.
    pub per_client: Option<usize>,
    /// From a request's first moment to the end of its head, and for an answer to be taken.
    pub header_timeout: Duration,
}

/// Why a connection was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shed {
    /// There were as many as there may be.
    MaxConnections,
    /// There were as many of its client.
    PerClient,
}

/// After a stop, who is connected may send a request for this long: its bytes may be on their way,
/// or in the socket and not read yet.
const LAST_REQUESTS: Duration = Duration::from_millis(100);

/// After a stop, who has begun to connect may complete that for this long: a network's round trip.
const LAST_HANDSHAKES: Duration = Duration::from_millis(150);

/// How many connections may wait to be accepted.
const BACKLOG: u16 = 4096;

/// What a connection is told that is one too many.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
    Retry-After: 10\r\nCache-Control: no-store\r\nAccess-Control-Allow-Origin: *\r\n\
    Content-Length: 25\r\nContent-Type: text/plain\r\n\r\nbusy: too many listeners\n";

/// How often the log says that connections are turned away.
const REMIND: Duration = Duration::from_secs(60);

/// How often the log says that connections cannot be accepted.
const COMPLAIN: Duration = Duration::from_secs(1);

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
    speech: Speech,
    service: Arc<impl Service>,
    connections: Arc<Connections>,
    stop: CancellationToken,
    drain_limit: Duration,
) {
    let under_way = TaskTracker::new();
    let abandon = CancellationToken::new();
    let mut complaint = Seldom::every(COMPLAIN);
    let (mut too_many, mut of_one) = (Seldom::every(REMIND), Seldom::every(REMIND));
    let mut welcome = |stream: TcpStream, peer: SocketAddr| {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let bounds = service.bounds(peer.ip());
        let guard = match connections.admit(peer.ip(), &bounds) {
            Ok(guard) => guard,
            Err(why) => {
                service.shed(why);
                // For a word by TLS a handshake would have to be made.
                if speech == Speech::Plain {
                    turn_away(&stream);
                }
                match why {
                    Shed::MaxConnections if too_many.is_due() => warn!(
                        connections = bounds.max_connections,
                        "turning connections away: there are as many as there may be"
                    ),
                    Shed::PerClient if of_one.is_due() => warn!(
                        client = %peer.ip(),
                        connections = bounds.per_client,
                        "turning connections away: this client has as many as it may have"
                    ),
                    Shed::MaxConnections | Shed::PerClient => {}
                }
                return;
            }
        };
        // Small answers must not wait for more; where this fails, the connection is gone anyway.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "connection lost");
            return;
        }
        let (service, connections) = (Arc::clone(&service), Arc::clone(&connections));
        let (abandon, stop) = (abandon.clone(), stop.clone());
        under_way.spawn(async move {
            let limit = bounds.header_timeout;
            let serving = async {
                let mut stream = stream;
                let greeting = proxied::greet(&mut stream, peer, &*service, limit, &stop);
                let Some(peer) = greeting.await else { return };
                if speech == Speech::Plain {
                    return converse(stream, peer, &*service, limit, &connections, &stop).await;
                }
                // What TLS needs is kept apart: else connections without it took as much room.
                let by_tls = Box::pin(async {
                    let shaking = handshake::shake(stream, peer, &*service, limit, &stop);
                    let Some(stream) = shaking.await else { return };
                    converse(stream, peer.by_tls(), &*service, limit, &connections, &stop).await;
                });
                by_tls.await;
            };
            tokio::select! {
                () = serving => {}
                () = abandon.cancelled() => {}
            }
            drop(guard);
        });
    };
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => welcome(stream, peer),
            // It was there and is gone, which says nothing of the next one.
            Err(error) if is_of_one_connection(&error) => debug!(%error, "connection lost"),
            Err(error) => {
                // Out of file descriptors, most likely: some will be closed soon. To go on at
                // once would only burn the processor.
                if complaint.is_due() {
                    warn!(%error, "cannot accept connections; trying again");
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

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
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

/// Serves one connection, which may be anything that carries bytes, to its end. `peer` is who is at
/// its other end.
///
/// After `stop` a request that is under way or has been begun is answered, and no more.
pub async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    service: &impl Service,
    header_timeout: Duration,
    connections: &Connections,
    stop: &CancellationToken,
) {
    let answering = service_fn(async |request| {
        let busy = connections.work();
        let mut answer = service.answer(request, peer).await;
        if stop.is_cancelled() {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        drop(busy);
        Ok::<_, Infallible>(answer)
    });
    let talk = Talk::default();
    let serving = async {
        let mut wire = Wire::new(StatusLine::new(stream), &talk, header_timeout);
        // hyper takes 16 KiB for a connection from its beginning. Who says nothing, or goes on saying
        // half of something, is not given that.
        if !timeout(header_timeout, wire.begun()).await?? {
            return wire.shutdown().await;
        }
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(head::MAX_HEAD)
            .max_headers(64)
            .serve_connection(TokioIo::new(wire), answering);
        connection.await.map_err(|error| {
            talk.refused.fetch_or(error.is_parse(), Relaxed);
            io::Error::other(error)
        })
    };
    tokio::pin!(serving);
    let told_to_end = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_REQUESTS).await;
    };
    let ended = tokio::select! {
        // A request that has come is read before the end is told.
        biased;
        ended = &mut serving => ended,
        () = told_to_end => {
            talk.ending.store(true, Relaxed);
            serving.await
        }
    };
    if talk.refused.load(Relaxed) {
        service.malformed();
    }
    if let Err(error) = ended {
        debug!(peer = %peer.address, %error, "connection ended");
    }
}

/// Tells a connection that it is one too many, as far as its socket takes the words at once.
fn turn_away(stream: &TcpStream) {
    if let Err(error) = stream.try_write(TOO_MANY) {
        debug!(%error, "connection turned away without a word");
    }
}

/// Something that is said once in a while.
struct Seldom {
    gap: Duration,
    last: Option<Instant>,
}

impl Seldom {
    fn every(gap: Duration) -> Self {
        Self { gap, last: None }
    }

    fn is_due(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= self.gap);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }
}
