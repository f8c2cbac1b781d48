//! The configuration's files, secrets and database from the disk and the environment.
//!
//! Whatever stands under a name, to read it ends soon: only regular files are opened, no more is
//! read of them than a configuration can need, and a pipe or a device that nobody writes to is a
//! problem and not a wait.

mod database;

use std::env;
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::clock;
use crate::config::source::{MAX_BYTES, Sources};
use crate::country::Database;
use crate::fleet::compile::Outside;
use crate::problem::{Problem, Problems};

pub use database::Opened;

/// A secret is a line, not a document.
const MAX_SECRET_BYTES: usize = 64 * 1024;

/// All files of a directory together.
pub const MAX_TOTAL_BYTES: usize = 8 * MAX_BYTES;

/// Files of a directory.
pub const MAX_FILES: usize = 1_000;

/// The real environment and the real disk.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Outside for Disk {
    fn variable(&self, name: &str) -> Option<String> {
        env::var(name).ok()
    }

    fn secret(&self, path: &Path) -> io::Result<String> {
        let bytes = read_at_most(open(path)?, MAX_SECRET_BYTES)?;
        String::from_utf8(bytes)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))
    }

    fn database(&self, path: &Path) -> io::Result<Arc<Database>> {
        Opened::new(path, &[]).database()
    }

    fn now(&self) -> Option<SystemTime> {
        Some(clock::now())
    }
}

/// Reads a configuration: one file, or every `*.yaml` of a directory in the order of their names
/// (names that begin with a dot are left out).
pub fn read(path: &Path) -> Result<Sources, Problems> {
    let cannot = |error: io::Error| Problems::from(unreadable(path, &error));
    if !fs::metadata(path).map_err(cannot)?.is_dir() {
        let text = text(path, open)?;
        return Ok(Sources::new(path, text));
    }
    let files = yaml_files(path).map_err(cannot)?;
    let too_much = |what: String| {
        let problem = Problem::with_file(path.display().to_string(), what);
        problem.help("keep only this balancer's configuration in the directory")
    };
    if files.len() > MAX_FILES {
        return Err(too_much(format!("more than {MAX_FILES} *.yaml files are in it")).into());
    }
    let mut sources: Option<Sources> = None;
    let mut problems = Vec::new();
    let mut total = 0;
    for file in files {
        match text(&file, open) {
            Ok(text) => {
                total += text.len();
                if total > MAX_TOTAL_BYTES {
                    let most = MAX_TOTAL_BYTES / 1024;
                    problems.push(too_much(format!("its files are larger than {most} KiB")));
                    break;
                }
                sources = Some(match sources {
                    None => Sources::new(file, text),
                    Some(sources) => sources.and(file, text),
                });
            }
            Err(found) => problems.extend(found.iter().cloned()),
        }
    }
    match (Problems::of(problems), sources) {
        (Some(problems), _) => Err(problems),
        (None, Some(sources)) => Ok(sources),
        (None, None) => {
            let problem = Problem::with_file(path.display().to_string(), "no *.yaml file is in it");
            Err(problem.help("add one; names that begin with a dot are left out").into())
        }
    }
}

/// The same for somebody who reads once and follows no changes, and who may therefore name a pipe:
/// `check <(kustomize build …)`. It waits for the pipe's writers.
pub fn read_once(path: &Path) -> Result<Sources, Problems> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        return Ok(Sources::new(path, text(path, |path| File::open(path))?));
    }
    read(path)
}

fn yaml_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        // A Kubernetes ConfigMap's files are links; what they lead to counts.
        if path.extension().is_some_and(|extension| extension == "yaml")
            && !hidden
            && !path.is_dir()
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn text(path: &Path, open: fn(&Path) -> io::Result<File>) -> Result<String, Problems> {
    let bytes = open(path)
        .and_then(|file| read_at_most(file, MAX_BYTES))
        .map_err(|error| Problems::from(unreadable(path, &error)))?;
    let wrong = |message: &str, help: &str| {
        Problems::from(Problem::with_file(path.display().to_string(), message).help(help))
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        let help = "a configuration has at least `servers:` and `streams:`";
        return Err(wrong("the file is empty", help));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = valid.split(|byte| *byte == b'\n').count();
        wrong(&format!("line {line} is not UTF-8"), "save the file in the encoding UTF-8")
    })
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let message = format!("the file cannot be read: {error}");
    let help = match error.kind() {
        io::ErrorKind::NotFound => "check the path; `-c PATH` names another file or directory",
        io::ErrorKind::PermissionDenied => "let the user that the balancer runs as read it",
        io::ErrorKind::FileTooLarge => "split it into several files in a directory",
        io::ErrorKind::InvalidInput => {
            "write the configuration to a file, or to files in a directory"
        }
        _ => "check the path",
    };
    Problem::with_file(path.display().to_string(), message).help(help)
}

/// Opens a regular file, or the one that a link leads to.
fn open(path: &Path) -> io::Result<File> {
    // Looked at first, since to open a device may do something.
    refuse_unless_regular(fs::metadata(path)?.file_type())?;
    // And looked at again, since it may have been replaced. To open a pipe without O_NONBLOCK is
    // to wait for a writer.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    refuse_unless_regular(file.metadata()?.file_type())?;
    Ok(file)
}

fn refuse_unless_regular(what: FileType) -> io::Result<()> {
    let kind = if what.is_file() {
        return Ok(());
    } else if what.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    } else if what.is_fifo() {
        "a pipe"
    } else if what.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {kind}, not a regular file")))
}

fn read_at_most(file: File, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        let message = format!("larger than {} KiB", most / 1024);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    #[test]
    fn a_directory_gives_its_yaml_files_in_order() {
        let folder =
            folder(&[("b.yaml", b"b"), ("a.yaml", b"a"), (".c.yaml", b"c"), ("d.txt", b"d")]);
        let sources = read(folder.path()).unwrap();
        let (a, b) = (folder.path().join("a.yaml"), folder.path().join("b.yaml"));
        assert_eq!(sources, Sources::new(a, "a").and(b, "b"));
    }

    #[test]
    fn a_directory_without_yaml_is_a_problem() {
        let folder = folder(&[("a.txt", b"a")]);
        assert!(read(folder.path()).unwrap_err().to_string().contains("no *.yaml file"));
    }

    #[test]
    fn every_unreadable_file_of_a_directory_is_named() {
        let folder = folder(&[("a.yaml", b""), ("b.yaml", b"x: \xff")]);
        let text = read(folder.path()).unwrap_err().to_string();
        assert!(text.contains("the file is empty"), "{text}");
        assert!(text.contains("line 1 is not UTF-8"), "{text}");
    }

    #[test]
    fn a_missing_file_is_a_problem_with_its_path() {
        let text = read(Path::new("/nonexistent/b.yaml")).unwrap_err().to_string();
        assert!(text.contains("/nonexistent/b.yaml"), "{text}");
    }

    #[test]
    fn a_file_that_is_too_large_is_a_problem() {
        let folder = folder(&[("a.yaml", &vec![b'#'; MAX_BYTES + 1])]);
        let text = read(&folder.path().join("a.yaml")).unwrap_err().to_string();
        assert!(text.contains("larger than 1024 KiB"), "{text}");
    }
}
