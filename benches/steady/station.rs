//! Relays, in this program but on threads of their own.

use std::fmt::Write as _;

use tokio::runtime::{Builder, Runtime};

use crate::relay::Relay;

/// What players ask for.
pub(crate) const STREAM: &str = "/saal1.ogg";

/// Relays that carry the stream. Dropping it ends them.
pub(crate) struct Station {
    pub(crate) relays: Vec<Relay>,
    pub(crate) runtime: Runtime,
}

impl Station {
    /// So many relays, each with `limit` slots, or with any number.
    pub(crate) fn start(relays: usize, limit: Option<u64>) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let relays = (0..relays)
            .map(|_| {
                let _here = runtime.enter();
                let relay = Relay::builder();
                let relay = match limit {
                    Some(limit) => relay.mount(STREAM, limit),
                    None => relay.unlimited(STREAM),
                };
                relay.start().expect("a free port")
            })
            .collect();
        Self { relays, runtime }
    }

    /// Where the relays are.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.relays.iter().map(Relay::url).collect()
    }
}

/// A configuration with these relays. Nobody is held back for the sake of a relay: that would be
/// measured as well.
pub(crate) fn config(head: &str, urls: &[String], streams: &[&str]) -> String {
    let mut config = format!("{head}servers:\n");
    for (at, url) in urls.iter().enumerate() {
        let server = format!("{{url: '{url}', max_joins_per_second: 1000000}}");
        writeln!(config, "  relay{at}: {server}").unwrap();
    }
    config.push_str("streams:\n");
    for stream in streams {
        writeln!(config, "  {stream}:").unwrap();
    }
    config
}
