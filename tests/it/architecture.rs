//! Which module may know which: the architecture, held against the source.
//!
//! A module that needs another one than it is allowed here, or an outside crate that is not at
//! home in it, is a decision: make it here, with the reviewer looking.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use source::{Source, read};

/// Every module with those it may import. Whoever is imported stands further up, so the arrows
/// point one way.
const MODULES: &[(&str, &[&str])] = &[
    // Pure: what is written, what it means, what relays say.
    ("problem", &[]),
    ("network", &[]),
    ("country", &[]),
    ("affinity", &[]),
    ("tls", &[]),
    ("config", &["country", "network", "problem"]),
    ("schema", &["config", "country"]),
    ("fleet", &["affinity", "config", "country", "network", "problem", "tls"]),
    ("icecast", &[]),
    ("forwarded", &["network"]),
    // Memory: what is counted, seen and promised.
    ("counters", &[]),
    ("player", &["country", "fleet"]),
    ("queue", &["player"]),
    ("slots", &["counters", "fleet", "icecast"]),
    ("recent", &["fleet", "slots"]),
    ("members", &["counters", "slots"]),
    ("state", &["counters", "fleet", "members", "queue", "recent", "slots"]),
    // Pure again: who gets the next listener. And the usher, who hands out what is free.
    ("select", &["affinity", "fleet", "player", "slots", "state"]),
    ("waiting", &["fleet", "player", "queue", "select", "slots", "state"]),
    // Which streams there are, as far as relays decide it.
    ("discovery", &["fleet", "icecast", "slots", "state"]),
    // The world outside: the time of day, files, sockets. Knows no radio.
    ("clock", &[]),
    ("files", &["clock", "config", "country", "fleet", "problem"]),
    ("logs", &["counters"]),
    ("server", &["clock", "forwarded"]),
    // What is shown.
    ("metrics", &["counters", "fleet", "player", "select", "server", "slots", "state"]),
    ("status", &["clock", "fleet", "player", "select", "slots", "state"]),
    ("explanation", &["config", "fleet", "player", "select", "slots", "state", "waiting"]),
    ("events", &["status"]),
    // What runs.
    (
        "poller",
        &["clock", "counters", "discovery", "fleet", "icecast", "slots", "state", "waiting"],
    ),
    ("cluster", &["fleet", "members", "slots", "state", "waiting"]),
    ("reload", &["clock", "config", "country", "files", "fleet", "problem", "state"]),
    (
        "redirect",
        &[
            "clock",
            "counters",
            "fleet",
            "forwarded",
            "logs",
            "player",
            "queue",
            "recent",
            "select",
            "server",
            "slots",
            "state",
            "waiting",
        ],
    ),
    (
        "admin",
        &[
            "events",
            "explanation",
            "fleet",
            "forwarded",
            "metrics",
            "reload",
            "server",
            "slots",
            "state",
            "status",
        ],
    ),
    // What plays it all through, with relays and a clock that are made up.
    ("simulate", &["fleet", "icecast", "player", "select", "slots", "state"]),
    // What puts it together.
    (
        "app",
        &[
            "admin", "clock", "cluster", "events", "logs", "poller", "redirect", "reload",
            "server", "state", "status",
        ],
    ),
    ("cli", &[]),
    (
        "commands",
        &[
            "cli",
            "config",
            "explanation",
            "fleet",
            "icecast",
            "poller",
            "problem",
            "reload",
            "schema",
            "simulate",
            "state",
        ],
    ),
    ("systemd", &[]),
    ("main", &["app", "cli", "commands", "logs", "problem", "reload", "systemd"]),
    ("lib", &[]),
];

