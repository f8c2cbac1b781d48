//! What several replicas mean for the limits of each.

use crate::config::findings::Findings;
use crate::config::source::{At, Span};
use crate::config::{Config, EngineUrl, Mounts};
use crate::fleet::compile::secrets::Secrets;
use crate::fleet::{Address, Engine, Whereabouts};

const PORT: u16 = 6379;

const SENTINEL_PORT: u16 = 26379;

const KEY_PREFIX: &str = "icecast-balancer";

/// How many replicas there are.
pub(super) fn replicas(config: &Config, findings: &mut Findings) -> u64 {
    let Some(cluster) = &config.cluster else { return 1 };
    if !cluster.replicas_are_written {
        let help = "say how many balancers there are, for example `replicas: 3`";
        findings.problem(cluster.key, "`cluster` has no `replicas`", help);
    }
    cluster.replicas.map_or(1, |replicas| replicas.value)
}

/// What they lend one another slots through.
pub(super) fn engine(
    config: &Config,
    secrets: &Secrets<'_>,
    findings: &mut Findings,
) -> Option<Engine> {
    let cluster = config.cluster.as_ref()?;
    if !cluster.engine_is_written {
        let password_file = cluster.password_file.as_ref().map(|file| ("password_file", file.span));
        let key_prefix = cluster.key_prefix.as_ref().map(|prefix| ("key_prefix", prefix.span));
        let username = cluster.username.as_ref().map(|name| ("username", name.span));
        for (key, span) in [username, password_file, key_prefix].into_iter().flatten() {
            without(key, "an engine", "engine: redis://redis.example.org:6379", span, findings);
        }
    }
    if let (Some(username), false) = (&cluster.username, cluster.password_is_written) {
        let file = "password_file: /run/secrets/redis";
        without("username", "a password", file, username.span, findings);
    }
    let password = cluster.password_file.as_ref().map(|file| secrets.file(file, findings));
    let url = &cluster.engine.as_ref()?.value;
    let key_prefix = cluster.key_prefix.as_ref().map(|prefix| prefix.value.clone());
    Some(Engine {
        at: whereabouts(url)?,
        tls: url.tls,
        database: url.database,
        username: cluster.username.as_ref().map(|name| name.value.clone()),
        password: password.flatten(),
        key_prefix: key_prefix.unwrap_or_else(|| KEY_PREFIX.to_owned()),
    })
}

fn whereabouts(url: &EngineUrl) -> Option<Whereabouts> {
    let all = |default: u16| {
        let hosts = url.hosts.iter();
        hosts.map(move |(host, port)| Address { host: host.clone(), port: port.unwrap_or(default) })
    };
    match &url.name {
        Some(name) => {
            let sentinels = all(SENTINEL_PORT).collect();
            Some(Whereabouts::Sentinels { sentinels, name: name.clone() })
        }
        None => all(PORT).next().map(Whereabouts::Server),
    }
}

fn without(key: &str, what: &str, line: &str, span: Span, findings: &mut Findings) {
    let message = format!("`cluster.{key}` is given without {what}");
    findings.problem(span, message, format!("add `{line}`, or remove `{key}`"));
}

/// Limits of which no replica has a share.
pub(super) fn warnings(config: &Config, replicas: u64, findings: &Findings) -> Vec<String> {
    let servers = config.servers.items.iter().filter_map(|server| server.max_listeners);
    // One slot is kept free for the look of each replica.
    let servers = servers.filter(|limit| limit.value < replicas.saturating_mul(2));
    let mounts = config.streams.items.iter().filter_map(|stream| match &stream.mounts {
        Mounts::These(mounts) => Some(mounts),
        Mounts::Every | Mounts::Unreadable => None,
    });
    let mounts = mounts.flatten().filter_map(|mount| mount.max_listeners);
    let mounts = mounts.filter(|limit| limit.value < replicas);
    let small = servers.chain(mounts).filter(|_| replicas > 1);
    small.filter_map(|limit| nobody(limit, replicas, findings)).collect()
}

fn nobody(limit: At<u64>, replicas: u64, findings: &Findings) -> Option<String> {
    let place = findings.place(limit.span)?;
    let limit = limit.value;
    Some(format!(
        "{place}: of `max_listeners: {limit}` none of {replicas} replicas has a share, so that \
         nobody is sent there"
    ))
}
