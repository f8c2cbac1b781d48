//! `status`: the status page for a terminal, once and again and again.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::life::program::{command, text};
use crate::relay::Relay;
use crate::support::{Balancer, PATIENCE, eventually, servers_with};

/// With this a page that is drawn on a terminal ends.
const PAGE_END: &str = "\x1b[?2026l";

async fn station() -> (Relay, Balancer) {
    let relay = Relay::builder().mount("/a.ogg", 10).start().unwrap();
    relay.hold_listeners("/a.ogg", 5);
    let poll = "poll: {interval: 100ms, fast_interval: 100ms, timeout: 2s}\n";
    let yaml = format!("{poll}{}streams: {{/a.ogg: }}\n", servers_with(&[&relay], ""));
    (relay, Balancer::start(&yaml).await)
}

fn admin(balancer: &Balancer) -> String {
    format!("http://{}", balancer.admin)
}

/// A program that goes on and on, and what it has printed so far. Killed when dropped.
struct Watching {
    child: Child,
    printed: Arc<Mutex<Vec<u8>>>,
}

impl Watching {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut from = child.stdout.take().expect("a pipe");
        let printed = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&printed);
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut piece) {
                into.lock().unwrap().extend_from_slice(&piece[..length]);
            }
        });
        Self { child, printed }
    }

    fn printed(&self) -> String {
        text(&self.printed.lock().unwrap())
    }

    async fn until_printed(&self, words: &str) {
        eventually(&format!("it prints {words:?}"), async || self.printed().contains(words)).await;
    }

    /// Its exit code, once it has ended, which it must soon.
    async fn code(&mut self) -> Option<i32> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(tokio::time::Instant::now() < deadline, "it does not end:\n{}", self.printed());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn the_status_is_printed_once() {
    let (_relay, balancer) = station().await;
    let mut command = command(&["status", "--admin", &admin(&balancer)]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let shown = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{shown}");
    assert!(shown.contains("/a.ogg up, 4 free\n"), "{shown}");
    assert!(shown.contains("r0     ██████████░░░░░░░░░░     5     0     10     4\n"), "{shown}");
    assert!(shown.contains("\n1 relay\nRELAY  HEALTH  SOURCE"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    assert!(!shown.contains('\x1b'), "{shown:?}");
}

#[tokio::test]
async fn who_is_passed_over_and_a_configuration_that_is_refused_are_told() {
    let (relay, balancer) = station().await;
    relay.stop().await;
    balancer.until_health("r0", "down").await;
    balancer.edit("servers: {}\nstreams: {}\n");
    eventually("the file is refused", async || {
        balancer.status().await["config"]["refused"].is_string()
    })
    .await;
    let mut command = command(&["status", "--admin", &admin(&balancer)]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let shown = text(&output.stdout);
    assert!(shown.contains("    passed over: refuses connections\n"), "{shown}");
    assert!(shown.contains("/a.ogg down, 0 free\n"), "{shown}");
    assert!(shown.contains("is refused; the one before is in force:\n"), "{shown}");
    assert!(shown.contains("balancer.yaml:"), "{shown}");
}

#[tokio::test]
async fn without_a_balancer_it_says_so_and_ends_with_1() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", socket.local_addr().unwrap());
    for more in [&[][..], &["--watch"]] {
        let mut command = command(&[&["status", "--admin", &nobody], more].concat());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""));
        let complaint = text(&output.stderr);
        assert!(
            complaint.contains("the balancer does not answer on http://127.0.0.1:"),
            "{complaint}"
        );
    }
}

#[tokio::test]
async fn into_a_pipe_it_is_printed_anew_where_something_changes_and_only_there() {
    let (relay, balancer) = station().await;
    let mut watching =
        Watching::start(command(&["status", "--watch", "--admin", &admin(&balancer)]));
    watching.until_printed("4 free").await;
    let pages = |watching: &Watching| watching.printed().matches("icecast-balancer 0").count();
    // By then it has looked again at least twice.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(pages(&watching), 1, "{}", watching.printed());
    relay.hold_listeners("/a.ogg", 7);
    watching.until_printed("2 free").await;
    assert_eq!(pages(&watching), 2, "{}", watching.printed());
    assert!(!watching.printed().contains('\x1b'), "{:?}", watching.printed());
    let id = watching.child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    assert_eq!(watching.code().await, Some(0));
}

#[tokio::test]
async fn a_reader_that_goes_ends_it() {
    let (relay, balancer) = station().await;
    let mut child = command(&["status", "--watch", "--admin", &admin(&balancer)])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap());
    let read = tokio::task::spawn_blocking(move || {
        let mut first = String::new();
        from.read_line(&mut first).unwrap();
        (first, from)
    });
    let (first, from) = read.await.unwrap();
    assert!(first.starts_with("icecast-balancer "), "{first}");
    drop(from);
    relay.hold_listeners("/a.ogg", 7);
    let mut watching = Watching { child, printed: Arc::default() };
    assert_eq!(watching.code().await, Some(0));
}

