//! How many connections one client may have.
//!
//! On the public port loopback is exempt, so a port of this process is asked instead, with a service
//! that exempts nobody but one; and the public port's service is asked whom it exempts.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use icecast_balancer::forwarded::Peer;
use icecast_balancer::redirect::{Redirector, answer_head};
use icecast_balancer::reload;
use icecast_balancer::server::{
    self, Answer, Connections, Descriptors, Service, Shed, Speech, Terms,
};
use icecast_balancer::state::{Snapshot, State};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{PORTS, Wire, eventually};

/// Answers everybody with 200.
#[derive(Default)]
struct Hello {
    max_connections: AtomicUsize,
    per_client: AtomicUsize,
}

const EXEMPT: &str = "127.0.0.9";

impl Service for Hello {
    type Body = Full<Bytes>;

    async fn answer(&self, _request: Request<Incoming>, _peer: Peer) -> Answer {
        Response::default()
    }

    fn malformed(&self) {}

    fn shed(&self, why: Shed) {
        match why {
            Shed::MaxConnections => self.max_connections.fetch_add(1, Relaxed),
            Shed::PerClient => self.per_client.fetch_add(1, Relaxed),
        };
    }

    fn terms(&self, peer: IpAddr) -> Terms {
        Terms {
            max_connections: 10,
            per_client: (peer.to_string() != EXEMPT).then_some(3),
            header_timeout: Duration::from_secs(60),
            proxy_header: false,
        }
    }
}

struct Port {
    address: SocketAddr,
    service: Arc<Hello>,
    connections: Arc<Connections>,
    _stop: DropGuard,
}

fn port() -> Port {
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (service, connections) = (Arc::new(Hello::default()), Arc::new(Connections::default()));
    let stop = CancellationToken::new();
    tokio::spawn(server::serve(
        listener,
        Speech::Plain,
        Arc::clone(&service),
        Arc::clone(&connections),
        stop.clone(),
        Duration::ZERO,
    ));
    Port { address, service, connections, _stop: stop.drop_guard() }
}

impl Port {
    /// A connection from this address that asked for something.
    async fn ask_from(&self, client: &str) -> (u16, Wire) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{client}:0").parse().unwrap()).unwrap();
        let stream: TcpStream = socket.connect(self.address).await.unwrap();
        let mut wire = Wire::over(stream);
        wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        (wire.answer().await.status, wire)
    }
}

#[tokio::test]
async fn a_client_that_has_its_connections_is_told_503_and_the_next_client_is_served() {
    let port = port();
    let mut held = Vec::new();
    for _ in 0..3 {
        let (status, wire) = port.ask_from("127.0.0.2").await;
        assert_eq!(status, 200);
        held.push(wire);
    }
    for _ in 0..20 {
        let (status, wire) = port.ask_from("127.0.0.2").await;
        assert_eq!(status, 503);
        wire.closed().await;
    }
    assert_eq!(port.ask_from("127.0.0.3").await.0, 200);
    assert_eq!(port.service.per_client.load(Relaxed), 20);
    assert_eq!(port.service.max_connections.load(Relaxed), 0);

    // Who leaves makes room.
    held.pop();
    eventually("the place of who left is free", async || port.ask_from("127.0.0.2").await.0 == 200)
        .await;
}

#[tokio::test]
async fn who_speaks_for_many_is_bound_by_the_sum_alone() {
    let port = port();
    let mut held = Vec::new();
    for _ in 0..10 {
        let (status, wire) = port.ask_from(EXEMPT).await;
        assert_eq!(status, 200);
        held.push(wire);
    }
    assert_eq!(port.ask_from(EXEMPT).await.0, 503);
    assert_eq!(port.service.max_connections.load(Relaxed), 1);
    assert_eq!(port.service.per_client.load(Relaxed), 0);
}

/// A balancer's memory without a balancer.
pub(super) fn state(limits: &str) -> Arc<State> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("balancer.yaml");
    let rest = "servers: {one: 'http://127.0.0.1:9'}\nstreams: {/a.ogg: }\n";
    std::fs::write(&file, format!("{PORTS}{limits}{rest}")).unwrap();
    let loaded = reload::load(&file).unwrap_or_else(|problems| panic!("{problems}"));
    Arc::new(State::new(Snapshot::first(loaded.fleet, loaded.digest)))
}

#[test]
fn on_the_public_port_everybody_but_loopback_is_bound() {
    for (limits, most) in [("", 64), ("limits: {per_client: 5}\n", 5)] {
        let redirector = Redirector::new(state(limits), Descriptors::raised());
        let bound = |peer: &str| redirector.terms(peer.parse().unwrap()).per_client;
        for peer in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fe80::1"] {
            assert_eq!(bound(peer), Some(most), "{peer}");
        }
        for peer in ["127.0.0.1", "127.9.9.9", "::1"] {
            assert_eq!(bound(peer), None, "{peer}");
        }
    }
}

#[test]
fn a_head_is_answered_without_a_socket() {
    let (state, mut rng) = (state(""), fastrand::Rng::with_seed(1));
    for (path, status) in [("/a.ogg", 302), ("/none", 404), ("*", 400)] {
        let request = Request::get(path).header("host", "x").body(()).unwrap();
        let (head, ()) = request.into_parts();
        let peer = Peer::of_socket("192.0.2.1:4711".parse().unwrap());
        let answer = answer_head(&state, &head, peer, &mut rng).unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
}

#[tokio::test]
async fn a_flood_of_one_client_leaves_nothing_behind() {
    let port = port();
    for _ in 0..1_000 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.4:0".parse().unwrap()).unwrap();
        drop(socket.connect(port.address).await);
    }
    eventually("all of them are gone", async || port.connections.open() == 0).await;
    assert_eq!(port.ask_from("127.0.0.4").await.0, 200);
}
