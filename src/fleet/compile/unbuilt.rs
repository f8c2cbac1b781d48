//! Keys and values whose effect is not built: refused, so that nobody relies on them.

use crate::config::findings::Findings;
use crate::config::source::{At, Span};
use crate::config::suggest::shown;
use crate::config::{Config, Family, Policy, Server, StatsSource};

/// Reports everything that would have no effect.
pub(super) fn refuse(config: &Config, findings: &mut Findings) {
    let mut refuse = |span: Option<Span>, what: &str, help: &str| {
        if let Some(span) = span {
            findings.problem(span, format!("{what} is not supported yet"), help);
        }
    };
    let balance = &config.balance;

    refuse(config.tls, "`tls`", "remove it, and let a proxy in front speak TLS");
    refuse(config.cluster, "`cluster`", "remove it, and run one balancer");
    refuse(balance.geoip, "`balance.geoip`", "remove it");
    if let Some(At { value: Policy::ClientHash, span }) = balance.policy {
        refuse(Some(span), "`balance.policy: client_hash`", "use `least_used`");
    }
    for server in &config.servers.items {
        refuse_server(server, &mut refuse);
    }
    for stream in &config.streams.items {
        for path in std::iter::once(&stream.name).chain(&stream.aliases) {
            if path.value.ends_with("/*") {
                let what = format!("the pattern {}", shown(&path.value));
                refuse(Some(path.span), &what, "name each stream by its own path");
            }
        }
    }
}

fn refuse_server(server: &Server, refuse: &mut impl FnMut(Option<Span>, &str, &str)) {
    refuse(server.clients, "`clients`", "remove it, and use `weight` or `tier`");
    match server.ip {
        Some(At { value: Family::One, span }) => {
            refuse(Some(span), "`ip` other than `any`", "write any or remove it");
        }
        Some(At { value: Family::Any, .. }) | None => {}
    }
    if let Some(At { value: StatsSource::Probe, span }) = server.stats.source {
        let help = "use `auto`, `live`, `slots`, `admin`, `status-json` or `shoutcast`";
        refuse(Some(span), "`stats.source: probe`", help);
    }
}
