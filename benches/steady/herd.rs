//! A thousand players come between two looks at eight equal relays: do they go the same way?

use std::collections::BTreeMap;
use std::time::Duration;

use crate::balancer::Balancer;
use crate::client::{Client, Ending, Rates};
use crate::options::Options;
use crate::quantile::quantile;
use crate::station::{STREAM, Station, config};
use crate::support::lab::Lab;
use crate::verdict::Verdict;

const RELAYS: usize = 8;

/// More slots than anybody needs: what spreads the crowd is not that relays are full.
const SLOTS: u64 = 1_000;

/// The first look is the only one.
const ONE_LOOK: &str = "poll: {interval: 10m, fast_interval: 10m, stale_after: 20m}\n";

/// How many times the least loaded relay the most loaded may have.
const SPREAD: f64 = 1.3;

/// Plays it several times, each with a balancer that has just been started.
pub(crate) fn run(lab: &Lab, options: &Options) -> Verdict {
    let station = Station::start(RELAYS, Some(SLOTS));
    let client = Client::new();
    let (mut ratios, mut failed) = (Vec::new(), 0);
    let (mut fewest, mut most) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let config = config(ONE_LOOK, &station.urls(), &[STREAM]);
        let balancer = Balancer::start(lab, options, &config, &[]);
        let rates = Rates { fresh: 1_000.0, kept: 0.0 };
        let second = Duration::from_secs(1);
        let tally = client.play(balancer.address(), STREAM, rates, second, Ending::Patient);
        failed += tally.failed();
        let counts: BTreeMap<_, _> = tally.sent_to;
        let least = if counts.len() < RELAYS { 0 } else { *counts.values().min().unwrap_or(&0) };
        let highest = counts.values().max().copied().unwrap_or(0);
        fewest.push(least as f64);
        most.push(highest as f64);
        ratios.push(highest as f64 / least as f64);
    }
    let worst = quantile(&mut ratios, 1.0);
    let (ratio, best) = (quantile(&mut ratios, 0.5), quantile(&mut ratios, 0.0));
    Verdict {
        title: "1,000 players between two looks",
        without: format!("{:.0} on the emptiest", quantile(&mut fewest, 0.5)),
        with: format!("{:.0} on the fullest", quantile(&mut most, 0.5)),
        ratio: format!("{ratio:.2} ({best:.2} – {worst:.2})"),
        failed: Some(failed),
        promise: format!("fullest ≤ {SPREAD} × emptiest of eight, in each round"),
        kept: worst <= SPREAD && failed == 0,
        notes: Vec::new(),
    }
}
