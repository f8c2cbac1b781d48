//! The tree of nodes into the types that mirror the file: everything but the streams.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use secrecy::SecretString;

use crate::config::fields::{Entry, Fields, Names, entries};
use crate::config::findings::Findings;
use crate::config::keys::{
    self, CONNECTIONS, HEADROOM, JOINS, LISTENERS, Mapping, POLLS, REPLICAS, TIER, WEIGHT,
};
use crate::config::source::{At, Span};
use crate::config::suggest::shown;
use crate::config::yaml::{Kind, Node, Value};
use crate::config::{
    Balance, Clients, Cluster, Config, Headroom, Limits, Password, Poll, Section, Server, Stats,
    StatsSource, Tls, engine, streams, urls, values,
};
use crate::country::{Country, NotACountry};
use crate::network::Network;

/// Everything in `files`; `None` if there are none.
pub(super) fn config(files: &[(Span, Node)], findings: &mut Findings) -> Option<Config> {
    let mut fields = Fields::top(files, &keys::TOP, &["servers", "streams"], findings)?;
    let config = Config {
        start: fields.key(),
        listen: fields.read("listen", findings, values::addresses).map(|listen| listen.value),
        admin: fields.read("admin", findings, values::address),
        admin_token_file: fields.read("admin_token_file", findings, values::file),
        public_url: fields.read("public_url", findings, urls::public_url),
        streamlist: fields.read("streamlist", findings, values::boolean),
        tls: tls(&mut fields, findings),
        trusted_proxies: fields.read("trusted_proxies", findings, networks).map(|at| at.value),
        trusted_proxies_are_written: fields.has("trusted_proxies"),
        proxy_protocol: fields.read("proxy_protocol", findings, values::boolean),
        poll: below(&mut fields, "poll", &keys::POLL, findings, poll),
        balance: below(&mut fields, "balance", &keys::BALANCE, findings, balance),
        limits: below(&mut fields, "limits", &keys::LIMITS, findings, limits),
        cluster: cluster(&mut fields, findings),
        servers: section(&mut fields, "servers", "server", findings, server),
        streams: section(&mut fields, "streams", "stream path", findings, streams::stream),
    };
    fields.finish(findings);
    Some(config)
}

