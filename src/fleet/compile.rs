//! From what the configuration says to what it means: a [`Fleet`], or everything that is wrong.

mod clients;
mod cluster;
mod probes;
mod secrets;
mod servers;
mod settings;
mod streams;
mod tls;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::findings::Findings;
use crate::config::source::Sources;
use crate::config::{self, Config};
use crate::country::Database;
use crate::fleet::compile::secrets::Secrets;
use crate::fleet::{Fleet, Server};
use crate::problem::{Problem, Problems};

/// What a configuration refers to beyond its own text.
pub trait Outside {
    /// The value of an environment variable; `None` if it is not set.
    fn variable(&self, name: &str) -> Option<String>;

    /// The content of a file that holds a secret, or a certificate.
    fn secret(&self, path: &Path) -> io::Result<String>;

    /// The database of countries in a file; where nothing else is said, there is none.
    fn database(&self, _path: &Path) -> io::Result<Arc<Database>> {
        Err(io::ErrorKind::NotFound.into())
    }

    /// The time of day, by which certificates expire; `None`: nobody knows.
    fn now(&self) -> Option<SystemTime> {
        None
    }
}

/// No environment and no files, for tests that need neither.
#[cfg(test)]
pub(crate) struct Nothing;

#[cfg(test)]
impl Outside for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn secret(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Understands a configuration, or tells everything that is wrong with it.
pub fn compile(sources: &Sources, outside: &dyn Outside) -> Result<Fleet, Problems> {
    let (config, mut findings) = config::read(sources);
    let fleet = config.and_then(|config| fleet(&config, sources, outside, &mut findings));
    match (fleet, findings.into_problems()) {
        (_, Some(problems)) => Err(problems),
        (Some(fleet), None) => Ok(fleet),
        (None, None) => {
            let name = sources.iter().next().map(config::source::Source::name);
            Err(Problem::with_file(name.unwrap_or_default(), "nothing is configured").into())
        }
    }
}

/// `None` if anything was wrong.
fn fleet(
    config: &Config,
    sources: &Sources,
    outside: &dyn Outside,
    findings: &mut Findings,
) -> Option<Fleet> {
    let secrets = &Secrets::new(sources, outside);
    probes::refuse_patterns(config, findings);
    let (listen, admin) = settings::addresses(config, findings);
    let admin_token =
        config.admin_token_file.as_ref().and_then(|file| secrets.file(file, findings));
    let taken = listen.iter().map(|address| ("listen", *address)).chain([("admin", admin)]);
    let tls = tls::tls(config, &taken.collect::<Vec<_>>(), secrets, findings);
    let replicas = cluster::replicas(config, findings);
    let engine = cluster::engine(config, secrets, findings);
    let proxies = settings::proxies(config, findings);
    let poll = settings::poll(&config.poll, findings);
    let servers = servers::servers(config, secrets, findings);
    let countries = clients::countries(config, sources, outside, findings);
    let balance = settings::balance(&config.balance, secrets, findings);
    let linked = streams::streams(config, &servers, findings);
    if !findings.is_empty() {
        return None;
    }
    let warnings = settings::warnings(config, findings).into_iter();
    let warnings = warnings.chain(tls::warning(config, tls.as_ref(), secrets, findings));
    let warnings = warnings.chain(cluster::warnings(config, replicas, findings));
    let warnings = warnings.chain(linked.warnings).collect();
    let servers = servers.into_iter().collect::<Option<Vec<Server>>>()?;
    let places = servers.iter().enumerate().map(|(place, server)| (server.name.clone(), place));
    Some(Fleet {
        listen,
        admin,
        admin_token,
        public_url: config.public_url.as_ref().map(|url| url.value.clone()),
        streamlist: config.streamlist.is_some_and(|wanted| wanted.value),
        tls,
        proxies,
        poll,
        balance: balance?,
        replicas,
        engine,
        countries,
        limits: settings::limits(&config.limits),
        places: places.collect(),
        servers,
        streams: linked.streams,
        paths: linked.paths,
        patterns: linked.patterns,
        warnings,
    })
}
