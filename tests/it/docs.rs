//! What the documentation says, as far as a program can try it: every link leads somewhere, every
//! configuration loads, every command and every file of ours is one. `tests/docs` builds the book and checks that.

mod page;

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use clap::Parser as _;
use icecast_balancer::cli::Arguments;
use icecast_balancer::config::source::Sources;
use icecast_balancer::country::Database;
use icecast_balancer::fleet::compile::{Outside, compile};
use icecast_balancer::problem::Problems;
use serde_json::Value;

use page::{Page, Piece, names, pages, root};

/// What pieces may be in. Each is known to GitHub, and colours the piece there.
const LANGUAGES: [&str; 13] = [
    "console", "csv", "haproxy", "ini", "js", "json", "nginx", "promql", "sh", "sql", "text",
    "xml", "yaml",
];

/// What YAML there is that is no configuration of ours, by its first key: Alertmanager's, and
/// kustomize's and parts of Kubernetes'.
const OTHERS: [&str; 3] = ["route", "resources", "volumes"];

/// The top-level keys of ours. A piece without any of them belongs to one of [`OTHERS`].
const OURS: [&str; 14] = [
    "admin",
    "admin_token_file",
    "balance",
    "cluster",
    "limits",
    "listen",
    "poll",
    "proxy_protocol",
    "public_url",
    "servers",
    "streamlist",
    "streams",
    "tls",
    "trusted_proxies",
];

#[test]
fn every_page_is_in_the_summary_once_and_nothing_else_is() {
    let summary = Page::read(Path::new("docs/SUMMARY.md"));
    let mut listed = summary.links;
    listed.sort();
    assert_eq!(listed, names());
}

#[test]
fn every_link_leads_to_a_file_and_an_anchor_that_are_there() {
    let lost: Vec<String> = pages()
        .iter()
        .flat_map(|page| page.links.iter().filter_map(|link| lost(page, link)))
        .collect();
    assert_eq!(lost, [""; 0], "links that lead nowhere");
}

#[test]
fn a_link_that_leads_nowhere_is_noticed() {
    let page = |link: &str| {
        let text = format!("# One\n\nsee [there]({link})\n");
        let page = Page::parse(Path::new("docs/players.md"), &text);
        lost(&page, &page.links[0])
    };
    for good in
        ["relays.md", "relays.md#slotsxsl", "../README.md", "../deploy", "https://x.example"]
    {
        assert_eq!(page(good), None);
    }
    for bad in ["nowhere.md", "relays.md#nowhere", "#nowhere", "README", "../deploy/nowhere"] {
        assert!(page(bad).is_some(), "{bad}");
    }
}

#[test]
fn every_piece_says_in_which_language_it_is() {
    let silent: Vec<String> = pieces()
        .filter(|(_, piece)| !LANGUAGES.contains(&piece.language.as_str()))
        .map(|(place, piece)| format!("{place}: {:?}", piece.language))
        .collect();
    assert_eq!(silent, [""; 0]);
}

#[test]
fn every_configuration_is_one_that_loads_without_a_warning() {
    let mut tried = 0;
    for (place, piece) in pieces().filter(|(_, piece)| piece.language == "yaml") {
        let Some(whole) = completed(&piece.text) else { continue };
        tried += 1;
        match load(&whole) {
            Ok(warnings) => assert_eq!(warnings, [""; 0], "{place}\n{whole}"),
            Err(problems) => panic!("{place}\n{whole}\n{problems}"),
        }
    }
    assert!(tried > 15, "{tried} configurations");
}

#[test]
fn a_piece_of_a_configuration_that_is_wrong_is_noticed() {
    let wrong = [
        "    stats:\n      source: slotz\n",
        "balance: {policy: least}\n",
        "servers:\n  vienna: vienna.example.org\n",
        "streams:\n  /a.ogg: {servers: [graz]}\n",
    ];
    for text in wrong {
        let whole = completed(text).expect("one of ours");
        assert!(load(&whole).is_err(), "{whole}");
    }
}

