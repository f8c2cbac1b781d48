//! A bad configuration is refused by all who read one: by `check`, at the start, and by a reload.
//! And nobody who listens notices.

use std::collections::HashSet;
use std::fs;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use icecast_balancer::fleet::Fleet;
use icecast_balancer::fleet::changes::{Changes, Named};
use icecast_balancer::reload::{Outcome, load};
use secrecy::ExposeSecret;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::corpus::{Case, cuts, everything, mistakes, monsters, synonyms};
use super::post_reload;
use crate::life::program::{self, Program};
use crate::relay::Relay;
use crate::support::{Balancer, PATIENCE, PORTS, raw};

const STREAM: &str = "/saal1.ogv";

const SUCCESSFUL: &str = "icecast_balancer_config_last_reload_successful";

/// What one of the three says of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Refused,
    Accepted,
}
use Verdict::{Accepted, Refused};

/// A balancer with everything configured, and somebody who asks it for a stream all the time.
struct Scene {
    _relay: Relay,
    folder: TempDir,
    good: String,
    fleet: Fleet,
    balancer: Balancer,
    digest: Value,
    player: Patient,
}

impl Scene {
    async fn new() -> Self {
        let relay = Relay::builder().unlimited(STREAM).start().unwrap();
        let good = everything(&relay.url());
        let folder = with_secrets();
        let file = folder.path().join("balancer.yaml");
        fs::write(&file, &good).unwrap();
        let fleet = load(&file).unwrap_or_else(|problems| panic!("{problems}")).fleet;
        let balancer = Balancer::start_at(&file).await;
        let digest = balancer.status().await["config"]["sha256"].clone();
        let player = Patient::start(balancer.public);
        Self { _relay: relay, folder, good, fleet, balancer, digest, player }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("balancer.yaml")
    }

    /// What a file means compared with the good one; `None`: it is refused.
    fn means_the_same(&self, path: &Path) -> Option<bool> {
        load(path).ok().map(|loaded| same(&loaded.fleet, &self.fleet))
    }

    /// Has a bad configuration reloaded.
    async fn refuses(&self, case: &Case) {
        let name = &case.name;
        fs::write(self.file(), &case.bytes).unwrap();
        let expected = load(&self.file()).map(|_| ()).expect_err(name).to_string();
        assert_eq!(self.reload().await, (422, expected), "{name}");
        let config = self.balancer.status().await["config"].clone();
        assert_eq!(config["sha256"], self.digest, "{name}");
        assert!(config["refused"].is_string(), "{name}");
        assert_eq!(self.balancer.metric(SUCCESSFUL).await, Some(0.0), "{name}");
    }

    /// Has a configuration reloaded that is written differently and means the same.
    async fn accepts(&self, case: &Case) {
        fs::write(self.file(), &case.bytes).unwrap();
        assert_eq!(self.reload().await, (200, String::new()), "{}", case.name);
        assert_eq!(self.balancer.metric(SUCCESSFUL).await, Some(1.0), "{}", case.name);
    }

    /// What `POST /-/reload` answers, however long that takes: to refuse a bomb of aliases takes
    /// seconds where nothing is optimized.
    async fn reload(&self) -> (u16, String) {
        match self.balancer.reload.reload().await.expect("it runs") {
            Outcome::Unchanged | Outcome::Applied(_) => (200, String::new()),
            Outcome::Rejected(why) => (422, why),
        }
    }

    async fn restore(&self, after: &str) {
        fs::write(self.file(), &self.good).unwrap();
        assert_eq!(self.reload().await.0, 200, "{after}");
        assert_eq!(self.balancer.metric(SUCCESSFUL).await, Some(1.0), "{after}");
    }

    /// Ends it; tells how many requests the player made meanwhile, none of which failed.
    async fn end(self) -> u64 {
        let (answered, failed) = self.player.stop().await;
        assert_eq!(failed, 0, "of {answered}");
        self.balancer.stop().await;
        answered
    }
}

