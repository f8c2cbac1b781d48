//! XML as Icecast writes it, read tag by tag, so that one ill-formed tag costs only itself.
//!
//! Outside of comments and CDATA a `<` stands for nothing but the beginning of a tag: data has
//! `&lt;`. The document is therefore cut at every `<`, bytes not yet looked at, and each piece is
//! decoded only when somebody asks for its attributes or its text. Whatever is wrong with a piece,
//! the next one begins at the next `<`. Entities are the five of XML and character references;
//! nothing a document declares is ever expanded.

use std::borrow::Cow;
use std::str;

use memchr::{memchr, memchr3, memmem};
use quick_xml::XmlVersion;
use quick_xml::escape::unescape;
use quick_xml::events::attributes::Attributes;

use super::Malformed;

/// Opens a document whose root element must be one of `expected`: the root, and the tags after it.
///
/// The error ends with `hint`, which says what to look at. A document that does not end with its
/// root is refused too: mounts that were cut off must not count as gone.
pub(super) fn open<'a>(
    body: &'a [u8],
    expected: &[&str],
    hint: &str,
) -> Result<(Tag<'a>, Tags<'a>), Malformed> {
    let wanted = expected.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" or ");
    let mut tags = Tags { rest: body };
    let Some(root) = tags.next() else {
        let found = if body.trim_ascii().is_empty() { "nothing" } else { "no XML" };
        return Err(Malformed(format!("expected {wanted}, found {found}: {hint}")));
    };
    let name = String::from_utf8_lossy(root.name);
    if root.kind == Kind::End || !expected.contains(&name.as_ref()) {
        let shown: String = name.chars().take(40).collect();
        let slash = if root.kind == Kind::End { "/" } else { "" };
        let found = shown.escape_debug();
        return Err(Malformed(format!("expected {wanted}, found <{slash}{found}>: {hint}")));
    }
    let end = format!("</{name}>");
    if root.kind == Kind::Start && !body.trim_ascii_end().ends_with(end.as_bytes()) {
        return Err(Malformed(format!("the document does not end with {end}: was it cut short?")));
    }
    Ok((root, tags))
}

/// One tag, and the text between it and the next.
pub(super) struct Tag<'a> {
    /// The element's name.
    pub(super) name: &'a [u8],
    /// What the tag does.
    pub(super) kind: Kind,
    attributes: &'a [u8],
    text: &'a [u8],
}

/// What a [`Tag`] does to its element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `<x>` begins it.
    Start,
    /// `<x/>` is all of it.
    Empty,
    /// `</x>` ends it.
    End,
}

/// The tags of a document. Comments, CDATA, declarations and tags that do not close are skipped.
pub(super) struct Tags<'a> {
    rest: &'a [u8],
}

impl<'a> Tag<'a> {
    /// The values of the attributes `keys`, `None` in the place of one that is absent; `None`
    /// altogether where the tag is not well-formed or one of the values cannot be decoded.
    pub(super) fn attributes<const N: usize>(
        &self,
        keys: [&str; N],
    ) -> Option<[Option<String>; N]> {
        let source = str::from_utf8(self.attributes).ok().filter(|text| is_xml_text(text))?;
        let mut values = [const { None }; N];
        for attribute in Attributes::new(source, 0) {
            let attribute = attribute.ok()?;
            let slot = keys.iter().position(|key| *key == attribute.key.as_ref());
            if let Some(value) = slot.and_then(|index| values.get_mut(index)) {
                let text = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
                *value = Some(text.into_owned());
            }
        }
        Some(values)
    }

    /// The text after the tag; empty where it cannot be decoded.
    pub(super) fn text(&self) -> Cow<'a, str> {
        let text = str::from_utf8(self.text).ok().filter(|text| is_xml_text(text));
        text.and_then(|text| unescape(text).ok()).unwrap_or_default()
    }

    /// Reads a piece that begins after its `<` and reaches to the next one.
    fn read(piece: &'a [u8]) -> Option<Self> {
        let (inside, text) = piece.split_at_checked(tag_ends(piece)?)?;
        let (kind, inside) = match (inside.strip_prefix(b"/"), inside.strip_suffix(b"/")) {
            (Some(inside), _) => (Kind::End, inside),
            (None, Some(inside)) => (Kind::Empty, inside),
            (None, None) => (Kind::Start, inside),
        };
        let name_ends = inside.iter().position(u8::is_ascii_whitespace).unwrap_or(inside.len());
        let (name, attributes) = inside.split_at_checked(name_ends)?;
        Some(Self { name, kind, attributes, text: text.get(1..).unwrap_or_default() })
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        loop {
            let start = memchr(b'<', self.rest)?;
            let piece = self.rest.get(start + 1..)?;
            if piece.starts_with(b"!--") {
                self.rest = after(piece, b"-->");
            } else if piece.starts_with(b"![CDATA[") {
                self.rest = after(piece, b"]]>");
            } else {
                let end = memchr(b'<', piece).unwrap_or(piece.len());
                let (piece, rest) = piece.split_at_checked(end)?;
                self.rest = rest;
                if !matches!(piece.first(), Some(b'!' | b'?'))
                    && let Some(tag) = Tag::read(piece)
                {
                    return Some(tag);
                }
            }
        }
    }
}

/// Where the tag ends that a piece begins with: at the first `>` that is not between quotes.
fn tag_ends(piece: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = piece.get(at..)?;
        let found = memchr3(b'>', b'"', b'\'', rest)?;
        let quote = *rest.get(found)?;
        if quote == b'>' {
            return Some(at + found);
        }
        let quoted = rest.get(found + 1..)?;
        at += found + 1 + memchr(quote, quoted)? + 1;
    }
}

