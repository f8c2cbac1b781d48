//! The relays: defaults filled in, secrets read.

use crate::config::findings::Findings;
use crate::config::{self, Config, Password};
use crate::fleet::compile::clients;
use crate::fleet::compile::secrets::{Secrets, What};
use crate::fleet::{Credentials, Server, ServerState, Stats, StatsSource};

/// Icecast's own default.
const ADMIN_USER: &str = "admin";

/// The servers in the file's order; `None` is one with a problem.
pub(super) fn servers(
    config: &Config,
    secrets: &Secrets<'_>,
    findings: &mut Findings,
) -> Vec<Option<Server>> {
    if config.servers.key.is_none() {
        let help = "add `servers:` with a line such as `vienna: http://vienna.example.org:8000`";
        findings.problem(config.start, "there are no `servers`", help);
    }
    config.servers.items.iter().map(|item| server(item, secrets, findings)).collect()
}

fn server(
    server: &config::Server,
    secrets: &Secrets<'_>,
    findings: &mut Findings,
) -> Option<Server> {
    let stats = stats(server, secrets, findings);
    let ip = clients::family(server, findings);
    let url = server.url.clone()?.value;
    Some(Server {
        name: server.name.value.clone(),
        http_url: server.http_url.clone().map_or_else(|| url.clone(), |url| url.value),
        url,
        max_listeners: server.max_listeners.as_ref().map(|most| most.value),
        max_bandwidth: server.max_bandwidth.as_ref().map(|most| most.value),
        max_joins_per_second: server.max_joins_per_second.as_ref().map_or(500, |most| most.value),
        state: match server.state.as_ref().map(|state| state.value) {
            Some(config::State::Active) | None => ServerState::Active,
            Some(config::State::Draining) => ServerState::Draining,
            Some(config::State::Disabled) => ServerState::Disabled,
        },
        clients: server.clients.as_ref().map(clients::of),
        ip,
        stats: stats?,
    })
}

fn stats(server: &config::Server, secrets: &Secrets<'_>, findings: &mut Findings) -> Option<Stats> {
    let stats = &server.stats;
    let credentials = match &stats.password {
        None => None,
        Some(password) => {
            let password = match password {
                Password::Written(written) => secrets.written(What::Password, written, findings),
                Password::File(file) => secrets.file(file, findings),
            };
            let username = stats.username.as_ref().map_or(ADMIN_USER, |name| &name.value);
            Some(Credentials { username: username.to_owned(), password: password? })
        }
    };
    let source = match stats.source.as_ref().map(|source| source.value) {
        Some(config::StatsSource::Auto) | None => StatsSource::Auto,
        Some(config::StatsSource::Slots) => StatsSource::Slots,
        Some(config::StatsSource::StatusJson) => StatsSource::StatusJson,
        Some(config::StatsSource::Admin) => StatsSource::Admin,
        Some(config::StatsSource::Live) => StatsSource::Live,
        Some(config::StatsSource::Shoutcast) => StatsSource::Shoutcast,
        Some(config::StatsSource::Probe) => StatsSource::Probe,
    };
    let url = stats.url.clone().or_else(|| server.url.clone())?.value;
    Some(Stats { source, url, credentials })
}
