//! A player that takes the relay's stream apart.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::relay::Relay;

/// What is waited for happens within this, or never.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A player.
pub(super) struct Listener {
    pub(super) head: String,
    unread: Vec<u8>,
    socket: TcpStream,
}

/// A page of its stream.
pub(super) struct Page {
    pub(super) begins_stream: bool,
    pub(super) granule: u64,
    pub(super) sequence: u32,
    pub(super) checksum: u32,
    pub(super) computed_checksum: u32,
    pub(super) body: Vec<u8>,
}

impl Listener {
    pub(super) async fn on(relay: &Relay, target: &str) -> Self {
        let request = format!("GET {target} HTTP/1.1\r\nUser-Agent: test\r\n\r\n");
        let listener = Self::read(send(relay, &request).await).await;
        assert!(listener.head.starts_with("HTTP/1.0 200 OK\r\n"), "{}", listener.head);
        listener
    }

    pub(super) async fn read(mut socket: TcpStream) -> Self {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            let read = timeout(PATIENCE, socket.read_buf(&mut bytes)).await.unwrap();
            assert!(read.unwrap() > 0, "the relay closed within the head");
        };
        let unread = bytes.split_off(end);
        Self { head: String::from_utf8(bytes).unwrap(), unread, socket }
    }

    /// Takes the next pages from the stream.
    pub(super) async fn pages(&mut self, count: usize) -> Vec<Page> {
        let mut pages = Vec::new();
        while pages.len() < count {
            let segments = usize::from(self.peek(27).await[26]);
            let header = 27 + segments;
            let body: usize = self.peek(header).await[27..].iter().map(|&n| usize::from(n)).sum();
            self.peek(header + body).await;
            pages.push(Page::parse(&self.unread.drain(..header + body).collect::<Vec<_>>()));
        }
        pages
    }

    /// The first `count` bytes that no page has taken.
    async fn peek(&mut self, count: usize) -> &[u8] {
        while self.unread.len() < count {
            let read = timeout(PATIENCE, self.socket.read_buf(&mut self.unread)).await.unwrap();
            assert!(read.unwrap() > 0, "the stream ended");
        }
        &self.unread[..count]
    }

    /// Waits for the end of the stream.
    pub(super) async fn ended(mut self) {
        let rest = timeout(PATIENCE, self.socket.read_to_end(&mut self.unread)).await;
        // A reset is an end as well.
        let _either = rest.expect("the stream goes on");
    }
}

impl Page {
    fn parse(bytes: &[u8]) -> Self {
        assert_eq!(&bytes[..5], b"OggS\0");
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let mut blank = bytes.to_vec();
        blank[22..26].fill(0);
        Self {
            begins_stream: bytes[5] == 2,
            granule: u64::from_le_bytes(bytes[6..14].try_into().unwrap()),
            sequence: number(18),
            checksum: number(22),
            computed_checksum: remainder(&blank),
            body: bytes[27 + usize::from(bytes[26])..].to_vec(),
        }
    }

    /// The encoded samples: the frame without its header, which ends in a number and a checksum,
    /// and without the checksum at its end.
    pub(super) fn sound(&self) -> &[u8] {
        let number = if self.body[4] < 0x80 { 1 } else { self.body[4].leading_ones() as usize };
        &self.body[5 + number..self.body.len() - 2]
    }
}

/// The remainder of a long division by Ogg's polynomial, a bit at a time.
fn remainder(bytes: &[u8]) -> u32 {
    let bits =
        bytes.iter().chain(&[0; 4]).flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1));
    let rest = bits.fold(0u64, |rest, bit| {
        let rest = rest << 1 | u64::from(bit);
        if rest >> 32 == 1 { rest ^ 0x1_04c1_1db7 } else { rest }
    });
    u32::try_from(rest).unwrap()
}

pub(super) async fn send(relay: &Relay, request: &str) -> TcpStream {
    let mut socket = TcpStream::connect(relay.addr()).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}
