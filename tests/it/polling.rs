//! What the balancer learns from looking at relays, and what it makes of relays that fail.

mod clocks;
mod faults;
mod hostile;
mod looks;
mod mounts;
mod names;
mod other_icecasts;
mod probe;
mod shoutcast;
mod sources;
mod stub;

use serde_json::Value;

use crate::relay::Relay;
use crate::support::{Balancer, eventually, servers_with};

/// Looks every few milliseconds, so that nobody waits.
const BUSY: &str = "poll: {interval: 20ms, fast_interval: 20ms, slow_start: 0s}\n";

const STREAM: &str = "streams: {/saal1.ogg: }\n";

/// A balancer that looks often at these relays, each with `settings`, for the stream `/saal1.ogg`.
async fn watching(relays: &[&Relay], settings: &str) -> Balancer {
    Balancer::start(&format!("{BUSY}{}{STREAM}", servers_with(relays, settings))).await
}

fn relay(limit: u64) -> Relay {
    Relay::builder().mount("/saal1.ogg", limit).start().unwrap()
}

/// The first (for most tests: the only) server of the status.
async fn server(balancer: &Balancer) -> Value {
    balancer.status().await["servers"][0].clone()
}

/// The first (for most tests: the only) mount of the first stream.
async fn mount(balancer: &Balancer) -> Value {
    balancer.status().await["streams"][0]["mounts"][0].clone()
}

/// How many looks at `r0` ended like this.
async fn polls(balancer: &Balancer, result: &str) -> f64 {
    let labels = format!("{{server=\"r0\",result=\"{result}\"}}");
    balancer.metric(&format!("icecast_balancer_server_polls_total{labels}")).await.unwrap()
}

async fn until_polled(balancer: &Balancer, result: &str) {
    eventually(&format!("a look ends with {result}"), async || polls(balancer, result).await > 0.0)
        .await;
}

/// Waits until so many more looks were begun; the last but one has then been entered.
async fn until_polled_again(relay: &Relay, times: u64) {
    let before = relay.polls();
    eventually("the relay is looked at again", async || relay.polls() >= before + times).await;
}
