//! Streams by pattern: whatever servers list under a prefix becomes a stream.
//!
//! A pattern such as `/talks/*` stands among the streams itself, without a mount: it has the
//! counters of all its streams, and who asks for one that no server lists is told what is told of
//! it. The streams that are found follow behind those of the configuration.
//!
//! Names come from relays, which may be hostile. So there are at most [`Pattern::max_streams`],
//! shared fairly between servers, and a name is taken only if a configuration could have it
//! (`is_name`).

mod share;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::address::location;
use super::{Fleet, Mount, Origin, Server, ServerId, Stream, StreamId};

use share::{Listed, choose};

/// A pattern's place among the [`Patterns`].
pub type PatternId = usize;

/// All patterns of a configuration.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    all: Vec<Pattern>,
    /// What paths may begin with, the longest first.
    prefixes: Vec<(String, PatternId)>,
}

/// A prefix under which every mount is a stream.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// Its own entry among the streams.
    pub stream: StreamId,
    /// Where its streams can be: for each of its servers what their mounts have in common, the
    /// path being the prefix there, with a slash at its end.
    pub mounts: Vec<Mount>,
    /// It never has more streams.
    pub max_streams: usize,
    /// What the paths of its streams begin with, with a slash at its end.
    prefix: String,
    /// The place in `mounts` of each server that it has.
    places: HashMap<ServerId, usize>,
    /// Its streams, by what follows the prefix.
    found: HashMap<Box<str>, StreamId>,
    /// Where they are among all streams.
    streams: Range<StreamId>,
    /// Mounts that would be streams if there were not [`Pattern::max_streams`] already.
    left_out: usize,
}

/// A mount that some server lists, or has listed lately.
#[derive(Debug, Clone, Copy)]
pub struct Find<'a> {
    /// The server.
    pub server: ServerId,
    /// The path there, percent-decoded.
    pub mount: &'a str,
}

/// A stream that a mount would be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted<'a> {
    pattern: PatternId,
    /// The place in the pattern's `mounts`.
    place: usize,
    /// What follows the prefix.
    rest: &'a str,
    /// The stream's path.
    path: String,
}

impl Patterns {
    /// Each pattern with its number.
    pub fn iter(&self) -> impl Iterator<Item = (PatternId, &Pattern)> {
        self.all.iter().enumerate()
    }

    /// The pattern of that number.
    pub fn get(&self, id: PatternId) -> Option<&Pattern> {
        self.all.get(id)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Where a stream can be: of a pattern's entry what the mounts of its streams have in common.
    pub(super) fn mounts_of<'a>(&'a self, stream: &'a Stream) -> &'a [Mount] {
        match stream.origin {
            Origin::Pattern(id) => self.get(id).map_or(&[], |pattern| &pattern.mounts),
            Origin::Named | Origin::Found(_) => &stream.mounts,
        }
    }

    /// Adds a pattern. Its `prefixes` end with a slash; the first is its own, the others lead to
    /// the same streams.
    pub(super) fn add(
        &mut self,
        stream: StreamId,
        prefixes: Vec<String>,
        mounts: Vec<Mount>,
        max_streams: usize,
    ) -> PatternId {
        let id = self.all.len();
        let places = mounts.iter().enumerate().map(|(place, mount)| (mount.server, place));
        self.all.push(Pattern {
            stream,
            max_streams,
            prefix: prefixes.first().cloned().unwrap_or_default(),
            places: places.collect(),
            mounts,
            found: HashMap::new(),
            streams: 0..0,
            left_out: 0,
        });
        self.prefixes.extend(prefixes.into_iter().map(|prefix| (prefix, id)));
        self.prefixes.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.cmp(b)));
        id
    }

    /// The pattern that a path falls under, and what follows the prefix: a longer prefix wins.
    fn owner<'p>(&self, path: &'p str) -> Option<(PatternId, &'p str)> {
        self.prefixes.iter().find_map(|(prefix, id)| {
            path.strip_prefix(prefix.as_str())
                .filter(|rest| !rest.is_empty())
                .map(|rest| (*id, rest))
        })
    }
}

impl Pattern {
    /// Its streams, by their names.
    pub fn streams(&self) -> Range<StreamId> {
        self.streams.clone()
    }

    /// Whether it has as many streams as it may.
    pub fn is_full(&self) -> bool {
        self.streams.len() >= self.max_streams
    }

    /// The place of a server in `mounts`.
    pub fn place(&self, server: ServerId) -> Option<usize> {
        self.places.get(&server).copied()
    }

    /// How many mounts were left out when its streams were last chosen, since it has as many
    /// streams as it may.
    pub fn left_out(&self) -> usize {
        self.left_out
    }
}

impl Fleet {
    /// The stream that owns `path` (percent-decoded), by its name or as one that was found.
    pub fn stream_at(&self, path: &str) -> Option<StreamId> {
        self.paths.get(path).copied().or_else(|| {
            let (pattern, rest) = self.patterns.owner(path)?;
            self.patterns.get(pattern)?.found.get(rest).copied()
        })
    }

    /// The entry of the pattern that `path` (percent-decoded) falls under. It answers for every
    /// path that [`stream_at`](Self::stream_at) does not know.
    pub fn pattern_at(&self, path: &str) -> Option<StreamId> {
        let (pattern, _) = self.patterns.owner(path)?;
        Some(self.patterns.get(pattern)?.stream)
    }

    /// The pattern that a stream was found under, or whose entry it is.
    pub fn pattern_of(&self, stream: &Stream) -> Option<&Pattern> {
        match stream.origin {
            Origin::Named => None,
            Origin::Pattern(id) | Origin::Found(id) => self.patterns.get(id),
        }
    }

