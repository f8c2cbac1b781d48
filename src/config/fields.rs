//! Mappings with known keys: hands out what is there, reports what should not be.

use std::collections::HashMap;

use crate::config::findings::Findings;
use crate::config::keys::{self, Mapping};
use crate::config::source::{At, Span};
use crate::config::suggest::{closest, shown};
use crate::config::yaml::{Node, Value};

/// A value, the key it stands under, and what messages call it.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    /// `poll.interval`, for messages.
    pub(super) name: String,
    /// The key; for an item of a list, the item.
    pub(super) key: Span,
    pub(super) node: &'a Node,
}

/// A mapping of which every key is known.
pub(super) struct Fields<'a> {
    /// What messages call the mapping; empty for the top level.
    name: String,
    /// The key it stands under.
    key: Span,
    /// In the order of the file. A key is there twice only at the top level, from several files.
    entries: Vec<(At<String>, &'a Node)>,
    mapping: &'static Mapping,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The top level of all files, which `mapping` describes. Of `shared` keys each file may have
    /// one; any other key may be in one file alone.
    pub(super) fn top(
        files: &'a [(Span, Node)],
        mapping: &'static Mapping,
        shared: &[&str],
        findings: &mut Findings,
    ) -> Option<Self> {
        let &(key, _) = files.first()?;
        let mut entries = Vec::new();
        let mut everywhere = Names::default();
        for (_, node) in files {
            let Value::Map(map) = &node.value else { continue };
            let mut here = Names::default();
            for (key, value) in map {
                let Some(key) = name(key, findings) else { continue };
                let names = if shared.contains(&&*key.value) { &mut here } else { &mut everywhere };
                if names.is_new(&key, findings) {
                    entries.push((key, value));
                }
            }
        }
        Some(Self { name: String::new(), key, entries, mapping, asked: Vec::new() })
    }

    /// The fields of a mapping that `mapping` describes; anything else is a problem.
    pub(super) fn open(
        entry: &Entry<'a>,
        mapping: &'static Mapping,
        findings: &mut Findings,
    ) -> Option<Self> {
        let entries = entries(entry, "key", findings)?;
        let entries = entries.into_iter().map(|(key, entry)| (key, entry.node)).collect();
        let (name, key) = (entry.name.clone(), entry.key);
        Some(Self { name, key, entries, mapping, asked: Vec::new() })
    }

    /// The value of `key`, if there is one.
    pub(super) fn take(&mut self, key: &'static str, findings: &mut Findings) -> Option<Entry<'a>> {
        self.take_all(key, findings).into_iter().next()
    }

    /// The values of `key` in all files.
    pub(super) fn take_all(
        &mut self,
        key: &'static str,
        findings: &mut Findings,
    ) -> Vec<Entry<'a>> {
        self.asked.push(key);
        let mut taken = Vec::new();
        for (at, node) in self.entries.iter().filter(|(at, _)| at.value == key) {
            let name = self.path(key);
            if matches!(node.value, Value::Null) {
                let help = match self.name.as_str() {
                    "" if matches!(key, "servers" | "streams") => {
                        "write what it has below it, indented"
                    }
                    _ => "give it a value, or remove the line",
                };
                findings.problem(at.span, format!("`{name}` is empty"), help);
            } else {
                taken.push(Entry { name, key: at.span, node });
            }
        }
        taken
    }

    /// The value of `key`, read with `read`; `None` also if that reported a problem.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        findings: &mut Findings,
        read: impl FnOnce(&Entry<'a>, &mut Findings) -> Option<T>,
    ) -> Option<At<T>> {
        let entry = self.take(key, findings)?;
        let span = entry.node.span;
        read(&entry, findings).map(|value| At { value, span })
    }

    /// Whether `key` is there, well written or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(at, _)| at.value == key)
    }

    /// Where `key` is written first.
    pub(super) fn span(&self, key: &str) -> Option<Span> {
        self.entries.iter().find(|(at, _)| at.value == key).map(|(at, _)| at.span)
    }

    /// What messages call this mapping.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What messages call `key` of this mapping.
    pub(super) fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// The key that this mapping stands under.
    pub(super) fn key(&self) -> Span {
        self.key
    }

    /// Reports every key that is not described.
    pub(super) fn finish(self, findings: &mut Findings) {
        debug_assert!(self.is_described(), "{:?} of `{}`", self.asked, self.mapping.name);
        let known: Vec<_> = self.mapping.keys.iter().map(|key| key.name).collect();
        for (key, _) in self.entries.iter().filter(|(key, _)| !known.contains(&&*key.value)) {
            let message = if self.name.is_empty() {
                format!("unknown key {}", shown(&key.value))
            } else {
                format!("unknown key {} in `{}`", shown(&key.value), self.name)
            };
            let help = match (keys::home(&key.value), closest(&key.value, known.iter().copied())) {
                (Some(home), _) => format!("`{}` belongs {home}", key.value),
                (None, Some(name)) => format!("did you mean `{name}`?"),
                (None, None) => format!("known keys: {}", known.join(", ")),
            };
            findings.problem(key.span, message, help);
        }
    }

    /// Whether the keys that were asked for are those that are described, each once.
    fn is_described(&self) -> bool {
        let mut asked = self.asked.clone();
        let mut described: Vec<_> = self.mapping.keys.iter().map(|key| key.name).collect();
        asked.sort_unstable();
        described.sort_unstable();
        asked == described
    }
}

