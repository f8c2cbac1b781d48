//! `simulate`: a crowd played against a configuration.

use std::fs;
use std::time::Instant;

use crate::cli::{Simulate, TableFormat};
use crate::fleet::Fleet;
use crate::reload;
use crate::simulate::{Event, EventKind, Picture, Plan, PlanError, Who, play_watched};

use super::progress::Progress;
use super::{Done, FAILED};

/// Plays what the arguments say and tells what came of it.
pub fn simulate(arguments: &Simulate, coloured: bool) -> Done {
    let loaded = match reload::load_once(&arguments.config) {
        Ok(loaded) => loaded,
        Err(problems) => return Done::bad([problems], coloured),
    };
    // What is listed under a pattern is not known: one stream stands for all of them.
    let fleet = loaded.fleet.with_patterns_as_streams();
    let plan = match plan(arguments, &fleet) {
        Ok(plan) => plan,
        Err(why) => return Done::refused(why),
    };
    let mut progress = Progress::on_stderr("playing");
    let outcome = play_watched(fleet, &plan, &mut |share| progress.tell(share, Instant::now()));
    drop(progress);
    if let Some(path) = &arguments.svg
        && let Err(error) = fs::write(path, Picture(&outcome).to_string())
    {
        return Done::refused(format!("{} cannot be written: {error}", path.display()));
    }
    let code = if outcome.unserved() == 0 { 0 } else { FAILED };
    match arguments.format {
        TableFormat::Human => Done::told(outcome.to_string(), code),
        TableFormat::Json => Done::json(&outcome, code),
    }
}

fn plan(arguments: &Simulate, fleet: &Fleet) -> Result<Plan, String> {
    let in_words = |error: PlanError| error.to_string();
    let mut plan = if let Some(path) = &arguments.curve {
        let of_file = |why: String| format!("{}: {why}", path.display());
        let csv = fs::read(path).map_err(|error| of_file(error.to_string()))?;
        Plan::curve(&csv, fleet).map_err(|error| of_file(error.to_string()))?
    } else {
        let streams = arguments.stream.iter().map(|path| Who::at(path, fleet));
        let mut who = streams.collect::<Result<Vec<_>, _>>().map_err(in_words)?;
        if who.is_empty() {
            who.push(Who::OfAll);
        }
        let (count, within) = (arguments.arrivals.unwrap_or(0), arguments.within);
        Plan::evenly(count, within.unwrap_or_default(), &who, fleet).map_err(in_words)?
    };
    for (kind, written) in
        [(EventKind::Drain, &arguments.drain), (EventKind::Kill, &arguments.kill)]
    {
        for event in written {
            plan.events.push(Event::read(event, kind, plan.start, fleet).map_err(in_words)?);
        }
    }
    plan.stay = arguments.stay;
    plan.seed = arguments.seed;
    Ok(plan)
}
