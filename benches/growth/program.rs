//! What a redirect costs the program itself, sockets and all.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::Options;
use crate::curve::{Curve, Promise};
use crate::door::STATIONS;
use crate::relays::Relays;
use crate::support::lab::{Lab, free_port};
use crate::support::process::eventually;
use crate::world::{path, size};

/// The program with a station of some size.
struct Program {
    child: Child,
    address: SocketAddr,
    streams: usize,
    _lab: Lab,
    relays: Relays,
}

/// How requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    Kept,
    Fresh,
}

/// How long it may take to start and to look at every relay.
const START_UP: Duration = Duration::from_secs(180);

/// Requests of one measurement.
const KEPT: usize = 30_000;
const FRESH: usize = 10_000;

/// Requests that are made before one of them is answered.
const AT_ONCE: usize = 16;

/// The curves.
pub(crate) fn curves(options: &Options) -> Vec<Curve> {
    let programs =
        STATIONS.map(|station| (station, Rc::new(Program::start(&options.balancer, station))));
    let curve = |title, connection: Connection, any: bool| {
        let mut curve = Curve::new(title, "µs", Promise::Flat(1.1));
        for (station, program) in &programs {
            let program = Rc::clone(program);
            let streams = if any { program.streams } else { 1 };
            curve = curve.at(size(*station), station.0 * station.1, move || {
                program.redirects(connection, streams)
            });
        }
        curve
    };
    vec![
        curve(
            "processor time of a redirect on a new connection, any stream",
            Connection::Fresh,
            true,
        ),
        curve("the same, one stream", Connection::Fresh, false),
        curve(
            "processor time of a redirect on a kept connection, any stream",
            Connection::Kept,
            true,
        ),
        curve("the same, one stream", Connection::Kept, false),
    ]
}

impl Program {
    fn start(balancer: &Path, (streams, servers): (usize, usize)) -> Self {
        let (lab, relays) = (Lab::new(), Relays::start(streams));
        let folder = lab.folder("balancer", "root");
        let port = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let (address, admin, file) = (port(), port(), folder.join("balancer.yaml"));
        let mut yaml = format!(
            "listen: {address}\nadmin: {admin}\n\
             poll: {{interval: 1h, fast_interval: 1h, stale_after: 1h}}\nservers:\n"
        );
        for number in 0..servers {
            let url = relays.url(number);
            writeln!(yaml, "  relay-{number}: {{url: '{url}', max_joins_per_second: 1000000}}")
                .unwrap();
        }
        yaml.push_str("streams:\n");
        for stream in 0..streams {
            writeln!(yaml, "  {}:", path(stream)).unwrap();
        }
        fs::write(&file, yaml).unwrap();
        // The kernel ends it with the thread that started it, however that one ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(balancer);
        command.arg("serve").arg("-c").arg(&file).env_remove("RUST_LOG");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .arg("--log-level=warn");
        let child = command.spawn().expect("setpriv starts");
        let program = Self { child, address, streams, _lab: lab, relays };
        eventually("every relay has been looked at", START_UP, || {
            (program.relays.looks() >= servers && program.is_idle()).then_some(())
        });
        program
    }

    /// Whether it does nothing at the moment.
    fn is_idle(&self) -> bool {
        let before = self.cpu("");
        std::thread::sleep(Duration::from_millis(300));
        self.cpu("").saturating_sub(before) < Duration::from_millis(5)
    }

    /// Processor time of its threads whose names begin so.
    fn cpu(&self, name: &str) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let nanos = threads.flatten().filter_map(|thread| {
            let comm = fs::read_to_string(thread.path().join("comm")).ok()?;
            let schedstat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            comm.starts_with(name).then(|| schedstat.split(' ').next()?.parse::<u64>().ok())?
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Microseconds of the threads that answer players, for each request for one of so many streams.
    fn redirects(&self, connection: Connection, streams: usize) -> f64 {
        let times = if connection == Connection::Kept { KEPT } else { FRESH };
        let mut kept: Vec<TcpStream> = Vec::new();
        let before = self.cpu("public");
        for _ in 0..times / AT_ONCE {
            if connection == Connection::Fresh || kept.is_empty() {
                kept = (0..AT_ONCE).map(|_| self.connect()).collect();
            }
            for stream in &mut kept {
                let request = request(fastrand::usize(..streams), connection);
                stream.write_all(request.as_bytes()).expect("the request is taken");
            }
            for stream in &mut kept {
                read(stream);
            }
        }
        let spent = self.cpu("public").saturating_sub(before);
        spent.as_secs_f64() * 1e6 / times as f64
    }

    /// A connection from the address of one of very many people.
    fn connect(&self) -> TcpStream {
        let home = Ipv4Addr::new(127, 16, 0, 0).to_bits() + fastrand::u32(..1 << 20);
        let from = SocketAddr::from((Ipv4Addr::from_bits(home), 0));
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&from.into()).expect("an address of loopback");
        socket.connect(&self.address.into()).expect("a connection");
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        stream
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        drop(self.child.wait());
    }
}

fn request(stream: usize, connection: Connection) -> String {
    let close = if connection == Connection::Fresh { "Connection: close\r\n" } else { "" };
    format!(
        "GET {} HTTP/1.1\r\nHost: radio.example.org\r\nUser-Agent: Player/3.0.18\r\n\
         Accept: */*\r\nRange: bytes=0-\r\nIcy-MetaData: 1\r\n{close}\r\n",
        path(stream)
    )
}

/// Reads a redirect, which has no body.
fn read(stream: &mut TcpStream) {
    let mut answer = [0; 1024];
    let mut length = 0;
    let began = Instant::now();
    while !answer[..length].ends_with(b"\r\n\r\n") {
        let more = stream.read(&mut answer[length..]).expect("an answer");
        assert!(more > 0 && began.elapsed() < Duration::from_secs(10), "no whole answer");
        length += more;
    }
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
}
