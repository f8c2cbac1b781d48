//! Which listeners a server is for, and the database that tells their countries.

use std::net::IpAddr;
use std::sync::Arc;

use url::{Host, Url};

use crate::config::findings::Findings;
use crate::config::source::{At, Sources, Span};
use crate::config::suggest::shown;
use crate::config::{self, Config, Server};
use crate::country::Database;
use crate::fleet::compile::Outside;
use crate::fleet::{Clients, Family};

/// `clients` of a server.
pub(super) fn of(clients: &config::Clients) -> Clients {
    let countries = clients.countries.iter().flat_map(|list| &list.value);
    let networks = clients.networks.iter().flat_map(|list| &list.value);
    Clients {
        countries: countries.map(|country| country.value).collect(),
        networks: networks.map(|network| network.value).collect(),
        only: clients.only.is_some_and(|only| only.value),
    }
}

/// `ip` of a server, which its URLs must not contradict.
pub(super) fn family(server: &Server, findings: &mut Findings) -> Option<Family> {
    let At { value, span } = server.ip?;
    let family = match value {
        config::Family::Any => return None,
        config::Family::V4 => Family::V4,
        config::Family::V6 => Family::V6,
    };
    for url in [&server.url, &server.http_url].into_iter().flatten() {
        if address(&url.value).is_some_and(|address| Family::of(address) != family) {
            let message = format!(
                "server {} is to be reached by {family} only, and {} is an address of {}",
                shown(&server.name.value),
                url.value.host_str().unwrap_or_default(),
                family.other()
            );
            findings.problem(span, message, "correct the one or the other, or remove `ip`");
        }
    }
    Some(family)
}

fn address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// The database in `balance.geoip`; `None` where no server asks for countries, or with a problem.
pub(super) fn countries(
    config: &Config,
    sources: &Sources,
    outside: &dyn Outside,
    findings: &mut Findings,
) -> Option<Arc<Database>> {
    let Some(At { value: file, span }) = &config.balance.geoip else {
        if let Some(asked) = asked(config) {
            let message = "`countries` need `balance.geoip`, a database that tells them";
            let help = "add it, for example `geoip: /var/lib/GeoIP/GeoLite2-Country.mmdb`; \
                or use `networks`";
            findings.problem(asked, message, help);
        }
        return None;
    };
    let path = sources.holding(*span).beside(file);
    match outside.database(&path) {
        Ok(database) => asked(config).map(|_| database),
        Err(error) => {
            let message = format!("the database \"{}\" cannot be used: {error}", path.display());
            let help = "give it a MaxMind database (.mmdb) of countries or cities that the user \
                can read that the balancer runs as";
            findings.problem(*span, message, help);
            None
        }
    }
}

/// Where countries are first asked for.
fn asked(config: &Config) -> Option<Span> {
    let clients = config.servers.items.iter().filter_map(|server| server.clients.as_ref());
    let mut lists = clients.filter_map(|clients| clients.countries.as_ref());
    lists.find_map(|list| list.value.first().map(|country| country.span))
}

/// A database that nobody asks.
pub(super) fn unused(config: &Config, findings: &Findings) -> Option<String> {
    let geoip = config.balance.geoip.as_ref().filter(|_| asked(config).is_none())?;
    let place = findings.place(geoip.span)?;
    Some(format!("{place}: `balance.geoip` changes nothing: no server has `countries`"))
}