/// The program on a terminal of its own, which `script` makes; what it is told to type goes there.
fn on_a_terminal(arguments: &[&str], variable: Option<(&str, &str)>) -> Command {
    let program = env!("CARGO_BIN_EXE_icecast-balancer");
    // A shell that stays between would be ended by the key as well: not all become what they run.
    let line = [&["exec", program], arguments].concat().join(" ");
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
    command.env("TERM", "xterm").env_remove("NO_COLOR").env_remove("RUST_LOG");
    command.envs(variable).stdin(Stdio::piped());
    command
}

#[tokio::test]
async fn on_a_terminal_it_is_redrawn_in_place_and_control_c_leaves_the_terminal_well() {
    let (relay, balancer) = station().await;
    let arguments = ["status", "--watch", "--admin", &admin(&balancer)];
    for (variable, is_coloured) in [(None, true), (Some(("NO_COLOR", "1")), false)] {
        relay.hold_listeners("/a.ogg", 5);
        let mut watching = Watching::start(on_a_terminal(&arguments, variable));
        eventually("a whole page has four slots", async || {
            let printed = watching.printed();
            printed.rsplit_once(PAGE_END).is_some_and(|(pages, _)| pages.contains("4 free"))
        })
        .await;
        let begun = watching.printed();
        assert!(begun.starts_with("\x1b[?1049h\x1b[?25l"), "{begun:?}");
        assert_eq!(begun.contains("\x1b[32m"), is_coloured, "{begun:?}");
        relay.hold_listeners("/a.ogg", 7);
        watching.until_printed("2 free").await;
        watching.child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
        assert_eq!(watching.code().await, Some(0));
        eventually("the terminal is given back", async || {
            // The kernel sends the signal first and shows the key after, so it may come last.
            let printed = watching.printed();
            printed.strip_suffix("^C").unwrap_or(&printed).ends_with("\x1b[?25h\x1b[?1049l")
        })
        .await;
    }
}

#[tokio::test]
async fn on_a_terminal_a_balancer_that_goes_is_told_and_the_last_page_stays() {
    let (_relay, balancer) = station().await;
    let arguments = ["status", "--watch", "--admin", &admin(&balancer)];
    let mut watching = Watching::start(on_a_terminal(&arguments, None));
    watching.until_printed("4 free").await;
    balancer.stop().await;
    watching.until_printed("the balancer does not answer").await;
    let printed = watching.printed();
    let (_, after) = printed.rsplit_once("the balancer does not answer").unwrap();
    let (screen, _) = after.split_once("\x1b[J").unwrap_or((after, ""));
    assert!(screen.contains("4 free"), "{printed:?}");
    assert!(watching.child.try_wait().unwrap().is_none(), "it goes on");
}
