//! Sources out of a document that is almost JSON.
//!
//! Strings are the one thing the stylesheet always gets right: quotes and backslashes inside of
//! them are escaped. So this looks at nothing but the tokens: a string before a colon is a key,
//! what follows the colon is its value, and an object with a `listenurl` is a source. What is
//! written inside a string stays there, whatever it spells. Commas, brackets and the sense of bare
//! words are nobody's business here.

use std::fmt::Write;
use std::str;

use super::{Malformed, Source, not_icestats};

/// Objects in objects; Icecast has three.
const DEEPEST: usize = 128;

/// The sources in `body`, which is a document of Icecast's if its first key is `icestats`.
pub(super) fn sources(body: &[u8]) -> Result<Vec<Source>, Malformed> {
    let mut found = Vec::new();
    let mut open: Vec<Fields<'_>> = Vec::new();
    let mut is_icestats = false;
    // Each lasts until the next token: a string may turn out to be a key, a key wants its value.
    let mut string_before: Option<&[u8]> = None;
    let mut key_before: Option<&[u8]> = None;
    for token in (Tokens { rest: body }) {
        let (string, key) = (string_before.take(), key_before.take());
        match token {
            Token::Colon => {
                is_icestats |= !open.is_empty() && string == Some(b"icestats".as_slice());
                if !is_icestats {
                    break;
                }
                key_before = string;
            }
            Token::String(text) | Token::Word(text) => {
                if let (Some(key), Some(fields)) = (key, open.last_mut()) {
                    fields.set(key, text);
                }
                string_before = matches!(token, Token::String(_)).then_some(text);
            }
            Token::Open if open.len() == DEEPEST => return Err(not_icestats()),
            Token::Open => open.push(Fields::default()),
            Token::Close => {
                let is_comment = open.len() > SOURCE;
                found.extend(open.pop().filter(|_| !is_comment).and_then(Fields::source));
            }
            Token::Other => {}
            Token::Unfinished => break,
        }
    }
    match (is_icestats, open.is_empty()) {
        (true, true) => Ok(found),
        (true, false) => Err(cut_short()),
        (false, _) => Err(not_icestats()),
    }
}

/// How deep a source may lie: in `icestats`, in the document. What is deeper is a source's own, and
/// Icecast 2.5 has the comments of a stream there, which whoever sends it gives what names they like.
const SOURCE: usize = 3;

/// What matters of one object, as it stands in the document.
#[derive(Default)]
struct Fields<'a> {
    listenurl: Option<&'a [u8]>,
    listeners: &'a [u8],
    started: bool,
}

/// The least that JSON is made of.
enum Token<'a> {
    /// `{`
    Open,
    /// `}`
    Close,
    /// `:`
    Colon,
    /// `,`, `[` or `]`
    Other,
    /// What is between two quotes, still escaped.
    String(&'a [u8]),
    /// Anything else: a number or what passes for one, `true`, `null`.
    Word(&'a [u8]),
    /// A quote without its second.
    Unfinished,
}

struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn set(&mut self, key: &[u8], value: &'a [u8]) {
        match key {
            b"listenurl" => self.listenurl = Some(value),
            b"listeners" => self.listeners = value,
            b"stream_start" => self.started = !matches!(value, b"" | b"null"),
            _ => {}
        }
    }

    fn source(self) -> Option<Source> {
        Some(Source {
            listenurl: unescaped(self.listenurl?)?,
            listeners: unescaped(self.listeners).unwrap_or_default(),
            started: self.started,
        })
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.rest = self.rest.trim_ascii_start();
        let (first, rest) = self.rest.split_first()?;
        let token = match first {
            b'{' => Token::Open,
            b'}' => Token::Close,
            b':' => Token::Colon,
            b',' | b'[' | b']' => Token::Other,
            b'"' => {
                let Some((text, rest)) = string(rest) else {
                    self.rest = &[];
                    return Some(Token::Unfinished);
                };
                self.rest = rest;
                return Some(Token::String(text));
            }
            _ => {
                let ends = |byte: &u8| b"{}:,[]\"".contains(byte) || byte.is_ascii_whitespace();
                let end = self.rest.iter().position(ends).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at_checked(end)?;
                self.rest = rest;
                return Some(Token::Word(word));
            }
        };
        self.rest = rest;
        Some(token)
    }
}

/// Parts `bytes`, which begin inside a string, into its content and what follows its quote.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    let end = bytes.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    let (text, rest) = bytes.split_at_checked(end)?;
    Some((text, rest.get(1..)?))
}

