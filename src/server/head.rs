//! Where a request's head ends, and what is wrong with it however it is read.
//!
//! What is said here depends on the bytes alone, never on the pieces in which they came.

/// Larger heads are refused. The first line counts as well.
pub(super) const MAX_HEAD: usize = 16 * 1024;

/// Reads along, byte by byte, from one head to the next. Bodies are no part of this: nobody reads
/// them, and the connection is closed behind the head that announced one.
#[derive(Debug, Default)]
pub(super) struct Head {
    at: At,
    length: usize,
    /// The last byte was a CR.
    returned: bool,
}

/// What was found in some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The head goes on behind them.
    More,
    /// The head has ended, this many bytes from their beginning.
    End(usize),
    /// The head is refused.
    Fault(Fault),
}

/// Why a head is refused before its end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A `#` in the first line. It would be cut off silently with all that follows it, though it is
    /// no part of any target that a player may send (RFC 9112, section 3.2).
    Fragment,
    /// A control byte: no player sends one, TLS and binary rubbish begin with one. A CR without its
    /// LF is one too.
    Control,
    /// The first line alone is larger than [`MAX_HEAD`].
    LongLine,
    /// The head is larger than [`MAX_HEAD`].
    Large,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the first line; empty lines may come first.
    #[default]
    Start,
    /// In the first line.
    First,
    /// At the beginning of a header's line.
    Line,
    /// In a header's line.
    Header,
}

impl Head {
    /// Whether nothing of a head has come yet.
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Reads on. At an end it is ready for the head that follows; after a fault it is of no more
    /// use.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Found {
        for (index, byte) in bytes.iter().enumerate() {
            self.length += 1;
            if self.length > MAX_HEAD {
                return Found::Fault(match self.at {
                    At::Start | At::First => Fault::LongLine,
                    At::Line | At::Header => Fault::Large,
                });
            }
            let returned = std::mem::replace(&mut self.returned, *byte == b'\r');
            if returned && *byte != b'\n' {
                return Found::Fault(Fault::Control);
            }
            self.at = match (self.at, byte) {
                (At::Line, b'\n') => {
                    *self = Self::default();
                    return Found::End(index + 1);
                }
                (At::Start, b'\r' | b'\n') => At::Start,
                (_, b'\n') | (At::Line, b'\r') => At::Line,
                (At::Start | At::First, b'#') => return Found::Fault(Fault::Fragment),
                (_, 0..=8 | 11 | 12 | 14..=31 | 127) => return Found::Fault(Fault::Control),
                (At::Start | At::First, _) => At::First,
                (At::Line | At::Header, _) => At::Header,
            };
        }
        Found::More
    }
}

impl Fault {
    /// The whole answer to such a head, after which the connection is closed.
    pub(super) fn answer(self) -> &'static [u8] {
        match self {
            Self::Fragment => {
                b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: text/plain\r\n\
                  Content-Length: 43\r\n\r\nbad request: a request's target has no '#'\n"
            }
            Self::Control => {
                b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: text/plain\r\n\
                  Content-Length: 41\r\n\r\nbad request: a head has no control bytes\n"
            }
            Self::LongLine => {
                b"HTTP/1.1 414 URI Too Long\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: text/plain\r\n\
                  Content-Length: 43\r\n\r\nbad request: the first line exceeds 16 KiB\n"
            }
            Self::Large => {
                b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\n\
                  Content-Type: text/plain\r\nContent-Length: 37\r\n\r\n\
                  bad request: the head exceeds 16 KiB\n"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(bytes: &[u8]) -> Found {
        Head::default().read(bytes)
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        for head in [
            &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\nHost: x\n\n",
            b"\r\n\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: \xff\t\xc3\xb6\r\n\r\n",
        ] {
            assert_eq!(found(&[head, b"GET"].concat()), Found::End(head.len()));
            for end in 0..head.len() {
                assert_eq!(found(&head[..end]), Found::More, "{end}");
            }
        }
    }

    #[test]
    fn one_head_follows_another() {
        let (mut head, bytes) = (Head::default(), b"GET / HTTP/1.1\r\n\r\n");
        for _ in 0..10_000 {
            assert!(head.is_empty());
            assert_eq!(head.read(bytes), Found::End(bytes.len()));
        }
    }

    #[test]
    fn a_fragment_and_control_bytes_are_faults() {
        assert_eq!(found(b"GET /a#b HTTP/1.1\r\n"), Found::Fault(Fault::Fragment));
        assert_eq!(found(b"GET / HTTP/1.1\r\nX: #\r\n\r\n"), Found::End(25 - 1));
        for byte in (0..32).chain([127]).filter(|byte| !b"\t\n\r".contains(byte)) {
            for head in [&b"GET /"[..], b"GET / HTTP/1.1\r\n", b"", b"GET / HTTP/1.1\r\nX: "] {
                let head = [head, &[byte]].concat();
                assert_eq!(found(&head), Found::Fault(Fault::Control), "{head:?}");
            }
        }
    }

    #[test]
    fn a_cr_without_its_lf_is_a_fault() {
        for head in [&b"\rG"[..], b"\r\r", b"GET / HTTP/1.1\rH", b"GET / HTTP/1.1\r\n\rH"] {
            let (before, last) = head.split_at(head.len() - 1);
            assert_eq!(found(before), Found::More, "{head:?}");
            assert_eq!(found(&[before, last].concat()), Found::Fault(Fault::Control), "{head:?}");
        }
    }

    #[test]
    fn a_head_may_have_16_kib_and_not_one_byte_more() {
        let of = |bytes: usize| {
            let end = b"\r\n\r\n";
            let mut head = b"GET / HTTP/1.1\r\nX: ".to_vec();
            head.resize(bytes - end.len(), b'a');
            [&head[..], end].concat()
        };
        assert_eq!(found(&of(MAX_HEAD)), Found::End(MAX_HEAD));
        assert_eq!(found(&of(MAX_HEAD + 1)), Found::Fault(Fault::Large));
        assert_eq!(found(&vec![b'a'; MAX_HEAD]), Found::More);
        assert_eq!(found(&vec![b'a'; MAX_HEAD + 1]), Found::Fault(Fault::LongLine));
        assert_eq!(found(&vec![b'\n'; MAX_HEAD + 1]), Found::Fault(Fault::LongLine));
    }

    #[test]
    fn every_answer_is_as_long_as_it_says() {
        for fault in [Fault::Fragment, Fault::Control, Fault::LongLine, Fault::Large] {
            let answer = std::str::from_utf8(fault.answer()).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let length = format!("Content-Length: {}", body.len());
            assert!(head.lines().any(|line| line == length), "{length} is not in {head}");
        }
    }

    proptest! {
        /// Heads, rubbish, and both in any pieces.
        #[test]
        fn the_pieces_in_which_bytes_come_change_nothing(
            bytes in "(GET|[ \\t#a/:\r\n]|\r\n){0,60}",
            cuts in prop::collection::vec(1_usize..8, 0..100),
        ) {
            let mut head = Head::default();
            let mut rest = bytes.as_bytes();
            let mut read = 0;
            let mut in_pieces = Found::More;
            let mut cuts = cuts.into_iter().chain(std::iter::repeat(1));
            while !rest.is_empty() && in_pieces == Found::More {
                let (piece, others) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                in_pieces = match head.read(piece) {
                    Found::End(end) => Found::End(read + end),
                    found => found,
                };
                read += piece.len();
                rest = others;
            }
            prop_assert_eq!(in_pieces, found(bytes.as_bytes()));
        }
    }
}
