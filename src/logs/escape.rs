//! Text that others chose, made harmless: no control byte, no second line, no end without limit.

use std::io::Write;

/// The longest that anything a client sent becomes in a line, in bytes.
pub(super) const LONGEST: usize = 256;

/// Appends bytes of a client's: printable ASCII as it is, everything else, quotes and backslashes as
/// `\xHH`; at most [`LONGEST`] bytes.
pub(super) fn foreign(text: &mut Vec<u8>, bytes: &[u8]) {
    let end = text.len() + LONGEST;
    for byte in bytes {
        let plain = matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        let length = if plain { 1 } else { 4 };
        if text.len() + length > end {
            return;
        }
        if plain {
            text.push(*byte);
        } else {
            hex(text, *byte);
        }
    }
}

/// Appends a name of the configuration's as one word: what would end the word is `\xHH`.
pub(super) fn name(text: &mut Vec<u8>, name: &str) {
    for c in name.chars() {
        let mut bytes = [0; 4];
        let bytes = c.encode_utf8(&mut bytes).bytes();
        if c.is_whitespace() || c.is_control() || matches!(c, '"' | '\\') {
            bytes.for_each(|byte| hex(text, byte));
        } else {
            text.extend(bytes);
        }
    }
}

/// Appends an event of the log for people: what follows a line break is indented, so that no text
/// can pass for an event of its own, and no control character remains. Where `has_colours`, escape
/// characters stay: they are ours, the others have been made harmless before.
pub(super) fn event(text: &mut Vec<u8>, event: &str, has_colours: bool) {
    for c in event.trim_end_matches('\n').chars() {
        match c {
            '\n' => text.extend(b"\n    "),
            '\t' => text.extend(b"    "),
            '\x1b' if has_colours => text.push(b'\x1b'),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                c.encode_utf8(&mut bytes).bytes().for_each(|byte| hex(text, byte));
            }
            c => {
                let mut bytes = [0; 4];
                text.extend(c.encode_utf8(&mut bytes).bytes());
            }
        }
    }
    text.push(b'\n');
}

fn hex(text: &mut Vec<u8>, byte: u8) {
    // To write to memory does not fail.
    drop(write!(text, "\\x{byte:02X}"));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn made(make: impl Fn(&mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        make(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_a_client_sent_is_printable_ascii() {
        let agent = b"VLC/3 \"\\\r\n\x1b\0\x7f\xc3\xb6\xff";
        let told = r"VLC/3 \x22\x5C\x0D\x0A\x1B\x00\x7F\xC3\xB6\xFF";
        assert_eq!(made(|text| foreign(text, agent)), told);
    }

    #[test]
    fn a_name_is_one_word_and_readable() {
        assert_eq!(made(|text| name(text, "/größe \"x\"")), r"/größe\x20\x22x\x22");
    }

    #[test]
    fn lines_of_one_event_belong_together() {
        let text = made(|text| event(text, "bad\nfile\r\n\x1b[31m\tx\u{85}\n", false));
        assert_eq!(text, "bad\n    file\\x0D\n    \\x1B[31m    x\\xC2\\x85\n");
        assert_eq!(made(|text| event(text, "\x1b[2mfine\n", true)), "\x1b[2mfine\n");
    }

    proptest! {
        #[test]
        fn nothing_foreign_gets_out_of_its_field(
            bytes in prop::collection::vec(any::<u8>(), 0..2_000),
        ) {
            let text = made(|text| foreign(text, &bytes));
            prop_assert!(text.len() <= LONGEST);
            prop_assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"'));
        }

        #[test]
        fn no_event_has_control_characters(message in any::<String>()) {
            let text = made(|text| event(text, &message, false));
            prop_assert!(text.ends_with('\n'));
            for (number, line) in text.trim_end_matches('\n').split('\n').enumerate() {
                prop_assert!(!line.contains(char::is_control));
                prop_assert!(number == 0 || line.starts_with("    "));
            }
        }
    }
}
