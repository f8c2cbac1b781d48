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

use super::connections::Open;
use super::door::{self, Seen, Unsent};
use super::lobby::{Lobby, Seat};
use super::{Begun, Connections, Service, Shed, Speech, Terms, converse, handshake, proxied};

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

/// A connection that is hosted. Thousands idle, so this and what waits for them are kept small.
#[derive(Debug)]
struct Guest {
    stream: Stream,
    peer: Peer,
    /// How long it may take for a head, and to take an answer.
    limit: Duration,
    /// When its next head must be whole.
    deadline: Instant,
    /// Whether it begins with a PROXY header.
    proxy_header: bool,
    /// It counts for as long as it is here.
    _counts: Open,
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
        let terms = self.service.terms(from);
        let counts = match self.connections.admit(from, &terms) {
            Ok(counts) => counts,
            Err(why) => {
                self.service.shed(why);
                // For a word by TLS a handshake would have to be made.
                if self.speech == Speech::Plain {
                    turn_away(&stream);
                }
                return reminders.turned_away(why, from, &terms);
            }
        };
        let Terms { header_timeout: limit, proxy_header, .. } = terms;
        let deadline = Instant::now() + limit;
        let mut seen = Seen::Other(Vec::new());
        if self.is_fast(&terms) {
            // A fault of ours costs its connection, and not the port.
            let look = || door::look(&*self.service, peer, &mut Fresh(&stream));
            seen = catch_unwind(AssertUnwindSafe(look)).unwrap_or(Seen::Over);
        }
        if seen == Seen::Over {
            return;
        }
        let stream = match Stream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => return debug!(%address, %error, "connection lost"),
        };
        let guest = Guest { stream, peer, limit, deadline, proxy_header, _counts: counts };
        self.under_way.spawn(Arc::clone(self).attend(guest, seen));
    }

    /// Serves a connection to its end, of which this was seen at first.
    #[expect(clippy::manual_async_fn, reason = "an async fn would keep its arguments twice")]
    fn attend(self: Arc<Self>, mut guest: Guest, mut seen: Seen) -> impl Future<Output = ()> {
        async move {
            // What comes through the fast door, as long as that is all that comes.
            let mut seat = None;
            let bytes = loop {
                match seen {
                    Seen::Other(bytes) => break bytes,
                    Seen::Over => return,
                    // This and what hyper needs are kept apart: else connections without it took as
                    // much room.
                    Seen::Unsent(rest) => {
                        if !Box::pin(self.send(&mut guest, rest)).await {
                            return;
                        }
                        seen = Seen::Nothing;
                    }
                    Seen::Nothing | Seen::Answered(_) => {
                        seen = poll_fn(|cx| self.poll_answers(cx, &mut guest, &mut seat)).await;
                    }
                }
            };
            drop(seat);
            Box::pin(self.host(guest, bytes)).await;
        }
    }

    /// Whether plain requests can be answered at once on these terms. After a stop it is the other door
    /// that sees to the end of connections.
    fn is_fast(&self, terms: &Terms) -> bool {
        self.speech == Speech::Plain
            && self.service.has_fast_door()
            && !self.lobby.is_closed()
            && !terms.proxy_header
    }

    /// Answers plain requests as they come, until something else is to be done than that.
    fn poll_answers<'a>(
        &'a self,
        cx: &mut Context<'_>,
        guest: &mut Guest,
        seat: &mut Option<Seat<'a>>,
    ) -> Poll<Seen> {
        // Whoever comes after the call that all shall go is told so below.
        let seat = seat.get_or_insert_with(|| self.lobby.enter(cx.waker(), guest.deadline));
        loop {
            // What comes after a stop is left where it is, for hyper.
            if self.lobby.is_closed() {
                return Poll::Ready(Seen::Other(Vec::new()));
            }
            let mut stream = Polled { stream: &mut guest.stream, cx };
            match door::look(&*self.service, guest.peer, &mut stream) {
                // Called, perhaps.
                Seen::Nothing if guest.deadline <= Instant::now() => {
                    return Poll::Ready(Seen::Over);
                }
                Seen::Nothing => {
                    seat.stay(guest.deadline);
                    return Poll::Pending;
                }
                Seen::Answered(at) => guest.deadline = at + guest.limit,
                seen => return Poll::Ready(seen),
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
        let sent = tokio::select! {
            sent = sending => matches!(sent, Ok(Ok(()))),
            () = self.abandon.cancelled() => false,
        };
        guest.deadline = Instant::now() + guest.limit;
        sent && !unsent.closes
    }

    /// Serves a connection, of which this much was read, by hyper to its end.
    async fn host(&self, guest: Guest, bytes: Vec<u8>) {
        tokio::select! {
            () = self.serve(guest, bytes) => {}
            () = self.abandon.cancelled() => {}
        }
    }

    async fn serve(&self, guest: Guest, bytes: Vec<u8>) {
        let Guest { mut stream, mut peer, limit, deadline, proxy_header, _counts } = guest;
        let Self { service, connections, stop, .. } = self;
        // Small answers must not wait for more; where this fails, the connection is gone anyway.
        if let Err(error) = stream.set_nodelay(true) {
            return debug!(peer = %peer.address, %error, "connection lost");
        }
        // A stream that tokio has just begun to watch takes nothing before it has heard of it, and a
        // refusal is not said twice.
        if !bytes.is_empty() && !matches!(timeout_at(deadline, stream.writable()).await, Ok(Ok(())))
        {
            return;
        }
        let mut begun = Begun { bytes, deadline };
        if proxy_header {
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
    fn turned_away(&mut self, why: Shed, client: IpAddr, terms: &Terms) {
        match why {
            Shed::MaxConnections if self.too_many.is_due() => warn!(
                connections = terms.max_connections,
                "turning connections away: there are as many as there may be"
            ),
            Shed::PerClient if self.of_one.is_due() => warn!(
                %client,
                connections = terms.per_client,
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
