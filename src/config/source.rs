//! The texts that make up a configuration, and places in them.

use std::fmt;
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Larger files are refused: a real configuration of a thousand servers has a tenth of this.
pub const MAX_BYTES: usize = 1024 * 1024;

/// One file's text and where it is from.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    path: PathBuf,
    text: String,
}

/// Everything one configuration was written in: at least one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    first: Source,
    more: Vec<Source>,
}

/// A piece of one of the [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    pub(super) source: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A value and where it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At<T> {
    /// What is written.
    pub value: T,
    /// Where.
    pub span: Span,
}

impl Sources {
    /// A configuration in one file; `path` is shown to operators, and secret files are looked for
    /// beside it.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { first: Source { path: path.into(), text: text.into() }, more: Vec::new() }
    }

    /// The same, with one more file.
    #[must_use]
    pub fn and(mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        self.more.push(Source { path: path.into(), text: text.into() });
        self
    }

    /// The files in order.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        iter::once(&self.first).chain(&self.more)
    }

    /// SHA-256 of all texts, in hexadecimal: the same digest means the same configuration.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        // A length before each text, so that moving a line to another file is a change. One file
        // alone has the digest that `sha256sum` prints.
        for (index, source) in self.iter().enumerate() {
            if index > 0 {
                digest.update((source.text.len() as u64).to_be_bytes());
            }
            digest.update(&source.text);
        }
        let mut hex = String::new();
        for byte in digest.finalize() {
            hex.extend(
                [byte >> 4, byte & 15]
                    .iter()
                    .filter_map(|digit| char::from_digit((*digit).into(), 16)),
            );
        }
        hex
    }

    /// The file that a span is in.
    pub(crate) fn holding(&self, span: Span) -> &Source {
        self.iter().nth(span.source).unwrap_or(&self.first)
    }
}

impl Source {
    /// Where it is from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path as operators see it.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The text without a byte order mark.
    pub(crate) fn text(&self) -> &str {
        self.text.strip_prefix('\u{feff}').unwrap_or(&self.text)
    }

    /// A path that is written in this file: relative ones begin beside it.
    pub(crate) fn beside(&self, path: &Path) -> PathBuf {
        self.path.parent().map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }
}

/// Without the text: there may be passwords in it.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Span {
    pub(super) fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_one_file_is_its_sha256() {
        assert_eq!(
            Sources::new("a.yaml", "abc").digest(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn the_digest_changes_when_a_line_moves_to_another_file() {
        let before = Sources::new("a.yaml", "a: 1\nb: 2\n").and("b.yaml", "c: 3\n");
        let after = Sources::new("a.yaml", "a: 1\n").and("b.yaml", "b: 2\nc: 3\n");
        assert_ne!(before.digest(), after.digest());
    }

    #[test]
    fn secret_files_are_looked_for_beside_the_file_that_names_them() {
        let source = Sources::new("/etc/balancer/a.yaml", "").first;
        assert_eq!(source.beside(Path::new("pw")), Path::new("/etc/balancer/pw"));
        assert_eq!(source.beside(Path::new("/run/pw")), Path::new("/run/pw"));
    }
}
