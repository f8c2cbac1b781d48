//! A temporary folder with its own ports, where the programs of one test run.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::getuid;
use tempfile::TempDir;

/// Where everything of one test lives. It is the first thing a test makes and the last it drops.
pub(crate) struct Lab {
    root: TempDir,
    folders: AtomicU16,
}

impl Lab {
    /// An empty lab.
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("icecast-balancer-e2e-").tempdir().unwrap();
        // Icecast and the players run as other users, which must be able to come in.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { root, folders: AtomicU16::new(0) }
    }

    /// A new folder that belongs to `user`, for the program `name`.
    pub(crate) fn folder(&self, name: &str, user: &str) -> PathBuf {
        let number = self.folders.fetch_add(1, Ordering::Relaxed);
        let folder = self.root.path().join(format!("{number:02}-{name}"));
        fs::create_dir(&folder).unwrap();
        give(&folder, user);
        folder
    }
}

/// Gives a file or folder to `user`, where the tests run as root.
pub(crate) fn give(path: &Path, user: &str) {
    if getuid().is_root() {
        let (uid, gid) = account(user);
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}

/// A port that nobody listens on, and that no other test of this machine is about to use.
///
/// Icecast cannot be told to choose one itself. The ports are below those that the kernel gives to
/// outgoing connections, and tests that run at the same time begin to search at different places.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id().wrapping_mul(40) % u32::from(COUNT);
    let start = u16::try_from(start).expect("below the count");
    (0..COUNT)
        .map(|_| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// The numbers of a user and of its group.
fn account(user: &str) -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let fields = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields[0] == user)
        .unwrap_or_else(|| panic!("no user `{user}`: run `tests/install`, which installs Icecast"));
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}
