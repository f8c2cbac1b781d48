//! What the machine did meanwhile: for us, for others, and not at all.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Of one core, so much may go to other programs in a round.
const OTHERS: f64 = 0.10;

/// Of one core, so much may the hypervisor take away.
const STOLEN: f64 = 0.02;

/// The kernel's clock ticks in a second, in which it tells processor time.
const TICKS: f64 = 100.0;

/// The machine at one moment.
#[derive(Debug)]
pub(crate) struct Moment {
    at: Instant,
    /// Ticks that the hypervisor took.
    stolen: f64,
    /// Ticks of every process, with those of its children that ended.
    processes: BTreeMap<u32, f64>,
}

/// What the machine did besides, as shares of one core.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Besides {
    others: f64,
    stolen: f64,
}

impl Moment {
    /// The machine now.
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let first = stat.lines().next().unwrap_or_default();
        let stolen = first.split_whitespace().nth(8).and_then(|ticks| ticks.parse().ok());
        Self { at: Instant::now(), stolen: stolen.unwrap_or(0.0), processes: processes() }
    }

    /// What the machine has done since, but for this program and those of `ours`.
    pub(crate) fn besides(&self, ours: &[u32]) -> Besides {
        let now = Self::now();
        let ticks = (now.at - self.at).as_secs_f64() * TICKS;
        let is_ours = |process: &u32| ours.contains(process) || *process == std::process::id();
        let spent = |moment: &Self| -> f64 {
            moment.processes.iter().filter(|(process, _)| !is_ours(process)).map(|(_, t)| t).sum()
        };
        Besides {
            others: ((spent(&now) - spent(self)) / ticks).max(0.0),
            stolen: (now.stolen - self.stolen) / ticks,
        }
    }
}

impl Besides {
    /// Both, as a share of one core.
    pub(crate) fn of_a_core(self) -> f64 {
        self.others + self.stolen
    }

    /// Whether it was so much that measurements tell more about that than about us.
    pub(crate) fn too_much(self) -> bool {
        self.others > OTHERS || self.stolen > STOLEN
    }
}

impl std::fmt::Display for Besides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |share: f64| share * 100.0;
        let (others, stolen) = (percent(self.others), percent(self.stolen));
        write!(f, "other programs {others:.0} % of a core, stolen {stolen:.0} %")
    }
}

/// Ticks of every process but the kernel's own, whose work is mostly for us.
fn processes() -> BTreeMap<u32, f64> {
    const KTHREADD: &str = "2";
    let folders = fs::read_dir("/proc").expect("/proc can be read").flatten();
    let ids = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name stands in parentheses, and may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        if fields.get(1) == Some(&KTHREADD) {
            return None;
        }
        let ticks = fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        Some((id, ticks))
    })
    .collect()
}

/// The processor time of all threads of a process.
pub(crate) fn threads_cpu(process: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("it runs").flatten();
    let ids = threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok());
    ids.map(thread_cpu).sum()
}

/// The processor time of one thread, as its scheduler counts it; none of one that has ended.
pub(crate) fn thread_cpu(thread: u32) -> Duration {
    let schedstat = fs::read_to_string(format!("/proc/{thread}/schedstat")).unwrap_or_default();
    let nanos = schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Bytes of memory that a process has.
pub(crate) fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = resident.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// Crowds need connections: more than most shells allow. Without the right to have so many, what is
/// allowed must do.
pub(crate) fn allow_many_files() {
    const MANY: Option<u64> = Some(200_000);
    let limits = getrlimit(Resource::Nofile);
    let at_most = |current| setrlimit(Resource::Nofile, Rlimit { current, maximum: current });
    at_most(MANY).or_else(|_| at_most(limits.maximum)).expect("the hard limit is allowed");
}
