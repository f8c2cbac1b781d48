//! Answers in HTTP/1.1 even to those who ask in HTTP/1.0.
//!
//! A server states the version it speaks, not the one it was asked in (RFC 9110, section 2.5), and
//! some players take an `HTTP/1.0` status line as a reason to speak HTTP/1.0 to the relay as well.
//! hyper mirrors the client's version instead, so the eight bytes are put right on their way out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose answers begin with `HTTP/1.1`.
#[derive(Debug)]
pub(super) struct StatusLine<S> {
    stream: S,
    /// How much of [`RIGHT`] still has to follow what was written of it.
    rest: &'static [u8],
}

const WRONG: &[u8] = b"HTTP/1.0 ";
const RIGHT: &[u8] = b"HTTP/1.1 ";

impl<S> StatusLine<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, rest: &[] }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StatusLine<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

/// Vectored writes are not offered, so that every answer begins at the beginning of a write.
/// hyper then gathers head and body in one buffer, which for small answers is a single write too.
impl<S: AsyncWrite + Unpin> AsyncWrite for StatusLine<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.rest.is_empty() && buf.starts_with(WRONG) {
            self.rest = RIGHT;
        }
        if self.rest.is_empty() {
            return Pin::new(&mut self.stream).poll_write(cx, buf);
        }
        let rest = self.rest;
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
        self.rest = rest.get(written..).unwrap_or_default();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn sent(parts: &[&[u8]], capacity: usize) -> Vec<u8> {
        let (here, mut there) = tokio::io::duplex(capacity);
        let reading = async {
            let mut all = Vec::new();
            there.read_to_end(&mut all).await.unwrap();
            all
        };
        let writing = async {
            let mut stream = StatusLine::new(here);
            for part in parts {
                stream.write_all(part).await.unwrap();
            }
            stream.shutdown().await.unwrap();
        };
        tokio::join!(writing, reading).1
    }

    #[tokio::test]
    async fn an_http_1_0_status_line_becomes_http_1_1() {
        assert_eq!(sent(&[b"HTTP/1.0 302 Found\r\n\r\n"], 64).await, b"HTTP/1.1 302 Found\r\n\r\n");
    }

    #[tokio::test]
    async fn it_does_so_when_the_socket_takes_a_byte_at_a_time() {
        assert_eq!(sent(&[b"HTTP/1.0 302 Found\r\n\r\n"], 1).await, b"HTTP/1.1 302 Found\r\n\r\n");
    }

    #[tokio::test]
    async fn everything_else_stays_as_it_is() {
        let parts: [&[u8]; 2] = [b"HTTP/1.1 200 OK\r\n\r\n", b"see HTTP/1.0 there"];
        assert_eq!(sent(&parts, 64).await, parts.concat());
    }
}
