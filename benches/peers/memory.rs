//! Memory: idle, with many connections that idle, and after they have gone.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::client::requests;
use crate::figures::{Figures, Memory};
use crate::options::Options;
use crate::server::{AS_PACKAGED, Haproxy, MANY, Nginx, Ours, Server};
use crate::station::{STREAMS, Station, path};
use crate::support::lab::Lab;

/// Connections that idle.
const IDLE: usize = 10_000;

/// As many as HAProxy has room for: it counts two files for each, and many machines allow 20,000.
const IDLE_AT_HAPROXY: usize = 9_000;

/// How long after they have gone a server is looked at.
const LATER: Duration = Duration::from_secs(2);

pub(crate) fn run(lab: &Lab, station: &Station, options: &Options, figures: &mut Figures) {
    let packaged = Nginx::start(lab, AS_PACKAGED);
    figures.memory.push(Memory {
        who: "nginx as packaged, 768 connections",
        idle: settled(&packaged.server),
        full: None,
        after: None,
    });
    drop(packaged);
    let ours = Ours::start(lab, &options.balancer, &station.config(0), &[]);
    figures.memory.push(measure("**icecast-balancer**", &ours.server, ours.address, IDLE));
    drop(ours);
    let nginx = Nginx::start(lab, MANY);
    figures.memory.push(measure("nginx, 15,000 connections", &nginx.server, nginx.plain, IDLE));
    drop(nginx);
    let haproxy = Haproxy::start(lab, station);
    let who = "HAProxy, map, with 9,000";
    figures.memory.push(measure(who, &haproxy.server, haproxy.map, IDLE_AT_HAPROXY));
    for memory in &figures.memory {
        eprintln!("{memory:?}");
    }
}

fn measure(who: &'static str, server: &Server, address: SocketAddr, count: usize) -> Memory {
    let idle = settled(server);
    let asked = requests((0..STREAMS).map(path), "");
    let players: Vec<TcpStream> =
        (0..count).map(|at| stay(address, at, &asked[at % asked.len()])).collect();
    let full = server.memory();
    drop(players);
    thread::sleep(LATER);
    Memory { who, idle, full: Some(full), after: Some(server.memory()) }
}

/// What a server has when it has done nothing for a while.
fn settled(server: &Server) -> u64 {
    thread::sleep(LATER);
    server.memory()
}

/// A player that has been answered, and says no more.
fn stay(address: SocketAddr, at: usize, request: &[u8]) -> TcpStream {
    let host = Ipv4Addr::new(127, 0, 0, 1 + u8::try_from(at % 16).expect("four bits"));
    let mut player = TcpStream::connect((host, address.port())).expect("there is room");
    player.write_all(request).expect("a connection");
    let mut answer = [0; 4096];
    let length = player.read(&mut answer).expect("an answer");
    assert!(answer[..length].starts_with(b"HTTP/1.1 302 "), "a redirect");
    player
}
