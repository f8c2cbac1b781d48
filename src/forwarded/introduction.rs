//! The PROXY header: what a proxy says of a connection before anything of the client's is on it.
//!
//! Both versions are read as <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt> has
//! them: version 1 is a line of text, version 2 a frame of bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a PROXY header told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Introduction {
    /// How many bytes the header has.
    pub length: usize,
    /// From where the proxy was connected to. `None`: it connects for itself, to see whether we are
    /// well, or for somebody whose address it cannot tell.
    pub source: Option<SocketAddr>,
    /// Whether it was connected to by TLS, as only version 2 can tell.
    pub https: bool,
}

/// What the first bytes of a connection turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// A whole PROXY header.
    Whole(Introduction),
    /// All of them belong to a PROXY header that is not complete.
    Partial,
    /// No PROXY header, or none that could be read in one way only.
    Malformed,
}

/// The longest header, in bytes. Version 1 ends after 107; one of version 2 may say that it has up
/// to 64 KiB, and with everything that proxies are known to add stays far below this.
const MAX_INTRODUCTION: usize = 4096;

/// The longest line of version 1, with its line end.
const MAX_LINE: usize = 107;

const LINE: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What precedes the addresses in version 2: the signature, two bytes, and a length in two.
const FRAME: usize = 16;

/// A TLV that tells of TLS, and the bit of it that says there was any.
const TYPE_SSL: u8 = 0x20;
const CLIENT_SSL: u8 = 0x01;

/// Reads as much of a PROXY header as there is in `bytes`.
pub fn introduction(bytes: &[u8]) -> Beginning {
    if starts_alike(bytes, LINE) {
        line(bytes)
    } else if starts_alike(bytes, SIGNATURE) {
        frame(bytes)
    } else {
        Beginning::Malformed
    }
}

/// Whether one is the beginning of the other.
fn starts_alike(bytes: &[u8], whole: &[u8]) -> bool {
    bytes.iter().zip(whole).all(|(one, other)| one == other)
}

/// Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 80` and a line end.
fn line(bytes: &[u8]) -> Beginning {
    let Some(end) = bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\n') else {
        return if bytes.len() < MAX_LINE { Beginning::Partial } else { Beginning::Malformed };
    };
    let text = bytes.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    let words = text.and_then(|text| text.strip_prefix(LINE));
    let words = words.and_then(|words| std::str::from_utf8(words).ok()).unwrap_or_default();
    // Whatever follows this word on its line is to be left alone.
    let source = match words.split(' ').next() {
        Some("UNKNOWN") => None,
        _ => match source_of_line(words) {
            Some(source) => Some(source),
            None => return Beginning::Malformed,
        },
    };
    Beginning::Whole(Introduction { length: end + 1, source, https: false })
}

/// `TCP4 192.0.2.1 198.51.100.1 56324 80`: the family, both addresses, both ports.
fn source_of_line(words: &str) -> Option<SocketAddr> {
    let mut words = words.split(' ');
    let mut word = || words.next();
    let (family, source, target) = (word()?, word()?, word()?);
    let (source_port, target_port) = (word()?, word()?);
    let address = |text: &str| match family {
        "TCP4" => text.parse().ok().map(IpAddr::V4),
        "TCP6" => text.parse().ok().map(IpAddr::V6),
        _ => None,
    };
    let (source, _target) = (address(source)?, address(target)?);
    let (source_port, _target_port) = (port(source_port)?, port(target_port)?);
    word().is_none().then(|| SocketAddr::new(source, source_port))
}

/// A number in the one form it has.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| digits && !padded)
}

/// Version 2.
fn frame(bytes: &[u8]) -> Beginning {
    let head: Option<&[u8; FRAME]> = bytes.first_chunk();
    let Some([.., version_and_command, family, high, low]) = head else {
        return Beginning::Partial;
    };
    let length = FRAME + usize::from(u16::from_be_bytes([*high, *low]));
    if version_and_command >> 4 != 2 || length > MAX_INTRODUCTION {
        return Beginning::Malformed;
    }
    let Some(content) = bytes.get(FRAME..length) else { return Beginning::Partial };
    let told = match version_and_command & 0x0f {
        // LOCAL: the proxy speaks for itself, and the rest says nothing.
        0 => Some((None, false)),
        1 => content_of_proxy(*family, content),
        _ => None,
    };
    match told {
        Some((source, https)) => Beginning::Whole(Introduction { length, source, https }),
        None => Beginning::Malformed,
    }
}

/// Who is proxied, and whether by TLS.
fn content_of_proxy(family: u8, content: &[u8]) -> Option<(Option<SocketAddr>, bool)> {
    let (kind, transport) = (family >> 4, family & 0x0f);
    if transport > 2 {
        return None;
    }
    // Each address is followed by the one that the proxy was connected to, then come both ports.
    let (source, tlvs) = match kind {
        0 => (None, content),
        1 => {
            let (address, rest) = content.split_first_chunk::<4>()?;
            let (_target, rest) = rest.split_first_chunk::<4>()?;
            let (port, rest) = ports(rest)?;
            (Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(*address)), port)), rest)
        }
        2 => {
            let (address, rest) = content.split_first_chunk::<16>()?;
            let (_target, rest) = rest.split_first_chunk::<16>()?;
            let (port, rest) = ports(rest)?;
            (Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(*address)), port)), rest)
        }
        // Two paths of Unix sockets.
        3 => (None, content.split_first_chunk::<216>()?.1),
        _ => return None,
    };
    // Over anything but a stream, nobody speaks HTTP to a proxy; so that is nobody's address.
    Some((source.filter(|_| transport == 1), speaks_tls(tlvs)?))
}

