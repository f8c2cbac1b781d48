//! Man pages: one for each command, by clap, and one for the configuration, by the keys.

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};
use icecast_balancer::cli::Arguments;
use icecast_balancer::config::keys::{self, Absent, Key};
use icecast_balancer::schema::without_links;

use super::words;

const SOURCE: &str = concat!("icecast-balancer ", env!("CARGO_PKG_VERSION"));
const MANUAL: &str = "icecast-balancer";
/// Of the version: change it with the one in `Cargo.toml`.
const DATE: &str = "2026-11-25";

/// All pages by the names of their files.
pub(super) fn pages() -> Vec<(String, String)> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let below: Vec<_> = command.get_subcommands().filter(|it| !it.is_hide_set()).cloned().collect();
    let commands = [command].into_iter().chain(below).map(of_command);
    commands.chain([("balancer.yaml.5".to_owned(), of_configuration())]).collect()
}

fn of_command(command: Command) -> (String, String) {
    let man = Man::new(command).source(SOURCE).manual(MANUAL);
    let mut page = Vec::new();
    man.render(&mut page).unwrap();
    let name = man.get_filename();
    let page = String::from_utf8(page).unwrap().replace(".SH EXTRA\n", ".SH NOTES\n");
    let page = page.replace("\n.br\n\n.br\n", "\n.sp\n");
    // The version stands in the last line of every page.
    let (head, page) = page.split(".SH VERSION\n").next().unwrap().split_once(".TH").unwrap();
    let (_, page) = page.split_once('\n').unwrap();
    let title = title(name.trim_end_matches(".1"), 1);
    let mut others = Roff::new();
    others.control("SH", ["SEE ALSO"]);
    let other = if name == "icecast-balancer.1" { None } else { Some("icecast-balancer(1), ") };
    others.text([roman(other.unwrap_or_default()), roman("balancer.yaml(5)")]);
    (name, format!("{head}{title}{page}{}", others.to_roff()))
}

/// The first line.
fn title(name: &str, section: u8) -> String {
    format!(".TH \"{name}\" \"{section}\" \"{DATE}\" \"{SOURCE}\" \"{MANUAL}\"\n")
}

fn of_configuration() -> String {
    let mut page = Roff::new();
    page.control("SH", ["NAME"]);
    page.text([roman("balancer.yaml - the configuration of icecast-balancer")]);
    page.control("SH", ["DESCRIPTION"]);
    for (at, paragraph) in DESCRIPTION.split("\n\n").enumerate() {
        if at > 0 {
            page.control("PP", []);
        }
        page.text(inlines(&paragraph.replace('\n', " ")));
    }
    page.control("SH", ["VALUES"]);
    for (kind, written) in VALUES {
        page.control("TP", []);
        page.text([bold(*kind)]);
        page.text(inlines(written));
    }
    for mapping in keys::all() {
        page.control("SH", [words::title(mapping).replace('`', "").to_uppercase().as_str()]);
        page.text(inlines(mapping.meaning));
        for key in mapping.keys {
            entry(&mut page, key);
        }
    }
    page.control("SH", ["EXAMPLE"]);
    page.control("EX", []);
    for line in EXAMPLE.lines() {
        page.text([roman(line)]);
    }
    page.control("EE", []);
    page.control("SH", ["SEE ALSO"]);
    page.text([roman(
        "icecast-balancer(1), icecast-balancer-check(1), icecast-balancer-schema(1)",
    )]);
    title("balancer.yaml", 5) + &page.to_roff()
}

fn entry(page: &mut Roff, key: &Key) {
    page.control("TP", []);
    let mut head = vec![bold(key.name), roman(": ")];
    head.extend(inlines(&words::form(&key.form)));
    page.text(head);
    let default = match key.absent {
        Absent::Nothing => String::new(),
        Absent::Mistake => " Required.".to_owned(),
        _ => format!(" Default: {}.", words::default(key)),
    };
    page.text(inlines(&(words::meaning(key) + &default)));
    if let Some(example) = key.example {
        page.control("br", []);
        page.text([roman("Example: "), bold(example)]);
    }
}

/// Markdown as text in which code is bold.
fn inlines(markdown: &str) -> Vec<Inline> {
    let text = without_links(markdown);
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 0 { roman(part) } else { bold(part) }).collect()
}

const DESCRIPTION: &str = "\
One YAML file, or a directory of which every `*.yaml` is read: then `servers` and `streams` add up, and any other \
key at the top level may stand in one file alone. The file is followed while the balancer runs: a good one is in \
force within two seconds, a bad one changes nothing.

Nothing is guessed: an unknown key, a key that is there twice, a number in quotes or a duration without a unit is a \
mistake. `icecast-balancer check` tells all of them at once, each with its line and what to write instead.

`${NAME}` is an environment variable in passwords and in `salt`, and nowhere else. Relative paths begin beside the \
file that names them.";

const VALUES: &[(&str, &str)] = &[
    ("duration", "A number and `ms`, `s`, `m` or `h`, such as `500ms`; at most `1h`."),
    ("rate", "Decimal bits a second, such as `1200kbps`, `1.5Mbps` or `1Gbps`; never bytes."),
    ("address", "An IP address and a port in quotes, such as `\"[::]:8000\"`."),
    ("network", "An address, or one with the length of its prefix, such as `192.0.2.0/24`."),
    ("country", "Two capital letters of ISO 3166-1, such as `AT`."),
    (
        "URL",
        "`http://` or `https://`, a host, perhaps a port and a path prefix; no user, query or fragment.",
    ),
    ("path", "Begins with `/`; may be percent-encoded. `/*` at the end makes it a pattern."),
    ("secret", "Text in quotes that is masked wherever a line is shown."),
];

const EXAMPLE: &str = "\
servers:
  vienna: http://vienna.example.org:8000
  berlin: http://berlin.example.org:8000
streams:
  /saal1.ogv:";
