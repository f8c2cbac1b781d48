//! The thread that writes: in batches, through every failure, and to an end that waits for nobody.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::counters::Counter;

use super::queue::{Line, Queue};

/// Where lines go.
#[derive(Debug)]
pub(super) enum Target {
    /// A stream that was there at the start.
    Stream(File),
    /// A file, and where it is when it is opened anew.
    File(File, PathBuf),
}

/// A queue and the thread that writes it down.
#[derive(Debug)]
pub(super) struct Writer<T> {
    queue: Arc<Queue<T>>,
    ended: Mutex<Receiver<Infallible>>,
}

/// How long a writer that was woken lets more lines come, so that many are written as one and whoever
/// tells seldom has to wake it.
const GATHER: Duration = Duration::from_millis(1);

/// What is written at once.
const BATCH: usize = 64 * 1024;

/// How long to let a stream be that takes nothing at the moment.
const BUSY: Duration = Duration::from_millis(10);

/// Losses are told at most so often.
const BETWEEN_WORDS: Duration = Duration::from_secs(1);

/// Everybody who may administer the machine may read a log, nobody else.
const MODE: u32 = 0o640;

impl Target {
    /// Standard output or error, whatever they are.
    pub(super) fn stream(stream: &impl AsFd) -> io::Result<Self> {
        // A second descriptor of the same thing: no buffer of the library is between, and no lock.
        Ok(Self::Stream(File::from(stream.as_fd().try_clone_to_owned()?)))
    }

    /// A file, which is made if it is not there, and added to if it is.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(MODE).open(path)?;
        Ok(Self::File(file, path.to_owned()))
    }

    /// Opens a file anew, by its path, as it is wanted after somebody has renamed it.
    fn reopen(&mut self) {
        let Self::File(_, path) = self else { return };
        match Self::file(path) {
            Ok(new) => {
                info!(file = %path.display(), "opened anew");
                *self = new;
            }
            Err(error) => {
                warn!(file = %path.display(), %error, "cannot be opened anew; the old one is used");
            }
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (Self::Stream(file) | Self::File(file, _)) = self;
        file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: Line> Writer<T> {
    /// Starts to write what is pushed; `name` is how losses are told of.
    pub(super) fn start(
        name: &'static str,
        target: Target,
        lost_in_all: &'static Counter,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(lost_in_all));
        let (end, ended) = sync_channel(1);
        let work = Work { name, queue: Arc::clone(&queue), target, told: Told::default(), end };
        thread::Builder::new().name(name.to_owned()).spawn(move || work.run())?;
        Ok(Self { queue, ended: ended.into() })
    }

    /// Has a line written, some time.
    pub(super) fn push(&self, line: T) {
        self.queue.push(line);
    }

    /// Has the file opened anew, some time.
    pub(super) fn reopen(&self) {
        self.queue.reopen();
    }

    /// Waits until what was pushed before is written, for so long.
    pub(super) fn finish(&self, limit: Duration) {
        self.queue.end();
        // Whoever came here first waits for the writer; the next one does not wait twice.
        if let Ok(ended) = self.ended.try_lock() {
            let Err(_ended_or_late) = ended.recv_timeout(limit);
        }
    }
}

/// What the thread has.
struct Work<T> {
    name: &'static str,
    queue: Arc<Queue<T>>,
    target: Target,
    told: Told,
    /// Dropped at the end.
    end: SyncSender<Infallible>,
}

/// Which losses were told of.
#[derive(Default)]
struct Told {
    lost: u64,
    at: Option<Instant>,
}

/// Lines to be written as one.
#[derive(Debug, Default)]
struct Batch {
    text: Vec<u8>,
    /// Where in the text each line ends.
    ends: Vec<usize>,
    /// The last line that was written lacks its end.
    is_torn: bool,
}

impl<T: Line> Work<T> {
    fn run(mut self) {
        self.queue.written_here();
        let mut batch = Batch::default();
        loop {
            if self.queue.reopens() {
                self.target.reopen();
            }
            // Asked before looking: what was pushed before the end is there.
            let is_ending = self.queue.is_ending();
            batch.fill(&self.queue);
            if !batch.ends.is_empty() {
                let ending = || self.queue.is_ending();
                match batch.write(&mut self.target, ending) {
                    Ok(()) => self.tell(),
                    Err(lost) => self.queue.lose(lost),
                }
            } else if is_ending {
                break;
            } else {
                thread::park();
                if !self.queue.is_ending() {
                    thread::sleep(GATHER);
                }
            }
        }
        drop(self.end);
    }

    /// Lines can be written again: tells how many could not.
    fn tell(&mut self) {
        let lost = self.queue.lost();
        let lately = self.told.at.is_some_and(|at| at.elapsed() < BETWEEN_WORDS);
        if lost == self.told.lost || (lately && !self.queue.is_ending()) {
            return;
        }
        let lines = lost - self.told.lost;
        self.told = Told { lost, at: Some(Instant::now()) };
        warn!(lines, "the {} has lost lines, which came faster than they were taken", self.name);
    }
}

impl Batch {
    /// Takes what waits.
    fn fill<T: Line>(&mut self, queue: &Queue<T>) {
        self.text.clear();
        self.ends.clear();
        while self.text.len() < BATCH
            && let Some(line) = queue.pop()
        {
            if self.is_torn && self.text.is_empty() {
                self.text.push(b'\n');
            }
            line.write_to(&mut self.text);
            self.ends.push(self.text.len());
        }
    }

    /// Writes what was taken, or says how many lines are lost.
    fn write(&mut self, target: &mut impl Write, is_ending: impl Fn() -> bool) -> Result<(), u64> {
        let mut written = 0;
        while let Some(rest) = self.text.get(written..).filter(|rest| !rest.is_empty()) {
            match target.write(rest) {
                Ok(bytes) if bytes > 0 => written += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody who shares the stream has made it one that never waits.
                Err(error) if error.kind() == ErrorKind::WouldBlock && !is_ending() => {
                    thread::sleep(BUSY);
                }
                Ok(_) | Err(_) => {
                    let whole = self.ends.iter().filter(|end| **end <= written).count();
                    let was_healed = self.is_torn && written == 1;
                    if written > 0 {
                        self.is_torn = !was_healed && !self.ends.contains(&written);
                    }
                    return Err(u64::try_from(self.ends.len() - whole).unwrap_or(u64::MAX));
                }
            }
        }
        self.is_torn = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
