//! The database of countries on the disk: large, and so read again only when it is another.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::country::{Database, NotADatabase};

use super::{open, read_at_most};

/// Larger ones are refused: one of all cities has a quarter of this.
const MAX_DATABASE_BYTES: usize = 512 * 1024 * 1024;

/// A file as it was read, good or not, by which another one is told from it.
#[derive(Clone)]
pub struct Opened {
    path: PathBuf,
    /// `None`: it was written to while it was read.
    stamp: Option<Stamp>,
    /// Whether the stamp stands for the bytes. The clock of a file system is coarse: what is written
    /// to twice in a moment looks the same, so two readings must have found the same.
    confirmed: bool,
    /// SHA-256 of its bytes, or of why they could not be read.
    fingerprint: [u8; 32],
    database: Result<Arc<Database>, (io::ErrorKind, String)>,
}

/// How a file looks from outside. What was written to has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    length: u64,
    changed: (i64, i64),
}

impl Opened {
    /// The file at `path`, read if it is not one of those that are `known`.
    pub fn new(path: &Path, known: &[Self]) -> Self {
        let now = fs::metadata(path).ok().map(|file| Stamp::of(&file));
        let mut known = known.iter().filter(|known| known.path == path);
        if let Some(known) = known.clone().find(|known| known.confirmed && known.stamp == now) {
            return known.clone();
        }
        let (stamp, bytes) = match read(path) {
            Ok((stamp, bytes)) => (stamp, Ok(bytes)),
            Err(error) => (None, Err(error)),
        };
        let fingerprint: [u8; 32] = match &bytes {
            Ok(bytes) => Sha256::digest(bytes),
            Err(error) => Sha256::digest(error.to_string()),
        }
        .into();
        let same = known.find(|known| known.fingerprint == fingerprint);
        let database = match same {
            Some(same) => same.database.clone(),
            None => bytes.and_then(understand).map_err(|error| (error.kind(), error.to_string())),
        };
        let confirmed = stamp.is_some() && same.is_some_and(|same| same.stamp == stamp);
        Self { path: path.to_path_buf(), stamp, confirmed, fingerprint, database }
    }

    /// What is in it.
    pub fn database(&self) -> io::Result<Arc<Database>> {
        self.database.clone().map_err(|(kind, why)| io::Error::new(kind, why))
    }

    /// The same for the same bytes.
    pub fn fingerprint(&self) -> &[u8] {
        &self.fingerprint
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            file: (file.dev(), file.ino()),
            length: file.size(),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// The bytes of a file, and how it looked all the while.
fn read(path: &Path) -> io::Result<(Option<Stamp>, Vec<u8>)> {
    let file = open(path)?;
    let before = Stamp::of(&file.metadata()?);
    let bytes = read_at_most(file.try_clone()?, MAX_DATABASE_BYTES)?;
    let after = Stamp::of(&file.metadata()?);
    Ok((Some(after).filter(|after| *after == before), bytes))
}

fn understand(bytes: Vec<u8>) -> io::Result<Arc<Database>> {
    let invalid =
        |wrong: NotADatabase| io::Error::new(io::ErrorKind::InvalidData, wrong.to_string());
    Database::new(bytes).map(Arc::new).map_err(invalid)
}

/// The same file with the same bytes.
impl PartialEq for Opened {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.fingerprint == other.fingerprint
    }
}

impl Eq for Opened {}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, database, .. } = self;
        f.debug_struct("Opened").field("path", path).field("database", database).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURE: &[u8] = include_bytes!("../../tests/fixtures/geoip/country.mmdb");

    fn country(opened: &Opened) -> Option<String> {
        let database = opened.database().ok()?;
        database.country_of("192.0.2.1".parse().unwrap()).map(|country| country.to_string())
    }

    #[test]
    fn another_file_is_read_and_the_same_bytes_are_the_same_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("country.mmdb");
        fs::write(&path, FIXTURE).unwrap();
        let first = Opened::new(&path, &[]);
        assert_eq!(country(&first).as_deref(), Some("AT"));

        fs::write(folder.path().join("new"), FIXTURE).unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        let copy = Opened::new(&path, std::slice::from_ref(&first));
        assert_eq!(copy, first);
        assert!(Arc::ptr_eq(&copy.database().unwrap(), &first.database().unwrap()));

        fs::write(&path, &FIXTURE[..FIXTURE.len() / 2]).unwrap();
        let half = Opened::new(&path, &[first, copy.clone()]);
        assert_ne!(half, copy);
        assert_eq!(half.database().unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::write(&path, FIXTURE).unwrap();
        assert_eq!(country(&Opened::new(&path, &[half])).as_deref(), Some("AT"));
        fs::remove_file(&path).unwrap();
        assert!(Opened::new(&path, &[copy]).database().is_err());
    }

    #[test]
    fn what_two_readings_found_the_same_is_not_read_a_third_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("country.mmdb");
        fs::write(&path, FIXTURE).unwrap();
        let first = Opened::new(&path, &[]);
        // As if the file had been written to again within a tick of the clock.
        let other = Opened { fingerprint: [7; 32], ..first.clone() };
        assert_eq!(Opened::new(&path, &[other]), first, "one reading may have been too early");
        let second = Opened::new(&path, &[first]);
        assert!(second.confirmed);
        let marked = Opened { fingerprint: [7; 32], ..second };
        assert_eq!(
            Opened::new(&path, std::slice::from_ref(&marked)).fingerprint,
            [7; 32],
            "it was not read"
        );
        fs::write(&path, &FIXTURE[1..]).unwrap();
        assert_ne!(Opened::new(&path, &[marked]).fingerprint, [7; 32], "it was read");
    }
}