/// Every outside crate with the modules that it is at home in, and that would change with it.
const HOMES: &[(&str, &[&str])] = &[
    ("anstream", &["main"]),
    ("anstyle", &["commands"]),
    ("annotate_snippets", &["problem"]),
    ("arc_swap", &["state"]),
    ("base64", &["poller"]),
    ("bytes", &["admin", "events", "poller", "redirect", "server"]),
    ("clap", &["cli", "commands", "main"]),
    ("clap_complete", &["cli", "commands"]),
    ("crossbeam_queue", &["logs"]),
    ("crossterm", &["commands"]),
    ("csv", &["simulate"]),
    ("fastrand", &["cluster", "poller", "redirect", "select", "simulate", "status", "waiting"]),
    ("foldhash", &["fleet", "recent", "server"]),
    ("http", &["admin", "fleet", "forwarded", "poller", "queue", "redirect", "select", "server"]),
    ("http_body_util", &["admin", "poller", "redirect", "server"]),
    ("httparse", &["server"]),
    ("httpdate", &["server"]),
    ("humantime", &["cli", "commands", "config", "fleet", "logs", "simulate", "status"]),
    ("hyper", &["admin", "poller", "redirect", "server"]),
    ("hyper_util", &["poller", "server"]),
    ("ipnet", &["network"]),
    ("libc", &["files", "server"]),
    ("maud", &["status"]),
    ("maxminddb", &["country"]),
    ("memchr", &["icecast"]),
    ("metrics", &["metrics"]),
    ("metrics_exporter_prometheus", &["metrics"]),
    ("metrics_process", &["metrics"]),
    ("nix", &["server"]),
    ("notify", &["reload"]),
    ("percent_encoding", &["config", "explanation", "fleet", "redirect"]),
    ("quick_xml", &["icecast", "redirect", "simulate"]),
    ("redis", &["cluster"]),
    ("reqwest", &["commands"]),
    ("rustix", &["cluster", "reload", "server"]),
    ("rustls", &["cluster", "commands", "poller", "redirect", "server", "tls"]),
    ("rustls_platform_verifier", &["cluster", "poller"]),
    ("sd_notify", &["systemd"]),
    ("secrecy", &["admin", "cluster", "config", "fleet", "poller", "tls"]),
    (
        "serde",
        &["commands", "config", "events", "explanation", "logs", "redirect", "simulate", "status"],
    ),
    (
        "serde_json",
        &["admin", "commands", "events", "icecast", "logs", "problem", "redirect", "schema"],
    ),
    ("serde_yaml", &["config"]),
    ("sha2", &["admin", "config", "files", "reload", "tls"]),
    ("siphasher", &["affinity"]),
    ("smallvec", &["select"]),
    ("socket2", &["poller", "server"]),
    ("strsim", &["config"]),
    (
        "tokio",
        &[
            "app",
            "cluster",
            "commands",
            "discovery",
            "events",
            "main",
            "poller",
            "queue",
            "redirect",
            "reload",
            "server",
            "state",
            "status",
            "systemd",
        ],
    ),
    ("tokio_rustls", &["cluster", "poller", "server"]),
    ("tokio_util", &["admin", "app", "cluster", "events", "poller", "reload", "server"]),
    (
        "tracing",
        &[
            "app",
            "cluster",
            "discovery",
            "events",
            "logs",
            "main",
            "poller",
            "reload",
            "server",
            "systemd",
        ],
    ),
    ("tracing_subscriber", &["cli", "logs", "main"]),
    ("url", &["commands", "config", "explanation", "fleet", "poller", "status"]),
    ("x509_cert", &["tls"]),
];

/// A file that is longer does more than one job.
const MOST_LINES: usize = 600;

#[test]
fn every_module_imports_what_it_may_and_no_more() {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        imports.entry(source.module()).or_default().extend(source.imports());
    }
    assert_eq!(differences(&imports, &table(MODULES)), [""; 0]);
}

#[test]
fn the_arrows_point_one_way() {
    assert_eq!(upward(MODULES), [""; 0]);
}

#[test]
fn every_outside_crate_is_used_in_its_homes_and_nowhere_else() {
    let mut homes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let sources = sources();
    for dependency in dependencies(&manifest) {
        let users = sources.iter().filter(|source| source.uses(&dependency));
        let users = users.map(source::Source::module).collect();
        homes.insert(dependency, users);
    }
    assert_eq!(differences(&homes, &table(HOMES)), [""; 0]);
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|source| !source.is_test() && !source.text.starts_with("//! "))
        .map(|source| source.path)
        .collect();
    assert_eq!(silent, [""; 0]);
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.text.lines().count() > MOST_LINES)
        .map(|source| source.path)
        .collect();
    assert_eq!(long, [""; 0]);
}

#[test]
fn an_arrow_that_points_up_is_found() {
    let modules: &[(&str, &[&str])] =
        &[("low", &["high"]), ("high", &["low"]), ("self", &["self"])];
    assert_eq!(upward(modules), ["low → high", "self → self"]);
}

#[test]
fn a_row_too_many_and_a_row_that_differs_are_found() {
    let expected = table(&[("a", &["b"])]);
    let found = |rows: &[(&str, &[&str])]| differences(&table(rows), &expected).len();
    assert_eq!(found(&[("a", &["b"])]), 0);
    assert_eq!(found(&[("a", &["b", "c"])]), 1);
    assert_eq!(found(&[("a", &["b"]), ("c", &[])]), 1);
    assert_eq!(found(&[]), 1);
}

#[test]
fn the_dependencies_of_a_manifest_are_found() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\narc-swap = \"1\"\n# no = 1\n\
        url = { version = \"2\" }\n[dev-dependencies]\ntempfile = \"3\"\n";
    assert_eq!(dependencies(manifest), ["arc_swap", "url"]);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the program.
fn sources() -> Vec<Source> {
    let sources = read(&root().join("src"));
    assert!(sources.len() > 20, "the source is where it was");
    sources
}

fn table(rows: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    rows.iter().map(|(name, others)| ((*name).to_owned(), own(others))).collect()
}

/// Where source and table disagree.
fn differences(
    source: &BTreeMap<String, BTreeSet<String>>,
    table: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<String> {
    let names: BTreeSet<_> = source.keys().chain(table.keys()).collect();
    let rows = names.into_iter().filter(|name| source.get(*name) != table.get(*name));
    rows.map(|name| {
        let (source, table) = (source.get(name), table.get(name));
        format!("{name}: {source:?} in the source, {table:?} in the table")
    })
    .collect()
}

/// Imports of modules that do not stand further up.
fn upward(modules: &[(&str, &[&str])]) -> Vec<String> {
    let mut above = BTreeSet::new();
    let mut upward = Vec::new();
    for (module, imports) in modules {
        let wrong = imports.iter().filter(|import| !above.contains(*import));
        upward.extend(wrong.map(|import| format!("{module} → {import}")));
        above.insert(module);
    }
    upward
}

/// The crates that a manifest makes the program depend on, as they are called in the source.
fn dependencies(manifest: &str) -> Vec<String> {
    manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once(" = ")?.0.replace('-', "_")))
        .collect()
}
