//! Every key there is, each once: which keys the decoder takes, and what the schema for editors, the
//! reference and the manual say of them.
//!
//! The decoder opens a mapping with its description here ([`Fields::open`]), so that a key that is
//! not described is an unknown one. A key that is described and that the decoder does not ask for,
//! or the other way round, stops every test that reads such a mapping.
//!
//! Meanings are Markdown. Their links begin at `docs/`, where the reference stands.
//!
//! [`Fields::open`]: super::fields::Fields::open

mod servers;
mod settings;
mod streams;

use std::ops::RangeInclusive;

pub use servers::{CLIENTS, SERVER, STATS};
pub use settings::{BALANCE, CLUSTER, LIMITS, POLL, TLS, TOP};
pub use streams::{MOUNT, STREAM};

/// More listeners than any relay has.
pub(super) const LISTENERS: RangeInclusive<u64> = 1..=1_000_000_000;
pub(super) const HEADROOM: RangeInclusive<u64> = 0..=1_000_000_000;
pub(super) const CONNECTIONS: RangeInclusive<u64> = 1..=10_000_000;
pub(super) const JOINS: RangeInclusive<u64> = 1..=1_000_000;
pub(super) const POLLS: RangeInclusive<u64> = 1..=1_000;
pub(super) const REPLICAS: RangeInclusive<u64> = 1..=1_000;
/// Streams that one pattern may have; more would be a mistake, or somebody's attack.
pub(super) const STREAMS: RangeInclusive<u64> = 1..=10_000;
pub(super) const TIER: RangeInclusive<u64> = 0..=100;
pub(super) const WEIGHT: RangeInclusive<u64> = 1..=10_000;

/// A mapping of which every key is known.
#[derive(Debug)]
pub struct Mapping {
    /// A word for it: `poll`, `server`.
    pub name: &'static str,
    /// Where its keys stand, as a message says it: "in `poll`".
    pub place: &'static str,
    /// What it is for.
    pub meaning: &'static str,
    /// Its keys, in the order in which they are told.
    pub keys: &'static [Key],
    /// What several of its keys have to do with one another.
    pub rules: &'static [Rule],
}

/// A key, and what may stand behind it.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What its value may be.
    pub form: Form,
    /// What it means that it is not there.
    pub absent: Absent,
    /// A value, where neither form nor default show what one looks like.
    pub example: Option<&'static str>,
    /// What it is for.
    pub meaning: &'static str,
}

