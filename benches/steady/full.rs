//! Every slot is taken: what does a 503 cost, compared with a redirect, and when are those who got
//! one told to come again?

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::balancer::Balancer;
use crate::machine::Moment;
use crate::options::Options;
use crate::quantile::quantile;
use crate::rounds::PATIENCE;
use crate::station::{STREAM, Station, config};
use crate::support::lab::Lab;
use crate::support::process::eventually;
use crate::verdict::Verdict;
use crate::wire::{ask, connect};

/// A stream that nobody listens to, on the same relays.
const FREE: &str = "/saal2.ogg";

/// Relays, and the slots that each has for the full stream.
const RELAYS: usize = 8;
const SLOTS: u64 = 10;

/// Requests of a round, and the connections that they come on.
const REQUESTS: usize = 10_000;
const CONNECTIONS: usize = 8;

/// How many times the processor time of a 302 a 503 may cost. They do nearly the same work, and what
/// is measured is some hundredths to either side.
const COST: f64 = 1.1;

/// Seconds that `Retry-After` must name at least, and the largest share of any of them.
const DISTINCT: usize = 8;
const SHARE: f64 = 0.2;

/// What a round of requests was answered.
#[derive(Debug, Default)]
struct Answers {
    statuses: BTreeMap<u16, usize>,
    retry_after: BTreeMap<String, usize>,
}

/// Measures both, in turns.
pub(crate) fn run(lab: &Lab, options: &Options) -> Verdict {
    let station = Station::start(RELAYS, Some(SLOTS));
    for relay in &station.relays {
        relay.add_mount(FREE, None);
        relay.hold_listeners(STREAM, SLOTS);
    }
    let balancer =
        Balancer::start(lab, options, &config("", &station.urls(), &[STREAM, FREE]), &[]);
    eventually("the stream is full", Duration::from_secs(10), || {
        let free = balancer.sum("icecast_balancer_stream_free_slots", STREAM);
        (free == 0.0).then_some(())
    });
    let runtime = Runtime::new().expect("a runtime");
    let mut refusals = Answers::default();
    let mut redirects = Answers::default();
    let (mut refused, mut redirected) = (Vec::new(), Vec::new());
    let round = |path, answers: &mut Answers| -> f64 {
        let before = balancer.cpu();
        runtime.block_on(hammer(balancer.address(), path, answers));
        let spent = balancer.cpu().saturating_sub(before);
        spent.as_secs_f64() * 1e6 / REQUESTS as f64
    };
    // What is done for the first time costs more.
    round(FREE, &mut Answers::default());
    for _ in 0..options.rounds * PATIENCE {
        let before = Moment::now();
        let first = fastrand::bool();
        if first {
            redirected.push(round(FREE, &mut redirects));
        }
        refused.push(round(STREAM, &mut refusals));
        if !first {
            redirected.push(round(FREE, &mut redirects));
        }
        if !options.noisy && before.besides(&[balancer.id()]).too_much() {
            // Void: both of it are forgotten, but not what was answered.
            refused.pop();
            redirected.pop();
        }
        if refused.len() == options.rounds as usize {
            break;
        }
    }
    let mut notes = Vec::new();
    if refused.len() < options.rounds as usize {
        notes.push("too few rounds counted to say anything".to_owned());
    }
    let mut ratios: Vec<f64> =
        refused.iter().zip(&redirected).map(|(full, free)| full / free).collect();
    let ratio = quantile(&mut ratios, 0.5);
    let total = refusals.statuses.values().sum::<usize>() as f64;
    let distinct = refusals.retry_after.len();
    let most = refusals.retry_after.values().max().copied().unwrap_or(0) as f64 / total;
    let not = |answers: &Answers, status| {
        answers
            .statuses
            .iter()
            .filter(|(other, _)| **other != status)
            .map(|(_, n)| n)
            .sum::<usize>()
    };
    let failed = not(&refusals, 503) + not(&redirects, 302);
    let (least, highest) = (quantile(&mut ratios, 0.0), quantile(&mut ratios, 1.0));
    notes.push(format!(
        "{distinct} different `Retry-After`, the most frequent in {:.1} % of all",
        most * 100.0
    ));
    Verdict {
        title: "every slot is taken",
        without: format!("{:.1} µs a 302", quantile(&mut redirected, 0.5)),
        with: format!("{:.1} µs a 503", quantile(&mut refused, 0.5)),
        ratio: format!("{ratio:.2} ({least:.2} – {highest:.2})"),
        failed: Some(failed),
        promise: format!(
            "a 503 costs ≤ {COST} × the processor time of a 302; `Retry-After` is spread"
        ),
        kept: refused.len() == options.rounds as usize
            && ratio <= COST
            && failed == 0
            && distinct >= DISTINCT
            && most <= SHARE,
        notes,
    }
}

/// Asks as fast as answers come.
async fn hammer(to: SocketAddr, path: &'static str, answers: &mut Answers) {
    let mut players = JoinSet::new();
    for person in 0..CONNECTIONS {
        players.spawn(async move {
            let mut answers = Answers::default();
            let mut connection = connect(to, person).await.expect("a connection");
            for _ in 0..REQUESTS / CONNECTIONS {
                let answer = ask(&mut connection, path).await.expect("an answer");
                *answers.statuses.entry(answer.status).or_default() += 1;
                if let Some(seconds) = answer.header("retry-after") {
                    *answers.retry_after.entry(seconds.to_owned()).or_default() += 1;
                }
            }
            answers
        });
    }
    for part in players.join_all().await {
        for (status, times) in part.statuses {
            *answers.statuses.entry(status).or_default() += times;
        }
        for (seconds, times) in part.retry_after {
            *answers.retry_after.entry(seconds).or_default() += times;
        }
    }
}
