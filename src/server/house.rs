//! What becomes of a connection: which door it comes through, and who hosts it.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::{AsyncRead, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream as Stream;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::forwarded::Peer;

use super::door::{self, Seen, Unsent};
use super::lobby::{Lobby, Seat};
use super::{Begun, Bounds, Connections, Service, Shed, Speech, converse, handshake, proxied};

/// What the connections of a listener share.
#[derive(Debug)]
pub(super) struct House<S> {
    pub(super) speech: Speech,
    pub(super) service: Arc<S>,
    pub(super) connections: Arc<Connections>,
    /// Where those wait that come through the fast door.
    pub(super) lobby: Lobby,
    /// No new requests.
    pub(super) stop: CancellationToken,
    /// No more patience.
    pub(super) abandon: CancellationToken,
    pub(super) under_way: TaskTracker,
}

/// A connection that is hosted.
#[derive(Debug)]
struct Guest {
    stream: Stream,
    peer: Peer,
    /// How long it may take for a head, and to take an answer.
    limit: Duration,
    /// Whether it came through the fast door, behind which there are no PROXY headers.
    is_fast: bool,
}

/// When the log said last that connections are turned away.
#[derive(Debug)]
pub(super) struct Reminders {
    too_many: Seldom,
    of_one: Seldom,
}

/// Something that is said once in a while.
#[derive(Debug)]
pub(super) struct Seldom {
    gap: Duration,
    last: Option<Instant>,
}

/// What a connection is told that is one too many.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
    Retry-After: 10\r\nCache-Control: no-store\r\nAccess-Control-Allow-Origin: *\r\n\
    Content-Length: 25\r\nContent-Type: text/plain\r\n\r\nbusy: too many listeners\n";

/// How often the log says that connections are turned away.
const REMIND: Duration = Duration::from_secs(60);

