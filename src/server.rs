//! Sockets: accepting, deadlines, limits and a graceful stop, for any service. Knows no radio.
//!
//! A peer can take a connection, a few KiB and a few seconds, and no more: the head of a request
//! must be complete within a deadline, an answer be taken within the same, buffers are small, and
//! beyond a number of connections, of everybody or of one client, new ones are answered 503 and
//! closed.

mod closing;
mod connections;
mod deferred;
mod descriptors;
mod door;
mod handshake;
mod head;
mod house;
mod lobby;
mod plain;
mod proxied;
mod sheet;
mod status_line;
mod wire;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::{SocketFlags, acceptfrom_with};
use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{debug, warn};

use crate::forwarded::Peer;

pub use connections::Connections;
pub use deferred::defer_accept;
pub use descriptors::Descriptors;
pub use plain::{Kind, Plain};
pub use sheet::{Form, Raw, Sheet};

use door::Seen;
use house::{House, Reminders, Seldom};
use lobby::Lobby;
use status_line::StatusLine;
use wire::{Talk, Wire};

/// A service's answer: whole and small, unless its service says otherwise.
pub type Answer<B = Full<Bytes>> = Response<B>;

/// What answers the requests of one port.
pub trait Service: Send + Sync + 'static {
    /// What its answers say: [`Full`] where each is whole, always.
    type Body: Body<Data = Bytes, Error = Infallible> + Send + 'static;

    /// Answers one request of `peer`.
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Answer<Self::Body>> + Send;

    /// Whether plain requests are answered at once, where they were read; asked for each
    /// connection.
    fn has_fast_door(&self) -> bool {
        false
    }

    /// Answers a plain request that came `now` at once, as [`answer`](Self::answer) would, and tells
    /// how long the answer is held back. `None`: it is for `answer`, and nothing came of it.
    fn answer_plain(
        &self,
        _request: &Plain<'_>,
        _peer: Peer,
        _now: Instant,
        _sheet: &mut Raw<'_>,
    ) -> Option<Duration> {
        None
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

    /// How `peer` is served now; asked for each connection.
    fn terms(&self, peer: IpAddr) -> Terms;
}

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// HTTP.
    Plain,
    /// HTTP over TLS.
    Tls,
}

/// How a peer is served, and what it may take of a port.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Connections of everybody at one time; more are turned away.
    pub max_connections: usize,
    /// Connections of this peer's address (IPv6: its /64) at one time; more are turned away.
    /// `None`: any number, since it speaks for many.
    pub per_client: Option<usize>,
    /// From a request's first moment to the end of its head, and for an answer to be taken.
    pub header_timeout: Duration,
    /// Whether its connections begin with a PROXY header.
    pub proxy_header: bool,
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

/// How many connections are taken before those who are connected have their turn.
const AT_ONCE: usize = 64;

/// How often the log says that connections cannot be accepted.
const COMPLAIN: Duration = Duration::from_secs(1);

/// Takes a port. An IPv6 wildcard address listens to IPv4 as well.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG.into())?;
    Ok(socket.into())
}

