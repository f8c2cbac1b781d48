//! nginx and HAProxy before the balancer, as docs/operation.md sets them up.
//!
//! Whom the balancer takes a player for shows in where it sends it: who comes back from an address
//! within seconds is sent to the other relay. Players are curl, from addresses of their own.

use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::icecast::{Icecast, Setup};
use crate::support::lab::Lab;
use crate::support::process::{Program, eventually};
use crate::support::proxy::{Proxy, documented};
use crate::support::source::{Source, Stream};

const RADIO: &str = "/radio.mp3";

/// A player's address; not that of the proxy, which is 127.0.0.1.
const PLAYER: &str = "127.0.0.9";

/// Another one's.
const OTHER: &str = "127.0.0.10";

/// How many players are asked for. If one were taken for somebody else, chance would send it to the
/// other relay every second time.
const PLAYERS: usize = 12;

/// Two relays and a balancer.
struct Station {
    lab: Lab,
    balancer: Balancer,
    _sources: [Source; 2],
    _relays: [Icecast; 2],
}

impl Station {
    fn start(proxies: &str) -> Self {
        let lab = Lab::new();
        let relays = ["vienna", "berlin"].map(|name| Setup::new(&lab, name).start());
        let sources = relays.each_ref().map(|relay| Source::start(&lab, relay, Stream::Mp3));
        let [vienna, berlin] = relays.each_ref().map(|relay| {
            let (url, tls) = (relay.url(), relay.url().replace("http:", "https:"));
            format!("{{url: '{tls}', http_url: '{url}', stats: {{url: '{url}'}}}}")
        });
        let config = format!(
            "{proxies}\nbalance: {{policy: weighted_random, settle: 1s}}\n\
             servers: {{vienna: {vienna}, berlin: {berlin}}}\nstreams: {{{RADIO}: }}\n"
        );
        let balancer = Balancer::start(&lab, &config);
        Self { lab, balancer, _sources: sources, _relays: relays }
    }

    /// Where a player at `address` called `name` is sent by what it asks with further headers.
    fn sent(&self, address: &str, name: &str, url: &str, headers: &[&str]) -> String {
        let headers = headers.iter().flat_map(|header| ["-H", header]);
        let (code, printed) = Program::new("curl", "curl")
            .args(["-sSk", "-m", "20", "-o", "body", "-w", "%{http_code} %{redirect_url}"])
            .args(["--interface", address, "-A", name])
            .args(headers)
            .args([url])
            .run(&self.lab.folder("curl", "nobody"));
        assert_eq!(code, Some(0), "{printed}");
        let location = printed.strip_prefix("302 ").unwrap_or_else(|| panic!("{url}: {printed}"));
        location.to_owned()
    }

    /// How many of [`PLAYERS`] are sent elsewhere when they come back as `again`, having come
    /// directly from `address` at first.
    fn known(&self, address: &str, what: &str, again: impl Fn(&str) -> String) -> usize {
        let known = (0..PLAYERS).filter(|number| {
            let name = format!("{what} {number}");
            let first = self.sent(address, &name, &self.balancer.url(RADIO), &[]);
            host(&first) != host(&again(&name))
        });
        known.count()
    }

    /// A player of a proxy is known by its own address, whatever it claims, and keeps its scheme.
    fn knows_players_of(&self, proxy: &Proxy, claims: &[&str]) {
        for scheme in ["http", "https"] {
            let url = proxy.url(scheme, RADIO);
            let sent = self.sent(PLAYER, "scheme", &url, claims);
            assert!(sent.starts_with(&format!("{scheme}://")), "by {scheme} to {sent}");
            let known = self.known(PLAYER, scheme, |name| self.sent(PLAYER, name, &url, claims));
            assert_eq!(known, PLAYERS, "by {scheme}");
        }
    }

    fn without_proxy_header(&self) -> Option<f64> {
        self.balancer.metric("shed_total", &["reason=\"proxy_header\""])
    }
}

fn host(url: &str) -> &str {
    url.split('/').nth(2).expect("a URL with a host")
}

/// What a player may write, to be taken for somebody else, or to be taken elsewhere.
const CLAIMS: [&str; 6] = [
    "X-Forwarded-For: 127.0.0.10",
    "X-Forwarded-For: 127.0.0.1",
    "X-Real-IP: 127.0.0.10",
    "Forwarded: for=127.0.0.10;proto=https",
    "X-Forwarded-Proto: gopher",
    "X-Forwarded-Host: evil.example",
];

