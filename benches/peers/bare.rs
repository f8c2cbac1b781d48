//! A server that answers everybody the same, whatever was asked: what a redirect costs that nobody
//! has thought about.
//!
//! It reads no request, and knows no slow client: whatever comes is a whole request. Nothing in user
//! space can be much cheaper.

use std::collections::HashMap;
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, OwnedFd};

use icecast_balancer::server;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};

/// Says on the command line that this program is to be one.
pub(crate) const WORD: &str = "--be-bare-at";

/// What it answers, as long as ours.
const KEEP: &[u8] = b"HTTP/1.1 302 Found\r\naccess-control-allow-origin: *\r\n\
    cache-control: no-store\r\nlocation: http://relay01.example.org:8000/stream1.ogg\r\n\
    content-length: 0\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
const CLOSE: &[u8] = b"HTTP/1.1 302 Found\r\naccess-control-allow-origin: *\r\n\
    cache-control: no-store\r\nlocation: http://relay01.example.org:8000/stream1.ogg\r\n\
    connection: close\r\ncontent-length: 0\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";

/// Connections that are taken before those who are connected have their turn.
const AT_ONCE: usize = 64;

/// Is one, for ever: at this port connections are kept, and closed at the next.
pub(crate) fn serve(address: &str) -> ! {
    let keep: std::net::SocketAddr = address.parse().expect("an address");
    let close = std::net::SocketAddr::new(keep.ip(), keep.port() + 1);
    let (keep, close) =
        [keep, close].map(|address| server::bind(address).expect("a free port")).into();
    server::defer_accept(&close).expect("the kernel can wait for requests");
    let mut bare = Bare {
        epoll: epoll::create(CreateFlags::CLOEXEC).expect("epoll"),
        connections: HashMap::new(),
    };
    let [keep_port, close_port] = [&keep, &close].map(|listener| {
        let token = u64::try_from(listener.as_raw_fd()).expect("a descriptor");
        epoll::add(&bare.epoll, listener, EventData::new_u64(token), EventFlags::IN)
            .expect("a listener can be waited for");
        token
    });
    let mut events: Vec<Event> = Vec::with_capacity(512);
    loop {
        events.clear();
        match epoll::wait(&bare.epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => panic!("epoll: {error}"),
        }
        for event in &events {
            let data = event.data;
            match data.u64() {
                token if token == keep_port => bare.take(&keep, true),
                token if token == close_port => bare.take(&close, false),
                token => bare.answer_kept(token),
            }
        }
    }
}

struct Bare {
    epoll: OwnedFd,
    connections: HashMap<u64, OwnedFd>,
}

impl Bare {
    /// Takes those who have come, and answers them if they have asked.
    fn take(&mut self, listener: &TcpListener, keeps: bool) {
        for _ in 0..AT_ONCE {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let Ok(connection) = accept_with(listener, flags) else { return };
            match answer(&connection, if keeps { KEEP } else { CLOSE }) {
                Ok(()) if !keeps => {}
                Ok(()) | Err(Errno::AGAIN) => {
                    let token = u64::try_from(connection.as_raw_fd()).expect("a descriptor");
                    // One that is to be closed is marked so.
                    let token = if keeps { token } else { token | CLOSES };
                    let data = EventData::new_u64(token);
                    epoll::add(&self.epoll, &connection, data, EventFlags::IN).expect("epoll");
                    self.connections.insert(token, connection);
                }
                Err(_lost) => {}
            }
        }
    }

    fn answer_kept(&mut self, token: u64) {
        let Some(connection) = self.connections.get(&token) else { return };
        let closes = token & CLOSES != 0;
        match answer(connection, if closes { CLOSE } else { KEEP }) {
            Ok(()) if !closes => {}
            Err(Errno::AGAIN) => {}
            Ok(()) | Err(_) => drop(self.connections.remove(&token)),
        }
    }
}

const CLOSES: u64 = 1 << 32;

fn answer(connection: &OwnedFd, words: &[u8]) -> Result<(), Errno> {
    let mut space = [0_u8; 4096];
    match recv(connection, &mut space, RecvFlags::empty())? {
        (0, _) => Err(Errno::PIPE),
        _ => send(connection, words, SendFlags::NOSIGNAL).map(drop),
    }
}
