//! Instructions that a program runs in user space, counted by valgrind: the one cost that does not
//! depend on what else a machine does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What each thread of a program ran, by the order in which they began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Instructions(BTreeMap<u32, u64>);

/// `program` under valgrind, which leaves its counts in `folder` when the program ends. Arguments
/// are yet to be added.
pub(crate) fn under(program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--separate-threads=yes", "--quiet"]);
    command.arg(format!("--callgrind-out-file={}/callgrind.out", folder.display()));
    command.arg(program);
    command
}

impl Instructions {
    /// What was left in `folder`.
    pub(crate) fn counted(folder: &Path) -> Self {
        let files = fs::read_dir(folder).expect("the folder is there").flatten();
        let counts = files.filter_map(|file| {
            let name = file.file_name().into_string().ok()?;
            // `callgrind.out` itself is a sum, or empty where there is more than one thread.
            let thread = name.strip_prefix("callgrind.out-")?.parse().ok()?;
            let text = fs::read_to_string(file.path()).ok()?;
            let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: "))?;
            Some((thread, total.trim().parse().ok()?))
        });
        Self(counts.collect())
    }

    /// Of the thread that ran most beyond what it did in `less`, so much.
    pub(crate) fn busiest_beyond(&self, less: &Self) -> u64 {
        let beyond = |(thread, count): (&u32, &u64)| {
            count.saturating_sub(less.0.get(thread).copied().unwrap_or(0))
        };
        self.0.iter().map(beyond).max().unwrap_or(0)
    }
}
