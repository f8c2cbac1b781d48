//! Bytes of one connection: what is answered at once is what hyper would have answered, but for the
//! order of headers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};

use icecast_balancer::forwarded::Peer;
use icecast_balancer::redirect::Redirector;
use icecast_balancer::server::{Descriptors, answered_at_once, answered_by_hyper};
use tokio::runtime::{Builder, Runtime};

use super::redirect::state;

/// Relays and streams of every kind, one relay for each: there is nothing to choose, and each stream
/// is there, gone, or elsewhere.
const CONFIG: &str = "
poll: {stale_after: 1h}
streamlist: true
servers:
  plain: {url: 'http://plain.example.org:8000', max_joins_per_second: 1000000}
streams:
  /saal1.ogv:
    aliases: [/saal1, '/hall%201']
  /säle/große bühne+%25.ogg:
    mounts: {plain: '/a;b=c/ü.ogg'}
  /gone.ogv:
    fallback: 'https://elsewhere.example.org/off%20air?why=off#now'
  /away.ogv:
  /wait.ogv: {when_full: wait}
  /admin/*:
";

static SERVICE: LazyLock<Redirector> =
    LazyLock::new(|| Redirector::new(Arc::new(state(CONFIG)), Descriptors::raised()));

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().expect("a runtime"));

/// The bytes of a connection.
pub fn doors(bytes: &[u8]) {
    is_answered_at_once(bytes);
}

/// The same; tells whether they were answered at once.
pub fn is_answered_at_once(bytes: &[u8]) -> bool {
    let peer = Peer::of_socket(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 40_000)));
    let Some(at_once) = answered_at_once(&*SERVICE, peer, bytes) else { return false };
    let by_hyper = RUNTIME.block_on(answered_by_hyper(&*SERVICE, peer, bytes));
    assert_eq!(steady(&at_once), steady(&by_hyper));
    true
}

/// What does not depend on the moment and on chance.
fn steady(answer: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(answer);
    let lines = text.split("\r\n").map(|line| match line.split_once(": ") {
        Some((name @ ("date" | "retry-after"), value)) => format!("{name}: {}", value.is_empty()),
        _ => line.to_owned(),
    });
    // What a header says does not depend on where it stands.
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines
}
