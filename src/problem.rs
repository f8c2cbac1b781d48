//! What is wrong with a configuration, where, and what to do about it.
//!
//! A [`Problem`] carries the one line it is about, already cut to length and with secrets masked,
//! so that it can be printed, logged or sent anywhere without the file it came from.

mod render;

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

/// One mistake: what, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong: lower case, no final stop.
    pub message: String,
    /// Where it is.
    pub place: Place,
    /// What to do about it, where there is something to say.
    pub help: Option<String>,
}

/// A file, and where possible a spot in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file or directory as the operator named it.
    pub file: String,
    /// `None` where the whole file is meant, because it cannot be read for example.
    pub spot: Option<Spot>,
}

/// A piece of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The bytes of the file that are meant (without a byte order mark).
    pub span: Range<usize>,
    /// The line as it may be shown: cut around the spot, secrets masked.
    pub excerpt: String,
    /// The bytes of the excerpt that are meant.
    pub marked: Range<usize>,
}

/// All that is wrong, ordered by place; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problem {
    /// Something that is wrong with a file as a whole.
    pub fn with_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { message: message.into(), place: Place { file: file.into(), spot: None }, help: None }
    }

    /// The same, and what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn order(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }

    fn key(&self) -> (&str, Option<(usize, usize)>, &str) {
        let at = self.place.spot.as_ref().map(|spot| (spot.line, spot.column));
        (&self.place.file, at, &self.message)
    }
}

impl Problems {
    /// The problems in the order of their places, each once; `None` if there are none.
    pub fn of(mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort_by(Problem::order);
        problems.dedup();
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::error::Error for Problems {}

/// `balancer.yaml:10:25`, or the file alone.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        match &self.spot {
            Some(spot) => write!(f, ":{}:{}", spot.line, spot.column),
            None => Ok(()),
        }
    }
}
