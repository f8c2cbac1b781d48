//! Files that are made of the program's own definitions: the schema, the reference of all keys, man pages,
//! and what shells complete by. They are in the repository to be read, linked and packaged, and these
//! tests keep them as they would be made now.
//!
//! `UPDATE_GENERATED=1 cargo test --test it generated` writes them anew; read them before you commit.

mod manual;
mod reference;
mod words;

use std::env;
use std::fs;
use std::path::Path;

use clap::ValueEnum as _;
use clap_complete::Shell;
use icecast_balancer::cli::Completions;
use icecast_balancer::commands;
use icecast_balancer::schema::{Extent, schema};

#[test]
fn the_schema_is_what_the_program_prints() {
    let schema = serde_json::to_string_pretty(&schema(Extent::Whole)).unwrap() + "\n";
    is_generated("docs/balancer.schema.json", &schema);
}

#[test]
fn the_reference_has_every_key() {
    is_generated("docs/reference.md", &reference::page());
}

#[test]
fn every_command_has_a_man_page_and_so_has_the_configuration() {
    let pages = manual::pages();
    for (name, page) in &pages {
        is_generated(&format!("deploy/man/{name}"), page);
    }
    let wanted = pages.iter().map(|(name, _)| name.clone());
    assert_eq!(files_in("deploy/man"), sorted(wanted));
}

#[test]
fn three_shells_have_their_completions() {
    let names = ["icecast-balancer", "icecast-balancer.fish", "_icecast-balancer"];
    for (shell, name) in [Shell::Bash, Shell::Fish, Shell::Zsh].iter().zip(names) {
        let done = commands::completions(&Completions { shell: *shell });
        is_generated(&format!("deploy/completions/{name}"), &done.text);
    }
    assert_eq!(files_in("deploy/completions"), sorted(names.map(str::to_owned)));
}

#[test]
fn the_picture_in_the_documentation_is_what_its_command_draws() {
    let page =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operation.md")).unwrap();
    let command = page.lines().find_map(|line| line.strip_suffix(" --svg evening.svg"));
    let arguments = command.unwrap().split(' ').skip(1);
    let folder = tempfile::tempdir().unwrap();
    let drawn = folder.path().join("evening.svg");
    let drawn = drawn.to_str().unwrap();
    let arguments: Vec<_> = arguments.chain(["--svg", drawn]).collect();
    let output = crate::life::program::run(&arguments);
    assert_ne!(output.status.code(), Some(2), "{output:?}");
    is_generated("docs/evening.svg", &fs::read_to_string(drawn).unwrap());
}

#[test]
fn every_shell_that_is_offered_gets_a_script() {
    for shell in Shell::value_variants() {
        let name = shell.to_possible_value().unwrap().get_name().to_owned();
        let output = crate::life::program::run(&["completions", &name]);
        let script = crate::life::program::text(&output.stdout);
        assert!(output.status.success() && script.contains("healthcheck"), "{name}: {script}");
    }
}

/// Holds a file against what it would be now.
fn is_generated(path: &str, content: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&file, content).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    let differs = found.lines().zip(content.lines()).find(|(found, wanted)| found != wanted);
    assert!(
        found == content,
        "{path} is not what it would be now (UPDATE_GENERATED=1 writes it); the first difference: \
         {differs:?}"
    );
}

fn files_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    sorted(entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()))
}

fn sorted(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort();
    names
}
