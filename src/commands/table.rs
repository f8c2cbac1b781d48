//! Tables for a terminal of 80 columns: each column as wide as it must be, and remarks below the row
//! they are about.

use anstyle::{AnsiColor, Style};

/// What terminals have always had.
const WIDTH: usize = 80;

/// No cell is wider: names can be of any length.
const WIDEST: usize = 28;

/// How far remarks stand in.
const INDENT: usize = 4;

/// What a text means, for those who see colours. Nobody needs them: the words say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
    Faint,
    Heading,
}

/// A text that goes into a table. Whatever it has of control characters, which may come from a relay,
/// is escaped.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

/// Where a column's texts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A table under way.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    cells: Vec<Cell>,
    remarks: Vec<Cell>,
}

impl Tone {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Good => colour(AnsiColor::Green),
            Self::Warning => colour(AnsiColor::Yellow),
            Self::Bad => colour(AnsiColor::Red),
            Self::Faint => Style::new().dimmed(),
            Self::Heading => Style::new().bold(),
        }
    }

    /// The text in this tone.
    pub(super) fn paint(self, text: &str, coloured: bool) -> String {
        let style = self.style();
        if coloured { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: harmless(&text.into()), tone: Tone::Plain }
    }

    /// A number, or a dash where there is none.
    pub(super) fn number(number: Option<u64>) -> Self {
        Self::new(number.map_or_else(|| "–".to_owned(), |number| number.to_string()))
    }

    pub(super) fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    fn width(&self) -> usize {
        width(&self.text).min(WIDEST)
    }

    /// The text, filled up to `wide`; nothing follows the last of a row.
    fn filled(&self, wide: usize, align: Align, is_last: bool, coloured: bool) -> String {
        let mut text = self.text.clone();
        if width(&text) > WIDEST {
            text = text.chars().take(WIDEST - 1).chain(['…']).collect();
        }
        let gap = " ".repeat(wide.saturating_sub(width(&text)));
        let text = self.tone.paint(&text, coloured);
        match align {
            Align::Right => gap + &text,
            Align::Left if is_last => text,
            Align::Left => text + &gap,
        }
    }
}

impl Table {
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>, remarks: Vec<Cell>) {
        self.rows.push(Row { cells, remarks });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The whole, with a line end behind each line.
    pub(super) fn show(&self, coloured: bool) -> String {
        let head: Vec<Cell> =
            self.columns.iter().map(|(name, _)| Cell::new(*name).tone(Tone::Faint)).collect();
        let lines = || [&head].into_iter().chain(self.rows.iter().map(|row| &row.cells));
        let wide = |at: usize| lines().filter_map(|cells| cells.get(at)).map(Cell::width).max();
        let widths: Vec<usize> =
            (0..self.columns.len()).map(|at| wide(at).unwrap_or_default()).collect();
        let line = |cells: &[Cell]| {
            let columns = widths.iter().zip(&self.columns).enumerate();
            let texts = cells.iter().zip(columns).map(|(cell, (at, (wide, (_, align))))| {
                cell.filled(*wide, *align, at + 1 == cells.len(), coloured)
            });
            texts.collect::<Vec<_>>().join("  ") + "\n"
        };
        let mut shown = line(&head);
        for row in &self.rows {
            shown += &line(&row.cells);
            for remark in &row.remarks {
                for part in wrapped(&remark.text, WIDTH - INDENT) {
                    shown += &" ".repeat(INDENT);
                    shown += &remark.tone.paint(&part, coloured);
                    shown.push('\n');
                }
            }
        }
        shown
    }
}

/// A text in lines of at most so many characters, broken between words where that can be.
pub(super) fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        let last = lines.last().map_or(0, |line| width(line));
        if last > 0 && last + 1 + word.len() > most {
            lines.push(String::new());
        }
        while word.len() > most {
            let rest = word.split_off(most);
            lines.pop_if(|line| line.is_empty());
            lines.extend([word.iter().collect(), String::new()]);
            word = rest;
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.extend(word);
        }
    }
    lines
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// A text that cannot command a terminal.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// How long ago: `0.4 s`, `12 s`, `3 min`, `2 h`.
pub(super) fn age(seconds: f64) -> String {
    match seconds {
        ..10.0 => format!("{seconds:.1} s"),
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
}

/// `1 relay`, `2 relays`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be_and_remarks_stand_below() {
        let mut table = Table::new(&[("RELAY", Align::Left), ("FREE", Align::Right)]);
        table.row(vec![Cell::new("vienna"), Cell::number(Some(12_345))], vec![]);
        table.row(vec![Cell::new("graz"), Cell::number(None)], vec![Cell::new("down")]);
        let expected = "RELAY    FREE\nvienna  12345\ngraz        –\n    down\n";
        assert_eq!(table.show(false), expected);
    }

    #[test]
    fn colours_take_no_room_and_are_left_out_on_demand() {
        let mut table = Table::new(&[("A", Align::Left), ("B", Align::Left)]);
        table.row(vec![Cell::new("x").tone(Tone::Bad), Cell::new("y")], vec![]);
        let shown = table.show(true);
        assert!(shown.contains("\x1b[31mx\x1b[0m  y"), "{shown:?}");
        assert!(!table.show(false).contains('\x1b'));
    }

    #[test]
    fn what_a_relay_says_cannot_command_a_terminal() {
        let mut table = Table::new(&[("A", Align::Left)]);
        table.row(vec![Cell::new("\x1b[2J\u{9b}x")], vec![Cell::new("a\r\nb\x07")]);
        let shown = table.show(false);
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    }

    #[test]
    fn a_name_of_any_length_leaves_the_table_whole() {
        let mut table = Table::new(&[("A", Align::Left), ("B", Align::Left)]);
        table.row(
            vec![Cell::new("x".repeat(500)), Cell::new("y")],
            vec![Cell::new("z".repeat(500))],
        );
        let shown = table.show(false);
        assert!(shown.lines().all(|line| width(line) <= WIDTH), "{shown}");
        assert!(shown.contains("…  y"), "{shown}");
    }

    #[test]
    fn words_are_kept_whole_where_that_can_be() {
        assert_eq!(wrapped("a quick brown fox", 7), ["a quick", "brown", "fox"]);
        assert_eq!(wrapped("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrapped("", 4), [""]);
    }

    #[test]
    fn ages_are_short() {
        assert_eq!([0.42, 12.0, 180.0, 9_000.0].map(age), ["0.4 s", "12 s", "3 min", "2 h"]);
    }
}
