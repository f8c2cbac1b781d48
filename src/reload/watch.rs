//! Hints that a file may have changed.
//!
//! Three things are watched for each file: its folder, which hears renames and deletions; the file
//! itself, which is all that hears a write to a file that was mounted alone into a container; and
//! the folder of the file that it links to. No event is dismissed by its name, since the swap of a
//! Kubernetes volume names the file in none.

use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// What an event says of the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    /// Something happened that is over: a rename, a deletion, a file closed after writing.
    Done,
    /// Something was written, by a writer that may go on.
    Writing,
}

/// Watches until dropped.
#[derive(Debug)]
pub(super) struct Watch {
    /// Kept for its `Drop`, which ends the watching.
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches everything through which one of `paths` can change. An error says why changes will
    /// be noticed late; what can be watched is watched none the less.
    pub(super) fn over(
        paths: &[PathBuf],
        hints: &mpsc::Sender<Hint>,
    ) -> (Option<Self>, notify::Result<()>) {
        let hints = hints.clone();
        let watcher = notify::recommended_watcher(move |event| {
            if let Some(hint) = hint(event) {
                // A full channel holds hints enough.
                let _enough = hints.try_send(hint).is_err();
            }
        });
        let mut watcher = match watcher {
            Ok(watcher) => watcher,
            Err(error) => return (None, Err(error)),
        };
        let mut folders_watched = Ok(());
        for path in paths {
            let folder = folder_of(path);
            let heard = watcher.watch(&folder, RecursiveMode::NonRecursive);
            folders_watched = folders_watched.and(heard);
            let target = path.canonicalize().ok();
            let beyond = target.as_deref().map(folder_of).filter(|beyond| *beyond != folder);
            for more in [Some(path.clone()), beyond].into_iter().flatten() {
                // These may not exist, and the folder tells when they come.
                drop(watcher.watch(&more, RecursiveMode::NonRecursive));
            }
        }
        (Some(Self { _watcher: watcher }), folders_watched)
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Reading a file is an event too; to heed that would be to read for ever.
fn hint(event: notify::Result<Event>) -> Option<Hint> {
    match event.map(|event| event.kind) {
        Ok(EventKind::Access(AccessKind::Close(AccessMode::Write))) => Some(Hint::Done),
        Ok(EventKind::Access(_)) => None,
        Ok(EventKind::Modify(ModifyKind::Data(_))) => Some(Hint::Writing),
        // An error may mean that events were lost.
        Ok(_) | Err(_) => Some(Hint::Done),
    }
}