/// The client's port, and what follows both ports.
fn ports(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (&[high, low, _, _], rest) = bytes.split_first_chunk::<4>()?;
    Some((u16::from_be_bytes([high, low]), rest))
}

/// Whether the TLVs say that there was TLS; `None` if they do not fit what they are in.
fn speaks_tls(mut tlvs: &[u8]) -> Option<bool> {
    let mut https = false;
    while !tlvs.is_empty() {
        let (&[kind, high, low], rest) = tlvs.split_first_chunk::<3>()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        if kind == TYPE_SSL {
            // One byte of flags, four of how the client's certificate was verified.
            let (flags, _verification) = value.split_first().filter(|(_, rest)| rest.len() >= 4)?;
            https |= flags & CLIENT_SSL != 0;
        }
        tlvs = rest;
    }
    Some(https)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header of version 2 with these two bytes and this content.
    fn framed(version_and_command: u8, family: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[version_and_command, family], &length, content].concat()
    }

    /// 192.0.2.1:56324 asks 198.51.100.1:80.
    const V4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0, 80];

    /// [2001:db8::1]:56324 asks [2001:db8::2]:80.
    fn v6() -> Vec<u8> {
        let address = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).octets();
        [&address(1)[..], &address(2), &[0xdc, 0x04, 0, 80]].concat()
    }

    fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
        [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
    }

    fn with_tlvs(tlvs: &[Vec<u8>]) -> Vec<u8> {
        framed(0x21, 0x11, &[V4, &tlvs.concat()].concat())
    }

    fn told(bytes: &[u8]) -> (Option<String>, bool) {
        match introduction(bytes) {
            Beginning::Whole(told) => {
                assert_eq!(told.length, bytes.len());
                (told.source.map(|source| source.to_string()), told.https)
            }
            other => panic!("{other:?}: {bytes:?}"),
        }
    }

    fn named(source: &str) -> (Option<String>, bool) {
        (Some(source.to_owned()), false)
    }

    #[test]
    fn a_line_tells_who_is_connected() {
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 80\r\n", named("192.0.2.1:56324")),
            (
                "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
                named("255.255.255.255:65535"),
            ),
            ("PROXY TCP6 2001:db8::1 2001:db8::2 0 80\r\n", named("[2001:db8::1]:0")),
            (
                "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
              ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
                named("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
            ),
            ("PROXY UNKNOWN\r\n", (None, false)),
            ("PROXY UNKNOWN 192.0.2.1 198.51.100.1 56324 80\r\n", (None, false)),
            // As long as a line may be.
            (
                "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
              ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
                (None, false),
            ),
        ] {
            assert_eq!(told(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_frame_tells_who_is_connected() {
        let unix = [b'/'; 216];
        for (what, frame, expected) in [
            ("IPv4", framed(0x21, 0x11, V4), named("192.0.2.1:56324")),
            ("IPv6", framed(0x21, 0x21, &v6()), named("[2001:db8::1]:56324")),
            ("LOCAL", framed(0x20, 0x00, &[]), (None, false)),
            ("LOCAL with an address that says nothing", framed(0x20, 0x11, V4), (None, false)),
            ("LOCAL with content that is nothing", framed(0x20, 0xff, b"??"), (None, false)),
            ("nobody", framed(0x21, 0x00, &[]), (None, false)),
            ("nobody, with content", framed(0x21, 0x00, &tlv(4, b"padding")), (None, false)),
            ("a Unix socket", framed(0x21, 0x31, &unix), (None, false)),
            ("datagrams", framed(0x21, 0x12, V4), (None, false)),
        ] {
            assert_eq!(told(&frame), expected, "{what}");
        }
    }

    #[test]
    fn a_frame_tells_of_tls() {
        let ssl =
            |flags: u8| tlv(TYPE_SSL, &[&[flags, 0, 0, 0, 0][..], &tlv(0x21, b"TLSv1.3")].concat());
        for (what, frame, https) in [
            ("TLS", with_tlvs(&[ssl(1)]), true),
            ("TLS with a client's certificate", with_tlvs(&[ssl(7)]), true),
            ("the TLV without TLS", with_tlvs(&[ssl(0)]), false),
            ("a certificate without TLS", with_tlvs(&[ssl(6)]), false),
            ("TLS among others", with_tlvs(&[tlv(1, b"h2"), ssl(1), tlv(4, &[0; 600])]), true),
            ("others", with_tlvs(&[tlv(1, b"h2"), tlv(0xea, b"vpce-1"), tlv(4, b"")]), false),
        ] {
            assert_eq!(told(&frame), (Some("192.0.2.1:56324".to_owned()), https), "{what}");
        }
        let unnamed = framed(0x21, 0x00, &ssl(1));
        assert_eq!(told(&unnamed), (None, true));
    }

    #[test]
    fn what_could_be_read_in_two_ways_or_in_none_is_refused() {
        let lines = [
            "GET / HTTP/1.1\r\n",
            "proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY\r\n",
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n",
            "PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n",
            " PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY TCP4\t192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n",
            "PROXY UNKNOWN\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 -1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1  2\r\n",
            "PROXY TCP4 192.0.2.01 198.51.100.1 1 2\r\n",
            "PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 nobody 1 2\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY TCP6 fe80::1%1 2001:db8::2 1 2\r\n",
            "PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY TCP4 192.0.2.1\r 198.51.100.1 1 2\r\n",
            "PROXY TCP4 \0 \0 1 2\r\n",
        ];
        for line in lines {
            assert_eq!(introduction(line.as_bytes()), Beginning::Malformed, "{line:?}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MAX_LINE - 15));
        assert_eq!(introduction(long.as_bytes()), Beginning::Malformed);
        assert_eq!(introduction(&long.as_bytes()[..MAX_LINE]), Beginning::Malformed);

        let short_tlv = [V4, &[TYPE_SSL, 0, 9, 1]].concat();
        for (what, frame) in [
            ("version 1", framed(0x11, 0x11, V4)),
            ("version 3", framed(0x31, 0x11, V4)),
            ("an unknown command", framed(0x22, 0x11, V4)),
            ("an unknown family", framed(0x21, 0x41, V4)),
            ("an unknown transport", framed(0x21, 0x13, V4)),
            ("IPv4 cut short", framed(0x21, 0x11, &V4[..11])),
            ("IPv6 of the length of IPv4", framed(0x21, 0x21, V4)),
            ("a Unix socket cut short", framed(0x21, 0x31, &[0; 215])),
            ("a TLV without a length", framed(0x21, 0x11, &[V4, &[4, 0]].concat())),
            ("a TLV longer than its frame", framed(0x21, 0x11, &short_tlv)),
            ("a TLV of TLS without its flags", with_tlvs(&[tlv(TYPE_SSL, &[1, 0, 0, 0])])),
            ("more than anybody has to say", framed(0x21, 0x11, &[0; MAX_INTRODUCTION - 15])),
        ] {
            assert_eq!(introduction(&frame), Beginning::Malformed, "{what}");
        }
        let mut forged = framed(0x21, 0x11, V4);
        forged[11] = b' ';
        assert_eq!(introduction(&forged), Beginning::Malformed);
    }

    #[test]
    fn a_frame_that_says_it_is_too_long_is_refused_before_it_has_come() {
        let frame = framed(0x21, 0x11, &vec![0; u16::MAX.into()]);
        assert_eq!(introduction(&frame[..15]), Beginning::Partial);
        assert_eq!(introduction(&frame[..16]), Beginning::Malformed);
        let longest = with_tlvs(&[tlv(4, &[0; MAX_INTRODUCTION - FRAME - 12 - 3])]);
        assert_eq!(longest.len(), MAX_INTRODUCTION);
        assert_eq!(told(&longest), named("192.0.2.1:56324"));
    }

    fn headers() -> impl Strategy<Value = Vec<u8>> {
        let lines = any::<(Ipv4Addr, Ipv4Addr, u16, u16)>().prop_map(|(from, to, port, at)| {
            format!("PROXY TCP4 {from} {to} {port} {at}\r\n").into_bytes()
        });
        let content = prop::collection::vec(any::<u8>(), 0..64);
        let tlvs = prop::collection::vec((any::<u8>(), content), 0..4);
        let frames = tlvs.prop_filter_map("TLS has its flags", |tlvs| {
            tlvs.iter().all(|(kind, value)| *kind != TYPE_SSL || value.len() > 4).then(|| {
                let tlvs: Vec<_> = tlvs.iter().map(|(kind, value)| tlv(*kind, value)).collect();
                with_tlvs(&tlvs)
            })
        });
        prop_oneof![lines, frames]
    }

    proptest! {
        #[test]
        fn a_header_is_partial_until_its_last_byte_and_what_follows_is_not_its_own(
            header in headers(),
            rest in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            for end in 0..header.len() {
                prop_assert_eq!(introduction(&header[..end]), Beginning::Partial, "{}", end);
            }
            let Beginning::Whole(told) = introduction(&header) else { panic!("{header:?}") };
            prop_assert_eq!(told.length, header.len());
            prop_assert_eq!(introduction(&[header, rest].concat()), Beginning::Whole(told));
        }

        #[test]
        fn nothing_that_comes_later_changes_what_was_made_out(
            begin in prop_oneof![Just(LINE), Just(SIGNATURE), Just(&b"\r\n"[..]), Just(&b""[..])],
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = [begin, &bytes].concat();
            match introduction(&bytes[..cut.index(bytes.len() + 1)]) {
                Beginning::Partial => {}
                made_out => prop_assert_eq!(introduction(&bytes), made_out),
            }
        }
    }
}
