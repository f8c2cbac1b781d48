//! What one request costs behind the door: reading, deciding, taking a slot, writing; no socket.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use icecast_balancer::forwarded::Peer;
use icecast_balancer::redirect::Redirector;
use icecast_balancer::server::{Descriptors, answered_at_once};

use crate::curve::{Curve, Promise, nanos_each};
use crate::world::{fail, named, path, size, state, state_of, yaml};

/// Requests of one measurement.
const TIMES: usize = 100_000;

/// Small, large, a real station, and the ceiling.
pub(crate) const STATIONS: [(usize, usize); 4] = [(1, 2), (10, 12), (1_500, 12), (10_000, 100)];

/// A balancer without ports.
struct Balancer {
    service: Redirector,
    requests: Vec<Vec<u8>>,
}

/// Who asks.
#[derive(Clone, Copy)]
enum Crowd {
    /// One address.
    One,
    /// So many addresses in turn.
    Of(usize),
}

impl Balancer {
    fn new(state: icecast_balancer::state::State, streams: usize) -> Self {
        let request = |stream| {
            format!(
                "GET {} HTTP/1.1\r\nHost: radio.example.org\r\nUser-Agent: Player/3.0.18\r\n\
                 Accept: */*\r\nRange: bytes=0-\r\nIcy-MetaData: 1\r\n\r\n",
                path(stream)
            )
            .into_bytes()
        };
        Self {
            service: Redirector::new(Arc::new(state), Descriptors::raised()),
            requests: (0..streams).map(request).collect(),
        }
    }

    /// Nanoseconds of a redirect, any of the streams being asked for.
    fn redirects(&self, crowd: Crowd, times: usize) -> f64 {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut number = 0;
        nanos_each(times, || {
            number += 1;
            let from = match crowd {
                Crowd::One => 1,
                Crowd::Of(many) => u32::try_from(number % many).unwrap(),
            };
            let home = Ipv4Addr::from_bits(Ipv4Addr::new(100, 64, 0, 0).to_bits() + from);
            let request = &self.requests[rng.usize(..self.requests.len())];
            let peer = Peer::of_socket(SocketAddr::from((home, 40_000)));
            let answer = answered_at_once(&self.service, peer, request).expect("a plain request");
            assert!(answer.starts_with(b"HTTP/1.1 302"), "{}", String::from_utf8_lossy(&answer));
        })
    }
}

/// Redirects at one size, for a tool that counts what they take.
pub(crate) fn redirect(station: &str, times: usize) {
    let station = named(station);
    Balancer::new(state(station), station.0).redirects(Crowd::One, times);
}

/// The curves.
pub(crate) fn curves() -> Vec<Curve> {
    vec![
        stations(),
        mounts("a redirect, by relays of the stream", Promise::Flat(1.3), |state, _| state),
        mounts(
            "the same, nine in ten relays being in doubt",
            Promise::Power(1.1),
            |state, servers| {
                for id in servers.div_ceil(10)..servers {
                    fail(&state, id);
                }
                state
            },
        ),
        addresses(),
        networks(),
    ]
}

fn stations() -> Curve {
    let title = "a redirect without its connection, by streams × relays";
    let mut curve = Curve::new(title, "ns", Promise::Nothing);
    for station in STATIONS {
        let balancer = Balancer::new(state(station), station.0);
        curve = curve.at(size(station), station.0 * station.1, move || {
            balancer.redirects(Crowd::One, TIMES)
        });
    }
    curve
}

fn mounts(
    title: &'static str,
    promise: Promise,
    prepare: impl Fn(icecast_balancer::state::State, usize) -> icecast_balancer::state::State,
) -> Curve {
    let mut curve = Curve::new(title, "ns", promise);
    for servers in [10, 100, 1_000] {
        let balancer = Balancer::new(prepare(state((1, servers)), servers), 1);
        curve = curve.at(servers, servers, move || balancer.redirects(Crowd::One, TIMES));
    }
    curve
}

fn addresses() -> Curve {
    let mut curve = Curve::new("a redirect, by addresses that ask", "ns", Promise::Flat(1.2));
    let balancer = Rc::new(Balancer::new(state((10, 12)), 10));
    for many in [10, 1_000, 100_000, 1_000_000] {
        let balancer = Rc::clone(&balancer);
        curve = curve.at(many, many, move || balancer.redirects(Crowd::Of(many), TIMES));
    }
    curve
}

/// Every relay is for the listeners of so many networks.
fn networks() -> Curve {
    let title = "a redirect, by networks in `clients` of each relay";
    let mut curve = Curve::new(title, "ns", Promise::Flat(1.2));
    for many in [10, 100, 1_000, 10_000] {
        let networks: Vec<_> =
            (0..many).map(|n| format!("10.{}.{}.0/24", n / 256, n % 256)).collect();
        let clients = format!("clients: {{networks: [{}]}}", networks.join(", "));
        let balancer = Balancer::new(state_of(&yaml((10, 2), &clients)), 10);
        curve = curve.at(many, many, move || balancer.redirects(Crowd::One, TIMES));
    }
    curve
}