    /// The patterns that want the mount at `path` of a server.
    pub fn wanting(&self, server: ServerId, path: &str) -> impl Iterator<Item = &Pattern> {
        self.wanted(server, path).filter_map(|wanted| self.patterns.get(wanted.pattern))
    }

    /// The streams that the mount at `path` of a server would be. A stream that is spelled out, and
    /// a longer prefix, take it from a shorter one, whichever servers they have.
    fn wanted<'p>(&self, server: ServerId, path: &'p str) -> impl Iterator<Item = Wanted<'p>> {
        self.patterns.iter().filter_map(move |(id, pattern)| {
            let place = pattern.place(server)?;
            let rest = path.strip_prefix(pattern.mounts.get(place)?.path.as_str())?;
            if !is_name(rest) {
                return None;
            }
            let path = format!("{}{rest}", pattern.prefix);
            let (owner, _) = self.patterns.owner(&path)?;
            let is_free = owner == id && !self.paths.contains_key(&path);
            is_free.then_some(Wanted { pattern: id, place, rest, path })
        })
    }

    /// The same configuration with the streams that these finds make, and no others found. Where
    /// they are too many, those that are streams of `before` come first.
    #[must_use]
    pub fn with_found<'a>(
        mut self,
        finds: impl IntoIterator<Item = Find<'a>>,
        before: &Self,
    ) -> Self {
        let spelled = self.streams.iter().take_while(|stream| !stream.is_found()).count();
        self.streams.truncate(spelled);
        let nothing = |pattern: &Pattern| vec![Vec::new(); pattern.mounts.len()];
        let mut lists: Vec<Vec<Vec<Listed<'_>>>> = self.patterns.all.iter().map(nothing).collect();
        for Find { server, mount } in finds {
            for wanted in self.wanted(server, mount) {
                let is_new = before.stream_at(&wanted.path).is_none();
                let lists = lists.get_mut(wanted.pattern);
                if let Some(list) = lists.and_then(|lists| lists.get_mut(wanted.place)) {
                    list.push(Listed { is_new, name: wanted.rest });
                }
            }
        }
        for (id, lists) in lists.into_iter().enumerate() {
            self.fill(id, lists, before);
        }
        self
    }

    /// The same configuration with each pattern as a single stream, on all of its servers: for those
    /// who go by the configuration alone, without relays that would list anything.
    #[must_use]
    pub fn with_patterns_as_streams(mut self) -> Self {
        for pattern in &self.patterns.all {
            if let Some(entry) = self.streams.get_mut(pattern.stream) {
                let entry = Arc::make_mut(entry);
                entry.mounts.clone_from(&pattern.mounts);
                entry.origin = Origin::Named;
            }
        }
        self
    }

    /// Gives a pattern its streams: those that its servers list, as many as it may have.
    fn fill(&mut self, id: PatternId, lists: Vec<Vec<Listed<'_>>>, before: &Self) {
        let Some(pattern) = self.patterns.all.get_mut(id) else { return };
        let Some(own) = self.streams.get(pattern.stream).map(Arc::clone) else { return };
        // The same entry is in another fleet only if that is of the same configuration.
        let earlier = before.patterns.get(id).filter(|earlier| {
            before.streams.get(earlier.stream).is_some_and(|stream| Arc::ptr_eq(stream, &own))
        });
        let (chosen, left_out) = choose(lists, pattern.max_streams);
        pattern.left_out = left_out;
        let mut found = HashMap::with_capacity(chosen.len());
        let first = self.streams.len();
        for (rest, places) in chosen {
            let as_before = earlier
                .and_then(|earlier| before.streams.get(*earlier.found.get(rest)?))
                .filter(|stream| pattern.is_at(stream, &places));
            let stream = as_before.map_or_else(
                || Arc::new(pattern.stream_of(rest, &places, id, &own, &self.servers)),
                Arc::clone,
            );
            found.insert(rest.into(), self.streams.len());
            self.streams.push(stream);
        }
        pattern.found = found;
        pattern.streams = first..self.streams.len();
    }
}

impl Pattern {
    /// The stream whose path ends with `rest`, on the servers at these places.
    fn stream_of(
        &self,
        rest: &str,
        places: &[usize],
        id: PatternId,
        own: &Stream,
        servers: &[Server],
    ) -> Stream {
        let mount = |common: &Mount| {
            let server = servers.get(common.server)?;
            let path = format!("{}{rest}", common.path);
            let plain = location(&server.http_url, &path)?;
            let shared = server.url == server.http_url;
            let https_location = if shared { plain.clone() } else { location(&server.url, &path)? };
            Some(Mount { path, location: plain, https_location, ..common.clone() })
        };
        let common = places.iter().filter_map(|place| self.mounts.get(*place));
        Stream {
            path: format!("{}{rest}", self.prefix),
            mounts: common.filter_map(mount).collect(),
            origin: Origin::Found(id),
            ..own.clone()
        }
    }

    /// Whether a stream is on the servers at these places, and on no others.
    fn is_at(&self, stream: &Stream, places: &[usize]) -> bool {
        let wanted = places.iter().filter_map(|place| self.mounts.get(*place));
        stream.mounts.iter().map(|mount| mount.server).eq(wanted.map(|mount| mount.server))
    }
}

/// Whether what follows a prefix may be the end of a stream's path: what a configuration could say,
/// and stricter. Nothing that is read as another path by somebody on the way, nothing that
/// passes for another name where people read it, and no `*`, which is a pattern's own name.
fn is_name(rest: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | ".." | "*");
    rest.split('/').all(is_part) && !rest.contains(is_odd)
}

/// Control characters, the end of a path, what some take for a slash, and what reorders or breaks a
/// line of text.
fn is_odd(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '?' | '#'
                | '\\'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests;
