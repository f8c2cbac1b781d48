//! What a player does on the wire: it asks, and reads the whole answer.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    head: String,
}

/// More of a head than any answer here has.
const LONGEST_HEAD: usize = 8 * 1024;

/// Connects from the address of one of very many people: all of them are on loopback.
pub(crate) async fn connect(to: SocketAddr, person: usize) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((home(person), 0).into())?;
    let connection = socket.connect(to).await?;
    connection.set_nodelay(true)?;
    Ok(connection)
}

/// Asks for `path` and reads the answer.
pub(crate) async fn ask(connection: &mut TcpStream, path: &str) -> io::Result<Answer> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: radio.example.org\r\nUser-Agent: steady\r\nAccept: */*\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut read = Vec::with_capacity(512);
    let end = loop {
        more(connection, &mut read).await?;
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if read.len() > LONGEST_HEAD {
            return Err(io::Error::other("the head does not end"));
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let answer = Answer { status: status.ok_or_else(|| io::Error::other("no status"))?, head };
    let length: usize = answer.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    while read.len() < end + 4 + length {
        more(connection, &mut read).await?;
    }
    Ok(answer)
}

impl Answer {
    /// The first header called `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        // The first line is the status line.
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

async fn more(connection: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<()> {
    match connection.read_buf(read).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// There are as many as 127.16.0.0/12 has addresses; then the first one comes again.
fn home(person: usize) -> Ipv4Addr {
    let number = u32::try_from(person % (1 << 20)).expect("twenty bits");
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 16, 0, 0).to_bits() + number)
}