/// Somebody who asks for a stream two hundred times a second.
struct Patient {
    stop: Arc<AtomicBool>,
    counts: Arc<[AtomicU64; 2]>,
    asking: JoinHandle<()>,
}

impl Patient {
    fn start(to: SocketAddr) -> Self {
        let (stop, counts) =
            (Arc::new(AtomicBool::new(false)), Arc::new([const { AtomicU64::new(0) }; 2]));
        let asking = tokio::spawn({
            let (stop, counts) = (Arc::clone(&stop), Arc::clone(&counts));
            async move {
                let request =
                    format!("GET {STREAM} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                while !stop.load(Relaxed) {
                    let answer = raw(to, &request).await;
                    counts[usize::from(answer.status != 302)].fetch_add(1, Relaxed);
                    sleep(Duration::from_millis(5)).await;
                }
            }
        });
        Self { stop, counts, asking }
    }

    /// How many requests were answered well, and how many not.
    async fn stop(self) -> (u64, u64) {
        self.stop.store(true, Relaxed);
        self.asking.await.unwrap();
        let [answered, failed] = &*self.counts;
        (answered.load(Relaxed), failed.load(Relaxed))
    }
}

/// A folder with the secrets that the configurations name.
fn with_secrets() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["token", "password"] {
        fs::write(folder.path().join(name), format!("the {name}\n")).unwrap();
    }
    folder
}

fn same(one: &Fleet, other: &Fleet) -> bool {
    let token = |fleet: &Fleet| fleet.admin_token.as_ref().map(|t| t.expose_secret().to_owned());
    Changes::between(one, other) == Changes::default()
        && (&one.listen, one.admin, token(one)) == (&other.listen, other.admin, token(other))
}

/// The cases as files in a folder, in their order.
fn written(cases: &[Case]) -> (TempDir, Vec<PathBuf>) {
    let folder = with_secrets();
    let paths = cases.iter().enumerate().map(|(number, case)| {
        let path = folder.path().join(format!("{number:05}.yaml"));
        fs::write(&path, &case.bytes).unwrap();
        path
    });
    let paths = paths.collect();
    (folder, paths)
}

/// What one run of `check` says of each file.
fn checked(paths: &[PathBuf]) -> Vec<Verdict> {
    let mut command = program::command(&["check", "--format", "json"]);
    let output = command.args(paths).output().unwrap();
    let problems: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(if problems.is_empty() { 0 } else { 2 }));
    let bad: HashSet<&Path> =
        problems.iter().filter_map(|p| p["file"].as_str().map(Path::new)).collect();
    // The files of a directory are told apart.
    let is_bad =
        |path: &PathBuf| bad.contains(&**path) || bad.iter().any(|file| file.starts_with(path));
    let verdict = |path| if is_bad(path) { Refused } else { Accepted };
    paths.iter().map(verdict).collect()
}

/// What a start says, and after which time; a program that does start is ended.
fn started(path: &Path) -> (Verdict, Duration) {
    let began = Instant::now();
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = program::command(&["--config"]);
    command.arg(path).stdout(Stdio::null()).stderr(log.reopen().unwrap());
    let mut child = command.spawn().unwrap();
    let told = || fs::read_to_string(log.path()).unwrap();
    let verdict = loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(2), "{}: {}", path.display(), told());
            break Refused;
        }
        if told().contains("players are served on") {
            break Accepted;
        }
        assert!(began.elapsed() < PATIENCE * 3, "{} neither starts nor ends", path.display());
        std::thread::sleep(Duration::from_millis(1));
    };
    let took = began.elapsed();
    // It may have ended, which is as good.
    drop(child.kill());
    child.wait().unwrap();
    (verdict, took)
}

