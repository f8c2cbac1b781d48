//! The problems found so far, and the way from a place in a text to what is shown of it.

use std::collections::HashSet;
use std::ops::Range;

use crate::config::secrets;
use crate::config::source::{Sources, Span};
use crate::problem::{Place, Problem, Problems, Spot};

/// After this many problems the rest is not worth reading; hostile input is stopped here.
const MAX_PROBLEMS: usize = 1_000;

/// How much of a long line is shown, in characters before and after its mark.
const CONTEXT: (usize, usize) = (50, 70);

/// What a secret looks like in an excerpt.
const MASK: &str = "********";

/// Collects problems while a configuration is read.
pub(crate) struct Findings {
    pages: Vec<Page>,
    problems: Vec<Problem>,
    /// What was said about which place.
    seen: HashSet<(Span, String)>,
}

/// One file, ready to be quoted from.
struct Page {
    name: String,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
    /// What must not be shown, in order.
    secrets: Vec<Range<usize>>,
}

impl Findings {
    pub(crate) fn new(sources: &Sources) -> Self {
        let page = |name, text: &str| Page {
            name,
            text: text.to_owned(),
            lines: line_starts(text),
            secrets: secrets::find(text),
        };
        let pages = sources.iter().map(|source| page(source.name(), source.text())).collect();
        Self { pages, problems: Vec::new(), seen: HashSet::new() }
    }

    /// Something is wrong at `span`: what, and what to do about it.
    ///
    /// Where the place touches a secret (a password in no quotes that YAML reads as something
    /// else, for example) neither is shown, since both may quote from it.
    pub(crate) fn problem(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        if self.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let secret = self.pages.get(span.source).and_then(|page| page.secret_in(span.range()));
        if let Some(secret) = secret {
            // Also where in a secret the problem is tells something about it.
            let start = span.start.min(secret.start);
            self.secret_problem(
                Span { start, end: secret.end, ..span },
                "this is not understood (nor shown, since it may be part of a password)",
                "put the password in quotes, alone on its line",
            );
        } else {
            self.secret_problem(span, message, help);
        }
    }

    /// Something is wrong with a secret: the message and the help must not quote it.
    pub(crate) fn secret_problem(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let Some(page) = self.pages.get(span.source) else { return };
        let message = message.into();
        if self.problems.len() >= MAX_PROBLEMS || !self.seen.insert((span, gist(&message))) {
            return;
        }
        self.problems.push(Problem {
            message,
            place: page.place(span.range()),
            help: Some(help.into()),
        });
    }

    /// Hides what is written at `span` from every excerpt of problems that are found later.
    pub(crate) fn hide(&mut self, span: Span) {
        let Some(page) = self.pages.get_mut(span.source) else { return };
        let next = page.secrets.partition_point(|secret| secret.start <= span.start);
        let before = next.checked_sub(1).and_then(|index| page.secrets.get(index));
        if before.is_none_or(|secret| secret.end < span.end) {
            page.secrets.insert(next, span.range());
        }
    }

    /// `balancer.yaml:10:25`.
    pub(crate) fn place(&self, span: Span) -> Option<Place> {
        self.pages.get(span.source).map(|page| page.place(span.range()))
    }

