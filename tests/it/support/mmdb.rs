//! Writes databases in MaxMind's format (<https://maxmind.github.io/MaxMind-DB/>), as far as tests
//! need it: a tree of IPv6 networks with 24 bits a record, maps and text.

use std::net::{IpAddr, Ipv4Addr};

/// A database to be written.
pub(crate) struct Mmdb {
    /// What it is said to be, such as `GeoLite2-Country`.
    kind: &'static str,
    nodes: Vec<[Record; 2]>,
    data: Vec<u8>,
}

/// One side of a node.
#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    /// An offset in the data.
    Data(usize),
}

const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

impl Mmdb {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self { kind, nodes: vec![[Record::Nothing; 2]], data: Vec::new() }
    }

    /// A database of countries: networks, each with a code.
    pub(crate) fn of_countries(countries: &[(&str, &str)]) -> Vec<u8> {
        let mut mmdb = Self::new("Test-Country");
        for (network, code) in countries {
            mmdb.add(network, &map(&[("country", map(&[("iso_code", text(code))]))]));
        }
        mmdb.bytes()
    }

    /// Everybody in a network has this entry.
    pub(crate) fn add(&mut self, network: &str, entry: &[u8]) {
        let (address, prefix) = network.split_once('/').expect("a network");
        let prefix: u32 = prefix.parse().expect("a prefix");
        let (bits, prefix) = match address.parse().expect("an address") {
            IpAddr::V4(address) => (u128::from(Ipv4Addr::to_bits(address)), prefix + 96),
            IpAddr::V6(address) => (address.to_bits(), prefix),
        };
        let data = Record::Data(self.data.len());
        self.data.extend_from_slice(entry);
        let mut node = 0;
        for depth in 0..prefix {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == prefix {
                self.nodes[node][side] = data;
                return;
            }
            if let Record::Node(next) = self.nodes[node][side] {
                node = next;
            } else {
                self.nodes.push([Record::Nothing; 2]);
                let next = self.nodes.len() - 1;
                self.nodes[node][side] = Record::Node(next);
                node = next;
            }
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let count = self.nodes.len();
        let mut bytes = Vec::new();
        for record in self.nodes.iter().flatten() {
            let value = match record {
                Record::Nothing => count,
                Record::Node(node) => *node,
                Record::Data(offset) => count + 16 + offset,
            };
            bytes.extend_from_slice(&u32::try_from(value).expect("small").to_be_bytes()[1..]);
        }
        bytes.extend_from_slice(&[0; 16]);
        bytes.extend_from_slice(&self.data);
        bytes.extend_from_slice(MARKER);
        let count = u32::try_from(count).expect("small");
        bytes.extend_from_slice(&map(&[
            ("binary_format_major_version", number(5, 2)),
            ("binary_format_minor_version", number(5, 0)),
            ("build_epoch", extended(9, &1_700_000_000_u64.to_be_bytes())),
            ("database_type", text(self.kind)),
            ("description", map(&[("en", text("Made by a test"))])),
            ("ip_version", number(5, 6)),
            ("languages", extended(11, &[])),
            ("node_count", number(6, count)),
            ("record_size", number(5, 24)),
        ]));
        bytes
    }
}

pub(crate) fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![7 << 5 | u8::try_from(entries.len()).expect("few entries")];
    for (key, value) in entries {
        bytes.extend(text(key));
        bytes.extend_from_slice(value);
    }
    bytes
}

/// A type and a size are one byte; this size means that the rest of it is in the next one.
const LONGER: u8 = 29;

pub(crate) fn text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("short");
    let size = if length < LONGER {
        vec![2 << 5 | length]
    } else {
        vec![2 << 5 | LONGER, length - LONGER]
    };
    [&size, text.as_bytes()].concat()
}

/// A number of type 5 (16 bits) or 6 (32 bits), which may be written shorter than it could be.
fn number(kind: u8, number: u32) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let bytes = if kind == 5 { &bytes[2..] } else { &bytes };
    [&[kind << 5 | u8::try_from(bytes.len()).expect("four at most")], bytes].concat()
}

/// A value of a type above 7. An array has its length where others have their size.
fn extended(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).expect("short"), kind - 7], bytes].concat()
}
