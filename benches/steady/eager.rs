//! What `overload` is compared with: a redirector that accepts whoever comes, and answers in turn.
//!
//! Nothing is wrong with it until more come than it can answer. Then what it has goes into accepting
//! players who will not be there any more when it is their turn.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::support::lab::free_port;
use crate::support::process::eventually;

/// Says on the command line that this program is to be one.
pub(crate) const WORD: &str = "--be-eager-at";

/// A running one. Dropping it ends it.
pub(crate) struct Eager {
    child: Child,
    address: SocketAddr,
}

impl Eager {
    /// Starts it, and waits until it answers.
    pub(crate) fn start() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(std::env::current_exe().expect("a file"));
        command.args([WORD, &address.to_string(), "--bench"]).stdin(Stdio::null());
        let eager = Self { child: command.spawn().expect("setpriv starts"), address };
        eventually("it accepts", Duration::from_secs(10), || TcpStream::connect(address).ok());
        eager
    }

    /// Where players ask.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Eager {
    fn drop(&mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }
}

/// Is one, for ever.
pub(crate) fn serve(address: &str) {
    let listener = TcpListener::bind(address).expect("a free port");
    let (accepted, waiting) = channel();
    thread::spawn(move || waiting.into_iter().for_each(answer));
    for player in listener.incoming().flatten() {
        accepted.send(player).expect("somebody answers");
    }
}

fn answer(mut player: TcpStream) {
    let _no_timeout = player.set_read_timeout(Some(Duration::from_secs(1)));
    let mut head = [0; 4096];
    if matches!(player.read(&mut head), Ok(1..)) {
        let _gone = player.write_all(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/saal1.ogg\r\n\
              Content-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
}
