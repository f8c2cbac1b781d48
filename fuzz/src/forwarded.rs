//! Who asks: nobody becomes somebody else by what they write, and a PROXY header reads the same
//! however much of what follows it has come.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use icecast_balancer::forwarded::{Beginning, Introduction, Origin, Peer, introduction, origin};
use icecast_balancer::network::Networks;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The proxies that are trusted: a host, and networks of both families.
static TRUSTED: LazyLock<Networks> = LazyLock::new(|| {
    let networks = ["127.0.0.1", "10.0.0.0/8", "2001:db8:f::/48", "fe80::/10"];
    networks.iter().filter_map(|network| network.parse().ok()).collect()
});

/// One of them.
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Somebody whom nobody trusts.
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

/// The longest PROXY header.
const MAX_INTRODUCTION: usize = 4096;

/// Lines of a request's head.
pub fn forwarded(lines: &[u8]) {
    let headers = headers(lines);
    let proxy = of_socket(PROXY);
    for (peer, believed) in [
        (of_socket(STRANGER), false),
        (Peer { https: true, ..of_socket(STRANGER) }, false),
        (Peer { speaks_for_itself: false, ..proxy }, false),
        (proxy, true),
        (Peer { https: true, ..proxy }, true),
        (of_socket(IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())), true),
        (of_socket(IpAddr::V6([0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1].into())), true),
    ] {
        let found = origin(peer, &headers, &TRUSTED);
        if believed {
            assert_told(found, peer, &headers);
        } else {
            let itself = Origin { address: peer.address.ip(), https: peer.https };
            assert_eq!(found, itself, "believed: {peer:?}");
        }
    }
    // What came before a proxy's own word changes nothing.
    let mut appended = headers;
    append(&mut appended, FORWARDED_FOR, "198.51.100.7, 10.0.0.2");
    append(&mut appended, FORWARDED_PROTO, "http");
    let expected = Origin { address: STRANGER, https: false };
    assert_eq!(origin(proxy, &appended, &TRUSTED), expected, "a forged word counts");
}

fn of_socket(address: IpAddr) -> Peer {
    Peer::of_socket(SocketAddr::new(address, 4711))
}

/// The lines that can be headers.
fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default().trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

fn append(headers: &mut HeaderMap, name: &'static str, value: &'static str) {
    headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
}

/// Holds an answer to what a trusted peer's headers say.
pub fn assert_told(found: Origin, peer: Peer, headers: &HeaderMap) {
    let Origin { address, https } = found;
    assert_eq!(address, address.to_canonical(), "an address of IPv4 mapped to IPv6");
    let entries = self::entries(headers, FORWARDED_FOR);
    // Every entry right of the one that counts was written by a proxy for a proxy.
    let stands = entries.iter().enumerate().rev().any(|(place, entry)| {
        let after = entries.get(place + 1..).unwrap_or_default();
        let is_proxy = |entry: &String| addressed(entry).is_some_and(|it| TRUSTED.contain(it));
        addressed(entry) == Some(address) && after.iter().all(is_proxy)
    });
    let is_peer = address == peer.address.ip();
    assert!(stands || is_peer, "{address} is nobody's word: {entries:?}");
    // The peer asks for itself only if it does not know for whom.
    let last = entries.last().and_then(|entry| addressed(entry));
    assert!(stands || last.is_none(), "the proxy asks for itself: {entries:?}");
    if stands && TRUSTED.contain(address) {
        // Who is behind the first of the proxies is not known: there is no address, or there are
        // more proxies than anybody has.
        let known = entries.iter().rev().take(32).map_while(|entry| addressed(entry));
        let known: Vec<_> = known.collect();
        let all_proxies = known.iter().all(|it| TRUSTED.contain(*it));
        assert!(all_proxies, "a proxy asks for itself: {entries:?}");
        assert_eq!(known.last(), Some(&address), "a proxy before it is known: {entries:?}");
    }
    let scheme = self::entries(headers, FORWARDED_PROTO).pop().unwrap_or_default();
    let told = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => peer.https,
    };
    assert_eq!(https, told, "by https? {scheme:?}");
}

/// All entries of a list, in order.
fn entries(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lines = headers.get_all(name).into_iter();
    let lines: Vec<_> = lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    let entries = lines.iter().flat_map(|line| line.split(','));
    entries.map(|entry| entry.trim_matches([' ', '\t']).to_owned()).collect()
}

