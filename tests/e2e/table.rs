//! What works with which player: told by the tests that tried it, kept in `docs/players.md`.
//!
//! A test that has seen a player do something [`tell`]s it in a line of `target/tmp/players.txt`:
//! who, what, how it went, and by what that was seen. After `tests/run`, which begins a new file,
//! `UPDATE_DOCS=1 cargo test --test e2e the_table_of_players` writes the table of the document anew;
//! what was not tried is left as it stands.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

const DOCUMENT: &str = "docs/players.md";
const BEGINNING: &str =
    "<!-- the table of players: written by a test, see tests/e2e/table.rs -->\n";
const END: &str = "<!-- end of the table of players -->\n";

/// The rows, as the tests and the document call them.
const PLAYERS: [&str; 14] = [
    "VLC",
    "mpv",
    "MPlayer",
    "xine",
    "GStreamer",
    "ffplay",
    "ffmpeg",
    "mpg123",
    "ogg123",
    "curl",
    "wget",
    "Chromium",
    "Icecast `<relay>`",
    "Icecast `<master-server>`",
];

/// The columns, as the tests and the document call them.
const COLUMNS: [&str; 8] = [
    "redirect",
    "https",
    "`.m3u`",
    "`.pls`",
    "`.xspf`",
    "token",
    "wait",
    "list after its relay is lost",
];

/// Cells by player and column; one may say more than one thing, each told by a test of its own.
type Cells = BTreeMap<(String, String), Vec<String>>;

/// Tells that `player` did `what` in a column, and by what that was seen.
pub(crate) fn tell(player: &str, column: &str, what: &str, evidence: &str) {
    assert!(PLAYERS.contains(&player) && COLUMNS.contains(&column), "{player}, {column}");
    let mut file = OpenOptions::new().create(true).append(true).open(told()).unwrap();
    // One write for the line, since others write at the same time.
    let line = format!("{player}\t{column}\t{what}\t{evidence}\n");
    file.write_all(line.as_bytes()).unwrap();
}

fn told() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder).unwrap();
    folder.join("players.txt")
}

/// While other tests still run, only some of the cells have been tried: each must be as it stands in
/// the document.
#[test]
fn the_table_of_players_in_the_documentation_is_what_they_were_seen_to_do() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGINNING).expect("the table begins");
    let (table, after) = rest.split_once(END).expect("the table ends");
    let mut documented = parsed(table);
    let seen = found(&fs::read_to_string(told()).unwrap_or_default());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        documented.extend(seen.clone());
        let text = [before, BEGINNING, &written(&documented), END, after].concat();
        return fs::write(&path, text).unwrap();
    }
    assert!(table == written(&parsed(table)), "{DOCUMENT}: a row or a column that no test knows");
    for ((player, column), words) in &seen {
        let documented = documented.get(&(player.clone(), column.clone()));
        for word in words {
            assert!(
                documented.is_some_and(|words| words.contains(word)),
                "{player} was seen: {column}: {word}, but {DOCUMENT} says {documented:?}; \
                 UPDATE_DOCS=1 writes it"
            );
        }
    }
}

/// What the tests have told.
fn found(lines: &str) -> Cells {
    let mut cells = Cells::new();
    for line in lines.lines() {
        let mut fields = line.split('\t').map(str::to_owned);
        let (Some(player), Some(column), Some(word)) =
            (fields.next(), fields.next(), fields.next())
        else {
            panic!("half a line in {}: {line}", told().display());
        };
        let words = cells.entry((player, column)).or_default();
        if !words.contains(&word) {
            words.push(word);
            words.sort();
        }
    }
    cells
}

fn parsed(table: &str) -> Cells {
    let mut cells = Cells::new();
    for row in table.lines().skip(2) {
        let mut fields = row.split('|').skip(1).map(str::trim);
        let player = fields.next().unwrap_or_default();
        for (column, cell) in COLUMNS.iter().zip(fields) {
            let words = cell.split(", ").filter(|word| !word.is_empty()).map(str::to_owned);
            cells.insert((player.to_owned(), (*column).to_owned()), words.collect());
        }
    }
    cells
}

fn written(cells: &Cells) -> String {
    let row = |first: &str, cells: &[String]| format!("| {first} | {} |\n", cells.join(" | "));
    let mut table = row("player", &COLUMNS.map(str::to_owned));
    table += &row("---", &COLUMNS.map(|_| "---".to_owned()));
    for player in PLAYERS {
        let words = |column: &str| cells.get(&(player.to_owned(), column.to_owned()));
        table += &row(
            player,
            &COLUMNS.map(|column| words(column).map(|words| words.join(", ")).unwrap_or_default()),
        );
    }
    table
}
