//! The TLS handshake of a connection, before anything else that its peer says.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::forwarded::Peer;

use super::{LAST_REQUESTS, Service};

/// Why a connection does not speak TLS with us.
#[derive(Debug)]
enum Failure {
    /// It was closed before its first byte, as is done to see whether a port is open.
    Silent,
    /// It speaks something else.
    Plain,
    /// We have no certificate.
    Unknown,
    /// The handshake was not complete in time.
    Late,
    /// The handshake failed, or the connection is lost.
    Failed(io::Error),
}

/// The first byte of every connection that speaks TLS: a record of the handshake begins with it.
const HANDSHAKE: u8 = 22;

/// What somebody is told who speaks HTTP without TLS, as nginx does. What reads no HTTP is told the
/// same, and understands that it is not understood.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\
    Cache-Control: no-store\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: text/plain\r\n\
    Content-Length: 52\r\n\r\nbad request: this port speaks https, not plain http\n";

/// How much is read of what is not TLS, so that the answer is not lost with the rest.
const GLANCE: usize = 16 * 1024;

/// Makes the handshake within `limit`. `None`: it failed, or the program stops, and the connection
/// is to be closed.
pub(super) async fn shake(
    mut stream: TcpStream,
    peer: Peer,
    service: &impl Service,
    limit: Duration,
    stop: &CancellationToken,
) -> Option<TlsStream<TcpStream>> {
    let deadline = Instant::now() + limit;
    let told_to_end = async {
        stop.cancelled().await;
        sleep(LAST_REQUESTS).await;
    };
    let begun = tokio::select! {
        begun = timeout_at(deadline, begin(&mut stream)) => begun.unwrap_or(Err(Failure::Silent)),
        () = told_to_end => return None,
    };
    // One that has begun is made to its end after a stop, too: a request comes right behind it.
    let made = match begun {
        Ok(()) => timeout_at(deadline, finish(stream, service.tls())).await,
        Err(failure) => Ok(Err(failure)),
    };
    match made.unwrap_or(Err(Failure::Late)) {
        Ok(stream) => Some(stream),
        Err(failure) => {
            match failure {
                Failure::Silent | Failure::Unknown => {}
                Failure::Plain => service.malformed(),
                Failure::Late | Failure::Failed(_) => service.without_handshake(),
            }
            debug!(peer = %peer.address, %failure, "no handshake, connection closed");
            None
        }
    }
}

/// Waits for the first byte. Who speaks something else is told so.
async fn begin(stream: &mut TcpStream) -> Result<(), Failure> {
    let mut first = [0];
    match (stream.peek(&mut first).await?, first) {
        (0, _) => Err(Failure::Silent),
        (_, [HANDSHAKE]) => Ok(()),
        _ => {
            let mut rest = vec![0; GLANCE];
            let _what_is_there = stream.read(&mut rest).await?;
            stream.write_all(PLAIN).await?;
            stream.shutdown().await?;
            Err(Failure::Plain)
        }
    }
}

async fn finish(
    stream: TcpStream,
    terms: Option<Arc<ServerConfig>>,
) -> Result<TlsStream<TcpStream>, Failure> {
    let terms = terms.ok_or(Failure::Unknown)?;
    Ok(TlsAcceptor::from(terms).accept(stream).await?)
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("nothing was sent"),
            Self::Plain => f.write_str("begins with something else"),
            Self::Unknown => f.write_str("there is no certificate"),
            Self::Late => f.write_str("not complete in time"),
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let (head, body) = std::str::from_utf8(PLAIN).unwrap().split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{}", body.len());
    }
}
