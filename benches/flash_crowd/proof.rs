//! Holds the balancer to its promises, run after run: no relay refuses anybody, and nobody is
//! turned away while there is room.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::crowd::{Crowd, PATIENCE, What};
use crate::document::{circumstances, write_section};
use crate::door::{POLICIES, Policy};
use crate::kernel::Trouble;
use crate::quantile::quantile;
use crate::scenario::rise;
use crate::station::Station;
use crate::support::lab::Lab;
use crate::{PROGRAMS, RELAYS, SLOTS_EACH};

/// Everybody comes within so many milliseconds.
const RISE: u64 = 3_000;

/// What of a relay's slots the balancer keeps free by default.
const HEADROOM: u64 = 2;

/// What is filled before anybody is turned away, of the slots that it does not keep free.
const FILLED: f64 = 0.95;

/// People who come within one second, and the slots of each of the eight relays for them.
const AT_ONCE: u64 = 2_000;
const SLOTS_FOR_THEM: u64 = 300;

/// What became of one crowd.
struct Outcome {
    people: u64,
    played: usize,
    refused: usize,
    unanswered: usize,
    turned_away: usize,
    /// Listeners who had been sent to a relay when the first one was turned away.
    sent_before: Option<usize>,
    /// Milliseconds until the first audio.
    p50: f64,
    p99: f64,
    trouble: Trouble,
}

/// Runs all proofs, prints a line for each, and says whether all of them passed.
pub(crate) fn run(lab: &Lab, runtime: &Runtime, runs: u32, write: bool) -> ExitCode {
    let ours = || POLICIES.iter().filter(|policy| policy.stats().is_some());
    let mut proofs = Proofs::default();
    let station = Station::start(lab, RELAYS, SLOTS_EACH);
    let room = (SLOTS_EACH - HEADROOM) * RELAYS as u64;
    for policy in ours() {
        for run in 1..=runs {
            let few = crowd(lab, runtime, &station, policy, station.slots() * 95 / 100, RISE);
            proofs.note(&format!("{}, 95 %, run {run}", policy.key), &few, few.all_play());
            let many = crowd(lab, runtime, &station, policy, station.slots() * 120 / 100, RISE);
            proofs.note(&format!("{}, 120 %, run {run}", policy.key), &many, many.fills(room));
        }
    }
    drop(station);
    let station = Station::start(lab, RELAYS, SLOTS_FOR_THEM);
    for policy in ours() {
        let all = crowd(lab, runtime, &station, policy, AT_ONCE, 1_000);
        proofs.note(&format!("{}, {AT_ONCE} in a second", policy.key), &all, all.all_play());
    }
    let verdict = format!("{} passed, {} failed", proofs.passed, proofs.failed);
    println!("\n{verdict}");
    if write {
        let lines = proofs.lines.join("\n");
        let text = format!(
            "{}\n\n<details><summary>{verdict}</summary>\n\n```text\n{lines}\n```\n\n</details>",
            circumstances(PROGRAMS)
        );
        write_section("proof", &text);
    }
    if proofs.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Proofs {
    passed: u32,
    failed: u32,
    lines: Vec<String>,
}

impl Proofs {
    fn note(&mut self, name: &str, outcome: &Outcome, passed: bool) {
        *if passed { &mut self.passed } else { &mut self.failed } += 1;
        let verdict = if passed { "ok    " } else { "FAILED" };
        let line = format!("{verdict} {name}: {outcome}");
        println!("{line}");
        self.lines.push(line);
    }
}

/// Lets `people` come to a balancer that has just been started; waits until something has become
/// of each of them.
fn crowd(
    lab: &Lab,
    runtime: &Runtime,
    station: &Station,
    policy: &Policy,
    people: u64,
    within: u64,
) -> Outcome {
    station.wait_until_empty();
    let door = policy.open(lab, runtime, station);
    let before = Trouble::now();
    let mut crowd = Crowd::new(door.entrance(), station.addresses());
    crowd.expect(runtime, rise(people, (0, within)));
    let ended = |what: &What| what.is_refusal() || matches!(what, What::Plays { .. });
    let deadline = Instant::now() + Duration::from_millis(within) + PATIENCE * 2;
    while (crowd.count(ended) as u64) < people && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    let trouble = Trouble::now().since(before);

    let events = crowd.disperse(runtime);
    let count = |what: fn(&What) -> bool| events.iter().filter(|event| what(&event.what)).count();
    let first = events.iter().position(|event| matches!(event.what, What::TurnedAway));
    let sent = |at| {
        let before = events.iter().take(at);
        before.filter(|event| matches!(event.what, What::Sent { .. })).count()
    };
    let mut waits: Vec<f64> = events
        .iter()
        .filter_map(|event| match event.what {
            What::Plays { after, .. } => Some(after.as_secs_f64() * 1000.0),
            _ => None,
        })
        .collect();
    Outcome {
        people,
        played: waits.len(),
        refused: count(|what| matches!(what, What::Refused { .. })),
        unanswered: count(|what| matches!(what, What::Unanswered { .. })),
        turned_away: count(|what| matches!(what, What::TurnedAway | What::NotServed)),
        sent_before: first.map(sent),
        p50: quantile(&mut waits, 0.5),
        p99: quantile(&mut waits, 0.99),
        trouble,
    }
}

impl Outcome {
    fn all_play(&self) -> bool {
        self.played as u64 == self.people
    }

    /// Whether no relay refused anybody, and nobody was turned away before nearly all of `room`
    /// was used.
    fn fills(&self, room: u64) -> bool {
        let enough = room as f64 * FILLED;
        self.refused + self.unanswered == 0
            && self.played as f64 >= enough
            && self.sent_before.is_none_or(|sent| sent as f64 >= enough)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { people, played, refused, unanswered, turned_away, p50, p99, .. } = self;
        write!(f, "{people} came, {played} play, {refused} refused by a relay, ")?;
        write!(f, "{unanswered} unanswered, {turned_away} turned away")?;
        if let Some(sent) = self.sent_before {
            write!(f, ", the first after {sent}")?;
        }
        write!(f, "; first audio p50 {p50:.0} ms, p99 {p99:.0} ms; ")?;
        let Trouble { overflows, retries } = self.trouble;
        write!(f, "accept queue overflows {overflows}, SYN retries {retries}")
    }
}
