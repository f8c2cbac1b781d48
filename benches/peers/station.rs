//! The station that all servers redirect to: 10 streams on each of 12 relays, which are always free.

use std::fmt::Write as _;

use tokio::runtime::{Builder, Runtime};

use crate::cores;
use crate::relay::Relay;

pub(crate) const STREAMS: usize = 10;
pub(crate) const RELAYS: usize = 12;

/// So many slots that none of them is ever the last.
const SLOTS: u64 = 1_000_000_000_000;

/// Relays, in this program but on a thread of their own. Dropping it ends them.
pub(crate) struct Station {
    relays: Vec<Relay>,
    _runtime: Runtime,
}

impl Station {
    pub(crate) fn start() -> Self {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().on_thread_start(|| cores::stay_on(cores::OTHERS));
        let runtime = builder.build().expect("a runtime");
        let relays = (0..RELAYS).map(|_| {
            let _here = runtime.enter();
            let relay = (0..STREAMS)
                .fold(Relay::builder(), |relay, stream| relay.mount(&path(stream), SLOTS));
            relay.start().expect("a free port")
        });
        Self { relays: relays.collect(), _runtime: runtime }
    }

    /// Our configuration but for ports, with so many streams more that nobody asks for. Nobody is held
    /// back for the sake of a relay, and to all players the relays have names of the same length.
    pub(crate) fn config(&self, more: usize) -> String {
        let mut config = "limits: {max_connections: 30000}\nservers:\n".to_owned();
        for (at, relay) in self.relays.iter().enumerate() {
            let (name, url) = (public_url(at), relay.url());
            let server = format!(
                "{{url: '{name}', stats: {{url: '{url}'}}, max_joins_per_second: 1000000}}"
            );
            writeln!(config, "  relay{:02}: {server}", at + 1).unwrap();
        }
        config.push_str("streams:\n");
        for stream in 0..STREAMS {
            writeln!(config, "  {}:", path(stream)).unwrap();
        }
        for other in 0..more {
            writeln!(config, "  /talk{other}.ogg: {{fallback: {}}}", path(0)).unwrap();
        }
        config
    }

    /// Where HAProxy looks whether relays are well.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = std::net::SocketAddr> {
        self.relays.iter().map(Relay::addr)
    }
}

/// The path of a stream.
pub(crate) fn path(stream: usize) -> String {
    format!("/stream{stream}.ogg")
}

/// Where players find a relay.
pub(crate) fn public_url(relay: usize) -> String {
    format!("http://relay{:02}.example.org:8000", relay + 1)
}
