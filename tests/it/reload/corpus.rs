//! Bad configurations, made from a good one by every mistake that can be made mechanically.

use std::fmt::Write as _;

/// A configuration with every key whose effect is built, each on a line of its own, over a relay.
pub(super) fn everything(relay: &str) -> String {
    format!(
        "\
listen:
  - \"127.0.0.1:0\"
admin: \"127.0.0.1:0\"
admin_token_file: token
poll:
  interval: 3s
  fast_interval: 400ms
  timeout: 1s
  stale_after: 20s
  rise: 1
  fall: 4
  slow_start: 5s
balance:
  policy: most_free
  settle: 4s
  headroom: 3
  when_full: wait
  wait: 7s
  panic: closed
limits:
  max_connections: 1000
  header_timeout: 4s
servers:
  vienna:
    url: {relay}
    http_url: {relay}
    max_joins_per_second: 100000
    weight: 2
    tier: 1
    state: active
    stats:
      source: auto
      url: {relay}
      username: observer
      password_file: password
  berlin:
    url: http://127.0.0.1:9
    max_listeners: 150
    max_bandwidth: 200Mbps
    state: draining
    ip: any
    stats:
      source: status-json
streams:
  /saal1.ogv:
    servers:
      - vienna
    fallback: /pause.ogv
  /saal2.ogv:
    mounts:
      vienna: /saal2.ogv
      berlin:
        mount: /relay/saal2.ogv
        max_listeners: 50
        weight: 3
        tier: 2
    bitrate: 1200kbps
    aliases:
      - /workshops.ogv
  /pause.ogv:
    servers:
      - vienna
"
    )
}

/// One way to spoil a configuration.
pub(super) struct Case {
    /// What was done, for the message of a failure.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

impl Case {
    fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }
}

/// A line of block YAML: a key with its value or with more lines below it.
struct Entry<'a> {
    indent: &'a str,
    key: &'a str,
    value: &'a str,
    /// The lines of the entry, itself included.
    lines: std::ops::Range<usize>,
}

fn entries<'a>(lines: &[&'a str]) -> Vec<Entry<'a>> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let numbered = lines.iter().enumerate();
    let keys = numbered.filter(|(_, line)| !line.trim_start().starts_with("- "));
    keys.map(|(number, line)| {
        let below = lines[number + 1..].iter().take_while(|next| depth(next) > depth(line)).count();
        let (indent, rest) = line.split_at(depth(line));
        let (key, value) = rest.split_once(':').expect("a key");
        Entry { indent, key, value: value.trim(), lines: number..number + 1 + below }
    })
    .collect()
}

/// The text with some of its lines replaced.
fn with(lines: &[&str], range: &std::ops::Range<usize>, replacement: &str) -> String {
    let before = lines[..range.start].iter();
    let after = lines[range.end..].iter();
    before.chain([&replacement]).chain(after).fold(String::new(), |text, line| text + line + "\n")
}

/// Values of the wrong type: whatever a key wants, most of these are something else.
const SWAPS: &[&str] = &["[[]]", "{surprise: {deep: []}}", "\"\\a no\"", "-7", "true", "~"];

/// Mistakes in the keys and values of `text`.
pub(super) fn mistakes(text: &str) -> Vec<Case> {
    let lines: Vec<&str> = text.lines().collect();
    let mut cases = Vec::new();
    for entry in entries(&lines) {
        let Entry { indent, key, value, lines: range } = &entry;
        let place = format!("line {}, {key}", range.start + 1);
        let whole = lines[range.clone()].join("\n");
        let twice = with(&lines, range, &format!("{whole}\n{whole}"));
        cases.push(Case::new(format!("{place}: there twice"), twice));
        // A stream's path is free: another one is another stream, and no mistake.
        if !key.starts_with('/') {
            let misspelt = whole.replacen(key, &format!("{key}x"), 1);
            cases.push(Case::new(format!("{place}: misspelt"), with(&lines, range, &misspelt)));
        }
        if ["servers", "streams", "url"].contains(key) && indent.len() <= 4 {
            let without = with(&lines, range, "# removed");
            // Without `servers`, a stream is on all of them; without `stats.url`, it is `url`.
            if indent.len() == usize::from(*key == "url") * 4 {
                cases.push(Case::new(format!("{place}: removed"), without));
            }
        }
        for swap in SWAPS {
            let swapped = with(&lines, range, &format!("{indent}{key}: {swap}"));
            // Some values are right for some keys; who compares what they mean finds that out.
            cases.push(Case::new(format!("{place}: {swap} for {value:?}"), swapped));
        }
        let dangling = with(&lines, range, &format!("{indent}{key}"));
        cases.push(Case::new(format!("{place}: without a colon"), dangling));
        let tab = with(&lines, range, &format!("\t{whole}"));
        cases.push(Case::new(format!("{place}: behind a tab"), tab));
    }
    cases
}

