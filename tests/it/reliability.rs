//! `docs/reliability.md` against the code: each promise stands there once, and every test and
//! command that it names exists. A promise whose test was renamed away is only a claim.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The promises are numbered from 1 to this, without a gap.
const PROMISES: usize = 47;

#[test]
fn each_promise_has_one_row_with_its_test_its_figure_and_its_control() {
    let rows = rows();
    let ids: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    let expected: Vec<String> = (1..=PROMISES).map(|number| format!("R{number}")).collect();
    assert_eq!(ids, expected);
    for row in &rows {
        assert_eq!(row.len(), 5, "{} has not five columns", row[0]);
        assert!(row.iter().all(|cell| !cell.is_empty()), "{} has an empty cell", row[0]);
    }
}

#[test]
fn every_test_and_command_that_a_promise_names_exists() {
    let tests = tests();
    let missing: Vec<String> = rows()
        .iter()
        .flat_map(|row| proofs(row).into_iter().map(|proof| (row[0].clone(), proof)))
        .filter(|(_, proof)| !exists(proof, &tests))
        .map(|(id, proof)| format!("{id}: {proof}"))
        .collect();
    assert!(missing.is_empty(), "these are nowhere:\n{}", missing.join("\n"));
}

#[test]
fn no_promise_is_without_a_proof() {
    let bare: Vec<String> =
        rows().iter().filter(|row| proofs(row).is_empty()).map(|row| row[0].clone()).collect();
    assert!(bare.is_empty(), "{bare:?} name nothing that could be run");
}

#[test]
fn a_test_that_is_not_there_is_noticed() {
    let tests = tests();
    assert!(exists("reliability::a_test_that_is_not_there_is_noticed", &tests));
    assert!(!exists("reliability::a_test_that_nobody_wrote", &tests));
    assert!(!exists("redirect::a_test_that_is_not_there_is_noticed", &tests));
    assert!(!exists("cargo bench --bench nothing", &tests));
}

/// The cells of each promise's row.
fn rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let is_promise = |line: &&str| {
        let number = line.strip_prefix("| R").map(|rest| rest.split(' ').next().unwrap_or(""));
        number
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    };
    text.lines().filter(is_promise).map(cells).collect()
}

/// The cells of a Markdown row; `\|` is a character of a cell.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{0}");
    row.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

/// What the third cell names in code marks.
fn proofs(row: &[String]) -> Vec<String> {
    row[2].split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether a proof can be run: a command of which the target exists, or a test's path.
fn exists(proof: &str, tests: &BTreeSet<String>) -> bool {
    let words: Vec<&str> = proof.split_whitespace().collect();
    let after = |flag: &str| {
        words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1)).copied()
    };
    if let Some(target) = after("--bench") {
        return is_target("benches", target);
    }
    if words.contains(&"cargo") {
        return after("--test").is_none_or(|target| is_target("tests", target));
    }
    match words.first() {
        Some(script) if script.starts_with("tests/") => root().join(script).is_file(),
        Some(_) if words.len() == 1 => tests.contains(proof),
        _ => false,
    }
}

fn is_target(folder: &str, name: &str) -> bool {
    let folder = root().join(folder);
    folder.join(name).join("main.rs").is_file() || folder.join(format!("{name}.rs")).is_file()
}

/// The path of every function of the source, as the test runners would name it were it a test.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for base in ["src", "tests/it", "tests/e2e", "tests/faults"] {
        walk(&root().join(base), &mut |file| {
            let text = fs::read_to_string(file).unwrap();
            let module = module(file.strip_prefix(root().join(base)).unwrap());
            // A module of tests inside a file, as is the custom beside the code.
            let inner = text.find("mod tests {").unwrap_or(text.len());
            for (at, _) in text.match_indices("fn ") {
                let name: String = text[at + 3..]
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                let mut path = module.clone();
                if at > inner {
                    path.push("tests".to_owned());
                }
                path.push(name);
                found.insert(path.join("::"));
            }
        });
    }
    found
}

/// `redirect/hostile.rs` is the module `redirect::hostile`.
fn module(file: &Path) -> Vec<String> {
    let path = file.with_extension("");
    let names = path.iter().map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| !["main", "lib", "mod"].contains(&name.as_str())).collect()
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            walk(&path, visit);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            visit(&path);
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
