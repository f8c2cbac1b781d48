//! What came of a case, as a line and as a row of a table.

use std::fmt;
use std::fmt::Write as _;

/// What came of a case.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// What was tried.
    pub(crate) title: &'static str,
    /// How it was without it.
    pub(crate) without: String,
    /// How it was with it.
    pub(crate) with: String,
    /// The ratio of the two.
    pub(crate) ratio: String,
    /// Requests that were due to get a redirect and got none.
    pub(crate) failed: Option<usize>,
    /// What is promised.
    pub(crate) promise: String,
    /// Whether the promise was kept.
    pub(crate) kept: bool,
    /// What else is worth knowing.
    pub(crate) notes: Vec<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, without, with, ratio, promise, .. } = self;
        writeln!(f, "{} {title}", if self.kept { "ok    " } else { "MISSED" })?;
        writeln!(f, "       without: {without}\n       with:    {with}\n       ratio:   {ratio}")?;
        if let Some(failed) = self.failed {
            writeln!(f, "       failed requests: {failed}")?;
        }
        write!(f, "       promised: {promise}")?;
        for note in &self.notes {
            write!(f, "\n       {note}")?;
        }
        Ok(())
    }
}

/// All of them as a Markdown table, and what else there is to say below it.
pub(crate) fn table(verdicts: &[Verdict]) -> String {
    let mut table = "| case | without | with | ratio | failed | promised | |\n\
        | --- | ---: | ---: | ---: | ---: | --- | --- |\n"
        .to_owned();
    for verdict in verdicts {
        let Verdict { title, without, with, ratio, promise, .. } = verdict;
        let failed = verdict.failed.map_or_else(String::new, |failed| failed.to_string());
        let word = if verdict.kept { "ok" } else { "MISSED" };
        writeln!(
            table,
            "| {title} | {without} | {with} | {ratio} | {failed} | {promise} | {word} |"
        )
        .unwrap();
    }
    for verdict in verdicts {
        for note in &verdict.notes {
            write!(table, "\n- {}: {note}", verdict.title).unwrap();
        }
    }
    table
}
