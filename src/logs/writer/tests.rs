//! What becomes of lines when nobody takes them.

use std::fs;
use std::io::{BufRead, BufReader, PipeReader, Read, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::super::queue::MOST_LINES;
use super::*;

struct Numbered(usize);

impl Line for Numbered {
    fn weight(&self) -> usize {
        100
    }

    fn write_to(self, text: &mut Vec<u8>) {
        text.extend(format!("line {:094}\n", self.0).bytes());
    }
}

/// Takes so many bytes of each piece, then fails so often, then takes everything.
struct Disk {
    free: usize,
    failures: usize,
    taken: Vec<u8>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.free == 0 && self.failures == 0 {
            self.taken.extend(bytes);
            return Ok(bytes.len());
        }
        if self.free == 0 {
            self.failures -= 1;
            return Err(ErrorKind::StorageFull.into());
        }
        let some = bytes.len().min(self.free);
        self.free -= some;
        self.taken.extend(&bytes[..some]);
        Ok(some)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The longest wait for anything; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn counter() -> &'static Counter {
    Box::leak(Box::default())
}

fn writer_to_pipe() -> (Writer<Numbered>, PipeReader) {
    let (reader, writer) = pipe().unwrap();
    let target = Target::Stream(File::from(OwnedFd::from(writer)));
    (Writer::start("log", target, counter()).unwrap(), reader)
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "this never came true: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Three lines at a time, to a disk.
fn three(queue: &Queue<Numbered>, batch: &mut Batch, disk: &mut Disk) -> Result<(), u64> {
    (0..3).for_each(|number| queue.push(Numbered(number)));
    batch.fill(queue);
    batch.write(disk, || false)
}

#[test]
fn lines_come_out_in_order_and_whole() {
    let (writer, mut reader) = writer_to_pipe();
    (0..500).for_each(|number| writer.push(Numbered(number)));
    writer.finish(PATIENCE);
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let numbers =
        text.lines().map(|line| line.strip_prefix("line ").unwrap().parse::<usize>().unwrap());
    assert!(numbers.eq(0..500));
}

#[test]
fn a_disk_that_fills_costs_the_lines_that_it_does_not_take() {
    let (queue, mut batch) = (Queue::new(counter()), Batch::default());
    // A line and a half fit.
    let mut disk = Disk { free: 150, failures: 2, taken: Vec::new() };
    assert_eq!(three(&queue, &mut batch, &mut disk), Err(2));
    assert_eq!(three(&queue, &mut batch, &mut disk), Err(3), "it is still full");
    assert_eq!(three(&queue, &mut batch, &mut disk), Ok(()), "it is not any more");
    let text = String::from_utf8(disk.taken).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.iter().map(|line| line.len()).collect::<Vec<_>>(), [99, 50, 99, 99, 99]);
}

#[test]
fn a_disk_that_fills_at_the_end_of_a_line_has_no_line_cut() {
    for free in [100, 200] {
        let (queue, mut batch) = (Queue::new(counter()), Batch::default());
        let mut disk = Disk { free, failures: 1, taken: Vec::new() };
        assert_eq!(three(&queue, &mut batch, &mut disk), Err(3 - free as u64 / 100));
        assert_eq!(three(&queue, &mut batch, &mut disk), Ok(()));
        let text = String::from_utf8(disk.taken).unwrap();
        assert!(text.lines().all(|line| line.len() == 99), "{text}");
    }
}

#[test]
fn a_cut_line_is_ended_once_however_often_the_disk_is_full() {
    let (queue, mut batch) = (Queue::new(counter()), Batch::default());
    let mut disk = Disk { free: 50, failures: 1, taken: Vec::new() };
    assert_eq!(three(&queue, &mut batch, &mut disk), Err(3));
    // Now the line break alone fits.
    (disk.free, disk.failures) = (1, 1);
    assert_eq!(three(&queue, &mut batch, &mut disk), Err(3));
    assert_eq!(three(&queue, &mut batch, &mut disk), Ok(()));
    let text = String::from_utf8(disk.taken).unwrap();
    assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [50, 99, 99, 99]);
}