/// Tries all cases in all ways; returns how many were refused, and how many mean the same.
#[expect(clippy::print_stdout, reason = "what is promised is counted and shown")]
async fn all_agree(scene: &Scene, cases: &[Case], start_every: usize) -> (usize, usize) {
    let (_folder, paths) = written(cases);
    let (mut refused, mut equal) = (0, 0);
    let mut slowest = Duration::ZERO;
    for ((number, case), (path, check)) in
        cases.iter().enumerate().zip(paths.iter().zip(checked(&paths)))
    {
        match scene.means_the_same(path) {
            None => {
                refused += 1;
                assert_eq!(check, Refused, "{}", case.name);
                scene.refuses(case).await;
            }
            Some(true) => {
                equal += 1;
                assert_eq!(check, Accepted, "{}", case.name);
                scene.accepts(case).await;
            }
            Some(false) => panic!("accepted, and means something else: {}", case.name),
        }
        // A good one ends the refusal, and not only the first time.
        if number % 10 == 9 {
            scene.restore(&case.name).await;
        }
        if number % start_every == 0 {
            let (start, took) = started(path);
            assert_eq!(start, check, "{}", case.name);
            if start == Refused {
                slowest = slowest.max(took);
            }
        }
    }
    let starts = cases.len().div_ceil(start_every);
    println!(
        "{} cases: {refused} refused, {equal} mean the same; {starts} starts, refused after \
         {slowest:?} at most",
        cases.len()
    );
    (refused, equal)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mistake_in_every_key_is_refused_by_all_three() {
    let scene = Scene::new().await;
    let (refused, equal) = all_agree(&scene, &mistakes(&scene.good), 10).await;
    assert!(refused >= 400, "{refused}");
    assert_eq!(equal, 0);
    println!("{} requests meanwhile, 0 failed", scene.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monsters_are_refused_by_all_three_and_synonyms_by_none() {
    let scene = Scene::new().await;
    let (refused, equal) = all_agree(&scene, &monsters(&scene.good), 1).await;
    assert_eq!((refused > 50, equal), (true, 0), "{refused}");
    let synonyms = synonyms(&scene.good);
    assert_eq!(all_agree(&scene, &synonyms, 4).await, (0, synonyms.len()));
    println!("{} requests meanwhile, 0 failed", scene.end().await);
}

/// A file that was cut between two lines may be a good configuration by itself, and nobody can see
/// that more was meant. It lacks what comes after the cut, and may have half a last value; all
/// before it must be as it was.
fn lacks_only_its_end(cut: &Fleet, whole: &Fleet) -> bool {
    let changes = Changes::between(whole, cut);
    let last = cut.streams.last().map(|stream| &stream.path);
    let mut odd = changes.streams.changed.iter().chain(&changes.streams.added);
    changes.servers == Named::default() && !changes.settings && odd.all(|path| Some(path) == last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_cut_at_any_byte_is_refused_by_all_three_or_lacks_only_its_end() {
    let scene = Scene::new().await;
    let cases = cuts(&scene.good);
    let (_folder, paths) = written(&cases);
    let (mut refused, mut complete) = (0, 0);
    for (number, (case, (path, check))) in
        cases.iter().zip(paths.iter().zip(checked(&paths))).enumerate()
    {
        let name = &case.name;
        if let Ok(loaded) = load(path) {
            complete += 1;
            assert_eq!(check, Accepted, "{name}");
            assert!(lacks_only_its_end(&loaded.fleet, &scene.fleet), "{name}");
            continue;
        }
        refused += 1;
        assert_eq!(check, Refused, "{name}");
        if number % 50 == 0 {
            scene.refuses(case).await;
            assert_eq!(started(path).0, Refused, "{name}");
        } else {
            fs::write(scene.file(), &case.bytes).unwrap();
            assert_eq!(scene.reload().await.0, 422, "{name}");
        }
    }
    scene.restore("all cuts").await;
    println!("{} cuts: {refused} refused, {complete} are whole in themselves", cases.len());
    assert!(refused > 1_000 && complete < 100, "{refused} {complete}");
    println!("{} requests meanwhile, 0 failed", scene.end().await);
}

#[test]
fn the_example_cut_at_any_byte_is_refused_or_lacks_only_its_end() {
    let text = include_str!("../../../examples/congress.yaml");
    let cases = cuts(text);
    let (folder, paths) = written(&cases);
    let file = folder.path().join("whole");
    fs::write(&file, text).unwrap();
    let whole = load(&file).unwrap_or_else(|problems| panic!("{problems}")).fleet;
    for (case, (path, check)) in cases.iter().zip(paths.iter().zip(checked(&paths))) {
        match load(path) {
            Ok(loaded) => {
                assert_eq!(check, Accepted, "{}", case.name);
                assert!(lacks_only_its_end(&loaded.fleet, &whole), "{}", case.name);
            }
            Err(_) => assert_eq!(check, Refused, "{}", case.name),
        }
    }
}

/// Runs a program of the system.
fn run(words: &[&str], path: &Path) {
    let status = Command::new(words[0]).args(&words[1..]).arg(path).status().expect(words[0]);
    assert!(status.success(), "{words:?}");
}

/// What it is called, and how it is put there.
type Obstacle = (&'static str, fn(&Path));

/// What may stand at a path and is no file that can be read.
const OBSTACLES: [Obstacle; 9] = [
    ("nothing", |_| ()),
    ("a directory", |path| fs::create_dir(path).unwrap()),
    ("a pipe", |path| run(&["mkfifo"], path)),
    ("a socket", |path| drop(UnixListener::bind(path).unwrap())),
    ("a device without end", |path| symlink("/dev/zero", path).unwrap()),
    ("a terminal", |path| symlink("/dev/ptmx", path).unwrap()),
    ("a link to nowhere", |path| symlink("nowhere", path).unwrap()),
    ("a link to itself", |path| symlink(path, path).unwrap()),
    ("a directory with a pipe", |path| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("a.yaml"), "servers: {one: 'http://127.0.0.1:9'}\n").unwrap();
        fs::write(path.join("b.yaml"), "streams: {/a: }\n").unwrap();
        run(&["mkfifo"], &path.join("c.yaml"));
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_file_is_refused_by_a_start_and_a_reload_and_holds_up_neither() {
    let scene = Scene::new().await;
    for (name, put) in OBSTACLES {
        fs::remove_file(scene.file()).unwrap();
        put(&scene.file());
        assert_eq!(started(&scene.file()).0, Refused, "{name}");
        let answer = post_reload(scene.balancer.admin).await;
        assert_eq!(answer.status, 422, "{name}");
        let expected = load(&scene.file()).map(|_| ()).expect_err(name).to_string();
        assert_eq!(answer.body, expected, "{name}");
        // `check` may be given a pipe, which it waits for.
        if name != "a pipe" {
            assert_eq!(checked(&[scene.file()]), [Refused], "{name}");
        }
        let there = fs::symlink_metadata(scene.file()).map(|there| there.is_dir());
        match there {
            Ok(true) => fs::remove_dir_all(scene.file()).unwrap(),
            Ok(false) => fs::remove_file(scene.file()).unwrap(),
            Err(_) => {}
        }
        scene.restore(name).await;
    }
    scene.end().await;
}

/// The program as a user who is not root: root reads everything.
fn as_nobody(arguments: &[&str]) -> Command {
    let program = program::command(arguments);
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout != b"0\n" {
        return program;
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    command.arg(program.get_program()).args(arguments).stdin(Stdio::null());
    command.env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET");
    command
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_refused_by_all_three() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(folder.path(), 0o755);
    let file = folder.path().join("balancer.yaml");
    let yaml = "servers: {one: 'http://127.0.0.1:9'}\nstreams: {/a: }\n";
    fs::write(&file, format!("{PORTS}{yaml}")).unwrap();
    mode(&file, 0o644);
    let arguments = ["--config", file.to_str().unwrap()];
    let program = Program::spawn(as_nobody(&arguments)).await;
    mode(&file, 0);
    let answer = post_reload(program.admin).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.body.contains("the file cannot be read: Permission denied"), "{answer:?}");
    for arguments in [arguments, ["check", file.to_str().unwrap()]] {
        let output = as_nobody(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    assert_ne!(program.get("/a").await.status, 404);
    mode(&file, 0o644);
    assert_eq!(post_reload(program.admin).await.status, 200);
}
