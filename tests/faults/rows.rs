//! The faults: each with what is expected, and how it would look without protection.

mod engine;
mod exhaustion;
mod fleet;
mod hosts;
mod log;
mod names;
mod operation;
mod relay;
mod statistics;

use std::time::Duration;

use crate::stage::Stage;

/// One fault.
pub(crate) struct Row {
    /// Its short name, for `--only`.
    pub(crate) name: &'static str,
    /// What breaks.
    pub(crate) title: &'static str,
    /// What must become of it.
    pub(crate) expected: &'static str,
    /// What shows that the check can fail.
    pub(crate) control: Control,
    /// How long it takes, about.
    pub(crate) seconds: u32,
    /// Breaks it, and tells what was seen; panics where that is not what was expected.
    pub(crate) run: fn(&Stage) -> String,
}

/// What shows that a row can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// With the naive redirector in our place it does.
    Naive,
    /// The naive redirector has nothing of the kind that the row asks about.
    Without,
}

/// All of them.
pub(crate) const ALL: &[&[Row]] = &[
    relay::ROWS,
    statistics::ROWS,
    names::ROWS,
    fleet::ROWS,
    operation::ROWS,
    hosts::ROWS,
    engine::ROWS,
    exhaustion::ROWS,
    log::ROWS,
];

/// Prints what there is.
pub(crate) fn list() {
    for row in ALL.iter().copied().flatten() {
        let control = if row.control == Control::Naive { " [control]" } else { "" };
        println!("{:<20} {}: {}{control}", row.name, row.title, row.expected);
    }
}

/// How often a row's players ask.
const OFTEN: Duration = Duration::from_millis(20);