#[test]
fn a_reader_that_stops_holds_up_nobody_and_loses_what_does_not_fit() {
    let (writer, mut reader) = writer_to_pipe();
    let all = 4 * MOST_LINES;
    (0..all).for_each(|number| writer.push(Numbered(number)));
    let lost = writer.queue.lost();
    // The pipe holds 64 KiB, the writer a batch, the queue the rest.
    let most = MOST_LINES + 2 * (64 * 1024 / 100 + 1);
    assert!(lost >= (all - most) as u64, "only {lost} of {all} are lost");
    let took = Instant::now();
    writer.finish(Duration::from_millis(50));
    assert!(took.elapsed() < PATIENCE, "the end waits for the reader");

    // It reads again, and gets everything else.
    let mut text = String::new();
    let queue = Arc::clone(&writer.queue);
    drop(writer);
    reader.read_to_string(&mut text).unwrap();
    let lines = text.lines().count();
    assert_eq!(lines as u64 + queue.lost(), all as u64);
    assert_eq!(queue.lost_in_all(), queue.lost());
}

#[test]
fn a_reader_that_has_gone_costs_only_lines() {
    let (writer, reader) = writer_to_pipe();
    drop(reader);
    writer.push(Numbered(0));
    until("the line is counted", || writer.queue.lost() == 1);
    writer.push(Numbered(1));
    until("the next one is counted", || writer.queue.lost() == 2);
    writer.finish(PATIENCE);
}

#[test]
fn a_stream_that_never_waits_loses_nothing_that_its_reader_takes_in_time() {
    let (reader, writer) = pipe().unwrap();
    // Through a process that shares it: the flag belongs to both.
    let script = "import fcntl, os; fcntl.fcntl(1, fcntl.F_SETFL, os.O_NONBLOCK | os.O_WRONLY)";
    let status = Command::new("python3")
        .args(["-c", script])
        .stdout(Stdio::from(writer.try_clone().unwrap()))
        .status()
        .expect("python3 is needed: apt-get install python3");
    assert!(status.success());
    let target = Target::Stream(File::from(OwnedFd::from(writer)));
    let writer = Writer::start("log", target, counter()).unwrap();
    // More than the pipe holds.
    (0..2_000).for_each(|number| writer.push(Numbered(number)));
    let reading = thread::spawn(move || {
        let lines = BufReader::new(reader).lines().take(2_000);
        assert_eq!(lines.map_while(Result::ok).count(), 2_000);
    });
    until("everything has arrived", || reading.is_finished());
    reading.join().unwrap();
    assert_eq!(writer.queue.lost(), 0);
}

#[test]
fn a_file_that_was_renamed_is_opened_anew_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let [path, old] = ["access.log", "access.log.1"].map(|name| folder.path().join(name));
    let writer = Writer::start("log", Target::file(&path).unwrap(), counter()).unwrap();
    let lines = |path: &Path| fs::read_to_string(path).unwrap_or_default().lines().count();
    writer.push(Numbered(1));
    until("the first line is there", || lines(&path) == 1);
    fs::rename(&path, &old).unwrap();
    writer.push(Numbered(2));
    until("the second line is in the old file", || lines(&old) == 2);
    writer.reopen();
    until("there is a new file", || path.exists());
    writer.push(Numbered(3));
    writer.finish(PATIENCE);
    assert_eq!((lines(&old), lines(&path)), (2, 1));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777 & !0o640, 0);
}

#[test]
fn a_file_that_cannot_be_opened_anew_is_written_to_on() {
    let folder = tempfile::tempdir().unwrap();
    let [inside, moved] = ["in", "moved"].map(|name| folder.path().join(name));
    fs::create_dir(&inside).unwrap();
    let target = Target::file(&inside.join("access.log")).unwrap();
    let writer = Writer::start("log", target, counter()).unwrap();
    fs::rename(&inside, &moved).unwrap();
    writer.reopen();
    writer.push(Numbered(1));
    writer.finish(PATIENCE);
    assert_eq!(fs::read_to_string(moved.join("access.log")).unwrap().lines().count(), 1);
    assert_eq!(writer.queue.lost(), 0);
}