/// What follows the first `end` in `bytes`: nothing where there is none.
fn after<'a>(bytes: &'a [u8], end: &[u8]) -> &'a [u8] {
    let found = memmem::find(bytes, end);
    found.and_then(|start| bytes.get(start + end.len()..)).unwrap_or_default()
}

/// Whether `text` has none of the control characters that XML forbids.
fn is_xml_text(text: &str) -> bool {
    text.bytes().all(|byte| byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(document: &str) -> Vec<(Kind, String)> {
        let name = |tag: Tag<'_>| (tag.kind, String::from_utf8(tag.name.to_vec()).unwrap());
        Tags { rest: document.as_bytes() }.map(name).collect()
    }

    fn only_tag(document: &[u8]) -> Tag<'_> {
        let mut tags = Tags { rest: document };
        let tag = tags.next().unwrap();
        assert!(tags.next().is_none());
        tag
    }

    fn refusal(document: &[u8]) -> String {
        open(document, &["slots", "load"], "is slots.xsl installed?").err().unwrap().to_string()
    }

    #[test]
    fn tags_come_in_the_documents_order() {
        assert_eq!(
            tags("<a><b x='1'/>\n<c\n>text</c></a>"),
            [
                (Kind::Start, "a".to_owned()),
                (Kind::Empty, "b".to_owned()),
                (Kind::Start, "c".to_owned()),
                (Kind::End, "c".to_owned()),
                (Kind::End, "a".to_owned()),
            ]
        );
    }

    #[test]
    fn a_tag_in_a_comment_or_in_cdata_is_none() {
        let document = "<?xml version='1.0'?><!DOCTYPE a><!-- <x/> > --><![CDATA[<y/>]]><a/>";
        assert_eq!(tags(document), [(Kind::Empty, "a".to_owned())]);
        let close = "<!-- <x--><![CDATA[<y]]><!--><a/>";
        assert_eq!(tags(close), [(Kind::Empty, "a".to_owned())]);
    }

    #[test]
    fn a_comment_that_does_not_end_hides_the_rest() {
        assert_eq!(tags("<a/><!-- <b/>"), [(Kind::Empty, "a".to_owned())]);
    }

    #[test]
    fn a_tag_that_does_not_close_is_skipped() {
        assert_eq!(tags("<a x='1 <b/><c"), [(Kind::Empty, "b".to_owned())]);
    }

    #[test]
    fn a_bracket_between_quotes_does_not_close_a_tag() {
        let tag = only_tag(br#"<a x="1>2" y='3>"4'>text"#);
        let values = tag.attributes(["x", "y"]).unwrap();
        assert_eq!(values, [Some("1>2".to_owned()), Some("3>\"4".to_owned())]);
        assert_eq!(tag.text(), "text");
    }

    #[test]
    fn entities_of_xml_and_character_references_are_resolved() {
        let tag = only_tag(b"<a x='&quot;&#10;&#xFC;&amp;lt;'>&lt;1&gt;");
        assert_eq!(tag.attributes(["x"]), Some([Some("\"\n\u{fc}&lt;".to_owned())]));
        assert_eq!(tag.text(), "<1>");
    }

    #[test]
    fn a_document_cannot_define_entities() {
        let document = b"<!DOCTYPE a [<!ENTITY lol 'lol'>]><a x='&lol;'>&lol;";
        let tag = only_tag(document);
        assert_eq!(tag.attributes(["x"]), None);
        assert_eq!(tag.text(), "");
    }

    #[test]
    fn an_ill_formed_tag_has_no_attributes() {
        let documents: [&[u8]; 6] = [
            b"<a x=1/>",
            b"<a x/>",
            b"<a x='1' x='2'/>",
            b"<a x='\xff'/>",
            b"<a x='\x01'/>",
            b"<a x='&#0;'/>",
        ];
        for document in documents {
            assert_eq!(only_tag(document).attributes(["x"]), None, "{document:?}");
        }
    }

    #[test]
    fn text_that_cannot_be_decoded_is_empty() {
        for document in [b"<a>\xff".as_slice(), b"<a>\x01", b"<a>&x;"] {
            assert_eq!(only_tag(document).text(), "", "{document:?}");
        }
    }

    #[test]
    fn a_document_of_another_kind_is_refused_with_its_name_and_a_hint() {
        assert_eq!(
            refusal(b"<!DOCTYPE html>\n<html><body>It works!</body></html>"),
            "expected <slots> or <load>, found <html>: is slots.xsl installed?"
        );
    }

    #[test]
    fn a_document_that_is_not_xml_is_refused() {
        assert_eq!(
            refusal(b"Icecast connection limit reached"),
            "expected <slots> or <load>, found no XML: is slots.xsl installed?"
        );
        assert_eq!(
            refusal(b" \r\n"),
            "expected <slots> or <load>, found nothing: is slots.xsl installed?"
        );
    }

    #[test]
    fn a_refusal_repeats_no_control_characters_and_no_novels() {
        let long = format!("<\x1b[31m{}>", "x".repeat(1000));
        let refusal = refusal(long.as_bytes());
        assert!(refusal.contains("<\\u{1b}[31m"), "{refusal}");
        assert!(refusal.len() < 200, "{refusal}");
    }

    #[test]
    fn a_document_that_was_cut_short_is_refused() {
        assert_eq!(
            refusal(b"<slots><mount name='/a'/>"),
            "the document does not end with </slots>: was it cut short?"
        );
    }

    #[test]
    fn a_byte_order_mark_and_white_space_around_the_root_are_ignored() {
        assert!(open(b"\xef\xbb\xbf\n<slots></slots>\n", &["slots"], "").is_ok());
    }
}
