//! The settings outside of servers and streams, with their defaults.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::affinity::Key;
use crate::config::findings::Findings;
use crate::config::source::{At, Span};
use crate::config::{self, Config};
use crate::fleet::compile::clients;
use crate::fleet::compile::secrets::{Secrets, What};
use crate::fleet::{Balance, Headroom, Limits, Panic, Policy, Poll, Proxies, WhenFull};

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 8000);
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// `listen` and `admin`, none of which may be in the way of another.
pub(super) fn addresses(config: &Config, findings: &mut Findings) -> (Vec<SocketAddr>, SocketAddr) {
    let listen = config.listen.as_deref().unwrap_or_default();
    for (index, address) in listen.iter().enumerate() {
        let earlier = listen.iter().take(index).find(|other| clash(other.value, address.value));
        if let Some(earlier) = earlier {
            let message = if earlier.value == address.value {
                format!("`listen` has {} twice", address.value)
            } else {
                format!("`listen` has {}, which {} includes", address.value, earlier.value)
            };
            findings.problem(address.span, message, "remove one of them");
        }
    }
    let admin = config.admin.as_ref().map_or(ADMIN, |admin| admin.value);
    let public = match listen {
        [] => vec![LISTEN],
        listen => listen.iter().map(|address| address.value).collect(),
    };
    if let Some(index) = public.iter().position(|address| clash(*address, admin)) {
        let span = config.admin.as_ref().map(|admin| admin.span);
        let span = span.or_else(|| listen.get(index).map(|address| address.span));
        let message = format!("`listen` and `admin` ({admin}) need the same port");
        let help = "give `admin` a port of its own: it must not be reached by players";
        findings.problem(span.unwrap_or(config.start), message, help);
    }
    (public, admin)
}

/// Whether only one of two addresses can be listened on; port 0 is a new port each time.
pub(super) fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    // `[::]` is dual stack and takes the IPv4 port as well.
    let includes = |a: IpAddr, b: IpAddr| match a {
        IpAddr::V6(a) => a.is_unspecified(),
        IpAddr::V4(a) => a.is_unspecified() && b.is_ipv4(),
    };
    a.port() == b.port()
        && a.port() != 0
        && (a.ip() == b.ip() || includes(a.ip(), b.ip()) || includes(b.ip(), a.ip()))
}

/// `trusted_proxies` and `proxy_protocol`, of which the second says something of the first.
pub(super) fn proxies(config: &Config, findings: &mut Findings) -> Proxies {
    let trusted = config.trusted_proxies.as_deref();
    let proxy_header = config.proxy_protocol.filter(|enabled| enabled.value);
    // A list that could not be read has a problem of its own.
    let nobody = trusted.map_or(!config.trusted_proxies_are_written, <[_]>::is_empty);
    if let (Some(At { span, .. }), true) = (proxy_header, nobody) {
        let message = "`proxy_protocol: true` without `trusted_proxies` changes nothing: only \
            connections from there begin with a PROXY header";
        let help = "list where the proxies connect from, for example `trusted_proxies: [10.0.0.7]`";
        findings.problem(span, message, help);
    }
    Proxies {
        trusted: trusted.unwrap_or_default().iter().map(|network| network.value).collect(),
        proxy_header: proxy_header.is_some(),
    }
}

/// `poll`, of which no interval may contradict another.
pub(super) fn poll(poll: &config::Poll, findings: &mut Findings) -> Poll {
    let interval = Setting::of(poll.interval, Duration::from_secs(2));
    let fast_interval = Setting::of(poll.fast_interval, Duration::from_millis(500));
    let stale_after = Setting::of(poll.stale_after, Duration::from_secs(15));
    order(("poll.fast_interval", &fast_interval), ("poll.interval", &interval), findings);
    order(("poll.interval", &interval), ("poll.stale_after", &stale_after), findings);
    Poll {
        interval: interval.value,
        fast_interval: fast_interval.value,
        timeout: value(poll.timeout, Duration::from_secs(2)),
        stale_after: stale_after.value,
        rise: value(poll.rise, 2),
        fall: value(poll.fall, 3),
        slow_start: value(poll.slow_start, Duration::from_secs(30)),
    }
}

/// A duration and where it is written, if it is not the default.
struct Setting {
    value: Duration,
    span: Option<Span>,
}

impl Setting {
    fn of(written: Option<At<Duration>>, default: Duration) -> Self {
        Self { value: value(written, default), span: written.map(|at| at.span) }
    }

    fn in_words(&self) -> String {
        let default = if self.span.is_some() { "" } else { ", the default" };
        format!("{}{default}", humantime::format_duration(self.value))
    }
}

