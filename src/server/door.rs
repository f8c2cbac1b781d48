//! The fast door: one whole, plain request is answered where it was read.
//!
//! A request is plain if nothing about it needs thought ([`plain`]): `GET` or `HEAD` of a path in the
//! letters that every reader of a URL agrees upon, no body, no word of a proxy, nothing behind it. It
//! is read and answered in buffers that the connections of a thread share, so that one that idles holds
//! none. Everything else, also what is merely unusual, goes to hyper with the bytes that came
//! already. What is answered is decided and written by the same functions behind either door.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use crate::clock;
use crate::forwarded::Peer;

use super::sheet::Raw;
use super::{Service, plain};

/// The largest head that is plain. Players send a few hundred bytes.
const LARGEST: usize = 4 * 1024;

/// What one look at a connection came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing has come yet.
    Nothing,
    /// A request that came at this moment was answered; the connection may bring another.
    Answered(Instant),
    /// The connection is at its end.
    Over,
    /// This came and is for the other door.
    Other(Vec<u8>),
    /// This is still to be sent.
    Unsent(Unsent),
}

/// What is still to be sent of an answer: after a moment, or because it was not taken at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsent {
    pub(super) rest: Vec<u8>,
    pub(super) pause: Duration,
    /// Whether the connection is closed behind it.
    pub(super) closes: bool,
}

/// What the connections of a thread share.
struct Desk {
    come: Box<[u8; LARGEST]>,
    answer: Vec<u8>,
    date: Date,
}

/// The time of day as an answer tells it, and until when that is so. To see that it still is takes
/// no look at another clock than the one that a request is answered by.
#[derive(Default)]
struct Date {
    until: Option<Instant>,
    /// With the end of the head behind it.
    line: String,
}

thread_local! {
    static DESK: RefCell<Desk> = RefCell::new(Desk {
        come: Box::new([0; LARGEST]),
        answer: Vec::with_capacity(1024),
        date: Date::default(),
    });
}

/// Reads what came and answers it, if that is one plain request.
pub(super) fn look(service: &impl Service, peer: Peer, stream: &mut (impl Read + Write)) -> Seen {
    DESK.with_borrow_mut(|desk| {
        let come = match stream.read(&mut desk.come[..]) {
            Ok(0) => return Seen::Over,
            Ok(length) => desk.come.get(..length).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Seen::Nothing,
            Err(_lost) => return Seen::Over,
        };
        // Of all that happens to a request this is the one moment.
        let now = Instant::now();
        let told = plain::read(come).and_then(|request| {
            let mut sheet = Raw::new(&mut desk.answer, desk.date.at(now));
            Some((service.answer_plain(&request, peer, now, &mut sheet)?, request.closes))
        });
        let Some((pause, closes)) = told else { return Seen::Other(come.to_vec()) };
        if !pause.is_zero() {
            return Seen::Unsent(Unsent { rest: desk.answer.clone(), pause, closes });
        }
        let sent = match stream.write(&desk.answer) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_lost) => return Seen::Over,
        };
        match desk.answer.get(sent..) {
            Some([]) | None if closes => Seen::Over,
            Some([]) | None => Seen::Answered(now),
            Some(rest) => Seen::Unsent(Unsent { rest: rest.to_vec(), pause, closes }),
        }
    })
}

impl Date {
    fn at(&mut self, now: Instant) -> &[u8] {
        if self.until.is_none_or(|until| now >= until) {
            let time = clock::now();
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            let left = Duration::from_secs(1)
                .saturating_sub(Duration::from_nanos(since.subsec_nanos().into()));
            let line = format!("date: {}\r\n\r\n", httpdate::fmt_http_date(time));
            *self = Self { until: Some(now + left), line };
        }
        self.line.as_bytes()
    }
}

/// A connection without a socket.
pub(super) struct Exchange<'a> {
    pub(super) come: &'a [u8],
    pub(super) told: &'a mut Vec<u8>,
}

impl Read for Exchange<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.come.read(space)
    }
}

impl Write for Exchange<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.told.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
