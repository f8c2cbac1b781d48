//! The PROXY header of a connection that a proxy opened, read before anything else of it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::forwarded::{self, Beginning, Introduction, Peer};

use super::{LAST_REQUESTS, Service};

/// Why a connection has no PROXY header.
#[derive(Debug)]
enum Failure {
    /// It was closed before its first byte, as proxies do to see whether a port is open.
    Silent,
    /// It was closed in the midst of the header.
    Broken,
    /// It begins with something else.
    Malformed,
    /// The header was not complete in time.
    Late,
    /// The connection is lost.
    Lost(io::Error),
}

/// Who is at the other end of a connection, by the word of the proxy that opened it. `None`: the proxy
/// did not say, or the program stops, and the connection is to be closed.
pub(super) async fn greet(
    stream: &mut TcpStream,
    address: SocketAddr,
    service: &impl Service,
    limit: Duration,
    stop: &CancellationToken,
) -> Option<Peer> {
    let peer = Peer::of_socket(address);
    let told_to_end = async {
        stop.cancelled().await;
        sleep(LAST_REQUESTS).await;
    };
    let told = tokio::select! {
        told = introduction(stream, limit) => told,
        () = told_to_end => return None,
    };
    match told {
        Ok(told) => Some(peer.introduced(&told)),
        Err(failure) => {
            if failure.is_fault() {
                service.without_proxy_header();
            }
            debug!(peer = %peer.address, %failure, "no PROXY header, connection closed");
            None
        }
    }
}

/// How much is looked at in one go; most headers are shorter.
const STEP: usize = 256;

/// Reads the PROXY header within `limit`, and not a byte of what follows it.
async fn introduction(stream: &mut TcpStream, limit: Duration) -> Result<Introduction, Failure> {
    timeout(limit, read(stream)).await.unwrap_or(Err(Failure::Late))
}

async fn read(stream: &mut TcpStream) -> Result<Introduction, Failure> {
    let mut head = Vec::new();
    loop {
        let read = head.len();
        head.resize(read + STEP, 0);
        let come = stream.peek(head.get_mut(read..).unwrap_or_default()).await?;
        head.truncate(read + come);
        if come == 0 {
            return Err(if read == 0 { Failure::Silent } else { Failure::Broken });
        }
        // What was only looked at is taken as far as it belongs to the header.
        let (length, whole) = match forwarded::introduction(&head) {
            Beginning::Whole(told) => (told.length, Some(told)),
            Beginning::Partial => (head.len(), None),
            Beginning::Malformed => return Err(Failure::Malformed),
        };
        stream.read_exact(head.get_mut(read..length).unwrap_or_default()).await?;
        if let Some(told) = whole {
            return Ok(told);
        }
    }
}

impl Failure {
    /// Whether a proxy that is set up well does not do this.
    fn is_fault(&self) -> bool {
        match self {
            Self::Silent | Self::Lost(_) => false,
            Self::Broken | Self::Malformed | Self::Late => true,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("closed before its first byte"),
            Self::Broken => f.write_str("closed within the header"),
            Self::Malformed => f.write_str("begins with something else"),
            Self::Late => f.write_str("not complete in time"),
            Self::Lost(error) => write!(f, "{error}"),
        }
    }
}
