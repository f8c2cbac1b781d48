//! Players are served by https: the same as without, and by a certificate that may change.

mod certificate;
mod files;
mod handshake;
mod port;

use crate::relay::Relay;
use crate::support::tls::{Pair, Secure, Shelf, connect};
use crate::support::{Answer, Balancer};

/// What every player sends.
const REQUEST: &str = "GET /saal1.ogg HTTP/1.1\r\nHost: radio.example\r\n\r\n";

/// A balancer that speaks TLS, before a relay that does, too.
struct Station {
    pair: Pair,
    shelf: Shelf,
    yaml: String,
    balancer: Balancer,
    _relay: Relay,
}

impl Station {
    async fn start(more: &str) -> Self {
        let pair = Pair::new();
        let shelf = Shelf::with(&pair);
        let relay = Relay::builder().unlimited("/saal1.ogg").start().unwrap();
        let url = relay.url();
        let yaml = format!(
            "{}{more}
servers:
  one:
    url: 'https://relay.example'
    http_url: 'http://relay.example'
    max_joins_per_second: 1000000
    stats: {{url: '{url}'}}
streams: {{/saal1.ogg: }}
",
            shelf.yaml()
        );
        let balancer = Balancer::start(&yaml).await;
        Self { pair, shelf, yaml, balancer, _relay: relay }
    }

    /// A connection of a player that believes in the certificate it began with.
    async fn connect(&self) -> Secure {
        connect(self.balancer.tls(), &self.pair).await.expect("a handshake")
    }

    async fn ask(&self) -> Answer {
        let mut wire = self.connect().await;
        wire.send(REQUEST).await;
        wire.answer().await
    }

    /// How many connections were turned away for this reason.
    async fn shed(&self, reason: &str) -> usize {
        self.count(&format!("icecast_balancer_shed_total{{reason=\"{reason}\"}} ")).await
    }

    /// How many handshakes failed.
    async fn failures(&self) -> usize {
        self.count("icecast_balancer_tls_handshake_failures_total ").await
    }

    async fn count(&self, series: &str) -> usize {
        let metrics = self.balancer.admin_get("/metrics").await.body;
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        line.expect("the series is there").parse().expect("a count")
    }
}
