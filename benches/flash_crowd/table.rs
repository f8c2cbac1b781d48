//! What all runs of a policy come to, as a row of a Markdown table.

use std::fmt::Write as _;

use crate::door::Policy;
use crate::quantile::quantile;
use crate::scenario::Scenario;
use crate::story::Figures;

/// A policy and its runs.
pub(crate) struct Row {
    title: &'static str,
    runs: Vec<Figures>,
}

/// The columns: what stands above, and what below.
type Column = (&'static str, fn(&Row) -> String);

const COLUMNS: &[Column] = &[
    ("asked", |row| row.median(|run| run.asked)),
    ("got audio", |row| row.median(|run| run.played)),
    ("refused by a relay", |row| row.median(|run| run.refused)),
    ("no answer", |row| row.median(|run| run.unanswered)),
    ("turned away", |row| row.median(|run| run.turned_away)),
    ("slots free at a refusal", |row| row.median(|run| run.free_at_refusal)),
    ("fullest / emptiest", |row| {
        format!("{} / {}", row.median(|run| run.most), row.median(|run| run.least))
    }),
    ("first audio p50", |row| format!("{} ms", row.median(|run| run.p50))),
    ("p99", |row| format!("{} ms", row.median(|run| run.p99))),
];

impl Row {
    /// One without runs yet.
    pub(crate) fn of(policy: &Policy) -> Self {
        Self { title: policy.title, runs: Vec::new() }
    }

    /// Adds a run.
    pub(crate) fn add(&mut self, run: Figures) {
        self.runs.push(run);
    }

    fn median(&self, figure: impl Fn(&Figures) -> f64) -> String {
        let mut values: Vec<f64> = self.runs.iter().map(figure).collect();
        format!("{:.0}", quantile(&mut values, 0.5))
    }
}

/// The table, with a line that says what it shows.
pub(crate) fn render(scenario: &Scenario, rows: &[Row]) -> String {
    let runs = rows.iter().map(|row| row.runs.len()).max().unwrap_or(0);
    let of_runs = if runs > 1 { format!(", medians of {runs} runs") } else { String::new() };
    let mut table = format!(
        "\n{:.0} % demand: {} people{of_runs}\n\n| policy |",
        scenario.demand * 100.0,
        scenario.people()
    );
    for (name, _) in COLUMNS {
        write!(table, " {name} |").unwrap();
    }
    table.push_str("\n| --- |");
    table.push_str(&" ---: |".repeat(COLUMNS.len()));
    for row in rows {
        write!(table, "\n| {} |", row.title).unwrap();
        for (_, cell) in COLUMNS {
            write!(table, " {} |", cell(row)).unwrap();
        }
    }
    table.push('\n');
    table
}
