//! From a URL to a connection: addresses, TCP, and TLS where the URL says so.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::poller::resolve;

use super::Break;

/// What bytes go through, plain or in TLS.
pub(super) type Wire = Box<dyn Stream>;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// It ends with the answer, and whoever waits for that has a deadline.
    ForOneAnswer,
    /// It lasts, perhaps in silence, so that the kernel has to find out whether the peer is gone.
    ForLong,
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connecting, with looking up the name before it and TLS after it, may not take longer. A first packet
/// that is lost is sent again after a second (RFC 6298): that must be no reason to doubt a relay.
const CONNECT: Duration = Duration::from_millis(1500);

/// An address that has not answered for so long is tried beside the next (RFC 8305).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// A silent peer is asked whether it is there so often,
const KEEPALIVE: Duration = Duration::from_secs(15);

/// and is gone when it has not said so for this long.
const GONE: Duration = Duration::from_secs(30);

/// Connects to where a URL points.
pub(super) async fn to(url: &Url, kept: Kept) -> Result<Wire, Break> {
    // Certificates need not exist where nobody speaks TLS: an image may have none.
    let terms = if url.scheme() == "https" { Some(terms()?) } else { None };
    let connecting = async {
        let stream = reach(url).await?;
        if kept == Kept::ForLong {
            watch_over(&stream)?;
        }
        let Some(terms) = terms else { return Ok(Box::new(stream) as Wire) };
        stream.set_nodelay(true)?;
        let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let stream = TlsConnector::from(terms).connect(name, stream).await?;
        Ok(Box::new(stream) as Wire)
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
    let connected = timeout(CONNECT, connecting).await.map_err(late).flatten();
    connected.map_err(Break::Connection)
}

async fn reach(url: &Url) -> io::Result<TcpStream> {
    let port = url.port_or_known_default().unwrap_or(80);
    match url.host() {
        Some(Host::Ipv4(address)) => TcpStream::connect((address, port)).await,
        Some(Host::Ipv6(address)) => TcpStream::connect((address, port)).await,
        Some(Host::Domain(name)) => first_of(resolve::addresses(name).await?, port).await,
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

/// A connection to the first of these addresses that takes it. Each is tried when the one before has
/// failed, or has not answered for a while.
async fn first_of(addresses: Vec<IpAddr>, port: u16) -> io::Result<TcpStream> {
    if let [only] = addresses[..] {
        return TcpStream::connect((only, port)).await;
    }
    let mut untried = addresses.into_iter().map(|address| SocketAddr::new(address, port));
    let mut tried = JoinSet::new();
    let mut failure = io::ErrorKind::NotFound.into();
    loop {
        if let Some(address) = untried.next() {
            tried.spawn(TcpStream::connect(address));
        }
        let patience = if untried.len() > 0 { NEXT_ADDRESS } else { CONNECT };
        match timeout(patience, tried.join_next()).await {
            Ok(Some(Ok(Ok(stream)))) => return Ok(stream),
            Ok(Some(Ok(Err(error)))) => failure = error,
            Ok(None) => return Err(failure),
            // It broke, which the log has been told; or it takes long.
            Ok(Some(Err(_))) | Err(_) => {}
        }
    }
}

/// Has the kernel find out whether the peer is there still.
fn watch_over(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let asking = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE).with_retries(3);
    socket.set_tcp_keepalive(&asking)?;
    socket.set_tcp_user_timeout(Some(GONE))
}

/// Whom we speak TLS with: who has a certificate that this system trusts.
fn terms() -> Result<Arc<ClientConfig>, Break> {
    static TERMS: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    let make = || {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions()?;
        let mut terms = builder.with_platform_verifier()?.with_no_client_auth();
        terms.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(terms))
    };
    let told = |error: rustls::Error| {
        format!("cannot speak TLS ({error}); are CA certificates installed?")
    };
    TERMS.get_or_init(|| make().map_err(told)).clone().map_err(Break::Unable)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    /// Nothing listens at the first of these, and the second listens.
    async fn closed_and_open() -> (IpAddr, IpAddr, TcpListener) {
        let (closed, open) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::LOCALHOST);
        (closed.into(), open.into(), TcpListener::bind((open, 0)).await.unwrap())
    }

    #[tokio::test]
    async fn an_address_that_refuses_leaves_it_to_the_next() {
        let (closed, open, listener) = closed_and_open().await;
        let port = listener.local_addr().unwrap().port();
        let stream = first_of(vec![closed, open], port).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap().ip(), open);
    }

    #[tokio::test]
    async fn where_all_refuse_that_is_told() {
        let (closed, open, listener) = closed_and_open().await;
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        for addresses in [vec![closed], vec![closed, open]] {
            let refusal = first_of(addresses, port).await.unwrap_err();
            assert_eq!(refusal.kind(), io::ErrorKind::ConnectionRefused);
        }
    }

    #[tokio::test]
    async fn a_name_without_an_address_leads_nowhere() {
        assert_eq!(first_of(Vec::new(), 80).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
