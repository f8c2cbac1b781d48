//! A cost at several sizes, and how it grows.

use std::fmt;
use std::time::Duration;

use crate::quantile::quantile;

/// A cost to be measured at several sizes.
pub(crate) struct Curve {
    title: &'static str,
    unit: &'static str,
    points: Vec<Point>,
    promise: Promise,
    rounds: Option<usize>,
}

/// One size.
struct Point {
    label: String,
    /// What the cost is held against.
    size: f64,
    measure: Box<dyn FnMut() -> f64>,
}

/// What is promised of a cost.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Promise {
    /// It is told.
    Nothing,
    /// It is at most so much at the last size.
    AtMost(f64),
    /// At the last size it is at most so many times what it is at the first.
    Flat(f64),
    /// It grows with at most this power of the size.
    Power(f64),
}

/// A cost that was measured.
#[derive(Debug)]
pub(crate) struct Grown {
    title: &'static str,
    unit: &'static str,
    /// Sizes, each with its name and the median cost.
    points: Vec<(String, f64, f64)>,
    /// Median over the rounds, in each of which the last size is compared with the first.
    ratio: f64,
    promise: Promise,
}

impl Curve {
    /// A cost in `unit`; sizes are added from the smallest to the largest.
    pub(crate) fn new(title: &'static str, unit: &'static str, promise: Promise) -> Self {
        Self { title, unit, points: Vec::new(), promise, rounds: None }
    }

    /// The same, measured no more often than this: one measurement takes long, or is exact.
    pub(crate) fn at_most(self, rounds: usize) -> Self {
        Self { rounds: Some(rounds), ..self }
    }

    /// Adds a size.
    pub(crate) fn at(
        mut self,
        label: impl fmt::Display,
        size: usize,
        measure: impl FnMut() -> f64 + 'static,
    ) -> Self {
        let (label, size) = (label.to_string(), size as f64);
        self.points.push(Point { label, size, measure: Box::new(measure) });
        self
    }

    /// Measures every size in each round, in an order that is new each time.
    pub(crate) fn measure(mut self, rounds: usize) -> Grown {
        let rounds = self.rounds.map_or(rounds, |most| most.min(rounds));
        let mut costs: Vec<Vec<f64>> = vec![Vec::new(); self.points.len()];
        for _ in 0..rounds {
            let mut order: Vec<usize> = (0..self.points.len()).collect();
            fastrand::shuffle(&mut order);
            for at in order {
                costs[at].push((self.points[at].measure)());
            }
        }
        let pairs = costs[0].iter().zip(&costs[costs.len() - 1]);
        let mut ratios: Vec<f64> = pairs.map(|(first, last)| last / first).collect();
        let points = self.points.into_iter().zip(&mut costs);
        Grown {
            title: self.title,
            unit: self.unit,
            points: points
                .map(|(point, costs)| (point.label, point.size, quantile(costs, 0.5)))
                .collect(),
            ratio: quantile(&mut ratios, 0.5),
            promise: self.promise,
        }
    }
}

impl Grown {
    /// The power of the size that the cost grows with, from the first size to the last.
    fn power(&self) -> f64 {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return 0.0;
        };
        self.ratio.ln() / (last.1 / first.1).ln()
    }

    /// Whether it is more than is promised.
    pub(crate) fn is_missed(&self) -> bool {
        match self.promise {
            Promise::Nothing => false,
            Promise::AtMost(most) => self.points.last().is_some_and(|(.., cost)| *cost > most),
            Promise::Flat(most) => self.ratio > most,
            Promise::Power(most) => self.power() > most,
        }
    }

    fn growth(&self) -> String {
        if self.points.len() < 2 {
            return String::new();
        }
        format!("×{} (n^{:.2})", number(self.ratio), self.power())
    }

    fn promised(&self) -> String {
        match self.promise {
            Promise::Nothing => String::new(),
            Promise::AtMost(most) => format!("≤ {} {}", number(most), self.unit),
            Promise::Flat(most) => format!("≤ ×{most:.2}"),
            Promise::Power(most) => format!("≤ n^{most:.1}"),
        }
    }

    fn costs(&self) -> String {
        let costs: Vec<_> = self
            .points
            .iter()
            .map(|(label, _, cost)| format!("{label}: {}", number(*cost)))
            .collect();
        costs.join(" · ")
    }

    fn word(&self) -> &'static str {
        match (self.promise, self.is_missed()) {
            (Promise::Nothing, _) => "",
            (_, false) => "ok",
            (_, true) => "MISSED",
        }
    }
}

impl fmt::Display for Grown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, unit, .. } = self;
        let (costs, growth, word) = (self.costs(), self.growth(), self.word());
        write!(f, "{title}, {unit}: {costs}; {growth} {} {word}", self.promised())
    }
}

/// All of them as a Markdown table.
pub(crate) fn table(all: &[Grown]) -> String {
    let mut table = "| what | unit | at each size | last / first | promised | |\n\
        | --- | --- | --- | ---: | --- | --- |\n"
        .to_owned();
    table.extend(all.iter().map(|grown| {
        let Grown { title, unit, .. } = grown;
        let (costs, growth) = (grown.costs(), grown.growth());
        format!(
            "| {title} | {unit} | {costs} | {growth} | {} | {} |\n",
            grown.promised(),
            grown.word()
        )
    }));
    table
}

/// Three digits, as far as there are any before the point.
fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Time that a processor has given to this thread: others on the machine do not show in it.
pub(crate) fn cpu() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
}

/// Nanoseconds of this thread's time that each of `times` calls takes.
pub(crate) fn nanos_each(times: usize, mut call: impl FnMut()) -> f64 {
    let began = cpu();
    for _ in 0..times {
        call();
    }
    cpu().saturating_sub(began).as_secs_f64() * 1e9 / times as f64
}

/// Milliseconds of this thread's time that a call takes. It is made again until that is long compared
/// with the kernel's clock.
pub(crate) fn millis(mut call: impl FnMut()) -> f64 {
    const LONG: Duration = Duration::from_millis(100);
    let (began, mut times) = (cpu(), 0);
    loop {
        call();
        times += 1;
        let spent = cpu().saturating_sub(began);
        if spent >= LONG {
            return spent.as_secs_f64() * 1e3 / f64::from(times);
        }
    }
}
