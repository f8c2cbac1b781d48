//! What those who watch over the program are told: systemd by its socket, containers by exit code.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::program::{Program, command, run, text};
use super::{VALID, servable};
use crate::support::PATIENCE;

/// A service manager, as far as it listens.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, folder }
    }

    /// Starts the program with this in its environment, too.
    async fn start(&self, environment: &[(&str, &str)]) -> (Program, TempDir) {
        let (folder, file) = servable(VALID);
        let mut command = command(&["--config", file.to_str().unwrap()]);
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        command.envs(environment.iter().copied());
        (Program::spawn(command).await, folder)
    }

    /// The next thing it is told.
    fn told(&self) -> String {
        let mut bytes = [0; 256];
        let length = self.socket.recv(&mut bytes).expect("something is told");
        text(&bytes[..length])
    }
}

#[tokio::test]
async fn systemd_is_told_when_it_is_ready_reloads_and_stops() {
    let manager = Manager::new();
    let (mut program, _folder) = manager.start(&[]).await;
    assert_eq!(manager.told().trim(), "READY=1");

    program.signal("HUP");

    // `notify-reload` wants to know that it is told of this signal and of no earlier one.
    let told = manager.told();
    assert!(told.contains("RELOADING=1\nMONOTONIC_USEC="), "{told:?}");
    assert_eq!(manager.told().trim(), "READY=1");

    program.signal("TERM");

    assert_eq!(manager.told().trim(), "STOPPING=1");
    assert_eq!(program.end().await.0, Some(0));
}

#[tokio::test]
async fn systemd_is_told_again_and_again_that_it_lives_if_it_wants_to_know() {
    let manager = Manager::new();
    let (program, _folder) = manager.start(&[("WATCHDOG_USEC", "200000")]).await;
    let told: Vec<_> = (0..4).map(|_| manager.told().trim().to_owned()).collect();
    assert_eq!(told.iter().filter(|word| *word == "READY=1").count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|word| *word == "WATCHDOG=1").count(), 3, "{told:?}");

    // What hangs says nothing, and systemd ends it. One word may have been on its way.
    program.signal("STOP");
    manager.socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let later = std::iter::from_fn(|| manager.socket.recv(&mut [0; 256]).ok()).take(4).count();
    assert!(later < 4, "a stopped program speaks");
}

#[tokio::test]
async fn a_balancer_that_serves_is_healthy() {
    let (_folder, file) = servable(VALID);
    let mut program = Program::start(&file, &[]).await;
    let admin = format!("http://{}", program.admin);
    assert_eq!(run(&["healthcheck", "--admin", &admin]).status.code(), Some(0));
    let by_name = admin.replace("127.0.0.1", "localhost");
    assert_eq!(run(&["healthcheck", "--admin", &by_name]).status.code(), Some(0));

    program.signal("KILL");
    program.end().await;

    let output = run(&["healthcheck", "--admin", &admin]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("does not answer: Connection refused"), "{stderr}");
}

#[test]
fn what_answers_otherwise_or_not_at_all_is_not_healthy() {
    for (answer, words) in [
        (&b"HTTP/1.1 503 Service Unavailable\r\n\r\n"[..], "answers \"HTTP/1.1 503"),
        (b"220 mail.example.org ESMTP\r\n", "answers \"220 mail"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "answers \"HTTP/1.1 2000"),
        (b"", "answers \"\""),
    ] {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = format!("http://{}", port.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut peer, _) = port.accept().unwrap();
            let head = BufReader::new(&peer).lines().map_while(Result::ok);
            assert_eq!(head.take_while(|line| !line.is_empty()).count(), 3);
            peer.write_all(answer).unwrap();
        });
        let output = run(&["healthcheck", "--admin", &admin]);
        server.join().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains(words), "{stderr}");
    }
}

#[test]
fn a_balancer_that_hangs_is_not_healthy_after_five_seconds() {
    // Its kernel accepts connections; nobody reads them.
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let output =
        run(&["healthcheck", "--admin", &format!("http://{}", port.local_addr().unwrap())]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("does not answer"), "{output:?}");
}

#[test]
fn what_is_no_url_of_an_admin_port_is_named() {
    for admin in ["127.0.0.1:9090", "https://127.0.0.1:9090", "file:///x", ""] {
        let output = run(&["healthcheck", "--admin", admin]);
        assert_eq!(output.status.code(), Some(1), "{admin}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains("is no URL such as http://127.0.0.1:9090"), "{stderr}");
    }
}
