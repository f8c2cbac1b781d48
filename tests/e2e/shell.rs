//! Completions by the shells that load them, and man pages by the programs that show them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A script of the program's, loaded and asked by its shell.
fn says(program: &str, package: &str, arguments: &[&str]) -> String {
    // Readers of man pages write in letters that the plain locale of a bare machine has not.
    let told = [("COLUMNS", "200"), ("LC_ALL", "C.UTF-8")];
    let output = Command::new(program).args(arguments).envs(told).output();
    let output = output.unwrap_or_else(|_| panic!("{program} is missing: package {package}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program}: {output:?}");
    assert_eq!(text(&output.stderr), "", "{program}");
    text(&output.stdout)
}

fn script(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/completions").join(name);
    assert!(path.is_file());
    path.to_str().unwrap().to_owned()
}

#[test]
fn bash_completes_a_command_an_option_and_its_values() {
    let completed = |words: &[&str]| {
        let (last, before) = (words.len() - 1, words.get(words.len() - 2).unwrap());
        let ask = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={last}; \
             $(complete -p icecast-balancer | sed 's/.* -F \\([^ ]*\\) .*/\\1/') \
             icecast-balancer '{}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script("icecast-balancer"),
            words.join(" "),
            words[last],
        );
        says("bash", "bash", &["--norc", "-c", &ask])
    };
    says("bash", "bash", &["-n", &script("icecast-balancer")]);
    assert_eq!(completed(&["icecast-balancer", "che"]), "check\n");
    assert_eq!(completed(&["icecast-balancer", "simulate", "--arr"]), "--arrivals\n");
    assert_eq!(completed(&["icecast-balancer", "check", "--format", "g"]), "github\n");
    assert_eq!(completed(&["icecast-balancer", "nosuch"]), "\n");
}

#[test]
fn fish_completes_commands_with_what_they_do() {
    let fish = script("icecast-balancer.fish");
    says("fish", "fish", &["--no-execute", &fish]);
    let ask = format!("source {fish}; complete -C 'icecast-balancer heal'");
    let completed = says("fish", "fish", &["--no-config", "-c", &ask]);
    assert!(completed.starts_with("healthcheck\tAsk a running balancer"), "{completed}");
}

#[test]
fn zsh_takes_its_function_as_a_completion() {
    let zsh = script("_icecast-balancer");
    says("zsh", "zsh", &["--no-rcs", "--no-exec", &zsh]);
    let ask = format!(
        "fpath=({} $fpath); autoload -U compinit; compinit -D -u; print $_comps[icecast-balancer]",
        Path::new(&zsh).parent().unwrap().display()
    );
    assert_eq!(says("zsh", "zsh", &["--no-rcs", "-c", &ask]), "_icecast-balancer\n");
}

#[test]
fn man_and_mandoc_find_nothing_wrong_in_the_pages() {
    for page in pages() {
        let page = page.to_str().unwrap();
        assert_eq!(says("mandoc", "mandoc", &["-T", "lint", "-W", "warning", page]), "");
        let shown = says("man", "man-db", &["--warnings", "-E", "UTF-8", "-l", page]);
        assert!(shown.contains("NAME") && shown.contains("SEE ALSO"), "{page}: {shown}");
    }
    let configuration = pages().into_iter().find(|page| page.ends_with("balancer.yaml.5"));
    let shown = says("man", "man-db", &["-l", configuration.unwrap().to_str().unwrap()]);
    for words in ["fast_interval: duration", "Default: 500ms.", "${VIENNA_PASSWORD}", "Required."] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn mandoc_finds_what_is_wrong_where_something_is() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("wrong.1");
    fs::write(&page, ".TH \"wrong\" \"1\" \"\" \"a\" \"b\"\n.SH NAME\n.XX\n").unwrap();
    let output =
        Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(page).output().unwrap();
    assert!(!output.stdout.is_empty());
}

fn pages() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/man");
    let mut pages: Vec<_> =
        fs::read_dir(folder).unwrap().map(|page| page.unwrap().path()).collect();
    pages.sort();
    assert!(pages.len() > 6);
    pages
}
