//! The lines of Icecast's `STATS` feed: bytes in pieces of any size in, [`Event`]s out.
//!
//! The feed is a hint and never the truth. Whoever may set a stream's title can forge any line of
//! it, a reader that is slow gets lines spliced together, and `EVENT /x null null` means a mount
//! that went as well as one that came. So a line counts only if it is exactly
//!
//! ```text
//! EVENT <mount> listeners <number>
//! EVENT <mount> max_listeners <number>
//! EVENT global clients <number>
//! ```
//!
//! and everything else is passed over: the head of the answer, titles, `null`, and the `NEW`,
//! `DELETE`, `INFO` and `FLUSH` of icecast-kh. No line takes a mount away. A damaged one costs
//! only itself.
//!
//! Names are written as they are, spaces included. They are therefore what is left between the
//! first word and the last two.

use std::str;

/// One number that the feed told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// So many listeners are on a mount.
    Listeners {
        /// The mount's path, decoded.
        mount: &'a str,
        /// How many.
        listeners: u64,
    },
    /// A mount takes so many listeners.
    MaxListeners {
        /// The mount's path, decoded.
        mount: &'a str,
        /// How many.
        most: u64,
    },
    /// So many clients of all kinds are connected to the relay, this feed among them.
    Clients(u64),
}

/// What is left of the feed between two pieces: the beginning of a line.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
    /// The line under way is too long; it is passed over to its end.
    too_long: bool,
}

/// Icecast sends no line of 200 bytes or more.
const LONGEST_LINE: usize = 1024;

/// Larger numbers are no counts.
const MOST: u64 = 1 << 32;

impl Lines {
    /// Reads the next piece and hands over what it told, in order.
    pub fn read(&mut self, mut piece: &[u8], mut tell: impl FnMut(Event<'_>)) {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = piece.split_at(end);
            self.extend(head);
            if !self.too_long
                && let Some(event) = event(&self.begun)
            {
                tell(event);
            }
            self.begun.clear();
            self.too_long = false;
            piece = rest.get(1..).unwrap_or_default();
        }
        self.extend(piece);
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.too_long |= self.begun.len() + bytes.len() > LONGEST_LINE;
        if self.too_long {
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(bytes);
        }
    }
}

fn event(line: &[u8]) -> Option<Event<'_>> {
    let line = str::from_utf8(line).ok()?.strip_prefix("EVENT ")?;
    let (line, value) = line.rsplit_once(' ')?;
    let (mount, name) = line.rsplit_once(' ')?;
    let count = count(value)?;
    match name {
        "clients" if mount == "global" => Some(Event::Clients(count)),
        "listeners" if mount.starts_with('/') => Some(Event::Listeners { mount, listeners: count }),
        "max_listeners" if mount.starts_with('/') => {
            Some(Event::MaxListeners { mount, most: count })
        }
        _ => None,
    }
}

/// Digits and nothing else: what Icecast writes. Any other number was forged or damaged.
fn count(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|count| digits && *count <= MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the feed tells when it comes in pieces of `size` bytes.
    fn told_in_pieces(bytes: &[u8], size: usize) -> Vec<String> {
        let mut lines = Lines::default();
        let mut told = Vec::new();
        for piece in bytes.chunks(size) {
            lines.read(piece, |event| told.push(format!("{event:?}")));
        }
        told
    }

    fn assert_told(text: &[u8], expected: &[Event<'_>]) {
        let expected: Vec<_> = expected.iter().map(|event| format!("{event:?}")).collect();
        for size in [1, 7, usize::MAX] {
            assert_eq!(told_in_pieces(text, size), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    fn listeners(mount: &str, listeners: u64) -> Event<'_> {
        Event::Listeners { mount, listeners }
    }

    #[test]
    fn listeners_limits_and_clients_are_told() {
        let text = b"EVENT /x listeners 3\nEVENT /x max_listeners 0\nEVENT global clients 12\n";
        let limit = Event::MaxListeners { mount: "/x", most: 0 };
        assert_told(text, &[listeners("/x", 3), limit, Event::Clients(12)]);
    }

    #[test]
    fn a_mount_may_have_spaces_in_its_name() {
        assert_told(b"EVENT /sp ace  x.mp3 listeners 3\n", &[listeners("/sp ace  x.mp3", 3)]);
    }

    #[test]
    fn a_line_is_told_only_when_it_is_whole() {
        assert_told(b"EVENT /x listeners 1", &[]);
    }

    #[test]
    fn a_mount_that_goes_or_comes_is_not_told() {
        assert_told(b"EVENT /x null null\nEVENT /x null \nEVENT /x listeners null\n", &[]);
    }

    #[test]
    fn what_is_no_count_is_not_told() {
        for value in
            ["", "-99", "+5", "unlimited", "1e3", "0x1f", "3 ", "\u{663}", "9007199254740993"]
        {
            assert_told(format!("EVENT /x listeners {value}\n").as_bytes(), &[]);
        }
    }

    #[test]
    fn spliced_lines_cost_only_themselves() {
        let text = b"EVENT global connections 52846EVENT global clients 3\n\
                     EVENT /x listeners 1EVENT /y listeners 2\n\
                     EVENT /z listeners 4\n";
        // What two lines were spliced to may look like a mount, but it is none that anybody has.
        assert_told(text, &[listeners("/x listeners 1EVENT /y", 2), listeners("/z", 4)]);
    }

    #[test]
    fn a_line_that_is_too_long_costs_only_itself() {
        let longest = "x".repeat(LONGEST_LINE - "EVENT / listeners 1".len());
        for (name, told) in [(longest.clone(), 2), (longest + "x", 1)] {
            let text = format!("EVENT /{name} listeners 1\nEVENT /y listeners 2\n");
            for size in [1, 500, usize::MAX] {
                assert_eq!(told_in_pieces(text.as_bytes(), size).len(), told);
            }
        }
    }

    #[test]
    fn a_name_that_is_not_text_costs_only_itself() {
        assert_told(b"EVENT /\xff listeners 1\nEVENT /y listeners 2\n", &[listeners("/y", 2)]);
    }

    #[test]
    fn what_is_neither_a_mount_nor_the_relay_is_passed_over() {
        let text = b"EVENT global listeners 1\nEVENT x max_listeners 2\nEVENT /x clients 3\n";
        assert_told(text, &[]);
    }

    #[test]
    fn the_lines_of_icecast_kh_are_passed_over() {
        let text =
            b"FLUSH\nNEW audio/mpeg /x\nEVENT /x listeners 1\nINFO full list end\nDELETE /x\n";
        assert_told(text, &[listeners("/x", 1)]);
    }
}
