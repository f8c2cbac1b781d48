//! What differs between two configurations, told by the names of what changed.

use std::collections::HashMap;
use std::fmt;

use http::HeaderValue;

use super::{Fallback, Fleet, Server, StreamId, WhenFull};

/// The difference between two fleets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Differences of the servers.
    pub servers: Named,
    /// Differences of the streams.
    pub streams: Named,
    /// Whether anything else differs: how relays are polled, how listeners are distributed.
    pub settings: bool,
    /// Whether the certificate is another one.
    pub certificate: bool,
}

/// Names by what happened to them, each list in its configuration's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// New ones.
    pub added: Vec<String>,
    /// Gone ones.
    pub removed: Vec<String>,
    /// Ones that are not what they were.
    pub changed: Vec<String>,
}

impl Changes {
    /// What a change from `old` to `new` means.
    pub fn between(old: &Fleet, new: &Fleet) -> Self {
        let settings = |fleet: &Fleet| {
            let public = (&fleet.public_url, fleet.streamlist, &fleet.proxies);
            let Fleet { poll, balance, replicas, limits, countries, .. } = fleet;
            format!("{:?}", (public, poll, balance, replicas, limits, countries))
        };
        let certificate =
            |fleet: &Fleet| fleet.tls.as_ref().map(|tls| format!("{:?}", tls.identity));
        Self {
            servers: Named::between(&servers(old), &servers(new)),
            streams: Named::between(&streams(old), &streams(new)),
            settings: settings(old) != settings(new) || old.engine != new.engine,
            certificate: certificate(old) != certificate(new),
        }
    }

    /// The same as [`Display`](fmt::Display), for a log.
    pub fn in_one_line(&self) -> String {
        let lines = self.to_string();
        if lines.is_empty() {
            "same servers and streams".to_owned()
        } else {
            lines.trim_end().replace('\n', "; ")
        }
    }
}

impl Named {
    /// Compares lists of names, each with a description that is equal if nothing changed.
    fn between<T: PartialEq>(old: &[(&str, T)], new: &[(&str, T)]) -> Self {
        let before: HashMap<&str, &T> = old.iter().map(|(name, told)| (*name, told)).collect();
        let after: HashMap<&str, &T> = new.iter().map(|(name, told)| (*name, told)).collect();
        let mut named = Self::default();
        for (name, told) in new {
            match before.get(name) {
                None => named.added.push((*name).to_owned()),
                Some(before) if *before != told => named.changed.push((*name).to_owned()),
                Some(_) => {}
            }
        }
        let gone = old.iter().filter(|(name, _)| !after.contains_key(name));
        named.removed.extend(gone.map(|(name, _)| (*name).to_owned()));
        named
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    fn fmt_as(&self, what: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        write!(f, "{what}:")?;
        for (sign, names) in [('+', &self.added), ('-', &self.removed), ('~', &self.changed)] {
            for name in names {
                write!(f, " {sign}{name}")?;
            }
        }
        writeln!(f)
    }
}

/// One line each for servers, streams, settings and the certificate that differ: `+` new, `-` gone, `~` changed.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.servers.fmt_as("servers", f)?;
        self.streams.fmt_as("streams", f)?;
        if self.settings {
            writeln!(f, "settings: ~")?;
        }
        if self.certificate {
            writeln!(f, "certificate: ~")?;
        }
        Ok(())
    }
}

/// Passwords do not show in a description: a new one is no change that anybody must be told of.
fn servers(fleet: &Fleet) -> Vec<(&str, String)> {
    let describe = |server: &Server| format!("{server:?}");
    fleet.servers.iter().map(|server| (server.name.as_str(), describe(server))).collect()
}

/// What the configuration says of a stream.
#[derive(PartialEq)]
struct StreamTerms<'a> {
    /// Its path and its aliases, in order.
    paths: Vec<&'a str>,
    mounts: Vec<MountTerms<'a>>,
    fallback: Option<FallbackTerms<'a>>,
    when_full: WhenFull,
    leaves_tls: bool,
    most_streams: Option<usize>,
}

/// What it says of one of its mounts.
#[derive(PartialEq)]
struct MountTerms<'a> {
    server: Option<&'a str>,
    path: &'a str,
    locations: [&'a HeaderValue; 2],
    max_listeners: Option<u64>,
    bitrate: u64,
    weight: u32,
    tier: u32,
}

#[derive(PartialEq)]
enum FallbackTerms<'a> {
    Stream(Option<&'a str>),
    Url(&'a HeaderValue),
}

/// What the configuration says of streams; those that were found are no change of it. Mounts are
/// described by their server's name, since its index may change with its neighbours.
fn streams(fleet: &Fleet) -> Vec<(&str, StreamTerms<'_>)> {
    let mut paths: HashMap<StreamId, Vec<&str>> = HashMap::with_capacity(fleet.streams.len());
    for (path, id) in &fleet.paths {
        paths.entry(*id).or_default().push(path);
    }
    let mut describe = |id: StreamId, stream| {
        let mounts = fleet.patterns.mounts_of(stream).iter().map(|mount| MountTerms {
            server: fleet.servers.get(mount.server).map(|server| server.name.as_str()),
            path: &mount.path,
            locations: [&mount.location, &mount.https_location],
            max_listeners: mount.max_listeners,
            bitrate: mount.bitrate,
            weight: mount.weight,
            tier: mount.tier,
        });
        let fallback = stream.fallback.as_ref().map(|fallback| match fallback {
            Fallback::Url(url) => FallbackTerms::Url(url),
            Fallback::Stream(id) => {
                FallbackTerms::Stream(fleet.streams.get(*id).map(|stream| stream.path.as_str()))
            }
        });
        let mut paths = paths.remove(&id).unwrap_or_default();
        paths.sort_unstable();
        StreamTerms {
            paths,
            mounts: mounts.collect(),
            fallback,
            when_full: stream.when_full,
            leaves_tls: stream.leaves_tls,
            most_streams: fleet.pattern_of(stream).map(|pattern| pattern.max_streams),
        }
    };
    let named = fleet.streams.iter().enumerate().filter(|(_, stream)| !stream.is_found());
    named.map(|(id, stream)| (stream.path.as_str(), describe(id, &**stream))).collect()
}