/// The entries of a mapping whose keys are names that the operator chose, each name once.
/// `what` the keys are is said in messages.
pub(super) fn entries<'a>(
    entry: &Entry<'a>,
    what: &str,
    findings: &mut Findings,
) -> Option<Vec<(At<String>, Entry<'a>)>> {
    let Value::Map(map) = &entry.node.value else {
        let message = format!("`{}` must be a mapping, and is {}", entry.name, kind(entry.node));
        let help = format!("write `{what}: value` lines below it, indented");
        findings.problem(entry.node.span, message, help);
        return None;
    };
    let mut names = Names::default();
    let mut entries = Vec::new();
    for (key, node) in map {
        let Some(key) = name(key, findings) else { continue };
        if names.is_new(&key, findings) {
            let name = format!("{}.{}", entry.name, cut(&key.value));
            let entry = Entry { name, key: key.span, node };
            entries.push((key, entry));
        }
    }
    Some(entries)
}

/// Names that must be there once.
#[derive(Default)]
pub(super) struct Names(HashMap<String, Span>);

impl Names {
    /// Whether this is the first of its name; any other is reported.
    pub(super) fn is_new(&mut self, name: &At<String>, findings: &mut Findings) -> bool {
        match self.0.get(&name.value) {
            // An alias brings the same key along each time it is used.
            Some(&first) if first == name.span => false,
            Some(&first) => {
                let first = findings.mention(first, name.span);
                let message = format!("{} is there twice, first {first}", shown(&name.value));
                findings.problem(name.span, message, "keep one of them, or rename it");
                false
            }
            None => {
                self.0.insert(name.value.clone(), name.span);
                true
            }
        }
    }
}

/// A key as text: what YAML takes for a number is a name as well.
fn name(key: &Node, findings: &mut Findings) -> Option<At<String>> {
    match &key.value {
        Value::Scalar(scalar) if !scalar.text.is_empty() => {
            Some(At { value: scalar.text.clone(), span: key.span })
        }
        _ => {
            let message = format!("what stands before a colon must be text, and is {}", kind(key));
            findings.problem(key.span, message, "write `name: value`; put odd names in quotes");
            None
        }
    }
}

/// What a node is, in words.
pub(super) fn kind(node: &Node) -> &'static str {
    match &node.value {
        Value::Null => "nothing",
        Value::Scalar(scalar) if scalar.text.is_empty() => "empty text",
        Value::Scalar(_) => "a single value",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

/// A name that goes into the name of what is below it.
fn cut(name: &str) -> String {
    let shown = shown(name);
    shown.trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;
    use crate::config::source::Sources;
    use crate::config::yaml;

    /// Opens a `limits` with `text` in it, asks for `asked`, and tells what was reported.
    fn limits(text: &str, asked: &[&'static str]) -> String {
        let sources = Sources::new("balancer.yaml", text);
        let mut findings = Findings::new(&sources);
        let node = yaml::parse(text, 0).ok().expect("YAML");
        let entry = Entry { name: "limits".to_owned(), key: node.span, node: &node };
        let mut fields = Fields::open(&entry, &keys::LIMITS, &mut findings).expect("a mapping");
        for key in asked {
            fields.take(key, &mut findings);
        }
        fields.finish(&mut findings);
        findings.into_problems().map(|problems| problems.to_string()).unwrap_or_default()
    }

    const ALL: [&str; 3] = ["max_connections", "per_client", "header_timeout"];

    #[test]
    fn a_key_that_is_not_described_is_unknown() {
        assert_eq!(limits("per_client: 5", &ALL), "");
        let told = limits("per_clients: 5", &ALL);
        assert!(
            told.contains("unknown key") && told.contains("did you mean `per_client`?"),
            "{told}"
        );
    }

    #[test]
    #[should_panic(expected = "of `limits`")]
    fn to_ask_for_a_key_that_is_not_described_ends_the_test() {
        limits("per_client: 5", &["max_connections", "per_client", "header_timeout", "colour"]);
    }

    #[test]
    #[should_panic(expected = "of `limits`")]
    fn not_to_ask_for_a_key_that_is_described_ends_the_test() {
        limits("per_client: 5", &["max_connections", "per_client"]);
    }
}
