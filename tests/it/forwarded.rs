//! Who asks, when a proxy asks for somebody: what is believed, and of whom.
//!
//! Which address a running balancer takes a request to be from shows in where it sends it: who
//! comes back from an address within seconds is sent to the other of two relays.

mod connections;
mod https;
mod spoofs;

use std::net::IpAddr;

use crate::relay::Relay;
use crate::support::{Answer, Balancer, Wire};

/// The address that the tests' configurations trust.
const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// An address that nobody trusts.
const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 9));

/// How often an address is looked for. If it were another one, chance would send it to the other
/// relay every second time.
const TIMES: usize = 8;

/// A balancer before two relays, each of which is also said to speak TLS.
struct Lab {
    balancer: Balancer,
    _relays: [Relay; 2],
}

impl Lab {
    /// Starts one with further lines of configuration.
    async fn start(more: &str) -> Self {
        let relays = [(); 2].map(|()| Relay::builder().mount("/x", 100_000).start().unwrap());
        let servers = relays.each_ref().map(|relay| {
            let url = relay.url();
            let tls = url.replace("http:", "https:");
            format!(
                "{{url: '{tls}', http_url: '{url}', stats: {{url: '{url}'}}, \
                 max_joins_per_second: 1000000}}"
            )
        });
        let [one, other] = servers;
        let yaml = format!(
            "servers: {{one: {one}, other: {other}}}\nbalance: {{policy: weighted_random}}\nstreams: {{/x: }}\n{more}"
        );
        let balancer = Balancer::start(&yaml).await;
        Self { balancer, _relays: relays }
    }

    /// What somebody is told who connects from `source` and sends these bytes.
    async fn ask(&self, source: IpAddr, bytes: &[u8]) -> Answer {
        let mut wire = Wire::from(source, self.balancer.public).await;
        wire.send(bytes).await;
        wire.answer().await
    }

    /// How many of [`TIMES`] players that asked from an address as in `first` are sent elsewhere
    /// when they ask again as in `again`. Both are given a player's name.
    async fn sent_elsewhere(
        &self,
        first: (IpAddr, impl Fn(&str) -> Vec<u8>),
        again: (IpAddr, impl Fn(&str) -> Vec<u8>),
        what: &str,
    ) -> usize {
        let mut elsewhere = 0;
        for number in 0..TIMES {
            let player = format!("{what}, {number}");
            let before = self.ask(first.0, &(first.1)(&player)).await;
            let after = self.ask(again.0, &(again.1)(&player)).await;
            elsewhere += usize::from(relay(&before) != relay(&after));
        }
        elsewhere
    }

    /// How many connections were closed because they did not begin with a PROXY header.
    async fn without_header(&self) -> usize {
        let series = "icecast_balancer_shed_total{reason=\"proxy_header\"} ";
        let metrics = self.balancer.admin_get("/metrics").await.body;
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        line.expect("the series is there").parse().expect("a count")
    }
}

/// The host that it redirects to.
fn relay(answer: &Answer) -> &str {
    answer.location().split("//").nth(1).expect("a host")
}

/// A player's request with further lines.
fn get(player: &str, lines: &[u8]) -> Vec<u8> {
    let head = format!("GET /x HTTP/1.1\r\nHost: radio.example\r\nUser-Agent: {player}\r\n");
    [head.as_bytes(), lines, b"\r\n"].concat()
}

/// The same, forwarded for an address.
fn get_for(address: &str) -> impl Fn(&str) -> Vec<u8> {
    move |player| get(player, format!("X-Forwarded-For: {address}\r\n").as_bytes())
}
