//! The requests that are counted.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// On a connection that stays, for a stream of two relays.
    Kept,
    /// The same for a stream of a hundred relays: it costs as much.
    Hundred,
    /// On a connection of its own.
    Fresh,
    /// On a connection that stays, and behind hyper's door.
    Hyper,
    /// On a connection of its own, and behind hyper's door.
    FreshHyper,
    /// For a stream that no relay has.
    Refused,
    /// For nothing that there is.
    Unknown,
}

/// A stream that two relays have.
pub(crate) const TWO: &str = "/two.ogg";
/// A stream that all relays have.
pub(crate) const ALL: &str = "/all.ogg";
/// A stream that none of them has.
pub(crate) const GONE: &str = "/gone.ogg";

/// What VLC sends, but for the names of its program, which would take two slots.
const HEADERS: &str = "Host: radio.example.org\r\nAccept: */*\r\nAccept-Language: en_US\r\n\
    User-Agent: Player/3.0.18 LibPlayer/3.0.18\r\nRange: bytes=0-\r\nIcy-MetaData: 1\r\n";

/// What a proxy adds; whoever says so is read by hyper.
const PROXY: &str = "X-Forwarded-Proto: http\r\n";

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::Kept,
        Self::Hundred,
        Self::Fresh,
        Self::Hyper,
        Self::FreshHyper,
        Self::Refused,
        Self::Unknown,
    ];

    /// Its name in the table, and in the file with what is recorded.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kept => "302, kept connection",
            Self::Hundred => "302, kept connection, 100 relays",
            Self::Fresh => "302, new connection",
            Self::Hyper => "302, kept connection, by hyper",
            Self::FreshHyper => "302, new connection, by hyper",
            Self::Refused => "503, kept connection",
            Self::Unknown => "404, kept connection",
        }
    }

    /// Makes so many such requests, one after the other.
    pub(crate) fn ask(self, to: SocketAddr, times: usize) {
        let request = self.request();
        let mut kept = None;
        for _ in 0..times {
            if self.is_fresh() {
                kept = None;
            }
            let mut connection = kept.take().unwrap_or_else(|| connect(to));
            connection.write_all(request.as_bytes()).expect("the request is taken");
            let status = status(&mut connection);
            assert_eq!(status, self.status(), "{}", self.name());
            kept = Some(connection);
        }
    }

    fn request(self) -> String {
        let path = match self {
            Self::Hundred => ALL,
            Self::Refused => GONE,
            Self::Unknown => "/none.ogg",
            Self::Kept | Self::Fresh | Self::Hyper | Self::FreshHyper => TWO,
        };
        let proxy = if matches!(self, Self::Hyper | Self::FreshHyper) { PROXY } else { "" };
        let close = if self.is_fresh() { "Connection: close\r\n" } else { "" };
        format!("GET {path} HTTP/1.1\r\n{HEADERS}{proxy}{close}\r\n")
    }

    fn is_fresh(self) -> bool {
        matches!(self, Self::Fresh | Self::FreshHyper)
    }

    fn status(self) -> u16 {
        match self {
            Self::Refused => 503,
            Self::Unknown => 404,
            _ => 302,
        }
    }
}

fn connect(to: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(to).expect("a connection");
    connection.set_nodelay(true).expect("a socket");
    connection.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    connection
}

/// Reads an answer, with the body that it says it has.
fn status(connection: &mut TcpStream) -> u16 {
    let mut answer = Vec::with_capacity(1024);
    let mut piece = [0; 1024];
    loop {
        let length = connection.read(&mut piece).expect("an answer");
        assert!(length > 0, "the connection ended before its answer did");
        answer.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let length = field("content-length: ").and_then(|length| length.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            return status.expect("a status");
        }
    }
}
