//! One reading of the configuration: what it means or what is wrong with it, and by what a later
//! reading is told from it.
//!
//! The trace is taken of the very bytes that were understood, also where they were refused: a
//! secret file that comes a moment after the configuration that names it is a change, too.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::source::Sources;
use crate::files::Disk;
use crate::fleet::Fleet;
use crate::fleet::compile::{Outside, compile};
use crate::problem::Problems;

/// A configuration that was read, good or not.
pub(super) struct Reading {
    pub(super) trace: Trace,
    /// What it means, and the SHA-256 of its text in hexadecimal.
    pub(super) meaning: Result<(Fleet, String), Problems>,
}

/// What a reading was made of.
#[derive(Clone, PartialEq, Eq)]
pub struct Trace {
    /// SHA-256 of every byte, secrets included.
    fingerprint: [u8; 32],
    /// The files of the configuration and of the secrets it names.
    pub(super) files: Vec<PathBuf>,
}

impl Reading {
    /// Understands what was read.
    pub(super) fn of(sources: Result<Sources, Problems>) -> Self {
        let mut hash = Sha256::new();
        let mut files = Vec::new();
        match &sources {
            Ok(sources) => {
                hash.update(sources.digest());
                files.extend(sources.iter().map(|source| source.path().to_path_buf()));
            }
            Err(problems) => hash.update(problems.to_string()),
        }
        let outside = Recorder(RefCell::new((hash, files)));
        let meaning = sources.and_then(|sources| {
            let fleet = compile(&sources, &outside)?;
            Ok((fleet, sources.digest()))
        });
        let (hash, files) = outside.0.into_inner();
        Self { trace: Trace { fingerprint: hash.finalize().into(), files }, meaning }
    }
}

/// The disk and the environment, with a record of what was read of the disk.
struct Recorder(RefCell<(Sha256, Vec<PathBuf>)>);

impl Outside for Recorder {
    fn variable(&self, name: &str) -> Option<String> {
        Disk.variable(name)
    }

    fn secret(&self, path: &Path) -> io::Result<String> {
        let secret = Disk.secret(path);
        let (hash, files) = &mut *self.0.borrow_mut();
        hash.update(path.as_os_str().as_encoded_bytes());
        match &secret {
            Ok(text) => hash.update(text),
            // One that can be read from now on differs from one that could not.
            Err(error) => hash.update(error.to_string()),
        }
        if !files.iter().any(|known| known == path) {
            files.push(path.to_path_buf());
        }
        secret
    }
}

/// The fingerprint of a short secret would give it away to whoever can guess.
impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("files", &self.files).finish_non_exhaustive()
    }
}
