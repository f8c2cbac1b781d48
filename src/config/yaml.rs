//! The only home of YAML: a text in, a tree of nodes with their places out.
//!
//! The tree keeps what a typed deserialiser would lose: duplicate keys, whether a scalar is in
//! quotes, and the place of every key and value (of an alias: where it is defined). So that a
//! hostile file ends quickly, size, depth, nodes and aliases have a budget.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{Error, Location, Options, Spanned};

use crate::config::source::{MAX_BYTES, Span};

/// A key, a value or a whole document, and where it stands.
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// What a node is.
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// One value.
    Scalar(Scalar),
    /// `[a, b]`.
    List(Vec<Node>),
    /// `{a: 1, b: 2}` in the order of the file, with keys that are there twice.
    Map(Vec<(Node, Node)>),
}

/// A value without parts.
pub(super) struct Scalar {
    /// Text: what it says. Anything else: as it is written.
    pub(super) text: String,
    /// What YAML takes it for.
    pub(super) kind: Kind,
}

/// What YAML takes a scalar for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, in quotes or not.
    Text,
    /// A whole number.
    Integer,
    /// Another number.
    Float,
    /// `true` or `false`.
    Boolean(bool),
}

/// Why a text is not YAML that we read.
pub(super) struct Malformed {
    pub(super) span: Span,
    pub(super) message: String,
    pub(super) help: String,
}

/// Reads a text; `source` is what the spans in the tree name as their source.
pub(super) fn parse(text: &str, source: usize) -> Result<Node, Malformed> {
    if text.len() > MAX_BYTES {
        return Err(Malformed {
            span: Span { source, start: 0, end: 0 },
            message: format!("the file is larger than {} KiB", MAX_BYTES / 1024),
            help: "split it into several files in a directory".into(),
        });
    }
    match serde_yaml::from_str_with_options::<Spanned<Raw>>(text, options()) {
        Ok(raw) => Ok(node(raw, text, source)),
        Err(error) => Err(malformed(&error, text, source)),
    }
}

fn options() -> Options {
    serde_yaml::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        reject_unsupported_tags: true,
        with_snippet: false,
        budget: serde_yaml::budget! {
            max_reader_input_bytes: Some(MAX_BYTES),
            max_depth: 32,
            max_nodes: 100_000,
            max_aliases: 1_000,
            max_documents: 1,
        },
    }
}

/// A node before its place is known to itself.
enum Raw {
    Null,
    Text(String),
    Other(Kind),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

struct RawVisitor;

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Other(Kind::Boolean(value)))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Other(Kind::Integer))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Other(Kind::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Other(Kind::Float))
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

fn node(raw: Spanned<Raw>, text: &str, source: usize) -> Node {
    let range = byte_range(raw.defined, text);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Text(text) => Value::Scalar(Scalar { text, kind: Kind::Text }),
        Raw::Other(kind) => {
            let text = text.get(range.clone()).unwrap_or_default().trim().to_owned();
            Value::Scalar(Scalar { text, kind })
        }
        Raw::List(list) => {
            Value::List(list.into_iter().map(|item| node(item, text, source)).collect())
        }
        Raw::Map(map) => {
            let entry = |(key, value)| (node(key, text, source), node(value, text, source));
            Value::Map(map.into_iter().map(entry).collect())
        }
    };
    Node { span: Span { source, start: range.start, end: range.end }, value }
}

/// Errors of the scanner count in characters alone.
fn byte_range(location: Location, text: &str) -> Range<usize> {
    let span = location.span();
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    if let (Some(start), Some(len)) = (span.byte_offset(), span.byte_len()) {
        return number(start)..number(start).saturating_add(number(len));
    }
    let byte = |count| text.char_indices().nth(count).map_or(text.len(), |(at, _)| at);
    let start = number(span.offset());
    byte(start)..byte(start.saturating_add(number(span.len())))
}

fn malformed(error: &Error, text: &str, source: usize) -> Malformed {
    let range = error.location().map_or(0..0, |location| byte_range(location, text));
    let (message, help) = explain(error.without_snippet(), line_at(text, range.start));
    Malformed { span: Span { source, start: range.start, end: range.end }, message, help }
}

/// What went wrong and what to do, in words for someone who does not think in YAML's terms.
fn explain(error: &Error, line: &str) -> (String, String) {
    // What is wrong within an alias is told about the alias.
    let error = match error {
        Error::AliasError { error, .. } => error.without_snippet(),
        error => error,
    };
    let message = match error {
        Error::ExternalMessage { msg, .. } | Error::Message { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    let (message, help) = match error {
        Error::Budget { .. } if message.contains("Documents") => (
            "a second YAML document begins here".into(),
            "remove the `---`; several files can stand together in a directory",
        ),
        Error::Budget { .. } => (
            "the file is nested too deeply or has too many entries".into(),
            "at most 32 levels, 100000 values and 1000 aliases are read",
        ),
        Error::UnsupportedTag { .. } => (
            "a YAML tag (`!…`) is not understood here".into(),
            "put text that begins with `!` in quotes",
        ),
        Error::UnknownAnchor { .. } => (
            "no anchor of this name stands above".into(),
            "put text that begins with `*` in quotes, or define the anchor with `&` first",
        ),
        Error::MergeValueNotMapOrSeqOfMaps { .. } => (
            "`<<` merges mappings alone".into(),
            "write `<<: *name`, where `&name` marks a mapping",
        ),
        _ if message.contains("recursion") || message.contains("recursive") => (
            "the file is nested too deeply, or an anchor contains itself".into(),
            "at most 32 levels are read",
        ),
        _ => (format!("this is not YAML: {message}"), hint(&message, line)),
    };
    (message, help.to_owned())
}

/// What to do about a text that the scanner does not understand.
fn hint(message: &str, line: &str) -> &'static str {
    if line.contains("[::") || line.contains(" [") && line.contains("]:") {
        "put an address in quotes, for example \"[::]:8000\""
    } else if message.contains("tab") {
        "indent with spaces: YAML does not allow tabs there"
    } else if message.contains("quote") || message.contains("escape") {
        "check the quotes; in double quotes a backslash is written twice"
    } else if message.contains("bracket") {
        "close every `[` and `{`"
    } else if message.contains("unexpected character") {
        "put text that begins with a special character in quotes"
    } else if message.contains("not allowed in this context") {
        "put text that contains `: ` in quotes; the line above may lack its colon"
    } else {
        "check this line and the one above: indentation, and a `:` with a space after each key"
    }
}

fn line_at(text: &str, at: usize) -> &str {
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default()
}