/// What a string means; control characters, which should have been escaped, mean themselves.
fn unescaped(raw: &[u8]) -> Option<String> {
    let mut json = String::with_capacity(raw.len() + 2);
    json.push('"');
    for character in str::from_utf8(raw).ok()?.chars() {
        if character < ' ' {
            write!(json, "\\u{:04x}", u32::from(character)).ok()?;
        } else {
            json.push(character);
        }
    }
    json.push('"');
    serde_json::from_str(&json).ok()
}

fn cut_short() -> Malformed {
    Malformed("the document ends in the middle: was it cut short?".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(listenurl: &str, listeners: &str, started: bool) -> Source {
        Source { listenurl: listenurl.to_owned(), listeners: listeners.to_owned(), started }
    }

    #[test]
    fn a_source_is_an_object_with_a_listenurl() {
        let document = br#"{"icestats":{"host":"h","source":[
            {"listeners":3,"listenurl":"http://h/a","title":-,"stream_start":"x"}, null,
            {"listenurl":"http://h/b"}]}}"#;
        assert_eq!(
            sources(document),
            Ok(vec![source("http://h/a", "3", true), source("http://h/b", "", false)])
        );
    }

    #[test]
    fn a_brace_that_is_missing_after_the_start_of_icecast_does_no_harm() {
        let document = br#"{"icestats":"server_start":"x","dummy":null}}"#;
        assert_eq!(sources(document), Ok(vec![]));
    }

    #[test]
    fn a_title_cannot_forge_listeners() {
        let document = br#"{"icestats":{"source":{"listeners":3,"listenurl":"http://h/a",
            "title":"\\\",\"listeners\":0,\"x\":\"","artist":"listeners","genre":- }}}"#;
        assert_eq!(sources(document), Ok(vec![source("http://h/a", "3", false)]));
    }

    #[test]
    fn a_title_cannot_forge_a_source() {
        let document = br#"{"icestats":{"source":{"listenurl":"http://h/a",
            "title":"\"},{\"listenurl\":\"http://h/forged","genre":-}}}"#;
        assert_eq!(sources(document), Ok(vec![source("http://h/a", "", false)]));
    }

    #[test]
    fn objects_within_a_source_are_not_the_source() {
        let document = br#"{"icestats":{"source":{"listenurl":"http://h/a","listeners":3,
            "history":{"listeners":9},"title":-,"stream_start":"x"}}}"#;
        assert_eq!(sources(document), Ok(vec![source("http://h/a", "3", true)]));
    }

    #[test]
    fn a_comment_of_a_stream_cannot_forge_a_source() {
        let document = br#"{"icestats":{"source":[{"metadata":{"listenurl":"http://h/forged",
            "listeners":0},"title":-,"listenurl":"http://h/a","listeners":3}]}}"#;
        assert_eq!(sources(document), Ok(vec![source("http://h/a", "3", false)]));
    }

    #[test]
    fn a_key_stands_right_before_its_colon_and_its_value_right_behind() {
        let document =
            br#"{"icestats":{"listenurl":"http://h/a","listeners":[7],"x":"listeners",:8,
            "title":-}}"#;
        assert_eq!(sources(document), Ok(vec![source("http://h/a", "", false)]));
    }

    #[test]
    fn quotes_backslashes_and_control_characters_of_a_mount_are_its_own() {
        let document = b"{\"icestats\":{\"listenurl\":\"http://h/q\\\"\\\\\\n\x01\xc3\xbc\"}}";
        assert_eq!(sources(document), Ok(vec![source("http://h/q\"\\\n\u{1}\u{fc}", "", false)]));
    }

    #[test]
    fn a_mount_that_cannot_be_decoded_costs_only_itself() {
        let document = b"{\"icestats\":{\"source\":[{\"listenurl\":\"http://h/\xe9\"},\
            {\"listenurl\":\"http://h/\\x\"},{\"listenurl\":\"http://h/a\"}]}}";
        assert_eq!(sources(document), Ok(vec![source("http://h/a", "", false)]));
    }

    #[test]
    fn a_document_that_was_cut_short_is_refused() {
        let whole = r#"{"icestats":{"source":[{"listenurl":"http://h/a","title":"-"}]}}"#;
        for length in r#"{"icestats":"#.len()..whole.len() {
            assert_eq!(sources(&whole.as_bytes()[..length]), Err(cut_short()), "{length}");
        }
    }

    #[test]
    fn what_is_not_icestats_is_refused() {
        let too_deep = format!("{{\"icestats\":{}", "{".repeat(200));
        let documents = [
            "",
            "-",
            "{",
            r#""icestats":{}"#,
            r#"{"title":-,"icestats":{}}"#,
            "<a x=\"1\">",
            &too_deep,
        ];
        for document in documents {
            assert_eq!(sources(document.as_bytes()), Err(not_icestats()), "{document}");
        }
    }
}
