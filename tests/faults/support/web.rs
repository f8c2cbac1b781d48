//! A client for one request at a time, that sees every byte and follows nothing.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// The longest that a server may be silent.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The head, from the status line to the last header.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

impl Answer {
    /// The first header called `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Host and port that it sends to; empty if nowhere.
    pub(crate) fn sent_to(&self) -> &str {
        let location = self.header("Location").unwrap_or_default();
        let rest = location.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }
}

/// `METHOD path` at `address`, with further header lines, each with its line end.
pub(crate) fn ask(method: &str, address: &str, path: &str, headers: &str) -> io::Result<Answer> {
    let stream = connect(address)?;
    ask_on(stream, method, address, path, headers)
}

/// Whether `GET path` at `address` is answered with `status`.
pub(crate) fn answers(status: u16, address: &str, path: &str) -> bool {
    ask("GET", address, path, "").is_ok_and(|answer| answer.status == status)
}

/// `METHOD path` at `address` without further headers, from an address of this machine.
pub(crate) fn ask_from(
    player: Ipv4Addr,
    method: &str,
    address: &str,
    path: &str,
) -> io::Result<Answer> {
    ask_on(connect_from(player, address)?, method, address, path, "")
}

fn ask_on(
    mut stream: TcpStream,
    method: &str,
    address: &str,
    path: &str,
    headers: &str,
) -> io::Result<Answer> {
    // HTTP/1.0: the answer ends where the connection does.
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let (head, body) = (head.to_owned(), body.to_owned());
    let status = status(&head)?;
    Ok(Answer { status, head, body })
}

/// A connection to `address`, which gives up where [`SILENCE`] is exceeded. Each comes from another
/// address, as players do.
pub(crate) fn connect(address: &str) -> io::Result<TcpStream> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [high, low] = NEXT.fetch_add(1, Relaxed).to_be_bytes();
    connect_from(Ipv4Addr::new(127, 1 + high % 100, low, 1), address)
}

/// The same, from an address of this machine.
pub(crate) fn connect_from(player: Ipv4Addr, address: &str) -> io::Result<TcpStream> {
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if address.ip().is_loopback() {
        socket.bind(&SocketAddr::from((player, 0)).into())?;
    }
    socket.connect_timeout(&address.into(), SILENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    Ok(stream)
}

/// The status code in a head.
pub(crate) fn status(head: &str) -> io::Result<u16> {
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    code.ok_or_else(|| io::Error::other(format!("no answer: {head:?}")))
}