/// Files that are no configuration at all, or a trap.
pub(super) fn monsters(good: &str) -> Vec<Case> {
    let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let nine = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(aliases, "a{level}: &a{level} [{nine}]").expect("memory");
    }
    let insert = |at: &str, bytes: &[u8]| {
        let at = good.find(at).expect("it is there");
        [&good.as_bytes()[..at], bytes, &good.as_bytes()[at..]].concat()
    };
    let huge = [good.as_bytes(), "# comment\n".repeat(1 << 20).as_bytes()].concat();
    let mut cases = vec![
        Case::new("empty", ""),
        Case::new("blank", " \n\n  \n"),
        Case::new("only a comment", "# to do\n"),
        Case::new("only a byte order mark", "\u{feff}"),
        Case::new("only a document's start", "---\n"),
        Case::new("only a document's end", "...\n"),
        Case::new("null", "~\n"),
        Case::new("two documents", format!("{good}---\n{good}")),
        Case::new("twice", format!("{good}{good}")),
        Case::new("a configuration of ten megabytes", huge),
        Case::new("ten megabytes of brackets", "[".repeat(10 << 20)),
        Case::new("ten megabytes of zeros", vec![0; 10 << 20]),
        Case::new("an alias bomb", format!("{good}{aliases}")),
        Case::new("an anchor within itself", format!("{good}x: &x [*x]\n")),
        Case::new("nested without end", format!("{good}x: {}\n", "[".repeat(50_000))),
        Case::new("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
        Case::new("an object of Python", format!("{good}x: !!python/object:os.system ls\n")),
        Case::new("JSON that is cut", "{\"servers\": {\"one\": \"http://h\"}"),
        Case::new("HTML", "<!doctype html><title>404 Not Found</title>\n"),
        Case::new("a conflict of git", format!("<<<<<<< HEAD\n{good}=======\n{good}>>>>>>> x\n")),
        Case::new("a template", good.replace("3s", "{{ .Values.interval }}")),
        Case::new("an unclosed quote", good.replace("3s", "\"3s")),
    ];
    for (name, bytes) in [
        ("a byte that is not UTF-8", &b"\xff"[..]),
        ("half a character", b"\xc3"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("NUL", b"\0"),
        ("a bell", b"\x07"),
        ("an escape", b"\x1b[2J"),
    ] {
        for at in ["poll", "3s", "vienna:", "/saal1.ogv:"] {
            cases.push(Case::new(format!("{name} before {at}"), insert(at, bytes)));
        }
    }
    for section in ["servers", "streams"] {
        let lines: Vec<&str> = good.lines().collect();
        let entries = entries(&lines);
        let top = |entry: &&Entry<'_>| entry.key == section && entry.indent.is_empty();
        let range = entries.iter().find(top).expect("it is there").lines.clone();
        for nothing in ["", " {}", " []", " ~", " ''", " 0", " [vienna]"] {
            let text = with(&lines, &range, &format!("{section}:{nothing}"));
            cases.push(Case::new(format!("{section}:{nothing}"), text));
        }
    }
    cases
}

/// The same meaning in other words.
pub(super) fn synonyms(good: &str) -> Vec<Case> {
    vec![
        Case::new("the good one itself", good),
        Case::new("with a byte order mark", format!("\u{feff}{good}")),
        Case::new("with the line ends of Windows", good.replace('\n', "\r\n")),
        Case::new("with a comment", format!("# Ende: ä\n{good}")),
        Case::new("between marks of a document", format!("---\n{good}...\n")),
        Case::new("without a line end at its end", good.trim_end()),
        Case::new("indented by four", good.replace("  ", "    ")),
        Case::new("with quotes", good.replace("source: auto", "source: 'auto'")),
        Case::new("with a default written out", good.replace("fall: 4", "fall: 4\n\n\n")),
        Case::new("in milliseconds", good.replace("interval: 3s", "interval: 3000ms")),
        Case::new("in other units", good.replace("1200kbps", "1.2Mbps")),
        Case::new("with a path in escapes", good.replace("  /saal1.ogv:", "  /%73aal1.ogv:")),
    ]
}

/// The text cut off before each of its bytes.
pub(super) fn cuts(text: &str) -> Vec<Case> {
    let bytes = text.as_bytes();
    (0..bytes.len()).map(|at| Case::new(format!("cut at byte {at}"), &bytes[..at])).collect()
}