    /// How another place is mentioned in a problem at `from`: `in line 3`, or `at a.yaml:3:1`.
    pub(crate) fn mention(&self, other: Span, from: Span) -> String {
        match self.place(other) {
            Some(Place { spot: Some(spot), .. }) if other.source == from.source => {
                format!("in line {}", spot.line)
            }
            Some(place) => format!("at {place}"),
            None => String::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Everything found, if anything was.
    pub(crate) fn into_problems(self) -> Option<Problems> {
        Problems::of(self.problems)
    }
}

impl Page {
    fn secret_in(&self, span: Range<usize>) -> Option<Range<usize>> {
        let end = span.end.max(span.start + 1);
        self.secrets.iter().find(|secret| secret.start < end && span.start < secret.end).cloned()
    }

    fn place(&self, span: Range<usize>) -> Place {
        Place { file: self.name.clone(), spot: Some(self.spot(span)) }
    }

    fn spot(&self, span: Range<usize>) -> Spot {
        let start = self.boundary(self.visible(span.start));
        let line = self.lines.partition_point(|&line| line <= start);
        let line_start = line.checked_sub(1).and_then(|index| self.lines.get(index));
        let line_start = line_start.copied().unwrap_or(0);
        let line_end =
            self.get(start..self.text.len()).find('\n').map_or(self.text.len(), |at| start + at);
        let end = self.boundary(span.end.clamp(start, line_end));
        let column = self.get(line_start..start).chars().count() + 1;
        let (excerpt, marked) = self.excerpt(line_start..line_end, start..end);
        Spot { line, column, span: start..end, excerpt, marked }
    }

    /// The end of the file is shown as the end of its last line that has something on it.
    fn visible(&self, at: usize) -> usize {
        if self.get(at..self.text.len()).trim().is_empty() {
            at.min(self.text.trim_end().len())
        } else {
            at
        }
    }

    /// What is shown of a line, and where in it the mark is.
    fn excerpt(&self, line: Range<usize>, mark: Range<usize>) -> (String, Range<usize>) {
        let window = if line.len() <= CONTEXT.0 + CONTEXT.1 {
            line.clone()
        } else {
            let from = back(self.get(line.start..mark.start), CONTEXT.0);
            let to = ahead(self.get(mark.start..line.end), CONTEXT.1);
            mark.start - from..mark.start + to
        };
        // Where nothing is written, such as a missing value, a caret stands all the same.
        let next = ahead(self.get(mark.start..line.end), 1).max(1);
        let mark = mark.start..mark.end.max(mark.start + next);

        let mut shown = String::from(if window.start > line.start { "…" } else { "" });
        let mut marked = None;
        for (piece, hidden) in self.pieces(window.clone()) {
            let before = shown.len();
            shown.push_str(if hidden { MASK } else { self.get(piece.clone()) });
            if mark.start < piece.end && mark.end > piece.start {
                let within = |at: usize| before + at.clamp(piece.start, piece.end) - piece.start;
                let part =
                    if hidden { before..shown.len() } else { within(mark.start)..within(mark.end) };
                marked =
                    Some(marked.map_or(part.start, |marked: Range<usize>| marked.start)..part.end);
            }
        }
        if window.end < line.end {
            shown.push('…');
        }
        shown.truncate(shown.trim_end().len());
        match marked {
            Some(marked) if marked.start < shown.len() => {
                let end = marked.end.min(shown.len());
                (shown, marked.start..end)
            }
            _ => {
                shown.push(' ');
                let end = shown.len();
                (shown, end - 1..end)
            }
        }
    }

    /// The window cut into what may be shown and what must not.
    fn pieces(&self, window: Range<usize>) -> Vec<(Range<usize>, bool)> {
        let mut pieces = Vec::new();
        let mut at = window.start;
        for secret in &self.secrets {
            let start = secret.start.clamp(at, window.end);
            let end = secret.end.clamp(start, window.end);
            if end > start {
                let blank = self.get(start..end).trim().is_empty();
                pieces.extend([(at..start, false), (start..end, !blank)]);
                at = end;
            }
        }
        pieces.push((at..window.end, false));
        pieces
    }

    fn get(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }

    fn boundary(&self, at: usize) -> usize {
        (0..=at.min(self.text.len())).rev().find(|&at| self.text.is_char_boundary(at)).unwrap_or(0)
    }
}

/// A message without the long names in it: what is used in several places through an alias is
/// wrong once.
fn gist(message: &str) -> String {
    let long_name = |(index, part): &(usize, &str)| index % 2 == 1 && part.contains('.');
    message.split('`').enumerate().filter(|part| !long_name(part)).map(|(_, part)| part).collect()
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// The length in bytes of the last `count` characters.
fn back(text: &str, count: usize) -> usize {
    text.chars().rev().take(count).map(char::len_utf8).sum()
}

/// The length in bytes of the first `count` characters.
fn ahead(text: &str, count: usize) -> usize {
    text.chars().take(count).map(char::len_utf8).sum()
}