/// The mapping under `key`, or all of its defaults.
fn below<T: Default>(
    fields: &mut Fields<'_>,
    key: &'static str,
    mapping: &'static Mapping,
    findings: &mut Findings,
    read: impl FnOnce(&mut Fields<'_>, &mut Findings) -> T,
) -> T {
    let Some(entry) = fields.take(key, findings) else { return T::default() };
    let Some(mut fields) = Fields::open(&entry, mapping, findings) else { return T::default() };
    let value = read(&mut fields, findings);
    fields.finish(findings);
    value
}

/// All entries of `key` in all files; each name once.
fn section<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    what: &str,
    findings: &mut Findings,
    mut read: impl FnMut(At<String>, &Entry<'_>, &mut Findings) -> T,
) -> Section<T> {
    let found = fields.take_all(key, findings);
    let mut section = Section { key: fields.span(key), items: Vec::new() };
    let mut names = Names::default();
    for entry in found {
        let Some(entries) = entries(&entry, what, findings) else { continue };
        if matches!(&entry.node.value, Value::Map(map) if map.is_empty()) {
            let help = format!("write one {what} a line below it, indented");
            findings.problem(entry.key, format!("`{key}` is empty"), help);
        }
        for (name, entry) in entries {
            if names.is_new(&name, findings) {
                section.items.push(read(name, &entry, findings));
            }
        }
    }
    section
}

fn poll(fields: &mut Fields<'_>, findings: &mut Findings) -> Poll {
    Poll {
        interval: fields.read("interval", findings, values::duration),
        fast_interval: fields.read("fast_interval", findings, values::duration),
        timeout: fields.read("timeout", findings, values::duration),
        stale_after: fields.read("stale_after", findings, values::duration),
        rise: number(fields, "rise", POLLS, findings),
        fall: number(fields, "fall", POLLS, findings),
        slow_start: fields.read("slow_start", findings, values::duration_or_zero),
    }
}

fn balance(fields: &mut Fields<'_>, findings: &mut Findings) -> Balance {
    Balance {
        policy: fields.read("policy", findings, values::choice),
        settle: fields.read("settle", findings, values::duration),
        headroom: fields.read("headroom", findings, headroom),
        when_full: fields.read("when_full", findings, values::choice),
        wait: fields.read("wait", findings, values::duration),
        panic: fields.read("panic", findings, values::choice),
        geoip: fields.read("geoip", findings, values::file),
        salt: fields.take("salt", findings).and_then(|entry| secret(&entry, findings)),
    }
}

fn headroom(entry: &Entry<'_>, findings: &mut Findings) -> Option<Headroom> {
    let scalar = values::scalar(entry, findings)?;
    if scalar.text == "auto" {
        return Some(Headroom::Auto);
    }
    if scalar.kind == Kind::Text && scalar.text.parse::<u64>().is_err() {
        let message = format!("`{}` cannot be {}", entry.name, shown(&scalar.text));
        findings.problem(entry.node.span, message, "write auto, or a number of slots such as 2");
        return None;
    }
    values::count(entry, HEADROOM, findings).map(Headroom::Slots)
}

fn limits(fields: &mut Fields<'_>, findings: &mut Findings) -> Limits {
    Limits {
        max_connections: number(fields, "max_connections", CONNECTIONS, findings),
        per_client: number(fields, "per_client", CONNECTIONS, findings),
        header_timeout: fields.read("header_timeout", findings, values::duration),
    }
}

fn server(name: At<String>, entry: &Entry<'_>, findings: &mut Findings) -> Server {
    let mut server = Server {
        name,
        url: None,
        http_url: None,
        max_listeners: None,
        max_bandwidth: None,
        max_joins_per_second: None,
        weight: None,
        tier: None,
        state: None,
        clients: None,
        ip: None,
        stats: Stats::default(),
    };
    check_name(&server.name, findings);
    if let Value::Scalar(_) = entry.node.value {
        let url = urls::server_url(entry, findings);
        server.url = url.map(|value| At { value, span: entry.node.span });
    } else if let Value::Null = entry.node.value {
        let message = format!("`{}` has no URL", entry.name);
        findings.problem(entry.key, message, "write for example http://vienna.example.org:8000");
    } else if let Some(mut fields) = Fields::open(entry, &keys::SERVER, findings) {
        server_fields(&mut server, &mut fields, findings);
        fields.finish(findings);
    }
    server
}

/// Names go into logs and metrics.
fn check_name(name: &At<String>, findings: &mut Findings) {
    if name.value.contains(char::is_control) || name.value.len() > 100 {
        let message = "a server's name is too long, or contains a control character";
        findings.problem(name.span, message, "use a short word such as vienna");
    }
}

fn server_fields(server: &mut Server, fields: &mut Fields<'_>, findings: &mut Findings) {
    server.url = fields.read("url", findings, urls::server_url);
    if !fields.has("url") {
        let message = format!("`{}` is missing", fields.path("url"));
        let help = "add the relay's URL: `url: http://vienna.example.org:8000`";
        findings.problem(fields.key(), message, help);
    }
    server.http_url = fields.read("http_url", findings, urls::server_url);
    server.max_listeners = number(fields, "max_listeners", LISTENERS, findings);
    server.max_bandwidth = fields.read("max_bandwidth", findings, values::rate);
    server.max_joins_per_second = number(fields, "max_joins_per_second", JOINS, findings);
    server.weight = number(fields, "weight", WEIGHT, findings);
    server.tier = number(fields, "tier", TIER, findings);
    server.state = fields.read("state", findings, values::choice);
    server.clients = fields.take("clients", findings).and_then(|entry| clients(&entry, findings));
    server.ip = fields.read("ip", findings, values::choice);
    server.stats = below(fields, "stats", &keys::STATS, findings, stats);
}

fn stats(fields: &mut Fields<'_>, findings: &mut Findings) -> Stats {
    let credentials = fields.has("password") || fields.has("password_file");
    let stats = Stats {
        source: fields.read("source", findings, values::choice),
        url: fields.read("url", findings, urls::server_url),
        username: fields.read("username", findings, values::text),
        password: password(fields, findings),
    };
    let needy = stats.source.and_then(|source| match source.value {
        StatsSource::Admin => Some((source.span, "admin")),
        StatsSource::Live => Some((source.span, "live")),
        _ => None,
    });
    if let Some((span, name)) = needy.filter(|_| !credentials) {
        let message = format!("`{}: {name}` needs a password", fields.path("source"));
        findings.problem(span, message, "add `password: ${NAME}` or `password_file: PATH`");
    }
    if let Some(username) = &stats.username
        && !credentials
    {
        let message = format!("`{}` is given without a password", fields.path("username"));
        let help = "add `password: ${NAME}` or `password_file: PATH`";
        findings.problem(username.span, message, help);
    }
    stats
}

fn password(fields: &mut Fields<'_>, findings: &mut Findings) -> Option<Password> {
    let written = fields.take("password", findings);
    let file = fields.take("password_file", findings);
    if let (Some(_), Some(file)) = (&written, &file) {
        let message = format!("both `password` and `password_file` are in `{}`", fields.name());
        findings.problem(file.key, message, "keep one of them");
    }
    if let Some(entry) = &file {
        let path = values::file(entry, findings);
        let path = path.map(|value| Password::File(At { value, span: entry.node.span }));
        return path.filter(|_| written.is_none());
    }
    secret(&written?, findings).map(Password::Written)
}

/// Text that is never shown.
fn secret(entry: &Entry<'_>, findings: &mut Findings) -> Option<At<SecretString>> {
    let Value::Scalar(scalar) = &entry.node.value else {
        let message = format!("`{}` must be text", entry.name);
        findings.secret_problem(entry.node.span, message, "put it in quotes");
        return None;
    };
    let problem = if scalar.kind != Kind::Text {
        ("is read by YAML as a number or as true or false", "put it in quotes")
    } else if scalar.text.is_empty() {
        ("is empty", "give it a value, or remove the line")
    } else {
        let value = scalar.text.clone().into();
        return Some(At { value, span: entry.node.span });
    };
    findings.secret_problem(entry.node.span, format!("`{}` {}", entry.name, problem.0), problem.1);
    None
}

fn tls(top: &mut Fields<'_>, findings: &mut Findings) -> Option<Tls> {
    let entry = top.take("tls", findings)?;
    let mut fields = Fields::open(&entry, &keys::TLS, findings)?;
    for (key, example) in [("certificate", "tls.crt"), ("key", "tls.key")] {
        if !fields.has(key) {
            let message = format!("`{}` is missing", fields.path(key));
            let help = format!("add the path of a PEM file: `{key}: /etc/balancer/{example}`");
            findings.problem(entry.key, message, help);
        }
    }
    let tls = Tls {
        key: entry.key,
        listen: fields.read("listen", findings, values::addresses).map(|listen| listen.value),
        certificate: fields.read("certificate", findings, pem_file),
        private_key: fields.read("key", findings, pem_file),
    };
    fields.finish(findings);
    Some(tls)
}

/// The path of a file with PEM in it; the PEM itself is not quoted.
fn pem_file(entry: &Entry<'_>, findings: &mut Findings) -> Option<PathBuf> {
    if matches!(&entry.node.value, Value::Scalar(scalar) if scalar.text.contains("-----BEGIN")) {
        findings.hide(entry.node.span);
        let message = format!("`{}` is PEM itself, and not the path of a file", entry.name);
        findings.secret_problem(entry.node.span, message, "put it into a file, and name the file");
        return None;
    }
    values::file(entry, findings)
}

fn cluster(top: &mut Fields<'_>, findings: &mut Findings) -> Option<Cluster> {
    let entry = top.take("cluster", findings)?;
    let mut fields = Fields::open(&entry, &keys::CLUSTER, findings)?;
    let cluster = Cluster {
        key: entry.key,
        replicas: number(&mut fields, "replicas", REPLICAS, findings),
        replicas_are_written: fields.has("replicas"),
        engine: fields.read("engine", findings, engine::engine),
        engine_is_written: fields.has("engine"),
        username: fields.read("username", findings, values::text),
        password_file: fields.read("password_file", findings, values::file),
        password_is_written: fields.has("password_file"),
        key_prefix: fields.read("key_prefix", findings, engine::key_prefix),
    };
    fields.finish(findings);
    Some(cluster)
}

fn clients(entry: &Entry<'_>, findings: &mut Findings) -> Option<Clients> {
    let mut fields = Fields::open(entry, &keys::CLIENTS, findings)?;
    if !fields.has("countries") && !fields.has("networks") {
        let message = format!("`{}` has neither `countries` nor `networks`", entry.name);
        let help = "say whose listeners the server is for, for example `countries: [AT, DE]`";
        findings.problem(entry.key, message, help);
    }
    let clients = Clients {
        countries: fields.read("countries", findings, |entry, f| values::list(entry, f, country)),
        networks: fields
            .read("networks", findings, |entry, f| values::list(entry, f, values::network)),
        only: fields.read("only", findings, values::boolean),
    };
    fields.finish(findings);
    Some(clients)
}

/// A country by its code. `NO` is Norway, whatever else YAML may take it for.
fn country(entry: &Entry<'_>, findings: &mut Findings) -> Option<Country> {
    let scalar = values::scalar(entry, findings)?;
    let help = match scalar.text.parse() {
        Ok(country) => return Some(country),
        Err(NotACountry::Perhaps(country)) => format!("did you mean {country}?"),
        Err(NotACountry::Group) => "list its countries one by one".to_owned(),
        Err(NotACountry::Unknown) => {
            "write the two capital letters of ISO 3166, such as AT for Austria".to_owned()
        }
    };
    let message = format!("`{}` has {}, which is no country", entry.name, shown(&scalar.text));
    findings.problem(entry.node.span, message, help);
    None
}

/// Networks, perhaps none.
fn networks(entry: &Entry<'_>, findings: &mut Findings) -> Option<Vec<At<Network>>> {
    if matches!(&entry.node.value, Value::List(list) if list.is_empty()) {
        return Some(Vec::new());
    }
    values::list(entry, findings, values::network)
}

/// A number that fits the type it is kept in.
pub(super) fn number<T: TryFrom<u64>>(
    fields: &mut Fields<'_>,
    key: &'static str,
    range: RangeInclusive<u64>,
    findings: &mut Findings,
) -> Option<At<T>> {
    fields.read(key, findings, |entry, findings| {
        values::count(entry, range, findings).and_then(|number| T::try_from(number).ok())
    })
}
