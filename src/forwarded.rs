//! Who asks, when a proxy asks for somebody: the word of trusted proxies, and of nobody else.
//!
//! A proxy can tell in two ways for whom it asks: at the beginning of a connection, by a PROXY
//! header ([`introduction()`]), and in each request, by `X-Forwarded-For` and `X-Forwarded-Proto`
//! ([`origin()`]). Anybody can write both, so they are read only if they come from an address that
//! the configuration trusts. Everything here is a function of its arguments.

mod header;
mod introduction;

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use crate::network::Networks;

pub use introduction::{Beginning, Introduction, introduction};

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The socket's address, or the one that a trusted proxy told for the connection. IPv4 is
    /// never mapped to IPv6.
    pub address: SocketAddr,
    /// Whether it speaks TLS: with us, or with a trusted proxy that told so.
    pub https: bool,
    /// Whether this is the address of who sends the requests. A proxy may open a connection for
    /// somebody whose address it cannot tell; then `address` is the proxy's, and what is in the
    /// requests is that somebody's word, not the proxy's.
    pub speaks_for_itself: bool,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The address of who asks, as far as it can be known. IPv4 is never mapped to IPv6.
    pub address: IpAddr,
    /// Whether it was asked by https.
    pub https: bool,
}

impl Peer {
    /// The other end of a socket.
    pub fn of_socket(address: SocketAddr) -> Self {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        Self { address, https: false, speaks_for_itself: true }
    }

    /// The same, which speaks TLS with us.
    #[must_use]
    pub fn by_tls(self) -> Self {
        Self { https: true, ..self }
    }

    /// Who it is by the word of a proxy that it turned out to be.
    #[must_use]
    pub fn introduced(self, told: &Introduction) -> Self {
        let named = told.source.map(Self::of_socket);
        Self {
            address: named.map_or(self.address, |named| named.address),
            https: told.https,
            speaks_for_itself: named.is_some(),
        }
    }
}

/// Where a request of `peer` comes from, by its headers if it is trusted.
pub fn origin(peer: Peer, headers: &HeaderMap, trusted: &Networks) -> Origin {
    let itself = Origin { address: peer.address.ip(), https: peer.https };
    if !peer.speaks_for_itself || !trusted.contain(itself.address) {
        return itself;
    }
    Origin {
        address: header::forwarded_for(headers, itself.address, trusted),
        https: header::forwarded_proto(headers).unwrap_or(itself.https),
    }
}
