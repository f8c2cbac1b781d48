//! Programs of a row. The kernel ends those that are left when the row's world ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A running program. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` in `folder`; what it prints goes to the file `name.out` there, unless it
    /// was told where.
    pub(crate) fn start(name: &str, mut command: Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.out"));
        let out = File::create(&log).expect("the log can be created");
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a file handle"))
            .stderr(out);
        Self::spawn(command, log)
    }

    /// Starts `command` as it is.
    pub(crate) fn spawn(mut command: Command, log: PathBuf) -> Self {
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("{command:?}: {error}; `tests/install` installs what is needed")
        });
        Self { child, log }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// How it ended, once it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Sends a signal to it.
    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended a moment ago, which is no failure.
        let _gone = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Ends it as a power cut would, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("a child of ours");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a program to its end; fails unless it succeeds.
pub(crate) fn done(program: &str, words: &str) {
    let mut command = Command::new(program);
    command.args(words.split_whitespace());
    succeed(&mut command);
}

/// Runs `command` to its end; fails unless it succeeds.
pub(crate) fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; `tests/install` installs what is needed")
    });
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}", err.trim());
}

/// Waits until something is `so`; gives how long that took. Fails when it is longer than `within`,
/// naming `what` was missed.
#[track_caller]
pub(crate) fn until(what: &str, within: Duration, mut so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < within, "not within {within:?}: {what}");
        thread::sleep(LOOK);
    }
    began.elapsed()
}

/// How the failure of a promise begins, as opposed to that of a row's own preparations.
pub(crate) const BROKEN: &str = "broken promise: ";

/// Fails unless a promise `holds`; `how` says how it was broken.
#[track_caller]
pub(crate) fn promise(holds: bool, how: impl FnOnce() -> String) {
    assert!(holds, "{BROKEN}{}", how());
}
