//! Who runs on which core.

use rustix::thread::{CpuSet, sched_setaffinity};

/// Where servers run.
pub(crate) const SERVERS: usize = 0;

/// Where everything else does, but clients that share the servers' core.
pub(crate) const OTHERS: usize = 1;

/// Keeps this thread, and those it will start, on a core.
pub(crate) fn stay_on(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).expect("this machine has two cores");
}