#[test]
fn through_nginx_a_player_is_known_by_its_own_address_and_keeps_its_scheme() {
    let station = Station::start("trusted_proxies: [127.0.0.1]");
    let [server] = &documented("nginx")[..] else { panic!("one example of nginx") };
    let nginx = Proxy::nginx(&station.lab, server, station.balancer.port());
    station.knows_players_of(&nginx, &[]);
    station.knows_players_of(&nginx, &CLAIMS);
}

#[test]
fn through_haproxy_a_player_is_known_by_its_own_address_and_keeps_its_scheme() {
    let station = Station::start("trusted_proxies: [127.0.0.1]");
    let examples = documented("haproxy");
    let haproxy = Proxy::haproxy(&station.lab, &examples[0], station.balancer.port());
    station.knows_players_of(&haproxy, &[]);
    station.knows_players_of(&haproxy, &CLAIMS);
}

#[test]
fn by_a_proxy_header_of_haproxy_a_player_is_known_by_its_own_address_and_keeps_its_scheme() {
    let station = Station::start("trusted_proxies: [127.0.0.1]\nproxy_protocol: true");
    let examples = documented("haproxy");
    let haproxy = Proxy::haproxy(&station.lab, &examples[1], station.balancer.port());
    station.knows_players_of(&haproxy, &[]);
    station.knows_players_of(&haproxy, &CLAIMS);
    // Its looks at the port have headers as well.
    assert_eq!(station.without_proxy_header(), Some(0.0));
    assert_eq!(station.balancer.metric("requests_total", &["bad_request"]), Some(0.0));
}

#[test]
fn the_proxy_headers_of_haproxy_without_tls_are_understood() {
    let station = Station::start("trusted_proxies: [127.0.0.1]\nproxy_protocol: true");
    let example = documented("haproxy").swap_remove(1);
    for version in ["send-proxy", "send-proxy-v2"] {
        let example = example.replace("send-proxy-v2-ssl", version);
        let haproxy = Proxy::haproxy(&station.lab, &example, station.balancer.port());
        let url = haproxy.url("http", RADIO);
        let known =
            station.known(PLAYER, version, |name| station.sent(PLAYER, name, &url, &CLAIMS));
        assert_eq!(known, PLAYERS, "{version}");
        let by_tls = station.sent(PLAYER, "tls", &haproxy.url("https", RADIO), &CLAIMS);
        assert!(by_tls.starts_with("http://"), "{version} does not tell of TLS: {by_tls}");
    }
    assert_eq!(station.without_proxy_header(), Some(0.0));
}

#[test]
fn a_proxy_that_forgets_the_header_it_should_send_is_shown() {
    let station = Station::start("trusted_proxies: [127.0.0.1]\nproxy_protocol: true");
    let example = documented("haproxy").swap_remove(1).replace(" send-proxy-v2-ssl", "");
    let haproxy = Proxy::haproxy(&station.lab, &example, station.balancer.port());
    let (code, _) = Program::new("curl", "curl")
        .args(["-sS", "-m", "20", &haproxy.url("http", RADIO)])
        .run(&station.lab.folder("curl", "nobody"));
    assert_eq!(code, Some(52), "curl has an empty answer");
    eventually("it is counted", Duration::from_secs(10), || {
        (station.without_proxy_header()? >= 1.0).then_some(())
    });
    // Who comes directly is served all the while.
    station.sent(PLAYER, "direct", &station.balancer.url(RADIO), &[]);
}

/// What the tests above are worth: without trust, behind a proxy all are one, and by http.
#[test]
fn without_trust_players_behind_a_proxy_are_the_proxy() {
    let station = Station::start("trusted_proxies: []");
    let [server] = &documented("nginx")[..] else { panic!("one example of nginx") };
    let nginx = Proxy::nginx(&station.lab, server, station.balancer.port());
    let url = nginx.url("https", RADIO);
    let one = (0..PLAYERS).filter(|number| {
        let name = number.to_string();
        let first = station.sent(PLAYER, &name, &url, &[]);
        host(&first) != host(&station.sent(OTHER, &name, &url, &[]))
    });
    assert_eq!(one.count(), PLAYERS, "two addresses are taken for one player");
    assert!(station.sent(PLAYER, "scheme", &url, &[]).starts_with("http://"));
}
