//! Many more players than can be served: how many are, how long do they wait, and how soon is it
//! over?
//!
//! The balancer gets a twentieth of a core, so that the rest of the machine can ask ten times as much
//! of it: with a tenth, those who asked kept the kernel so busy that it counted as the balancer's own
//! work. Its accept queues are as long as ever, and so take twenty times as long to be served; what is
//! promised of time counts from there.
//!
//! So small a share comes in portions of a millisecond, and how far one goes depends on what else is
//! in the processor's caches: the same offer is served up to a sixth more or less from one round to
//! the next. So the loss is told by what an answer costs: answers for each second of processor time
//! that the balancer used, whatever it used it for. Answers a second are held to a wider bound, which
//! finds who waits instead of working.

use std::net::SocketAddr;
use std::num::NonZero;
use std::thread;
use std::time::Duration;

use crate::balancer::Balancer;
use crate::client::{Client, Ending, Rates, Tally};
use crate::eager::Eager;
use crate::machine::{Moment, threads_cpu};
use crate::options::Options;
use crate::quantile::quantile;
use crate::quota::Quota;
use crate::rounds::PATIENCE;
use crate::station::{STREAM, Station, config};
use crate::support::lab::Lab;
use crate::verdict::Verdict;

/// A twentieth of a core, in small portions.
const QUOTA: Duration = Duration::from_millis(1);
const PERIOD: Duration = Duration::from_millis(20);

pub(crate) const TITLE: &str = "more players than can be served";
pub(crate) const CONTROL: &str = "control: more than can be served, and all are accepted";

/// What is offered, as a multiple of the peak.
const OFFERS: [f64; 4] = [1.0, 2.0, 5.0, 10.0];

/// The load in which all is quiet, as a share of the peak.
const QUIET: f64 = 0.5;

/// What must still be served for a second of processor time, as a share of what is at the peak.
const YIELD: f64 = 0.9;

/// What must still be served in a second, as a share of the peak.
const GOODPUT: f64 = 0.75;

/// How much longer than all queues together the longer one may take: threads do not get equal parts
/// of one quota.
const UNEVEN: f64 = 1.5;

/// How many times the quiet p99 those may wait who are served, besides the accept queues.
const P99: f64 = 5.0;

/// After an overload all must be as before within so long, besides the accept queues.
const BACK: Duration = Duration::from_secs(2);

/// Connections that may wait to be accepted by one thread, as the balancer asks of the kernel.
const BACKLOG: usize = 4096;

/// What was seen of one offer.
#[derive(Debug)]
struct Offer {
    offered: f64,
    goodput: f64,
    /// Answers for each second of the program's processor time.
    yielded: f64,
    p99: f64,
    back: Duration,
}

/// Offers more and more.
pub(crate) fn run(lab: &Lab, options: &Options) -> Verdict {
    let station = Station::start(8, None);
    let balancer = Balancer::start(lab, options, &config("", &station.urls(), &[STREAM]), &[]);
    let (address, id) = (balancer.address(), balancer.id());
    limited(TITLE, balancer, (address, id), options)
}

/// The same to one who accepts everybody: it must not keep what is promised.
pub(crate) fn control(options: &Options) -> Verdict {
    let eager = Eager::start();
    let (address, id) = (eager.address(), eager.id());
    let verdict = limited(CONTROL, eager, (address, id), options);
    // That nothing was measured is no proof of anything.
    let kept = !verdict.kept && !verdict.with.is_empty();
    Verdict { kept, promise: format!("it is found: not {}", verdict.promise), ..verdict }
}

/// Has little of the processor for a program that is at an address, and measures.
fn limited<T>(
    title: &'static str,
    program: T,
    (address, id): (SocketAddr, u32),
    options: &Options,
) -> Verdict {
    let mut verdict = Verdict {
        title,
        promise: format!(
            "answers for a second of processor time ≥ {:.0} % of those at the peak, in a second \
             ≥ {:.0} % of the peak, or of what is offered; who is served waits ≤ {UNEVEN} × the accept queues \
             + {P99} × the quiet p99; quiet again ≤ the accept queues, with those behind them, + {} s",
            YIELD * 100.0,
            GOODPUT * 100.0,
            BACK.as_secs()
        ),
        ..Verdict::default()
    };
    match Quota::set(id, QUOTA, PERIOD) {
        Ok(quota) => {
            measure(address, id, options, &mut verdict);
            // The group can go only after its program.
            drop(program);
            drop(quota);
        }
        Err(why) => verdict.notes.push(why),
    }
    verdict
}

