//! Several threads serve one port: the kernel shares connections out between their listeners.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;

use icecast_balancer::app::{App, Runtimes};
use icecast_balancer::reload;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::get;
use crate::support::{PATIENCE, PORTS, eventually, first_answer};

/// A thread with a runtime of its own, as the program has for each processor.
struct Thread {
    handle: Handle,
    /// Dropping it ends the thread.
    _end: oneshot::Sender<()>,
}

impl Thread {
    fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        thread::spawn(move || drop(runtime.block_on(ended)));
        Self { handle, _end: end }
    }

    /// Keeps it from doing anything until what is returned is dropped.
    fn hold(&self) -> mpsc::Sender<()> {
        let (free, freed) = mpsc::channel::<()>();
        let (say, said) = mpsc::channel();
        self.handle.spawn(async move {
            say.send(()).unwrap();
            assert!(freed.recv().is_err(), "nothing is ever sent");
        });
        said.recv_timeout(PATIENCE).expect("it runs");
        free
    }
}

/// So many that by chance no listener gets none of them.
const PLAYERS: usize = 64;

/// Players who have asked.
fn players(public: SocketAddr) -> Vec<TcpStream> {
    let ask = |_| {
        let mut player = TcpStream::connect(public).unwrap();
        player.write_all(get("/saal1.ogg").as_bytes()).unwrap();
        player.set_nonblocking(true).unwrap();
        player
    };
    (0..PLAYERS).map(ask).collect()
}

/// Those among them who are not answered yet.
fn take_answers(players: &mut Vec<TcpStream>) {
    players.retain_mut(|player| {
        let mut answer = [0; 1024];
        match player.read(&mut answer) {
            Ok(length) => {
                assert!(answer[..length].starts_with(b"HTTP/1.1 503"), "nothing is known yet");
                false
            }
            Err(_not_yet) => true,
        }
    });
}

#[tokio::test]
async fn each_thread_serves_its_share_while_another_one_is_held_up() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("balancer.yaml");
    let yaml =
        "servers: {r0: {url: 'http://127.0.0.1:9', state: disabled}}\nstreams: {/saal1.ogg: }\n";
    std::fs::write(&config, format!("{PORTS}{yaml}")).unwrap();
    let app = App::bind(config.clone(), reload::load(&config).unwrap()).unwrap();
    let public = app.public_addresses()[0];
    let threads = [Thread::start(), Thread::start()];
    let runtimes = Runtimes {
        public: threads.iter().map(|thread| thread.handle.clone()).collect(),
        control: Handle::current(),
    };
    let stop = CancellationToken::new();
    let admin = app.admin_address().unwrap();
    let running = tokio::spawn(app.run(runtimes, stop.clone().cancelled_owned()));
    eventually("it serves", async || first_answer(admin, get("/readyz")).await.status == 200).await;
    for thread in &threads {
        let held = thread.hold();
        let waiting = RefCell::new(players(public));
        eventually("the other thread serves its share", async || {
            take_answers(&mut waiting.borrow_mut());
            waiting.borrow().len() < PLAYERS
        })
        .await;
        drop(held);
        eventually("all are served", async || {
            take_answers(&mut waiting.borrow_mut());
            waiting.borrow().is_empty()
        })
        .await;
    }
    stop.cancel();
    running.await.unwrap().unwrap();
}
