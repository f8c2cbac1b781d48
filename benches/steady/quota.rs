//! A limit to a program's processor time, by a control group of the kernel.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A limited group. Dropping it takes it away, if its program has ended by then.
pub(crate) struct Quota {
    group: PathBuf,
}

impl Quota {
    /// Lets a process have so much processor time in each `period`, and nothing else keep it from
    /// that. An error says why that cannot
    /// be.
    pub(crate) fn set(process: u32, quota: Duration, period: Duration) -> Result<Self, String> {
        let (quota, period) = (quota.as_micros(), period.as_micros());
        let name = format!("icecast-balancer-steady-{process}");
        let first = Path::new("/sys/fs/cgroup/cpu");
        let second = Path::new("/sys/fs/cgroup");
        let (group, limits) = if first.join("cpu.cfs_quota_us").parent().is_some_and(Path::is_dir) {
            let limits = vec![
                ("cpu.cfs_period_us", period.to_string()),
                ("cpu.cfs_quota_us", quota.to_string()),
                ("cpu.shares", "262144".to_owned()),
            ];
            (first.join(name), limits)
        } else {
            (
                second.join(name),
                vec![("cpu.max", format!("{quota} {period}")), ("cpu.weight", "10000".to_owned())],
            )
        };
        let set = || -> io::Result<Self> {
            fs::create_dir(&group)?;
            let set = Self { group: group.clone() };
            for (file, value) in limits {
                fs::write(group.join(file), value)?;
            }
            fs::write(group.join("cgroup.procs"), process.to_string())?;
            Ok(set)
        };
        set().map_err(|error| format!("no limit by {}: {error}; are you root?", group.display()))
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.group) {
            eprintln!("{} is left: {error}", self.group.display());
        }
    }
}