/// The address of an entry, with or without its port.
fn addressed(entry: &str) -> Option<IpAddr> {
    if entry.contains('%') {
        return None;
    }
    let socket = |text: &str| text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let address = entry.parse().ok().or_else(|| socket(entry));
    let bracketed = || entry.strip_suffix(']').and_then(|it| socket(&format!("{it}]:0")));
    address.or_else(bracketed).map(|address| address.to_canonical())
}

/// The first bytes of a connection.
pub fn proxy_header(bytes: &[u8]) {
    // As if they came one by one, until it is clear what they are.
    let clear = (0..=bytes.len()).find(|&length| read(bytes, length) != Beginning::Partial);
    let Some(clear) = clear else {
        assert!(bytes.len() < MAX_INTRODUCTION, "{} bytes and no end", bytes.len());
        return;
    };
    let made_out = read(bytes, clear);
    let more = bytes.len() - clear;
    for length in [clear + 1, clear + more / 2, bytes.len()].map(|it| it.min(bytes.len())) {
        assert_eq!(read(bytes, length), made_out, "{length} bytes of {bytes:?}");
    }
    let followed = [bytes, b"GET / HTTP/1.1\r\nHost: radio.example.org\r\n\r\n"].concat();
    assert_eq!(introduction(&followed), made_out, "with a request behind: {bytes:?}");
    if let Beginning::Whole(told) = made_out {
        assert_eq!(told.length, clear, "it was whole earlier or later: {bytes:?}");
        assert_introduced(told, bytes.get(..clear).unwrap_or_default());
    }
}

fn read(bytes: &[u8], length: usize) -> Beginning {
    introduction(bytes.get(..length).unwrap_or(bytes))
}

/// Holds what a whole header told to what stands in it.
pub fn assert_introduced(told: Introduction, header: &[u8]) {
    assert_eq!(told.length, header.len(), "the length of {header:?}");
    assert!(told.length <= MAX_INTRODUCTION, "{} bytes", told.length);
    if let Some(line) = header.strip_prefix(b"PROXY ") {
        let line = line.strip_suffix(b"\r\n").map(String::from_utf8_lossy).unwrap_or_default();
        let words: Vec<_> = line.split(' ').collect();
        let source = match *words.as_slice() {
            ["TCP4" | "TCP6", address, _, port, _] => Some((address.parse(), port.parse())),
            ["UNKNOWN", ..] => None,
            _ => panic!("no line: {line:?}"),
        };
        let source = source.map(|(address, port)| (address.ok(), port.ok()));
        let named = told.source.map(|it| (Some(it.ip()), Some(it.port())));
        assert_eq!((named, told.https), (source, false), "{line:?}");
    } else {
        let frame = header.strip_prefix(b"\r\n\r\n\0\r\nQUIT\n").unwrap_or_default();
        let Some(([command, family, high, low], content)) = frame.split_first_chunk() else {
            panic!("no frame: {header:?}")
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        assert_eq!(content.len(), length, "what the frame of {header:?} says");
        let named = told.source.map(|source| match source.ip() {
            IpAddr::V4(address) => (0x11, address.octets().to_vec(), 8, source.port()),
            IpAddr::V6(address) => (0x21, address.octets().to_vec(), 32, source.port()),
        });
        if let Some((kind, address, ports, port)) = named {
            assert_eq!((*command, *family), (0x21, kind), "of whom {header:?} speaks");
            assert!(content.starts_with(&address), "{address:?} is not in {header:?}");
            let found = content.get(ports..ports + 2);
            assert_eq!(found, Some(&port.to_be_bytes()[..]), "the port in {header:?}");
        }
        assert!(!told.https || *command == 0x21 && content.contains(&0x20), "TLS: {header:?}");
    }
    let peer = of_socket(PROXY).introduced(&told);
    assert_eq!(peer.address.ip(), peer.address.ip().to_canonical(), "mapped: {header:?}");
    assert_eq!(peer.speaks_for_itself, told.source.is_some(), "who speaks: {header:?}");
    assert!(peer.speaks_for_itself || peer.address.ip() == PROXY, "out of nothing: {header:?}");
}
