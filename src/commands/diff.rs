//! `diff`: what a change of the configuration would do.

use std::fmt;

use serde::Serialize;

use crate::cli::{Diff, TableFormat};
use crate::fleet::changes::Changes;
use crate::fleet::{Fleet, ServerState, Stream};
use crate::reload;

use super::{Done, FAILED};

/// Compares what two configurations mean.
pub fn diff(arguments: &Diff, coloured: bool) -> Done {
    let load = |path| reload::load_once(path).map(|loaded| loaded.fleet);
    let (old, new) = match (load(&arguments.old), load(&arguments.new)) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => {
            let all = [old.err(), new.err()].into_iter().flatten();
            return Done::bad(all, coloured);
        }
    };
    let difference = Difference::between(&old, &new);
    let code = if difference.is_none() { 0 } else { FAILED };
    match arguments.format {
        TableFormat::Human => Done::told(difference.to_string(), code),
        TableFormat::Json => Done::json(&difference, code),
    }
}

/// What differs between two configurations.
#[derive(Debug, Serialize)]
struct Difference {
    #[serde(skip)]
    changes: Changes,
    /// Servers, streams and settings that differ: `+` new, `-` gone, `~` changed.
    changed: Vec<String>,
    /// Streams whose mounts or capacity differ.
    streams: Vec<StreamDifference>,
    /// Keys that take effect only after a restart.
    restart_required: Vec<&'static str>,
}

/// What differs of a stream. A stream that is not there has no mounts.
#[derive(Debug, Serialize)]
struct StreamDifference {
    path: String,
    before: Capacity,
    after: Capacity,
    added: Vec<String>,
    removed: Vec<String>,
}

/// What a stream can carry by its configuration alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Capacity {
    /// Mounts on servers that get listeners.
    mounts: usize,
    /// Listeners that these may have; absent: unlimited, or told by the relays alone.
    slots: Option<u64>,
}

impl Difference {
    fn between(old: &Fleet, new: &Fleet) -> Self {
        let changes = Changes::between(old, new);
        let as_streams = |fleet: &Fleet| fleet.clone().with_patterns_as_streams();
        let (old, new) = (&as_streams(old), &as_streams(new));
        let gone = old.streams.iter().filter(|stream| find(new, &stream.path).is_none());
        let pairs = new.streams.iter().map(|stream| (find(old, &stream.path), Some(&**stream)));
        let pairs = pairs.chain(gone.map(|stream| (Some(&**stream), None)));
        let streams = pairs.filter_map(|(before, after)| {
            let path = &after.or(before)?.path;
            let mounts = [mounts(old, before), mounts(new, after)];
            let [before, after] = [capacity(old, before), capacity(new, after)];
            let [was, is] = &mounts;
            let difference = StreamDifference {
                path: path.clone(),
                before,
                after,
                added: is.iter().filter(|mount| !was.contains(mount)).cloned().collect(),
                removed: was.iter().filter(|mount| !is.contains(mount)).cloned().collect(),
            };
            let same = before == after && was == is;
            (!same).then_some(difference)
        });
        let restart = [("listen", old.listen != new.listen), ("admin", old.admin != new.admin)];
        Self {
            changed: changes.to_string().lines().map(str::to_owned).collect(),
            changes,
            streams: streams.collect(),
            restart_required: restart
                .into_iter()
                .filter_map(|(key, changed)| changed.then_some(key))
                .collect(),
        }
    }

    fn is_none(&self) -> bool {
        self.changes == Changes::default()
            && self.streams.is_empty()
            && self.restart_required.is_empty()
    }
}

/// For people.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return writeln!(f, "both mean the same");
        }
        for line in &self.changed {
            writeln!(f, "{line}")?;
        }
        if !self.restart_required.is_empty() {
            writeln!(f, "a restart is needed for: {}", self.restart_required.join(", "))?;
        }
        for stream in &self.streams {
            let (before, after) = (stream.before.told(), stream.after.told());
            if stream.before == stream.after {
                writeln!(f, "\n{}: {after}, as before", stream.path)?;
            } else {
                writeln!(f, "\n{}: {before} → {after}", stream.path)?;
            }
            for (sign, mounts) in [('+', &stream.added), ('-', &stream.removed)] {
                for mount in mounts {
                    writeln!(f, "  {sign} {mount}")?;
                }
            }
        }
        Ok(())
    }
}

fn find<'a>(fleet: &'a Fleet, path: &str) -> Option<&'a Stream> {
    fleet.streams.iter().map(|stream| &**stream).find(|stream| stream.path == path)
}

/// The mounts of a stream in words, those first that get listeners.
fn mounts(fleet: &Fleet, stream: Option<&Stream>) -> Vec<String> {
    let mounts = stream.into_iter().flat_map(|stream| &stream.mounts);
    let told = mounts.filter_map(|mount| {
        let server = fleet.servers.get(mount.server)?;
        let limits = [mount.max_listeners, server.max_listeners];
        let limit = limits.into_iter().flatten().min().map(|limit| format!("{limit} listeners"));
        let weight = (mount.weight != 1).then(|| format!("weight {}", mount.weight));
        let tier = (mount.tier != 0).then(|| format!("tier {}", mount.tier));
        let inactive = server.state != ServerState::Active;
        let state = inactive.then(|| server.state.label().to_owned());
        let place = Some(format!("{} {}", server.name, mount.path));
        let words: Vec<_> = [place, limit, weight, tier, state].into_iter().flatten().collect();
        Some(words.join(", "))
    });
    told.collect()
}

fn capacity(fleet: &Fleet, stream: Option<&Stream>) -> Capacity {
    let mounts = stream.into_iter().flat_map(|stream| &stream.mounts);
    let active = mounts.filter_map(|mount| {
        let server = fleet.servers.get(mount.server)?;
        let by_bandwidth = server.max_bandwidth.and_then(|bits| bits.checked_div(mount.bitrate));
        let limits = [mount.max_listeners, server.max_listeners, by_bandwidth];
        let limit = limits.into_iter().flatten().min();
        (server.state == ServerState::Active).then_some(limit)
    });
    let limits: Vec<Option<u64>> = active.collect();
    Capacity {
        mounts: limits.len(),
        slots: limits.into_iter().try_fold(0_u64, |sum, limit| Some(sum.saturating_add(limit?))),
    }
}

impl Capacity {
    fn told(self) -> String {
        let mounts = match self.mounts {
            0 => return "nowhere".to_owned(),
            1 => "1 mount".to_owned(),
            mounts => format!("{mounts} mounts"),
        };
        match self.slots {
            Some(slots) => format!("{slots} listeners on {mounts}"),
            None => format!("{mounts} without a configured limit"),
        }
    }
}
