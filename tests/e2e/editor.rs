//! The schema as it is used: by check-jsonschema, as in a check of a repository, and by
//! yaml-language-server, which is what editors ask.

mod server;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::lab::Lab;
use crate::support::process::Program;
use server::Editor;

/// What is wrong with them cannot be told from one place in one file: where something else stands,
/// what is in other files and in the environment, or how a number is spelled.
const LEFT_TO_CHECK: &[&str] = &[
    "016-odd-key",
    "037-listen-twice",
    "038-listen-included",
    "039-listen-is-admin",
    "040-admin-is-listen",
    "044-duration-too-long",
    "046-fast-interval-too-long",
    "047-fast-interval-default-too-long",
    "048-stale-before-poll",
    "051-number-with-underscore",
    "052-number-with-leading-zero",
    "053-number-is-a-float",
    "055-number-hexadecimal",
    "082-path-claimed-twice",
    "083-path-claimed-twice-encoded",
    "084-unknown-server",
    "093-unknown-fallback",
    "095-fallback-loop",
    "096-fallback-to-itself",
    "097-bitrate-missing",
    "099-password-not-set",
    "100-password-empty-variable",
    "103-password-file-missing",
    "104-password-file-empty",
    "105-password-file-lines",
    "114-admin-token-missing",
    "125-multi-byte-text",
    "129-proxy-protocol-of-nobody",
    "137-fallback-under-a-pattern",
    "140-pattern-with-probe",
    "141-pattern-claimed-twice",
    "150-countries-without-database",
    "151-database-missing",
    "152-database-damaged",
    "153-family-and-address",
    "155-salt-from-nowhere",
    "171-tls-files-missing",
    "172-tls-nothing-in-files",
    "173-tls-mixed-up",
    "174-tls-damaged",
    "175-tls-locked-key",
    "177-tls-port-taken",
    "213-engine-password-file-missing",
    "215-url-with-brace",
];

#[test]
fn the_schema_is_one_and_takes_every_configuration_that_is_valid() {
    let lab = Lab::new();
    let schema = schema(&lab, &[]);
    let output = judge(&["--check-metaschema"], std::slice::from_ref(&schema));
    assert!(output.status.success(), "{output:?}");

    let mut valid = yaml_in("tests/fixtures/config/valid");
    valid.extend(yaml_in("examples"));
    valid.extend(
        ["balancer.yaml", "deploy/debian/balancer.yaml", "deploy/docker/balancer/balancer.yaml"]
            .map(|path| root().join(path)),
    );
    valid.push(root().join("deploy/kubernetes/balancer.yaml"));
    assert!(valid.len() > 20, "{valid:?}");
    let output = judge(&["--schemafile", plain(&schema)], &valid);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_part_of_a_directory_is_valid_as_a_part_alone() {
    let lab = Lab::new();
    let parts = yaml_in("examples/directory");
    assert!(parts.len() > 2);
    let output = judge(&["--schemafile", plain(&schema(&lab, &["--part"]))], &parts);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(refused(&schema(&lab, &[]), &parts).len(), parts.len());
}

#[test]
fn what_can_be_seen_in_one_place_is_refused_and_the_rest_is_left_to_check() {
    let lab = Lab::new();
    let invalid = yaml_in("tests/fixtures/config/invalid");
    let refused = refused(&schema(&lab, &[]), &invalid);
    let accepted = invalid.iter().filter(|path| !refused.contains(&name(path)));
    let accepted: Vec<_> = accepted.map(|path| name(path)).collect();
    assert_eq!(accepted, LEFT_TO_CHECK);
    assert!(refused.len() > 110);
}

/// A file with two mistakes, a key to be explained, and a line to be completed.
const WRITING: &str = "\
poll:
  interval: 2
servers:
  vienna:
    url: http://vienna.example.org:8000
    state: drain
    \n\
streams:
  /saal1.ogv:
";

#[test]
fn an_editor_underlines_a_mistake_and_explains_and_completes_keys() {
    let lab = Lab::new();
    let schema = schema(&lab, &[]);
    // As the documentation has it: the schema is beside the file.
    let folder = lab.folder("editor", "root");
    fs::copy(&schema, folder.join("balancer.schema.json")).unwrap();
    let line = "# yaml-language-server: $schema=balancer.schema.json\n";
    let mut editor = Editor::open(&folder, &format!("{line}{WRITING}"));
    expect_two_mistakes(&editor.diagnostics());

    let hover = editor.ask("textDocument/hover", &json!({"line": 2, "character": 4}));
    let hover = hover["contents"].to_string();
    assert!(hover.contains("How often a server is asked"), "{hover}");

    let completed = editor.ask("textDocument/completion", &json!({"line": 7, "character": 4}));
    let items = completed["items"].as_array().unwrap();
    let labels: BTreeSet<_> = items.iter().map(|item| item["label"].as_str().unwrap()).collect();
    assert!(labels.is_superset(&["max_listeners", "stats", "weight"].into()), "{labels:?}");
    assert!(!labels.contains("interval") && !labels.contains("url"), "{labels:?}");
}

#[test]
fn an_editor_finds_the_schema_elsewhere_on_the_machine_as_well() {
    let lab = Lab::new();
    // As in the Debian package's file.
    let line = format!("# yaml-language-server: $schema={}\n", plain(&schema(&lab, &[])));
    let mut editor = Editor::open(&lab.folder("editor", "root"), &format!("{line}{WRITING}"));
    expect_two_mistakes(&editor.diagnostics());
}

fn expect_two_mistakes(underlined: &Value) {
    let found = underlined.as_array().unwrap();
    let at = |line: u64| {
        let one = found.iter().find(|one| one["range"]["start"]["line"] == line);
        one.unwrap_or_else(|| panic!("{underlined:#}"))["message"].as_str().unwrap()
    };
    assert!(at(2).contains("string"), "{underlined:#}");
    assert!(at(6).contains("draining"), "{underlined:#}");
    assert_eq!(found.len(), 2, "{underlined:#}");
}

/// The schema that the program prints.
fn schema(lab: &Lab, arguments: &[&str]) -> PathBuf {
    let output = Command::new(Program::BALANCER).arg("schema").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let path = lab.folder("schema", "root").join("balancer.schema.json");
    fs::write(&path, output.stdout).unwrap();
    path
}

/// What check-jsonschema says of files.
fn judge(arguments: &[&str], files: &[PathBuf]) -> Output {
    let tools = target().join("tools/deploy");
    let program = tools.join("bin/check-jsonschema");
    assert!(program.is_file(), "check-jsonschema is missing: tests/install");
    let mut command = Command::new(program);
    command.env("PYTHONPATH", tools).args(arguments).args(files).output().unwrap()
}

/// The names of files that it refuses.
fn refused(schema: &Path, files: &[PathBuf]) -> BTreeSet<String> {
    let output = judge(&["--schemafile", plain(schema), "--output-format", "json"], files);
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let of = |key: &str| report[key].as_array().cloned().unwrap_or_default();
    let all = of("errors").into_iter().chain(of("parse_errors"));
    all.map(|error| name(Path::new(error["filename"].as_str().expect("a file")))).collect()
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target").to_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn yaml_in(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|it| it == "yaml")).collect();
    files.sort();
    files
}