#[test]
fn all_other_yaml_is_meant_to_be_other_and_can_be_read() {
    let others = pieces().filter(|(_, piece)| piece.language == "yaml");
    for (place, piece) in others.filter(|(_, piece)| completed(&piece.text).is_none()) {
        let keys = keys(&piece.text);
        assert!(keys.first().is_some_and(|key| OTHERS.contains(key)), "{place}: {keys:?}");
        let read: Result<Value, _> = serde_yaml::from_str(&piece.text);
        assert!(read.is_ok_and(|value| value.is_object()), "{place}");
    }
}

#[test]
fn all_json_can_be_read() {
    for (place, piece) in pieces().filter(|(_, piece)| piece.language == "json") {
        let read: Result<Value, _> = serde_json::from_str(&piece.text);
        assert!(read.is_ok(), "{place}: {read:?}");
    }
}

#[test]
fn every_command_of_ours_can_be_typed_as_it_stands() {
    let (mut tried, mut wrong) = (0, Vec::new());
    for page in pages() {
        let shell = |piece: &&Piece| ["sh", "console", "ini"].contains(&piece.language.as_str());
        let typed = page.pieces.iter().filter(shell).flat_map(|piece| commands(&piece.text));
        for command in typed.chain(page.code.iter().filter_map(|code| shown(code))) {
            tried += 1;
            if let Err(error) = Arguments::try_parse_from(&command) {
                // Their texts are no mistakes.
                if error.use_stderr() {
                    wrong.push(format!("{}: {}\n{error}", page.path.display(), command.join(" ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 20, "{tried} commands");
}

#[test]
fn every_file_of_ours_that_is_named_is_there() {
    let (mut tried, mut missing) = (0, Vec::new());
    for page in pages() {
        let scripts = page.pieces.iter().filter(|piece| piece.language == "sh");
        let named = scripts.map(|piece| &piece.text).chain(&page.code);
        let words = named.flat_map(|text| text.split_whitespace());
        for word in words.map(|word| word.trim_end_matches([',', ';'])).filter(|word| is_ours(word))
        {
            tried += 1;
            // A module of tests may be named without its end.
            if !root().join(word).exists() && !root().join(format!("{word}.rs")).exists() {
                missing.push(format!("{}: {word}", page.path.display()));
            }
        }
    }
    assert_eq!(missing, [""; 0]);
    assert!(tried > 50, "{tried} files");
}

#[test]
fn commands_are_found_wherever_they_stand() {
    let found = commands(
        "sudo icecast-balancer check a.yaml && systemctl restart icecast-balancer\n\
         new/usr/bin/icecast-balancer simulate \\\n  --arrivals 5 # a few\n\
         $ icecast-balancer\nExecStart=/usr/bin/icecast-balancer serve\n\
         icecast-balancer schema > balancer.schema.json\n",
    );
    let found: Vec<String> = found.iter().map(|command| command.join(" ")).collect();
    assert_eq!(
        found,
        [
            "icecast-balancer check a.yaml",
            "icecast-balancer simulate --arrivals 5",
            "icecast-balancer",
            "icecast-balancer serve",
            "icecast-balancer schema"
        ]
    );
    assert!(shown("icecast-balancer").is_none(), "that is its name");
    assert_eq!(shown("icecast-balancer diff OLD NEW [--format json]").unwrap().len(), 4);
}

fn pieces() -> impl Iterator<Item = (String, Piece)> {
    pages().into_iter().flat_map(|page| {
        let path = page.path.display().to_string();
        page.pieces.into_iter().map(move |piece| (format!("{path}:{}", piece.line), piece))
    })
}

/// What is wrong with a link of a page, if something is. Nobody is asked for addresses outside.
fn lost(page: &Page, link: &str) -> Option<String> {
    if link.contains("://") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let here = page.path.parent().unwrap_or(Path::new(""));
    let path = if file.is_empty() { page.path.clone() } else { plain(&here.join(file)) };
    let there = root().join(&path).exists();
    let anchored = || match file {
        "" => page.anchors().iter().any(|found| found == anchor),
        _ => Page::read(&path).anchors().iter().any(|found| found == anchor),
    };
    let good = there && (anchor.is_empty() || anchored());
    (!good).then(|| format!("{}: {link}", page.path.display()))
}

/// A path without its `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                assert!(plain.pop(), "{} leaves the repository", path.display());
            }
            part => plain.push(part),
        }
    }
    plain
}

/// A piece of YAML as a whole configuration, or `None` if it is none of ours.
///
/// What a reader has already is added: servers, a stream, or, where all of the piece is indented, the
/// server that it belongs to.
fn completed(text: &str) -> Option<String> {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'))?;
    let mut whole = text.to_owned();
    if first.starts_with("    ") {
        let url = if text.contains(" url: ") { "" } else { "    url: http://v.example.org:8000\n" };
        whole = format!("servers:\n  vienna:\n{url}{text}");
    } else if !keys(text).iter().any(|key| OURS.contains(key)) {
        return None;
    }
    let keys: Vec<String> = keys(&whole).iter().map(|key| (*key).to_owned()).collect();
    let has = |key: &str| keys.iter().any(|found| found == key);
    if !has("servers") {
        whole +=
            "servers: {vienna: 'http://v.example.org:80', berlin: 'http://b.example.org:80'}\n";
    }
    if !has("streams") {
        whole += "streams: {/radio.ogg: {bitrate: 128kbps}}\n";
    }
    Some(whole)
}

/// The keys at the outermost level.
fn keys(text: &str) -> Vec<&str> {
    let outer = text.lines().filter(|line| !line.starts_with([' ', '#', '-']));
    outer.filter_map(|line| line.split_once(':')).map(|(key, _)| key).collect()
}

/// The warnings of a configuration, or its problems.
fn load(text: &str) -> Result<Vec<String>, Problems> {
    compile(&Sources::new("balancer.yaml", text), &Everything).map(|fleet| fleet.warnings)
}

/// A machine that has whatever a page names.
struct Everything;

impl Outside for Everything {
    fn variable(&self, _: &str) -> Option<String> {
        Some("anything".to_owned())
    }

    fn secret(&self, _: &Path) -> io::Result<String> {
        Ok("anything\n".to_owned())
    }

    fn database(&self, _: &Path) -> io::Result<Arc<Database>> {
        let bytes = fs::read(root().join("tests/fixtures/geoip/country.mmdb"))?;
        Database::new(bytes).map(Arc::new).map_err(|wrong| io::Error::other(wrong.to_string()))
    }
}

/// Whether a word names a file of the repository, and not several of them.
fn is_ours(word: &str) -> bool {
    let folders = ["deploy/", "docs/", "examples/", "src/", "tests/"];
    folders.iter().any(|folder| word.starts_with(folder)) && !word.contains(['*', '$', '<', '{'])
}

/// What of a script runs the balancer, as its words; lines that end with a backslash go on.
fn commands(script: &str) -> Vec<Vec<String>> {
    let script = script.replace("\\\n", " ");
    let lines = script.lines().map(|line| line.split(" #").next().unwrap_or_default());
    lines.flat_map(|line| line.split(['|', '&', ';'])).filter_map(typed).collect()
}

/// The words of a command, if it runs the balancer.
fn typed(command: &str) -> Option<Vec<String>> {
    let command = command.trim().trim_start_matches("$ ").trim_start_matches("ExecStart=");
    let mut words = command.split_whitespace().skip_while(|word| *word == "sudo");
    let program = words.next()?;
    (Path::new(program).file_name()? == "icecast-balancer").then(|| {
        // Where its output goes is the shell's business.
        let arguments = words
            .take_while(|word| *word != ">")
            .map(|word| word.trim_matches(['\'', '"']).to_owned());
        std::iter::once("icecast-balancer".to_owned()).chain(arguments).collect()
    })
}

/// The words of a command in the text, without what stands in brackets because it may be left out.
/// One that is not written to its end is none.
fn shown(code: &str) -> Option<Vec<String>> {
    let needed: String = code
        .split('[')
        .map(|part| part.split_once(']').map_or(part, |(_, needed)| needed))
        .collect();
    let words = typed(&needed)?;
    let whole = !["…", "<("].iter().any(|mark| needed.contains(mark));
    (whole && words.len() > 1).then_some(words)
}
