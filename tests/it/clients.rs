//! Which relay suits whom, of the running program: address families, networks, countries, and the
//! same relay again.

mod again;
mod country;
mod database;
mod family;

use std::net::{Ipv4Addr, SocketAddr};

use tempfile::TempDir;

use crate::relay::Relay;
use crate::support::{Answer, Balancer, Wire, raw};

/// A balancer before relays called `r0`, `r1` and so on, each with settings of its own; whoever
/// comes from loopback is a trusted proxy.
struct Lab {
    balancer: Balancer,
    relays: Vec<Relay>,
    folder: TempDir,
}

/// Proxies of the tests connect from there.
const PROXY: Ipv4Addr = Ipv4Addr::LOCALHOST;

impl Lab {
    /// Starts one with further lines of configuration.
    async fn start(settings: &[&str], more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(country::fixture(), folder.path().join("country.mmdb")).unwrap();
        let start = |_: &&str| Relay::builder().mount("/x", 1_000).start().unwrap();
        let relays: Vec<_> = settings.iter().map(start).collect();
        let config = folder.path().join("balancer.yaml");
        std::fs::write(&config, yaml(&relays, settings, more)).unwrap();
        Self { balancer: Balancer::start_at(&config).await, relays, folder }
    }

    /// Which relay a player is sent to that a proxy says is at `address`; or what it is told.
    async fn sent(&self, address: &str) -> String {
        let request = format!(
            "GET /x HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\nConnection: close\r\n\r\n"
        );
        let port = self.balancer.public.port();
        self.name_of(&raw(SocketAddr::from((PROXY, port)), &request).await)
    }

    /// The same of a player whose connection begins with a PROXY header.
    async fn introduced(&self, header: &str) -> String {
        let port = self.balancer.public.port();
        let mut wire = Wire::from(PROXY.into(), SocketAddr::from((PROXY, port))).await;
        wire.send(format!("{header}\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
        self.name_of(&wire.answer().await)
    }

    fn name_of(&self, answer: &Answer) -> String {
        if answer.status != 302 {
            return answer.body.trim_end().to_owned();
        }
        let at = |relay: &Relay| answer.location().starts_with(&format!("{}/", url(relay)));
        format!("r{}", self.relays.iter().position(at).expect("one of the relays"))
    }
}

/// Its URL without a word of its address family.
fn url(relay: &Relay) -> String {
    relay.url().replace("127.0.0.1", "localhost")
}

fn yaml(relays: &[Relay], settings: &[&str], more: &str) -> String {
    use std::fmt::Write as _;
    let mut yaml = format!(
        "listen: '[::]:0'\nadmin: '127.0.0.1:0'\ntrusted_proxies: [127.0.0.1, '::1']\n\
         streams: {{/x: }}\n{more}\nservers:\n"
    );
    for (number, (relay, settings)) in relays.iter().zip(settings).enumerate() {
        writeln!(yaml, "  r{number}: {{url: '{}', {settings}}}", url(relay)).unwrap();
    }
    yaml
}

const AUSTRIA: &str = "192.0.2.1";
const GERMANY: &str = "198.51.100.1";
const NOWHERE: &str = "100.64.0.1";
const GEOIP: &str = "balance: {geoip: country.mmdb}";

#[tokio::test]
async fn networks_and_countries_go_by_the_address_that_a_proxy_is_believed_about() {
    let lab = Lab::start(
        &["clients: {countries: [AT]}", "clients: {networks: [198.51.100.0/24]}", ""],
        GEOIP,
    )
    .await;
    for _ in 0..3 {
        assert_eq!(lab.sent(AUSTRIA).await, "r0");
        assert_eq!(lab.sent("2001:db8:a::1").await, "r0");
        assert_eq!(lab.sent(GERMANY).await, "r1");
        assert_eq!(lab.sent(NOWHERE).await, "r2");
        // What the player wrote before the proxy's own word changes nothing.
        assert_eq!(lab.sent(&format!("{AUSTRIA}, {NOWHERE}")).await, "r2");
        assert_eq!(lab.sent("::ffff:192.0.2.1").await, "r0");
    }
    let status = lab.balancer.status().await.to_string();
    assert!(!status.contains(AUSTRIA) && !status.contains(GERMANY), "no client is shown");
}

#[tokio::test]
async fn a_proxy_header_tells_the_address_as_well() {
    let lab = Lab::start(
        &["clients: {countries: [AT], only: true}", "ip: 6"],
        &format!("{GEOIP}\nproxy_protocol: true"),
    )
    .await;
    assert_eq!(lab.introduced("PROXY TCP4 192.0.2.9 192.0.2.100 4711 8000").await, "r0");
    assert_eq!(lab.introduced("PROXY TCP6 2001:db8:d::9 2001:db8::1 4711 8000").await, "r1");
    assert_eq!(
        lab.introduced("PROXY TCP4 198.51.100.9 192.0.2.100 4711 8000").await,
        "unreachable: the relays of /x are for listeners from elsewhere only"
    );
}

#[tokio::test]
async fn who_waits_does_not_wait_for_those_who_wait_for_another_relay() {
    let lab = Lab::start(
        &[
            "max_listeners: 1, clients: {countries: [AT], only: true}",
            "clients: {countries: [DE], only: true}",
        ],
        "balance: {geoip: country.mmdb, headroom: 0, when_full: wait, wait: 1m}\n\
         poll: {interval: 50ms, fast_interval: 50ms}",
    )
    .await;
    // Of a relay with one place, our own looks need that one.
    let in_vain = lab.sent(AUSTRIA);
    let others = async {
        crate::support::eventually("somebody waits", async || {
            let series = "icecast_balancer_stream_waiting{stream=\"/x\"}";
            lab.balancer.metric(series).await == Some(1.0)
        })
        .await;
        lab.sent(GERMANY).await
    };
    tokio::select! {
        told = in_vain => panic!("it has no place, and was told {told}"),
        sent = others => assert_eq!(sent, "r1"),
    }
}
