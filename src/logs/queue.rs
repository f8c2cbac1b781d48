//! Between those who tell and the thread that writes: bounded, without a lock, without waiting.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::thread::{self, Thread};

use crossbeam_queue::SegQueue;

use crate::counters::Counter;

/// How many lines may wait to be written; where several tell at once, each of them one more.
pub(super) const MOST_LINES: usize = 8 * 1024;

/// How many bytes the lines that wait may have together.
pub(super) const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What waits to be written.
pub(super) trait Line: Send + 'static {
    /// How many bytes it takes, about.
    fn weight(&self) -> usize;

    /// Appends what is to be written, with the line break at its end.
    fn write_to(self, text: &mut Vec<u8>);
}

/// The lines that wait to be written, and what their writer is asked to do.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// Takes room for what waits alone, which is hardly ever much.
    lines: SegQueue<T>,
    bytes: AtomicUsize,
    lost: AtomicU64,
    lost_in_all: &'static Counter,
    writer: OnceLock<Thread>,
    is_ending: AtomicBool,
    reopens: AtomicBool,
}

impl<T: Line> Queue<T> {
    /// An empty one, which counts what it loses in `lost_in_all` as well.
    pub(super) fn new(lost_in_all: &'static Counter) -> Self {
        Self {
            lines: SegQueue::new(),
            bytes: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            lost_in_all,
            writer: OnceLock::new(),
            is_ending: AtomicBool::new(false),
            reopens: AtomicBool::new(false),
        }
    }

    /// Has a line written, or loses it where too many wait already.
    pub(super) fn push(&self, line: T) {
        let weight = line.weight();
        let bytes = self.bytes.fetch_add(weight, Relaxed).saturating_add(weight);
        if bytes <= MOST_BYTES && self.lines.len() < MOST_LINES {
            self.lines.push(line);
            self.wake();
        } else {
            self.bytes.fetch_sub(weight, Relaxed);
            self.lose(1);
        }
    }

    /// The next line to be written.
    pub(super) fn pop(&self) -> Option<T> {
        let line = self.lines.pop()?;
        self.bytes.fetch_sub(line.weight(), Relaxed);
        Some(line)
    }

    /// Counts lines that could not be written.
    pub(super) fn lose(&self, lines: u64) {
        self.lost.fetch_add(lines, Relaxed);
        self.lost_in_all.add(lines);
    }

    /// How many lines were lost since the program's start.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// The same as everybody counts it.
    #[cfg(test)]
    pub(super) fn lost_in_all(&self) -> u64 {
        self.lost_in_all.get()
    }

    /// Names the thread that writes: the one that calls this.
    pub(super) fn written_here(&self) {
        self.writer.get_or_init(thread::current);
    }

    /// Asks the writer to write what waits, and to end.
    pub(super) fn end(&self) {
        self.is_ending.store(true, SeqCst);
        self.wake();
    }

    /// Whether the writer is to end.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(SeqCst)
    }

    /// Asks the writer to open its file anew.
    pub(super) fn reopen(&self) {
        self.reopens.store(true, SeqCst);
        self.wake();
    }

    /// Whether the file is to be opened anew; asked once for each request.
    pub(super) fn reopens(&self) -> bool {
        self.reopens.swap(false, SeqCst)
    }

    /// Costs a system call only where the writer sleeps.
    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Heavy(usize);

    impl Line for Heavy {
        fn weight(&self) -> usize {
            self.0
        }

        fn write_to(self, _text: &mut Vec<u8>) {}
    }

    fn queue() -> Queue<Heavy> {
        Queue::new(Box::leak(Box::default()))
    }

    #[test]
    fn lines_that_find_no_place_are_lost_and_counted() {
        let queue = queue();
        for _ in 0..MOST_LINES + 3 {
            queue.push(Heavy(1));
        }
        assert_eq!((queue.lost(), queue.lost_in_all()), (3, 3));
        assert!(queue.pop().is_some());
        queue.push(Heavy(1));
        assert_eq!(queue.lost(), 3, "there is room again");
    }

    #[test]
    fn few_lines_that_are_long_find_no_place_either() {
        let queue = queue();
        queue.push(Heavy(MOST_BYTES - 1));
        queue.push(Heavy(2));
        assert_eq!(queue.lost(), 1);
        queue.push(Heavy(1));
        assert_eq!(queue.lost(), 1, "what is lost takes no room");
        while queue.pop().is_some() {}
        queue.push(Heavy(MOST_BYTES));
        assert_eq!(queue.lost(), 1, "what was written takes no room");
    }
}