/// Reports a `shorter` setting that is longer than the `longer` one.
fn order(shorter: (&str, &Setting), longer: (&str, &Setting), findings: &mut Findings) {
    let ((short_name, short), (long_name, long)) = (shorter, longer);
    // What is written is to blame, not the default.
    let Some(span) = short.span.or(long.span) else { return };
    if short.value > long.value {
        let message = format!(
            "`{short_name}` ({}) is longer than `{long_name}` ({})",
            short.in_words(),
            long.in_words()
        );
        let help = match (short.span, long.span) {
            (Some(_), None) => format!("set `{long_name}` to at least as much, too"),
            (None, _) => format!("set `{short_name}` to at most as much, too"),
            (Some(_), Some(_)) => "shorten the one or lengthen the other".to_owned(),
        };
        findings.problem(span, message, help);
    }
}

/// `balance`; `None` if it asks for what is not built, or its salt has a problem.
pub(super) fn balance(
    balance: &config::Balance,
    secrets: &Secrets<'_>,
    findings: &mut Findings,
) -> Option<Balance> {
    let salt = match &balance.salt {
        Some(salt) => secrets.written(What::Salt, salt, findings)?,
        None => SecretString::default(),
    };
    Some(Balance {
        policy: match value(balance.policy, config::Policy::LeastUsed) {
            config::Policy::LeastUsed => Policy::LeastUsed,
            config::Policy::MostFree => Policy::MostFree,
            config::Policy::WeightedRandom => Policy::WeightedRandom,
            config::Policy::ClientHash => Policy::ClientHash(Key::of(salt.expose_secret())),
        },
        settle: value(balance.settle, Duration::from_secs(5)),
        headroom: match value(balance.headroom, config::Headroom::Auto) {
            config::Headroom::Auto => Headroom::Auto,
            config::Headroom::Slots(slots) => Headroom::Slots(slots),
        },
        panic: match value(balance.panic, config::Panic::Open) {
            config::Panic::Open => Panic::Open,
            config::Panic::Closed => Panic::Closed,
        },
    })
}

/// `when_full` and `wait` of a stream, or of `balance` where it does not say.
pub(super) fn when_full(stream: &config::Stream, balance: &config::Balance) -> WhenFull {
    match value(stream.when_full.or(balance.when_full), config::WhenFull::Reject) {
        config::WhenFull::Reject => WhenFull::Reject,
        config::WhenFull::Wait => {
            WhenFull::Wait(value(stream.wait.or(balance.wait), Duration::from_secs(8)))
        }
        config::WhenFull::Overflow => WhenFull::Overflow,
        config::WhenFull::Fallback => WhenFull::Fallback,
    }
}

/// The longest hold that every player sits through: MPlayer hangs up after 10 s and asks again.
const PATIENCE_OF_PLAYERS: Duration = Duration::from_secs(9);

/// What works in the settings, but deserves a word.
pub(super) fn warnings(config: &Config, findings: &Findings) -> Vec<String> {
    let unused = clients::unused(config, findings);
    let waits = config.streams.items.iter().filter_map(|stream| stream.wait);
    let waits = config.balance.wait.into_iter().chain(waits);
    let long = waits.filter_map(|wait| long_wait(wait, findings));
    long.chain(trust(config, findings)).chain(unused).collect()
}

/// Trust in everybody.
fn trust(config: &Config, findings: &Findings) -> Option<String> {
    let trusted = config.trusted_proxies.as_deref().unwrap_or_default();
    let network = trusted.iter().find(|network| network.value.is_everybody())?;
    let place = findings.place(network.span)?;
    Some(format!(
        "{place}: `trusted_proxies` has everybody in {}: whoever asks can say that it is somebody \
         else",
        network.value
    ))
}

fn long_wait(wait: At<Duration>, findings: &Findings) -> Option<String> {
    if wait.value <= PATIENCE_OF_PLAYERS {
        return None;
    }
    let place = findings.place(wait.span)?;
    let longest = humantime::format_duration(wait.value);
    let patience = humantime::format_duration(PATIENCE_OF_PLAYERS);
    Some(format!(
        "{place}: some players hang up before a `wait` of {longest} ends; all of them sit through \
         {patience}"
    ))
}

/// `limits`
pub(super) fn limits(limits: &config::Limits) -> Limits {
    Limits {
        max_connections: value(limits.max_connections, 50_000),
        per_client: value(limits.per_client, 64),
        header_timeout: value(limits.header_timeout, Duration::from_secs(5)),
    }
}

fn value<T>(written: Option<At<T>>, default: T) -> T {
    written.map_or(default, |at| at.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clashes(a: &str, b: &str) -> bool {
        clash(a.parse().unwrap(), b.parse().unwrap())
    }

    #[test]
    fn the_dual_stack_address_includes_every_other() {
        assert!(clashes("[::]:8000", "0.0.0.0:8000"));
        assert!(clashes("127.0.0.1:8000", "[::]:8000"));
        assert!(clashes("0.0.0.0:8000", "127.0.0.1:8000"));
    }

    #[test]
    fn different_hosts_or_ports_get_along() {
        assert!(!clashes("[::1]:8000", "127.0.0.1:8000"));
        assert!(!clashes("0.0.0.0:8000", "[::1]:8000"));
        assert!(!clashes("[::]:8000", "[::]:8001"));
        assert!(!clashes("127.0.0.1:0", "127.0.0.1:0"));
    }
}
