//! What requests cost when somebody last wrote it down.

use std::fs;
use std::path::PathBuf;

use crate::kinds::Kind;

/// What one request costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
}

/// What is recorded.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    costs: Vec<(String, Cost)>,
    /// Whether another compiler made the program then.
    other_compiler: bool,
}

/// Instructions may be so many times as many. From one run to the next counts of one build differed by up to
/// a twelfth: on a busy machine a request may need one wake-up more.
const SLACK: f64 = 1.1;

/// So many allocations more in each request are what the program did beside: one in four requests.
const ROUNDING: f64 = 0.25;

/// The compiler that this program was made with.
const COMPILER: &str = env!("RUSTC_VERSION");

impl Recorded {
    /// Reads the file; an error says why that cannot be.
    pub(crate) fn read() -> Result<Self, String> {
        let file = file();
        let text = fs::read_to_string(&file)
            .map_err(|error| format!("{}: {error}; --record writes it", file.display()))?;
        let mut recorded = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let told = |field: &str| line.strip_prefix(field).map(str::trim);
            if let Some(architecture) = told("architecture") {
                if architecture != std::env::consts::ARCH {
                    return Err(format!(
                        "instructions are recorded for {architecture} and mean nothing here"
                    ));
                }
            } else if let Some(compiler) = told("compiler") {
                recorded.other_compiler = compiler != COMPILER;
            } else {
                let cost = cost(line).ok_or_else(|| format!("{}: {line}", file.display()))?;
                recorded.costs.push(cost);
            }
        }
        Ok(recorded)
    }

    /// Writes down what requests cost.
    pub(crate) fn write(costs: &[(Kind, Cost)]) {
        let mut text = format!(
            "# What a request costs in user space: instructions, allocations, and which request.\n\
             # `cargo bench --bench guard -- --record` writes this file.\n\
             architecture {}\ncompiler {COMPILER}\n",
            std::env::consts::ARCH
        );
        text.extend(costs.iter().map(|(kind, cost)| {
            format!("{:6.0} {:5.2} {}\n", cost.instructions, cost.allocations, kind.name())
        }));
        fs::write(file(), text).expect("the file can be written");
    }

    /// Whether a request costs more now than is recorded.
    pub(crate) fn is_exceeded_by(&self, now: Cost, kind: Kind) -> bool {
        Verdict::of(now, self.cost(kind)) == Verdict::More
    }

    fn cost(&self, kind: Kind) -> Option<Cost> {
        self.costs.iter().find(|(name, _)| name == kind.name()).map(|(_, cost)| *cost)
    }

    /// Prints costs beside those that are recorded; returns how many are higher.
    pub(crate) fn compare(&self, costs: &[(Kind, Cost)]) -> usize {
        println!("| request | instructions | recorded | allocations | recorded | |");
        println!("| --- | ---: | ---: | ---: | ---: | --- |");
        let mut missed = 0;
        let mut fell = false;
        for (kind, now) in costs {
            let before = self.cost(*kind);
            let verdict = Verdict::of(*now, before);
            missed += usize::from(matches!(verdict, Verdict::More | Verdict::New));
            fell |= verdict == Verdict::Less;
            let told = |figure: Option<String>| figure.unwrap_or_else(|| "-".to_owned());
            println!(
                "| {} | {:.0} | {} | {:.2} | {} | {} |",
                kind.name(),
                now.instructions,
                told(before.map(|cost| format!("{:.0}", cost.instructions))),
                now.allocations,
                told(before.map(|cost| format!("{:.2}", cost.allocations))),
                verdict.word(),
            );
        }
        if missed > 0 || fell {
            println!("\nIf that is meant, record it: cargo bench --bench guard -- --record");
        }
        if self.other_compiler {
            println!("\nAnother compiler made what is recorded; this one is {COMPILER}.");
        }
        missed
    }
}

/// What is to be said of a cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Same,
    More,
    Less,
    New,
}

impl Verdict {
    fn of(now: Cost, before: Option<Cost>) -> Self {
        let Some(before) = before else { return Self::New };
        let more = now.instructions > before.instructions * SLACK
            || now.allocations > before.allocations + ROUNDING;
        let less = now.instructions < before.instructions / SLACK
            || now.allocations < before.allocations - ROUNDING;
        match (more, less) {
            (true, _) => Self::More,
            (false, true) => Self::Less,
            (false, false) => Self::Same,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Same => "ok",
            Self::More => "MORE",
            Self::Less => "less",
            Self::New => "NOT RECORDED",
        }
    }
}

/// `3120 0.00 the request`
fn cost(line: &str) -> Option<(String, Cost)> {
    let (instructions, rest) = line.trim().split_once(' ')?;
    let (allocations, name) = rest.trim().split_once(' ')?;
    let instructions = instructions.parse().ok()?;
    Some((name.to_owned(), Cost { instructions, allocations: allocations.parse().ok()? }))
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/guard/recorded.txt")
}
