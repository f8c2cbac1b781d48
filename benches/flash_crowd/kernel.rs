//! What the kernel counts of connections that did not get through at the first try.

use std::fs;

/// Counters of the whole machine since it started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trouble {
    /// Connections that came while a program's accept queue was full.
    pub(crate) overflows: u64,
    /// SYNs that were sent again.
    pub(crate) retries: u64,
}

impl Trouble {
    /// The counters now.
    pub(crate) fn now() -> Self {
        let counters = fs::read_to_string("/proc/net/netstat").unwrap_or_default();
        let counter = |name| value(&counters, name).unwrap_or(0);
        Self { overflows: counter("ListenOverflows"), retries: counter("TCPSynRetrans") }
    }

    /// What was added since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            overflows: self.overflows - earlier.overflows,
            retries: self.retries - earlier.retries,
        }
    }
}

/// The counter `name`: the file has a line of names and then one of values, for each protocol.
fn value(counters: &str, name: &str) -> Option<u64> {
    let lines: Vec<Vec<&str>> =
        counters.lines().map(|line| line.split_whitespace().collect()).collect();
    lines.chunks(2).find_map(|pair| {
        let at = pair.first()?.iter().position(|other| *other == name)?;
        pair.get(1)?.get(at)?.parse().ok()
    })
}
