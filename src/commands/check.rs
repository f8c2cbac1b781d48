//! `check`: configurations looked at without running.

use crate::cli::{Check, ReportFormat};
use crate::problem::Problems;
use crate::reload;

use super::{BAD_CONFIG, Done};

/// Reports every problem of every file.
pub fn check(arguments: &Check, coloured: bool) -> Done {
    let mut valid = String::new();
    let mut all = Vec::new();
    for path in &arguments.files {
        match reload::load_once(path) {
            Ok(loaded) => {
                valid.extend([format!("{}: valid\n", path.display())]);
                let warnings = &loaded.fleet.warnings;
                valid.extend(warnings.iter().map(|warning| format!("warning: {warning}\n")));
            }
            Err(problems) => all.extend(problems.iter().cloned()),
        }
    }
    let problems = Problems::of(all);
    let report = match (&problems, arguments.format) {
        (Some(problems), ReportFormat::Human) => problems.human(coloured),
        (Some(problems), ReportFormat::Json) => problems.json(),
        (Some(problems), ReportFormat::Github) => problems.github(),
        (None, ReportFormat::Json) => "[]".to_owned(),
        (None, _) => String::new(),
    };
    let mut text = if arguments.format == ReportFormat::Human { valid } else { String::new() };
    if !report.is_empty() {
        text.extend([report.as_str(), "\n"]);
    }
    Done::told(text, if problems.is_none() { 0 } else { BAD_CONFIG })
}
