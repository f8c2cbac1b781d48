//! Whether memory, descriptors and threads stay what they are.

use std::fmt::Write as _;
use std::time::Duration;

use crate::support::balancer::Balancer;

/// From this length on, growth is judged and not only told: below, it is the noise of warming up.
const JUDGED_FROM: Duration = Duration::from_secs(20 * 60);

/// What memory may grow by in an hour, in MiB.
const SLOPE: f64 = 1.0;

/// The program's size over time.
#[derive(Default)]
pub(super) struct Trend(Vec<Sample>);

struct Sample {
    seconds: f64,
    /// Resident memory of its own, in MiB: without the pages of its file that are in use, which grow
    /// with every corner of the program that is visited for the first time.
    memory: f64,
    /// All resident memory, in MiB.
    resident: f64,
    descriptors: usize,
    threads: u64,
}

impl Trend {
    /// Takes a sample.
    pub(super) fn sample(&mut self, at: Duration, balancer: &Balancer) {
        self.0.push(Sample {
            seconds: at.as_secs_f64(),
            memory: balancer.of_kernel("RssAnon") as f64 / 1024.0,
            resident: balancer.of_kernel("VmRSS") as f64 / 1024.0,
            descriptors: balancer.descriptors(),
            threads: balancer.of_kernel("Threads"),
        });
    }

    /// The last sample, for people.
    pub(super) fn now(&self) -> String {
        let last = self.0.last();
        last.map_or(String::new(), |sample| format!("{:.1} MiB", sample.memory))
    }

    /// What was seen, and what of it is too much.
    pub(super) fn told(&self, length: Duration) -> (String, Vec<String>) {
        // The first fifth is for caches and pools to fill.
        let warm = &self.0[self.0.len() / 5..];
        let part = (warm.len() / 3).max(1);
        let (first, last) = (&warm[..part], &warm[warm.len() - part..]);
        let (slope, late) = (slope(warm), slope(last));
        let smallest = |samples: &[Sample], of: fn(&Sample) -> u64| samples.iter().map(of).min();
        let descriptors: fn(&Sample) -> u64 = |sample| sample.descriptors as u64;
        let threads: fn(&Sample) -> u64 = |sample| sample.threads;
        let mut broken = Vec::new();
        if length >= JUDGED_FROM && slope > SLOPE {
            broken.push(format!("memory grows by {slope:.2} MiB/h"));
        }
        // Players come and go; what is never given back shows in the least of a long time.
        let mut text = format!(
            "memory: {:.1} MiB of its own at the start, {:.1} when warm, {:.1} at the end ({:.1} with its \
             file), slope {slope:+.2} MiB/h, {late:+.2} in the last third",
            self.0[0].memory,
            warm[0].memory,
            warm[warm.len() - 1].memory,
            warm[warm.len() - 1].resident,
        );
        // A thread for blocking work lives for ten seconds without any, as long as it takes until the
        // configuration is compared again: in some samples it is not there.
        for (what, of, more) in [("descriptors", descriptors, 4), ("threads", threads, 1)] {
            let (before, after) =
                (smallest(first, of).unwrap_or(0), smallest(last, of).unwrap_or(0));
            write!(text, "\n{what}: at least {before} in the first third, {after} in the last")
                .unwrap();
            if length >= JUDGED_FROM && after > before + more {
                broken.push(format!("{what} grow from {before} to {after}"));
            }
        }
        (text, broken)
    }
}

/// MiB an hour, of the straight line with the least squares.
fn slope(samples: &[Sample]) -> f64 {
    let count = samples.len() as f64;
    let middle = samples.iter().map(|sample| sample.seconds).sum::<f64>() / count;
    let mean = samples.iter().map(|sample| sample.memory).sum::<f64>() / count;
    let (mut rise, mut width) = (0.0, 0.0);
    for sample in samples {
        rise += (sample.seconds - middle) * (sample.memory - mean);
        width += (sample.seconds - middle).powi(2);
    }
    if width > 0.0 { rise / width * 3600.0 } else { 0.0 }
}
