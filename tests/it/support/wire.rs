//! A connection on which bytes go out and come in as they are.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{Answer, PATIENCE};

/// A connection that may carry any number of requests, over TCP or over what that carries.
pub(crate) struct Wire<S = TcpStream> {
    socket: S,
    /// What came and was not looked at yet.
    come: Vec<u8>,
}

impl Wire {
    /// Connects.
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.expect("a port that listens");
        Self::over(socket)
    }

    /// Takes a connection that was made elsewhere.
    pub(crate) fn over(socket: TcpStream) -> Self {
        socket.set_nodelay(true).expect("a connection that is there");
        Self { socket, come: Vec::new() }
    }

    /// Connects from an address of this machine, which may be any of 127.0.0.0/8.
    pub(crate) async fn from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(source, 0)).expect("an address of this machine");
        let socket = socket.connect(address).await.expect("a port that listens");
        socket.set_nodelay(true).expect("a connection that is there");
        Self { socket, come: Vec::new() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Takes a connection of any kind.
    pub(crate) fn upon(socket: S) -> Self {
        Self { socket, come: Vec::new() }
    }

    /// What it is made of.
    pub(crate) fn socket(&mut self) -> &mut S {
        &mut self.socket
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn finish(&mut self) {
        drop(self.socket.shutdown().await);
    }

    /// Sends bytes as one piece. That the other side has closed is no fault: it may have answered.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.socket.write_all(bytes.as_ref()).await);
    }

    /// The next answer; `None` once the other side has closed. One to `HEAD` tells the length of a
    /// body that it does not have.
    async fn next(&mut self, is_head: bool) -> Option<Answer> {
        let head_ends = loop {
            if let Some(at) = self.come.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            self.read().await?;
        };
        let length =
            Answer::parse(&self.come[..head_ends]).header("content-length").map(str::parse);
        let body = if is_head { 0 } else { length.map_or(0, |length| length.expect("a number")) };
        while self.come.len() < head_ends + body {
            self.read().await?;
        }
        let rest = self.come.split_off(head_ends + body);
        Some(Answer::parse(&std::mem::replace(&mut self.come, rest)))
    }

    /// The next answer, to anything but `HEAD`.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.next(false).await.expect("an answer before the connection is closed")
    }

    /// The next answer, to anything but `HEAD`; `None` if the connection is closed before.
    pub(crate) async fn answer_if_any(&mut self) -> Option<Answer> {
        self.next(false).await
    }

    /// The next answer, to `HEAD`; `None` if the connection is closed before.
    pub(crate) async fn answer_to_head_if_any(&mut self) -> Option<Answer> {
        self.next(true).await
    }

    /// The next answer, to `HEAD`.
    pub(crate) async fn answer_to_head(&mut self) -> Answer {
        self.next(true).await.expect("an answer before the connection is closed")
    }

    /// Waits for the other side to close; fails if it sends anything more.
    pub(crate) async fn closed(self) {
        assert_eq!(self.rest().await, "", "nothing follows the answer");
    }

    /// Waits for the other side to close; returns what it sent before.
    pub(crate) async fn rest(mut self) -> String {
        while self.read().await.is_some() {}
        String::from_utf8_lossy(&self.come).into_owned()
    }

    /// Whether the other side closes within so long.
    pub(crate) async fn is_closed_within(&mut self, wait: Duration) -> bool {
        let reading = self.socket.read_buf(&mut self.come);
        matches!(timeout(wait, reading).await, Ok(Ok(0) | Err(_)))
    }

    /// Reads some bytes; `None` once the other side has closed or cut the connection.
    async fn read(&mut self) -> Option<()> {
        let reading = self.socket.read_buf(&mut self.come);
        match timeout(PATIENCE, reading).await.expect("bytes or an end in time") {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }
}

/// Sends bytes over a connection of their own and returns what is answered first.
pub(crate) async fn first_answer(to: SocketAddr, bytes: impl AsRef<[u8]>) -> Answer {
    let mut wire = Wire::to(to).await;
    wire.send(bytes).await;
    wire.answer().await
}