/// What a value may be.
#[derive(Debug)]
pub enum Form {
    /// Nothing at all.
    Nothing,
    /// Text on one line.
    Text,
    /// Text that is never shown, in which `${NAME}` is an environment variable.
    Secret,
    /// The path of a file on this machine.
    File,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Count(RangeInclusive<u64>),
    /// A time with its unit, longer than nothing.
    Duration,
    /// A time with its unit.
    DurationOrZero,
    /// Bits per second.
    Rate,
    /// An IP address and a port.
    Address,
    /// A network, or one address.
    Network,
    /// A country by its code.
    Country,
    /// An http or https URL that paths are added to.
    BaseUrl,
    /// An http or https URL.
    Url,
    /// The URL of a Valkey or Redis server.
    Engine,
    /// What the keys of such a server begin with.
    KeyPrefix,
    /// The path of a stream or mount.
    Path,
    /// The name of a server.
    Server,
    /// This word.
    Word(&'static str),
    /// One of these words.
    Choice(fn() -> Vec<&'static str>),
    /// A list of at least so many.
    List(usize, &'static Form),
    /// A mapping of known keys.
    Mapping(&'static Mapping),
    /// A mapping from names of servers.
    ByServer(&'static Form),
    /// A mapping from paths of streams.
    ByPath(&'static Form),
    /// One of these.
    Either(&'static [Form]),
}

/// What it means that a key is not there.
#[derive(Debug)]
pub enum Absent {
    /// Nothing.
    Nothing,
    /// It must be there.
    Mistake,
    /// The same as if this were written.
    Default(&'static str),
    /// Something that cannot be written.
    Means(&'static str),
}

/// What several keys of a mapping have to do with one another.
#[derive(Debug)]
pub enum Rule {
    /// One at most of these is there.
    NotBoth(&'static str, &'static str),
    /// At least one of these is there.
    OneOf(&'static [&'static str]),
    /// If this key has one of these values (of none: any), one of the other keys is there.
    Needs(&'static str, &'static [&'static str], &'static [&'static str]),
}

impl Key {
    const fn new(name: &'static str, form: Form, meaning: &'static str) -> Self {
        Self { name, form, absent: Absent::Nothing, example: None, meaning }
    }

    /// It must be there.
    const fn required(mut self) -> Self {
        self.absent = Absent::Mistake;
        self
    }

    /// What it is where it is not written, as it would be written.
    const fn or(mut self, default: &'static str) -> Self {
        self.absent = Absent::Default(default);
        self
    }

    /// What holds where it is not written, in words.
    const fn or_else(mut self, meaning: &'static str) -> Self {
        self.absent = Absent::Means(meaning);
        self
    }

    /// What a value looks like.
    const fn such_as(mut self, example: &'static str) -> Self {
        self.example = Some(example);
        self
    }
}

impl Form {
    /// The mappings of known keys that are part of it.
    fn mappings(&self) -> Vec<&'static Mapping> {
        match self {
            Self::Mapping(mapping) => vec![mapping],
            Self::List(_, of) | Self::ByServer(of) | Self::ByPath(of) => of.mappings(),
            Self::Either(forms) => forms.iter().flat_map(Self::mappings).collect(),
            _ => Vec::new(),
        }
    }
}

/// All mappings, each before those that stand in it.
pub fn all() -> Vec<&'static Mapping> {
    let mut all = vec![&TOP];
    let mut at = 0;
    while let Some(mapping) = all.get(at) {
        let below: Vec<_> = mapping.keys.iter().flat_map(|key| key.form.mappings()).collect();
        at += 1;
        all.splice(at..at, below);
    }
    all
}

/// Where a key belongs, if there is one of this name: "in `poll`".
pub(super) fn home(name: &str) -> Option<String> {
    let is_there = |mapping: &&Mapping| mapping.keys.iter().any(|key| key.name == name);
    let places: Vec<_> = all().into_iter().filter(is_there).map(|it| it.place).collect();
    (!places.is_empty()).then(|| places.join(", or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mapping_is_met_once_and_has_each_key_once() {
        let mappings = all();
        assert_eq!(mappings.len(), 11);
        for (at, mapping) in mappings.iter().enumerate() {
            // Each with those after it: every pair once. That there are any was held above.
            assert!(mappings.iter().skip(at + 1).all(|it| it.name != mapping.name), "{mapping:?}");
            for (at, key) in mapping.keys.iter().enumerate() {
                // Its keys likewise: each with those after it.
                assert!(mapping.keys.iter().skip(at + 1).all(|it| it.name != key.name), "{key:?}");
            }
        }
    }

    #[test]
    fn the_keys_of_rules_are_keys() {
        for mapping in all() {
            let is_key = |name: &&str| mapping.keys.iter().any(|key| key.name == *name);
            for rule in mapping.rules {
                let named = match rule {
                    Rule::NotBoth(one, other) => vec![*one, *other],
                    Rule::OneOf(keys) => keys.to_vec(),
                    Rule::Needs(key, _, others) => [&[*key], *others].concat(),
                };
                assert!(named.iter().all(is_key), "{rule:?}");
            }
        }
    }

    #[test]
    fn a_key_knows_where_it_belongs() {
        assert_eq!(home("interval").as_deref(), Some("in `poll`"));
        assert_eq!(home("weight").as_deref(), Some("in a server, or in a mount of a stream"));
        assert_eq!(home("colour"), None);
    }
}
