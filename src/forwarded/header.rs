//! `X-Forwarded-For` and `X-Forwarded-Proto`, as a trusted proxy left them.
//!
//! Every proxy on the way appends the address that it was asked from. So the list is read from its
//! end: as long as an address is a trusted proxy's, the one before it was written by that proxy.
//! The first that is not trusted is who asks, and what stands before it may be anything.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::network::Networks;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// No request passes more proxies of one operator. Whoever is behind more is taken for the last of
/// these.
const MOST_PROXIES: usize = 32;

/// Who asks, by the word of the trusted `proxy`.
///
/// Where a proxy wrote something that is no address (`unknown`, a name, nothing at all), that
/// proxy is the last of whom anything is known, and it is taken for who asks.
pub(super) fn forwarded_for(headers: &HeaderMap, proxy: IpAddr, trusted: &Networks) -> IpAddr {
    let mut last = proxy;
    for entry in from_the_end(headers, &FORWARDED_FOR).take(MOST_PROXIES) {
        let Some(address) = address(entry) else { break };
        last = address;
        if !trusted.contain(address) {
            break;
        }
    }
    last
}

/// Whether the proxy was asked by https; `None` if it does not say so in a word that is known.
pub(super) fn forwarded_proto(headers: &HeaderMap) -> Option<bool> {
    let scheme = from_the_end(headers, &FORWARDED_PROTO).next()?;
    if scheme.eq_ignore_ascii_case(b"https") {
        Some(true)
    } else if scheme.eq_ignore_ascii_case(b"http") {
        Some(false)
    } else {
        None
    }
}

/// The entries of a list that may be spread over several lines, the last one first.
fn from_the_end<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let lines = headers.get_all(name).into_iter().rev().map(HeaderValue::as_bytes);
    lines.flat_map(|line| line.rsplit(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// The address in an entry: bare, in brackets, and some proxies add the port. One with a zone says
/// something on the host that it is from, and nowhere else.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok().filter(|text| !text.contains('%'))?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = match bare {
        Some(bare) => IpAddr::V6(bare.parse().ok()?),
        None => {
            text.parse().or_else(|_| text.parse().map(|socket: SocketAddr| socket.ip())).ok()?
        }
    };
    Some(address.to_canonical())
}
