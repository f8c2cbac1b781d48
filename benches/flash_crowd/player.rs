//! What a media player does on the wire: it asks, follows, and reads.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::icecast::MOUNT;

/// What was answered.
pub(crate) enum Answer {
    /// Go there.
    Redirect(SocketAddr),
    /// The stream; its first bytes have been read.
    Audio(TcpStream),
    /// No.
    Refusal,
}

/// More of a head than any answer here has.
const LONGEST_HEAD: usize = 8 * 1024;

/// Asks `server` for the stream, from the address `home`. An error is a connection that failed, or
/// ended without an answer.
pub(crate) async fn ask(server: SocketAddr, home: Ipv4Addr) -> io::Result<Answer> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((home, 0).into())?;
    let mut connection = socket.connect(server).await?;
    let request = format!(
        "GET {MOUNT} HTTP/1.1\r\nHost: {server}\r\nUser-Agent: flash-crowd\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut read = Vec::new();
    let end = loop {
        more(&mut connection, &mut read).await?;
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if read.len() > LONGEST_HEAD {
            return Err(io::Error::other("the head does not end"));
        }
    };
    let head = String::from_utf8_lossy(&read[..end]);
    match head.split(' ').nth(1) {
        Some("200") => {
            if read.len() == end + 4 {
                more(&mut connection, &mut read).await?;
            }
            Ok(Answer::Audio(connection))
        }
        Some("302") => target(&head)
            .map(Answer::Redirect)
            .ok_or_else(|| io::Error::other(format!("no address to follow in {head:?}"))),
        Some("401" | "403" | "404" | "503") => Ok(Answer::Refusal),
        _ => Err(io::Error::other(format!("not an answer to expect: {head:?}"))),
    }
}

/// Reads the stream until it ends.
pub(crate) async fn listen(mut stream: TcpStream) {
    let mut heard = [0; 4096];
    // A relay that is killed may reset the connection: that is an end like another.
    while matches!(stream.read(&mut heard).await, Ok(1..)) {}
}

async fn more(connection: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<()> {
    match connection.read_buf(read).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// The relay in `Location`, which must lead to the stream.
fn target(head: &str) -> Option<SocketAddr> {
    let location = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then(|| value.trim())
    })?;
    location.strip_prefix("http://")?.strip_suffix(MOUNT)?.parse().ok()
}
