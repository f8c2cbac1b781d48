//! Reads just enough Rust to see whom a file refers to.
//!
//! Comments, strings and tests do not count. Whoever is named anywhere else, in a `use` or in the
//! middle of an expression, is referred to.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A file of the program.
pub(super) struct Source {
    /// Its path below `src`, with `/` on every system.
    pub(super) path: String,
    pub(super) text: String,
    /// The text without comments, strings and tests.
    code: String,
}

/// Every file below a folder.
pub(super) fn read(folder: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder that can be read") {
            let path = entry.expect("an entry that can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a file that can be read");
                let below = path.strip_prefix(folder).expect("it is below");
                let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
                sources.push(Source::new(&parts.join("/"), &text));
            }
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    sources
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let code = without_tests(&without_prose(text));
        let code = if is_test(path) { String::new() } else { code };
        Self { path: path.to_owned(), text: text.to_owned(), code }
    }

    /// The module of the crate that the file belongs to, itself or as a part.
    pub(super) fn module(&self) -> String {
        let first = self.path.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs").to_owned()
    }

    pub(super) fn is_test(&self) -> bool {
        is_test(&self.path)
    }

    /// The modules of this crate that it refers to, besides its own.
    pub(super) fn imports(&self) -> BTreeSet<String> {
        // In `a/b.rs`, `super` is `a` and `super::super` is the crate.
        let climb = "super::".repeat(self.path.matches('/').count() + 1);
        let mut imports = BTreeSet::new();
        for root in ["crate::", "icecast_balancer::", &climb] {
            for rest in after(&self.code, root) {
                imports.extend(first_names(rest));
            }
        }
        imports.remove(&self.module());
        imports
    }

    /// Whether it refers to an outside crate.
    pub(super) fn uses(&self, dependency: &str) -> bool {
        // A module of ours may have a crate's name.
        !self.imports().contains(dependency)
            && !after(&self.code, &format!("{dependency}::")).is_empty()
    }
}

fn is_test(path: &str) -> bool {
    path == "tests.rs" || path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// What follows each path that begins with `root`.
fn after<'a>(code: &'a str, root: &str) -> Vec<&'a str> {
    let begins = |at: usize| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_:.$".contains(c))
    };
    code.match_indices(root)
        .filter(|(at, _)| begins(*at))
        .map(|(at, _)| &code[at + root.len()..])
        .collect()
}

/// `a` of `a::b`; `a` and `c` of `{a::b, c}`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| {
        let text = text.trim_start();
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        text[..end].to_owned()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut depth, mut names, mut fresh) = (0, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && !c.is_whitespace() => {
                names.push(name(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

/// The code without the module of its tests, which ends at the next brace that begins a line.
fn without_tests(code: &str) -> String {
    let Some((before, tests)) = code.split_once("#[cfg(test)]\nmod tests") else {
        return code.to_owned();
    };
    let end = if tests.starts_with(';') { ";" } else { "\n}" };
    let after = tests.split_once(end).map_or("", |(_, after)| after);
    format!("{before}{after}")
}

/// The text with nothing inside its strings and characters, and without comments.
fn without_prose(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(length) = raw_string(rest) {
            length
        } else if c == '"' {
            1 + quoted(&rest[1..], '"')
        } else if let Some(length) = character(rest) {
            length
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        rest = &rest[length..];
    }
    code
}

/// The length of a raw string that the text begins with.
fn raw_string(text: &str) -> Option<usize> {
    let fence = text.strip_prefix('r')?;
    let hashes = fence.len() - fence.trim_start_matches('#').len();
    let inside = fence[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(1 + hashes + 1 + inside.find(&end)? + end.len())
}

/// The length of a character that the text begins with, which is no lifetime.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if inside.starts_with('\\') {
        return Some(1 + quoted(inside, '\''));
    }
    let c = inside.chars().next()?;
    inside[c.len_utf8()..].starts_with('\'').then_some(2 + c.len_utf8())
}

/// The length of the text up to and with the first `end` that is not escaped.
fn quoted(text: &str, end: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == end => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

mod tests {
    //! A checker that finds nothing would let everything pass.

    use super::Source;

    fn imports(path: &str, text: &str) -> Vec<String> {
        Source::new(path, text).imports().into_iter().collect()
    }

    #[test]
    fn an_import_is_found() {
        assert_eq!(imports("select.rs", "use crate::poller::run;"), ["poller"]);
        assert_eq!(
            imports("select.rs", "use crate::{poller, state::{State, x}};"),
            ["poller", "state"]
        );
        assert_eq!(imports("main.rs", "use icecast_balancer::app::App;"), ["app"]);
    }

    #[test]
    fn a_reference_without_an_import_is_found() {
        assert_eq!(imports("select.rs", "fn f() { g(&crate::poller::run) }"), ["poller"]);
    }

    #[test]
    fn a_reference_by_way_of_super_is_found() {
        assert_eq!(imports("select.rs", "use super::poller;"), ["poller"]);
        assert_eq!(imports("select/draw.rs", "use super::super::poller::run;"), ["poller"]);
        assert_eq!(imports("select/draw.rs", "use super::pick;"), [""; 0]);
    }

    #[test]
    fn a_part_counts_for_its_module_and_may_refer_to_it() {
        assert_eq!(Source::new("select/draw.rs", "").module(), "select");
        assert_eq!(imports("select/draw.rs", "use crate::select::pick;"), [""; 0]);
    }

    #[test]
    fn prose_and_tests_do_not_count() {
        for text in [
            "//! See [`crate::poller`].",
            "fn f() { g(\"crate::poller\", r#\"\"crate::poller\"#, '\"') }",
            "#[cfg(test)]\nmod tests {\n    use crate::poller;\n}",
        ] {
            assert_eq!(imports("select.rs", text), [""; 0], "{text}");
        }
        assert_eq!(imports("select/tests.rs", "use crate::poller;"), [""; 0]);
    }

    #[test]
    fn code_beside_prose_and_tests_counts() {
        for text in [
            "let url = \"http://x\"; crate::poller::run()",
            "let quote = '\"'; crate::poller::run(); let quote = '\\''; // \"",
            "#[cfg(test)]\nmod tests;\n\nfn f() { crate::poller::run() }",
            "#[cfg(test)]\nmod tests {\n    fn f() {}\n}\n\nfn g() { crate::poller::run() }",
            "fn f<'a>(x: &'a str) { crate::poller::run('x') }",
        ] {
            assert_eq!(imports("select.rs", text), ["poller"], "{text}");
        }
    }

    #[test]
    fn an_outside_crate_is_found_wherever_it_is_named() {
        let uses = |text: &str| Source::new("select.rs", text).uses("tokio");
        assert!(uses("use tokio::sync::watch;"));
        assert!(uses("fn f() { tokio::spawn(g()); }"));
        assert!(uses("#[tokio::main]\nfn main() {}"));
        assert!(!uses("use crate::tokio; fn f() { tokio::spawn(g()); }"));
        assert!(!uses("use my_tokio::x; use x::tokio::y; // tokio::spawn"));
    }
}