/// One more listener of a port that was taken: the kernel gives each its share of the connections.
/// The port was bound without `SO_REUSEPORT`, which is set now; so another program, or a second of
/// this one, is told as ever that it is taken.
pub fn beside(listener: &TcpListener) -> io::Result<TcpListener> {
    let address = listener.local_addr()?;
    SockRef::from(listener).set_reuse_port(true)?;
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG.into())?;
    Ok(socket.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Serves one listener of a port until `stop`, then lets requests under way end, within
/// `drain_limit`. An error means that it could not begin.
pub async fn serve(
    listener: TcpListener,
    speech: Speech,
    service: Arc<impl Service>,
    connections: Arc<Connections>,
    stop: CancellationToken,
    drain_limit: Duration,
) -> io::Result<()> {
    let house = Arc::new(House {
        speech,
        service,
        connections,
        lobby: Lobby::default(),
        // One for each listener: who waits for it does so together with few others.
        stop: stop.child_token(),
        abandon: CancellationToken::new(),
        under_way: TaskTracker::new(),
    });
    if let Err(error) = deferred::defer_accept(&listener) {
        debug!(%error, "connections are accepted before they have said anything");
    }
    let listener = watched(listener)?;
    let host = Arc::clone(&house);
    let _watch = AbortOnDropHandle::new(tokio::spawn(async move { host.lobby.watch().await }));
    let (mut complaint, mut reminders) = (Seldom::every(COMPLAIN), Reminders::new());
    'serving: loop {
        let mut ready = tokio::select! {
            () = house.stop.cancelled() => break,
            ready = listener.readable() => ready?,
        };
        for _ in 0..AT_ONCE {
            match accept(listener.get_ref()) {
                Ok((stream, peer)) => house.welcome(stream, peer, &mut reminders),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    continue 'serving;
                }
                // It was there and is gone, which says nothing of the next one.
                Err(error) if is_of_one_connection(&error) => debug!(%error, "connection lost"),
                Err(error) => {
                    // Out of file descriptors, most likely: some will be closed soon. To go on at
                    // once would only burn the processor.
                    if complaint.is_due() {
                        warn!(%error, "cannot accept connections; trying again");
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue 'serving;
                }
            }
        }
        // Those who are connected have their turn.
        tokio::task::yield_now().await;
    }
    house.lobby.close();
    let limit = Instant::now() + drain_limit;
    let listener = listener.into_inner();
    match closing::ignore_newcomers(&listener) {
        Ok(()) => tokio::time::sleep(LAST_HANDSHAKES).await,
        Err(error) => debug!(%error, "a connection may be cut off while the port is closed"),
    }
    // To their peers these have long been open, and a port that is closed over them resets them.
    for (stream, peer) in (0..BACKLOG).map_while(|_| accept(&listener).ok()) {
        house.welcome(stream, peer, &mut reminders);
    }
    drop(listener);
    house.under_way.close();
    if tokio::time::timeout_at(limit, house.under_way.wait()).await.is_err() {
        let connections = house.under_way.len();
        warn!(connections, "closing connections that did not end in time");
        house.abandon.cancel();
        house.under_way.wait().await;
    }
    Ok(())
}

/// A listener that can be waited for. tokio's own would have each connection watched from its
/// beginning, which costs more than to answer most of them.
#[expect(
    deprecated,
    reason = "unsound for what closes its descriptor meanwhile, or lends another; a listener of the \
              standard library does neither, and what replaces it is an unsafe function"
)]
fn watched(listener: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    AsyncFd::with_interest(listener, Interest::READABLE)
}

/// The next connection, from which nothing is waited for.
fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, peer) = acceptfrom_with(listener, flags)?;
    let peer = peer.and_then(|peer| peer.try_into().ok());
    let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((socket.into(), peer))
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// What is answered at once to a connection that brings these bytes and no more; `None`: it is for
/// hyper. For those who have no socket.
pub fn answered_at_once(service: &impl Service, peer: Peer, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut answer = Vec::new();
    match door::look(service, peer, &mut door::Exchange { come: bytes, told: &mut answer }) {
        Seen::Unsent(unsent) => Some(unsent.rest),
        Seen::Answered(_) | Seen::Over if !answer.is_empty() => Some(answer),
        Seen::Answered(_) | Seen::Over | Seen::Nothing | Seen::Other(_) => None,
    }
}

/// What is answered by hyper to a connection that brings these bytes and ends. For those who have no
/// socket.
pub async fn answered_by_hyper(service: &impl Service, peer: Peer, bytes: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let stream = tokio::io::join(bytes, &mut answer);
    let limit = Duration::from_secs(5);
    let begun = Begun { bytes: Vec::new(), deadline: Instant::now() + limit };
    let (connections, stop) = (Connections::default(), CancellationToken::new());
    converse(stream, begun, peer, service, limit, &connections, &stop).await;
    answer
}

/// How a connection has begun.
#[derive(Debug)]
struct Begun {
    /// What was read of it and not answered.
    bytes: Vec<u8>,
    /// When its next head must be whole.
    deadline: Instant,
}

/// Serves one connection, which may be anything that carries bytes, to its end. `peer` is who is at
/// its other end.
///
/// After `stop` a request that is under way or has been begun is answered, and no more.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    begun: Begun,
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
        let mut wire = Wire::new(StatusLine::new(stream), begun.bytes, &talk, header_timeout);
        // hyper takes 16 KiB for a connection from its beginning. Who says nothing, or goes on saying
        // half of something, is not given that.
        if !timeout_at(begun.deadline, wire.begun()).await?? {
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
