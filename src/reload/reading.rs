//! One reading of the configuration: what it means or what is wrong with it, and by what a later
//! reading is told from it.
//!
//! The trace is taken of the very bytes that were understood, also where they were refused: a
//! secret file that comes a moment after the configuration that names it is a change, too. A
//! database of countries is large, and only read where it is not the one that was read before.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::config::source::Sources;
use crate::country::Database;
use crate::files::{Disk, Opened};
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
    /// The files of the configuration, and those it names.
    pub(super) files: Vec<PathBuf>,
    /// The database of countries.
    pub(super) database: Option<Opened>,
}

impl Reading {
    /// Understands what was read. A database that is `known` and has not changed is not read again.
    pub(super) fn of(sources: Result<Sources, Problems>, known: &[Opened]) -> Self {
        let mut hash = Sha256::new();
        let mut files = Vec::new();
        match &sources {
            Ok(sources) => {
                hash.update(sources.digest());
                files.extend(sources.iter().map(|source| source.path().to_path_buf()));
            }
            Err(problems) => hash.update(problems.to_string()),
        }
        let record = Trace { fingerprint: [0; 32], files, database: None };
        let outside = Recorder { known, record: RefCell::new((hash, record)) };
        let meaning = sources.and_then(|sources| {
            let fleet = compile(&sources, &outside)?;
            Ok((fleet, sources.digest()))
        });
        let (hash, record) = outside.record.into_inner();
        Self { trace: Trace { fingerprint: hash.finalize().into(), ..record }, meaning }
    }
}

impl Trace {
    fn add(&mut self, path: &Path) {
        if !self.files.iter().any(|known| known == path) {
            self.files.push(path.to_path_buf());
        }
    }
}

/// The disk and the environment, with a record of what was read of the disk.
struct Recorder<'a> {
    known: &'a [Opened],
    record: RefCell<(Sha256, Trace)>,
}

impl Outside for Recorder<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        Disk.variable(name)
    }

    fn now(&self) -> Option<SystemTime> {
        Disk.now()
    }

    fn secret(&self, path: &Path) -> io::Result<String> {
        let secret = Disk.secret(path);
        let (hash, record) = &mut *self.record.borrow_mut();
        hash.update(path.as_os_str().as_encoded_bytes());
        match &secret {
            Ok(text) => hash.update(text),
            // One that can be read from now on differs from one that could not.
            Err(error) => hash.update(error.to_string()),
        }
        record.add(path);
        secret
    }

    fn database(&self, path: &Path) -> io::Result<Arc<Database>> {
        let opened = Opened::new(path, self.known);
        let (hash, record) = &mut *self.record.borrow_mut();
        hash.update(path.as_os_str().as_encoded_bytes());
        hash.update(opened.fingerprint());
        record.add(path);
        record.database.insert(opened).database()
    }
}

/// The fingerprint of a short secret would give it away to whoever can guess.
impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("files", &self.files).finish_non_exhaustive()
    }
}
