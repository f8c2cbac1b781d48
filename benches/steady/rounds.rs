//! Rounds with and without a fault, in turns.

use crate::client::{Client, Ending, Rates, Tally};
use crate::faults::{Fault, Kind};
use crate::machine::{Besides, Moment};
use crate::options::Options;
use crate::quantile::quantile;
use crate::station::STREAM;
use crate::support::lab::Lab;
use crate::verdict::Verdict;

/// Half come for the first time, half are on connections that stay.
const RATES: Rates = Rates { fresh: 500.0, kept: 500.0 };

/// What did not count is played again, so often for each time that is asked for.
pub(crate) const PATIENCE: u32 = 4;

/// One round.
struct Round {
    p50: f64,
    p99: f64,
    besides: Besides,
}

/// A round without the fault, and one with it.
struct Pair {
    quiet: Round,
    fault: Round,
}

/// Plays as many pairs of rounds as are asked for.
pub(crate) fn run(kind: Kind, lab: &Lab, options: &Options) -> Verdict {
    let promise = kind.promise();
    let mut verdict = Verdict { title: kind.title(), promise, ..Verdict::default() };
    let mut fault = match kind.prepare(lab, options) {
        Ok(fault) => fault,
        Err(why) => {
            verdict.notes.push(why);
            return verdict;
        }
    };
    let client = Client::new();
    let mut failures = Failures::default();
    let mut play = |fault: &dyn Fault| -> Round {
        let before = Moment::now();
        let to = fault.balancer().address();
        let tally = client.play(to, STREAM, RATES, options.length(), Ending::Patient);
        failures.add(&tally);
        let besides = before.besides(&fault.processes());
        Round { p50: tally.quantile(0.5), p99: tally.quantile(0.99), besides }
    };
    // What is done for the first time is slower than ever after.
    play(&*fault);
    let mut pairs: Vec<Pair> = Vec::new();
    let mut void = 0;
    while pairs.len() < options.rounds as usize && void < options.rounds * PATIENCE {
        let quiet_first = fastrand::bool();
        let before = quiet_first.then(|| play(&*fault));
        fault.begin();
        let faulty = play(&*fault);
        fault.end();
        let quiet = before.unwrap_or_else(|| play(&*fault));
        let pair = Pair { quiet, fault: faulty };
        let busy = pair.quiet.besides.too_much() || pair.fault.besides.too_much();
        let counts = options.noisy || !busy;
        eprintln!("  {pair}{}", if counts { "" } else { "; void" });
        if counts {
            pairs.push(pair);
        } else {
            void += 1;
        }
    }
    verdict.notes.extend(failures.tell());
    let findings = fault.findings();
    let good = findings.iter().all(|finding| finding.good);
    verdict.notes.extend(findings.into_iter().map(|finding| {
        if finding.good { finding.text } else { format!("MISSED: {}", finding.text) }
    }));
    if void > 0 {
        verdict.notes.push(format!("{void} pairs of rounds were void: the machine was busy"));
    }
    if pairs.len() < options.rounds as usize {
        verdict.notes.push("too few rounds counted to say anything".to_owned());
        return verdict;
    }
    verdict.failed = Some(failures.count());
    judge(&mut verdict, kind, &pairs);
    verdict.kept &= good;
    verdict
}

fn judge(verdict: &mut Verdict, kind: Kind, pairs: &[Pair]) {
    let mut ratios: Vec<f64> = pairs.iter().map(|pair| pair.fault.p99 / pair.quiet.p99).collect();
    let ratio = quantile(&mut ratios, 0.5);
    let [least, .., most] = ratios.as_slice() else {
        verdict.notes.push("one round has no range".to_owned());
        return;
    };
    verdict.ratio = format!("{ratio:.2} ({least:.2} – {most:.2})");
    verdict.without = figures(pairs.iter().map(|pair| &pair.quiet));
    verdict.with = figures(pairs.iter().map(|pair| &pair.fault));
    verdict.kept = kind.is_kept(ratio, verdict.failed.unwrap_or(0));
}

fn figures<'a>(rounds: impl Iterator<Item = &'a Round>) -> String {
    let (mut p50, mut p99): (Vec<f64>, Vec<f64>) =
        rounds.map(|round| (round.p50, round.p99)).unzip();
    format!("p50 {:.2} ms, p99 {:.2} ms", quantile(&mut p50, 0.5), quantile(&mut p99, 0.5))
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { quiet, fault } = self;
        let ratio = fault.p99 / quiet.p99;
        write!(f, "p99 {:.2} ms → {:.2} ms, ratio {ratio:.2}; ", quiet.p99, fault.p99)?;
        write!(f, "{}, then {}", quiet.besides, fault.besides)
    }
}

/// What went wrong in all rounds, those included that did not count.
#[derive(Debug, Default)]
struct Failures(std::collections::BTreeMap<String, usize>);

impl Failures {
    fn add(&mut self, tally: &Tally) {
        for (why, times) in &tally.failures {
            *self.0.entry(why.clone()).or_default() += times;
        }
    }

    fn count(&self) -> usize {
        self.0.values().sum()
    }

    fn tell(&self) -> Option<String> {
        let each: Vec<_> = self.0.iter().map(|(why, times)| format!("{times} × {why}")).collect();
        (!each.is_empty()).then(|| format!("failed: {}", each.join(", ")))
    }
}
