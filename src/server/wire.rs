//! The bytes of one connection on their way between its socket and hyper.
//!
//! hyper is handed one whole head at a time, and the next when the last one is answered. So an
//! answer never depends on the pieces in which a request came, whoever sends many requests and
//! reads no answers fills no memory, and what was sent ahead waits where it takes least room. An
//! answer that is not taken in time ends the connection.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::head::{Fault, Found, Head, MAX_HEAD};

/// How much is read at once of a head that comes in pieces.
const PIECE: usize = 2 * 1024;

/// What is said between a connection and those who serve it.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// Set by those who serve: no new request is begun.
    pub(super) ending: AtomicBool,
    /// Set by the connection: what came was refused.
    pub(super) refused: AtomicBool,
}

/// A stream that brings whole heads and takes answers.
#[derive(Debug)]
pub(super) struct Wire<'a, S> {
    stream: S,
    talk: &'a Talk,
    /// How long an answer may wait to be taken.
    patience: Duration,
    head: Head,
    /// What was read and not handed over yet.
    held: Vec<u8>,
    /// How much of `held` was looked at.
    read: usize,
    /// How much of a whole head at the beginning of `held` is still to be handed over.
    whole: usize,
    turn: Turn,
    peer: Peer,
    fault: Option<Fault>,
    /// Runs while an answer waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// Whose turn it is to say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The next head is awaited.
    Peer,
    /// A head was handed over, and nothing of its answer is out.
    Ours,
    /// The answer is on its way out.
    Speaking,
}

/// Whether there may be more to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    There,
    /// It has said its last word, or shall say no more.
    Silent,
    /// hyper had the time to answer before it hears of that.
    Gone,
}

impl<'a, S> Wire<'a, S> {
    /// A stream of which this much was read already.
    pub(super) fn new(stream: S, held: Vec<u8>, talk: &'a Talk, patience: Duration) -> Self {
        Self {
            stream,
            talk,
            patience,
            head: Head::default(),
            held,
            read: 0,
            whole: 0,
            turn: Turn::Peer,
            peer: Peer::There,
            fault: None,
            stalled: None,
        }
    }

    /// Hands over of a whole head what there is room for.
    fn hand_over(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.whole.min(buf.remaining());
        buf.put_slice(self.held.get(..length).unwrap_or_default());
        self.held.drain(..length.min(self.held.len()));
        self.read -= length;
        self.whole -= length;
        if self.whole == 0 {
            self.turn = Turn::Ours;
        }
        if self.held.is_empty() {
            // Between requests a connection should take no room.
            self.held = Vec::new();
        }
    }

    /// Looks at what is held for the end of a head.
    fn look(&mut self) {
        match self.head.read(self.held.get(self.read..).unwrap_or_default()) {
            Found::More => self.read = self.held.len(),
            Found::End(end) => {
                self.read += end;
                self.whole = self.read;
            }
            Found::Fault(fault) => self.refuse(fault),
        }
    }

    /// An answer waits to be taken: until patience ends.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        // It goes on running though some bytes be taken now and then.
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        stalled.as_mut().poll(cx).map(|()| io::ErrorKind::TimedOut.into())
    }

    fn refuse(&mut self, fault: Fault) {
        self.fault = Some(fault);
        self.talk.refused.store(true, Relaxed);
        self.held = Vec::new();
    }
}

impl<S: AsyncRead + Unpin> Wire<'_, S> {
    /// Reads from the stream. One that speaks TLS and is closed without a word about it has ended
    /// like any other: a head tells itself whether it is whole.
    fn poll_stream(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.stream).poll_read(cx, buf)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => Poll::Ready(read),
        }
    }

    /// Waits for the first head; tells whether there is one. There is none where the other side has
    /// said its last word, was refused, or shall say no more.
    pub(super) async fn begun(&mut self) -> io::Result<bool> {
        poll_fn(|cx| self.poll_head(cx)).await?;
        Ok(self.whole > 0)
    }

    /// Reads until a whole head is held, or there will be none.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.whole == 0 && self.read < self.held.len() {
                self.look();
            }
            if self.whole > 0 || self.peer != Peer::There || self.fault.is_some() {
                return Poll::Ready(Ok(()));
            }
            let coming = self.poll_hold(cx);
            if coming.is_pending() && self.head.is_empty() && self.talk.ending.load(Relaxed) {
                self.peer = Peer::Silent;
                return Poll::Ready(Ok(()));
            }
            ready!(coming)?;
        }
    }

    /// Reads what comes next behind what is held.
    fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); PIECE];
        let mut piece = ReadBuf::uninit(&mut space);
        ready!(self.poll_stream(cx, &mut piece))?;
        if piece.filled().is_empty() {
            self.peer = Peer::Silent;
        }
        self.held.extend_from_slice(piece.filled());
        Poll::Ready(Ok(()))
    }

    /// While an answer is under way, all that matters is whether the other side is still there.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.peer == Peer::There && self.held.len() < MAX_HEAD {
            ready!(self.poll_hold(cx))?;
        }
        match self.peer {
            Peer::Gone if self.held.is_empty() => Poll::Ready(Ok(())),
            Peer::Silent => {
                // It may only have closed its own side. hyper would drop its request unanswered.
                self.peer = Peer::Gone;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Peer::There | Peer::Gone => Poll::Pending,
        }
    }
}

/// Reading nothing means that there will be nothing more.
impl<S: AsyncRead + Unpin> AsyncRead for Wire<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.turn != Turn::Peer {
            return this.poll_gone(cx);
        }
        ready!(this.poll_head(cx))?;
        if this.whole > 0 {
            this.hand_over(buf);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Poll::Ready(written) = Pin::new(&mut this.stream).poll_write(cx, buf) {
            this.turn = Turn::Speaking;
            return Poll::Ready(written);
        }
        this.poll_patience(cx).map(Err)
    }

    /// hyper flushes when it has written all of an answer. By TLS all of it may still be here.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match Pin::new(&mut this.stream).poll_flush(cx) {
            Poll::Ready(flushed) => flushed?,
            Poll::Pending => return this.poll_patience(cx).map(Err),
        }
        if this.turn == Turn::Speaking {
            this.turn = Turn::Peer;
            this.stalled = None;
            // Else nobody would ask for the next head, nor wait for it for so long only.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(fault) = this.fault.take() {
            // As far as the socket takes it at once; nobody waits for whoever sends rubbish.
            let _told = Pin::new(&mut this.stream).poll_write(cx, fault.answer())?;
        }
        match Pin::new(&mut this.stream).poll_shutdown(cx) {
            Poll::Ready(closed) => Poll::Ready(closed),
            Poll::Pending => this.poll_patience(cx).map(Err),
        }
    }
}