fn measure(address: SocketAddr, id: u32, options: &Options, verdict: &mut Verdict) {
    let client = Client::new();
    let play = |fresh, length, ending| {
        let rates = Rates { fresh, kept: 0.0 };
        client.play(address, STREAM, rates, length, ending)
    };
    let length = options.length();
    let mut peak = peak(&play, length);
    until_answered(&play);
    let quiet = play(peak * QUIET, length, Ending::Patient);
    let p99 = quiet.quantile(0.99);
    verdict.without =
        format!("{:.0}/s, p99 {p99:.0} ms, at half the peak of {peak:.0}/s", peak * QUIET);
    let mut all: Vec<(f64, Vec<Offer>)> = OFFERS.iter().map(|times| (*times, Vec::new())).collect();
    let rounds = options.rounds.div_ceil(3);
    for _ in 0..rounds * PATIENCE {
        for (times, offers) in &mut all {
            if offers.len() == rounds as usize {
                continue;
            }
            let before = Moment::now();
            // Long enough for some to have stood through a whole accept queue.
            let length = length.max(queue(peak).mul_f64(1.5));
            let used = threads_cpu(id);
            let tally = play(peak * *times, length, Ending::Abrupt);
            let used = threads_cpu(id).saturating_sub(used);
            let wait = queue(peak).div_f64(1.0 - QUIET) + BACK * 2;
            let after = play(peak * QUIET, wait, Ending::Patient);
            until_answered(&play);
            let offer = Offer {
                offered: tally.offered,
                goodput: goodput(&tally, length),
                yielded: tally.answers.len() as f64 / used.as_secs_f64(),
                p99: tally.quantile(0.99),
                back: back_to_normal(&after, p99 * P99),
            };
            let besides = before.besides(&[id]);
            let counts = options.noisy || !besides.too_much();
            eprintln!("  {times} ×: {offer:.1?}; {besides}{}", if counts { "" } else { "; void" });
            if counts {
                offers.push(offer);
            }
        }
    }
    if all.iter().any(|(_, offers)| offers.len() < rounds as usize) {
        verdict.notes.push("too few rounds counted to say anything".to_owned());
        return;
    }
    let median = |offers: &[Offer], figure: fn(&Offer) -> f64| {
        quantile(&mut offers.iter().map(figure).collect::<Vec<_>>(), 0.5)
    };
    // An overload may serve more than was thought to be the most.
    let goodputs = all.iter().map(|(_, offers)| median(offers, |offer| offer.goodput));
    peak = goodputs.fold(peak, f64::max);
    let queue = queue(peak * YIELD);
    // Those who come afterwards stand behind it, and are served besides.
    let served = queue.div_f64(1.0 - QUIET);
    verdict.kept = true;
    let at_peak = all.first().map_or(f64::NAN, |(_, offers)| median(offers, |o| o.yielded));
    let mut cells = Vec::new();
    for (times, offers) in &all {
        let goodput = median(offers, |offer| offer.goodput);
        let waited = median(offers, |offer| offer.p99);
        let back = median(offers, |offer| offer.back.as_secs_f64());
        let offered = median(offers, |offer| offer.offered);
        let share = median(offers, |offer| offer.yielded) / at_peak;
        cells.push(format!(
            "{times} ×: {:.0} % for the same time, {:.0} % in a second",
            share * 100.0,
            goodput / peak * 100.0
        ));
        verdict.notes.push(format!(
            "{times} × ({offered:.0}/s offered): {goodput:.0}/s served, p99 {waited:.0} ms, \
             quiet again after {back:.1} s"
        ));
        verdict.kept &= share >= YIELD
            && goodput >= GOODPUT * peak.min(offered)
            && waited <= P99 * p99 + UNEVEN * queue.as_secs_f64() * 1000.0
            && back <= (BACK + served).as_secs_f64();
    }
    verdict.with = cells.join(", ");
    verdict.notes.push(format!(
        "at this rate the accept queues of {} are served within {:.1} s, and with those who come \
         meanwhile within {:.1} s",
        accept_queues(),
        queue.as_secs_f64(),
        served.as_secs_f64()
    ));
}

/// How many can be served in a second: twice as many are offered until no more are served.
fn peak(play: &impl Fn(f64, Duration, Ending) -> Tally, length: Duration) -> f64 {
    let (mut rate, mut most) = (250.0, 0.0);
    loop {
        let served = goodput(&play(rate, length, Ending::Abrupt), length);
        if served < most * 1.1 {
            return most.max(served);
        }
        most = most.max(served);
        rate *= 2.0;
        until_answered(play);
    }
}

/// How long full accept queues take at this rate.
fn queue(rate: f64) -> Duration {
    Duration::from_secs_f64(accept_queues() as f64 / rate)
}

/// How many wait to be accepted: the balancer has a thread for each core, and each its own queue.
fn accept_queues() -> usize {
    BACKLOG * thread::available_parallelism().map_or(1, NonZero::get)
}

/// Waits for an answer, which comes when everybody before is served: those who went home, too.
fn until_answered(play: &impl Fn(f64, Duration, Ending) -> Tally) {
    let ask = || play(1.0, Duration::from_millis(1), Ending::Patient);
    assert!((0..10).any(|_| ask().failed() == 0), "the balancer answers nobody any more");
}

/// How many were answered in a second, as long as there was a second.
fn goodput(tally: &Tally, length: Duration) -> f64 {
    let in_time = tally
        .answers
        .iter()
        .filter(|(due, took)| *due + Duration::from_secs_f64(took / 1000.0) <= length);
    in_time.count() as f64 / length.as_secs_f64()
}

/// Since when nobody has had to wait longer than `normal` milliseconds any more, but for one in a
/// hundred.
fn back_to_normal(after: &Tally, normal: f64) -> Duration {
    let mut slow: Vec<Duration> =
        after.answers.iter().filter(|(_, took)| *took > normal).map(|(due, _)| *due).collect();
    slow.sort();
    let few = after.answers.len() / 100;
    slow.len().checked_sub(few + 1).and_then(|at| slow.get(at)).copied().unwrap_or_default()
}