impl<S: Service> House<S> {
    /// Serves a connection that has just come, or turns it away.
    pub(super) fn welcome(
        self: &Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        reminders: &mut Reminders,
    ) {
        let peer = Peer::of_socket(address);
        let from = peer.address.ip();
        let bounds = self.service.bounds(from);
        let guard = match self.connections.admit(from, &bounds) {
            Ok(guard) => guard,
            Err(why) => {
                self.service.shed(why);
                // For a word by TLS a handshake would have to be made.
                if self.speech == Speech::Plain {
                    turn_away(&stream);
                }
                return reminders.turned_away(why, from, &bounds);
            }
        };
        let limit = bounds.header_timeout;
        let mut begun = Begun { bytes: Vec::new(), deadline: Instant::now() + limit };
        let mut unsent = None;
        let is_fast = self.is_fast(from);
        if is_fast {
            // A fault of ours costs its connection, and not the port.
            let look = || door::look(&*self.service, peer, &mut Fresh(&stream));
            match catch_unwind(AssertUnwindSafe(look)).unwrap_or(Seen::Over) {
                Seen::Over => return,
                Seen::Nothing | Seen::Answered(_) => {}
                Seen::Other(bytes) => begun.bytes = bytes,
                Seen::Unsent(rest) => unsent = Some(rest),
            }
        }
        let stream = match Stream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => return debug!(%address, %error, "connection lost"),
        };
        let (house, mut guest) = (Arc::clone(self), Guest { stream, peer, limit, is_fast });
        self.under_way.spawn(async move {
            let _guard = guard;
            if let Some(unsent) = unsent {
                if !Box::pin(house.send(&mut guest, unsent)).await {
                    return;
                }
                begun.deadline = Instant::now() + limit;
            }
            if is_fast && begun.bytes.is_empty() && !house.keep(&mut guest, &mut begun).await {
                return;
            }
            // What hyper needs is kept apart: else connections without it took as much room.
            Box::pin(house.host(guest, begun)).await;
        });
    }

    /// Whether plain requests from this address can be answered at once. After a stop it is the other
    /// door that sees to the end of connections.
    fn is_fast(&self, from: IpAddr) -> bool {
        self.speech == Speech::Plain
            && self.service.has_fast_door()
            && !self.lobby.is_closed()
            && !self.service.begins_with_proxy_header(from)
    }

    /// Answers plain requests as long as only such come. `false`: the connection is at its end.
    async fn keep(&self, guest: &mut Guest, begun: &mut Begun) -> bool {
        let enter = |cx: &mut Context<'_>| self.lobby.enter(cx.waker(), begun.deadline);
        let seat = poll_fn(|cx| Poll::Ready(enter(cx))).await;
        loop {
            let answering = poll_fn(|cx| self.poll_answers(cx, guest, &seat, &mut begun.deadline));
            match answering.await {
                Some(Seen::Unsent(rest)) => {
                    if !Box::pin(self.send(guest, rest)).await {
                        return false;
                    }
                    begun.deadline = Instant::now() + guest.limit;
                }
                Some(Seen::Other(bytes)) => {
                    begun.bytes = bytes;
                    return true;
                }
                Some(Seen::Nothing | Seen::Answered(_) | Seen::Over) => return false,
                None => return true,
            }
        }
    }

    /// Answers what comes, until something else is to be done than that. `None`: no more requests are
    /// answered here.
    fn poll_answers(
        &self,
        cx: &mut Context<'_>,
        guest: &mut Guest,
        seat: &Seat<'_>,
        deadline: &mut Instant,
    ) -> Poll<Option<Seen>> {
        loop {
            // What comes after a stop is left where it is.
            if self.lobby.is_closed() {
                return Poll::Ready(None);
            }
            let mut stream = Polled { stream: &mut guest.stream, cx };
            match door::look(&*self.service, guest.peer, &mut stream) {
                // Called, perhaps.
                Seen::Nothing if *deadline <= Instant::now() => {
                    return Poll::Ready(Some(Seen::Over));
                }
                Seen::Nothing => {
                    seat.stay(*deadline);
                    return Poll::Pending;
                }
                Seen::Answered(at) => *deadline = at + guest.limit,
                seen => return Poll::Ready(Some(seen)),
            }
            // Hardly anybody has more to say.
            if guest.stream.poll_read_ready(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Sends what could not be sent at once. `false`: the connection is at its end.
    async fn send(&self, guest: &mut Guest, unsent: Unsent) -> bool {
        let _busy = self.connections.work();
        let sending = async {
            sleep(unsent.pause).await;
            timeout(guest.limit, guest.stream.write_all(&unsent.rest)).await
        };
        tokio::select! {
            sent = sending => matches!(sent, Ok(Ok(()))) && !unsent.closes,
            () = self.abandon.cancelled() => false,
        }
    }

    /// Serves a connection by hyper to its end.
    async fn host(&self, guest: Guest, begun: Begun) {
        tokio::select! {
            () = self.serve(guest, begun) => {}
            () = self.abandon.cancelled() => {}
        }
    }

    async fn serve(&self, guest: Guest, mut begun: Begun) {
        let Guest { mut stream, mut peer, limit, is_fast } = guest;
        let Self { service, connections, stop, .. } = self;
        // Small answers must not wait for more; where this fails, the connection is gone anyway.
        if let Err(error) = stream.set_nodelay(true) {
            return debug!(peer = %peer.address, %error, "connection lost");
        }
        // A stream that tokio has just begun to watch takes nothing before it has heard of it, and a
        // refusal is not said twice.
        if !begun.bytes.is_empty()
            && !matches!(timeout_at(begun.deadline, stream.writable()).await, Ok(Ok(())))
        {
            return;
        }
        if !is_fast && service.begins_with_proxy_header(peer.address.ip()) {
            let greeting = proxied::greet(&mut stream, peer.address, &**service, limit, stop);
            let Some(introduced) = greeting.await else { return };
            peer = introduced;
            begun.deadline = Instant::now() + limit;
        }
        if self.speech == Speech::Plain {
            return converse(stream, begun, peer, &**service, limit, connections, stop).await;
        }
        // What TLS needs is kept apart: else connections without it took as much room.
        let by_tls = Box::pin(async {
            let shaking = handshake::shake(stream, peer, &**service, limit, stop);
            let Some(stream) = shaking.await else { return };
            begun.deadline = Instant::now() + limit;
            converse(stream, begun, peer.by_tls(), &**service, limit, connections, stop).await;
        });
        by_tls.await;
    }
}

/// A connection that nobody watches yet. To ask the kernel ourselves takes half of what the standard
/// library's way does.
struct Fresh<'a>(&'a TcpStream);

impl Read for Fresh<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self.0, space, RecvFlags::empty())?.0)
    }
}

impl Write for Fresh<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection that is read without waiting, and asks to be looked at again.
struct Polled<'a, 'b> {
    stream: &'a mut Stream,
    cx: &'a mut Context<'b>,
}

impl Read for Polled<'_, '_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let mut space = ReadBuf::new(space);
        match Pin::new(&mut *self.stream).poll_read(self.cx, &mut space) {
            Poll::Ready(read) => read.map(|()| space.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Polled<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Where it takes nothing, whoever sends the rest finds that out for itself.
        Ok(send(&*self.stream, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tells a connection that it is one too many, as far as its socket takes the words at once.
fn turn_away(mut stream: &TcpStream) {
    if let Err(error) = stream.write(TOO_MANY) {
        debug!(%error, "connection turned away without a word");
    }
}

impl Reminders {
    pub(super) fn new() -> Self {
        Self { too_many: Seldom::every(REMIND), of_one: Seldom::every(REMIND) }
    }

    /// A connection was turned away, which is told now and then.
    fn turned_away(&mut self, why: Shed, client: IpAddr, bounds: &Bounds) {
        match why {
            Shed::MaxConnections if self.too_many.is_due() => warn!(
                connections = bounds.max_connections,
                "turning connections away: there are as many as there may be"
            ),
            Shed::PerClient if self.of_one.is_due() => warn!(
                %client,
                connections = bounds.per_client,
                "turning connections away: this client has as many as it may have"
            ),
            Shed::MaxConnections | Shed::PerClient => {}
        }
    }
}

impl Seldom {
    pub(super) fn every(gap: Duration) -> Self {
        Self { gap, last: None }
    }

    pub(super) fn is_due(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= self.gap);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }
}
