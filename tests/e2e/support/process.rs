//! Programs that never outlive the test that started them.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getuid, kill_process_group};

/// How long a program may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How much of a log is shown when a test fails.
const TAIL: usize = 6_000;

/// Lines that are not shown then: what the test itself asked Icecast all the time, polls that went
/// well, and what Chromium says where there is no desktop.
const DULL: [&str; 3] = ["admin/", ".xsl HTTP/1.1\" 200", "dbus"];

/// A running program. Dropping it ends it, and everything it started.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// A program to run, as one of the machine's users.
pub(crate) struct Program {
    command: Command,
    name: String,
    input: Stdio,
}

impl Program {
    /// The program `name` of the Debian package `package`, run as the tests' own user.
    pub(crate) fn new(name: &str, package: &str) -> Self {
        Self::of_user(name, package, None)
    }

    /// The same, run as `user` (a name, and its group's) where the tests run as root: Icecast and
    /// VLC refuse to be root.
    pub(crate) fn new_as(user: (&str, &str), name: &str, package: &str) -> Self {
        Self::of_user(name, package, getuid().is_root().then_some(user))
    }

    /// Where the balancer itself is.
    pub(crate) const BALANCER: &str = env!("CARGO_BIN_EXE_icecast-balancer");

    /// The balancer itself.
    pub(crate) fn balancer() -> Self {
        Self::at(Self::BALANCER, None)
    }

    /// The example `name` of this package, which Cargo puts beside the tests.
    pub(crate) fn example(name: &str) -> Self {
        let here = std::env::current_exe().expect("this test is a file");
        let built = here.ancestors().nth(2).expect("target/debug").join("examples").join(name);
        assert!(built.is_file(), "{} is not built: run `cargo build --examples`", built.display());
        Self::at(built.to_str().expect("a path in UTF-8"), None)
    }

    fn of_user(name: &str, package: &str, user: Option<(&str, &str)>) -> Self {
        require(name, package);
        Self::at(name, user)
    }

    fn at(name: &str, user: Option<(&str, &str)>) -> Self {
        require("setpriv", "util-linux");
        // The kernel ends the program with the thread that started it, however that one ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some((user, group)) = user {
            command.args(["--reuid", user, "--regid", group, "--clear-groups"]);
        }
        command.arg("--").arg(name);
        Self { command, name: file_name(name), input: Stdio::null() }
    }

    /// Adds arguments.
    pub(crate) fn args<I, S>(mut self, args: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        self.command.args(args);
        self
    }

    /// Adds the arguments in `words`, which are separated by spaces.
    pub(crate) fn words(self, words: &str) -> Self {
        self.args(words.split_whitespace())
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Lets it read `file`.
    pub(crate) fn input(mut self, file: File) -> Self {
        self.input = file.into();
        self
    }

    /// Starts it in `dir`; what it prints goes to a file there.
    pub(crate) fn start(mut self, dir: &Path) -> Process {
        let log = dir.join(format!("{}.out", self.name));
        let out = File::create(&log).expect("the log can be created");
        self.command
            .current_dir(dir)
            .stdin(self.input)
            .stdout(out.try_clone().expect("a file handle"))
            .stderr(out)
            .process_group(0);
        let child = self.command.spawn().expect("setpriv starts");
        Process { name: self.name, child, log }
    }

    /// Runs it to its end in `dir`; gives its exit code and all it printed.
    pub(crate) fn run(self, dir: &Path) -> (Option<i32>, String) {
        let mut process = self.start(dir);
        let what = format!("{} has ended", process.name);
        let status = eventually(&what, Duration::from_secs(120), || process.ended());
        (status.code(), process.printed())
    }
}

impl Process {
    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// All it has printed so far.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// How it ended, once it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Seconds of processor time that it has used.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which may have anything in it, time is the 12th and 13th, in 1/100 s.
        let (_, behind) = stat.rsplit_once(')').expect("a name in brackets");
        let ticks = behind.split_whitespace().skip(11).take(2);
        ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
    }

    /// Sends a signal to it and to all it started.
    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended a moment ago, which is no failure.
        let _gone = kill_process_group(Pid::from_child(&self.child), signal);
    }

    /// Ends it: asks with `signal`, kills what does not listen, and waits until it is gone.
    pub(crate) fn stop_with(&mut self, signal: Signal) {
        if self.ended().is_none() {
            self.signal(signal);
            let deadline = Instant::now() + GRACE;
            while self.ended().is_none() && Instant::now() < deadline {
                thread::sleep(LOOK);
            }
        }
        // The group may hold others that are still there.
        self.signal(Signal::KILL);
        self.child.wait().expect("a child of ours");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop_with(Signal::TERM);
        if thread::panicking() {
            show(&self.name, &self.log);
        }
    }
}

/// Prints the end of a log, for whoever reads why a test failed.
pub(crate) fn show(name: &str, log: &Path) {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let dull = |line: &&str| DULL.iter().any(|word| line.contains(word));
    let lines: Vec<&str> = text.lines().filter(|line| !dull(line)).collect();
    let text = lines.join("\n");
    let mut from = text.len().saturating_sub(TAIL);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let (_, tail) = text.split_at(from);
    eprintln!("--- {name}: {}\n{}\n", log.display(), tail.trim_end());
}

/// Waits until `look` finds what it looks for, and gives it; fails when that takes longer than
/// `within`, naming `what` was missed.
pub(crate) fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        thread::sleep(LOOK);
    }
}

/// Fails, with the remedy, unless `program` is installed.
fn require(program: &str, package: &str) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    assert!(
        found,
        "`{program}` is not installed: run `apt-get install --no-install-recommends {package}`, \
         or `tests/install`, which installs all that the tests need"
    );
}

fn file_name(program: &str) -> String {
    Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned()
}
