//! What differs between two configurations, told by the names of what changed.

use std::collections::HashMap;
use std::fmt;

use super::{Fallback, Fleet, Server, Stream, StreamId};

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
            let Fleet { poll, balance, limits, countries, .. } = fleet;
            format!("{:?}", (public, poll, balance, limits, countries))
        };
        let certificate =
            |fleet: &Fleet| fleet.tls.as_ref().map(|tls| format!("{:?}", tls.identity));
        Self {
            servers: Named::between(&servers(old), &servers(new)),
            streams: Named::between(&streams(old), &streams(new)),
            settings: settings(old) != settings(new),
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
    fn between(old: &[(String, String)], new: &[(String, String)]) -> Self {
        let before: HashMap<_, _> = old.iter().map(|(name, text)| (name, text)).collect();
        let after: HashMap<_, _> = new.iter().map(|(name, text)| (name, text)).collect();
        let mut named = Self::default();
        for (name, text) in new {
            match before.get(name) {
                None => named.added.push(name.clone()),
                Some(before) if *before != text => named.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let gone = old.iter().filter(|(name, _)| !after.contains_key(name));
        named.removed.extend(gone.map(|(name, _)| name.clone()));
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
fn servers(fleet: &Fleet) -> Vec<(String, String)> {
    let describe = |server: &Server| (server.name.clone(), format!("{server:?}"));
    fleet.servers.iter().map(describe).collect()
}

/// What the configuration says of streams; those that were found are no change of it. Mounts are
/// described by their server's name, since its index may change with its neighbours.
fn streams(fleet: &Fleet) -> Vec<(String, String)> {
    let mut paths: HashMap<StreamId, Vec<&String>> = HashMap::new();
    for (path, id) in &fleet.paths {
        paths.entry(*id).or_default().push(path);
    }
    let mut describe = |(id, stream): (StreamId, &Stream)| {
        let most = fleet.pattern_of(stream).map(|pattern| pattern.max_streams);
        let mounts = fleet.patterns.mounts_of(stream).iter().map(|mount| {
            let server = fleet.servers.get(mount.server).map(|server| &server.name);
            let terms = (mount.max_listeners, mount.bitrate, mount.weight, mount.tier);
            format!("{:?}", (server, &mount.path, &mount.location, &mount.https_location, terms))
        });
        let fallback = match &stream.fallback {
            None => String::new(),
            Some(Fallback::Url(url)) => format!("{url:?}"),
            Some(Fallback::Stream(id)) => {
                fleet.streams.get(*id).map(|stream| stream.path.clone()).unwrap_or_default()
            }
        };
        let mut paths = paths.remove(&id).unwrap_or_default();
        paths.sort();
        let mounts: Vec<_> = mounts.collect();
        let terms = (fallback, stream.when_full, stream.leaves_tls, most);
        (stream.path.clone(), format!("{:?}", (paths, mounts, terms)))
    };
    let named = fleet.streams.iter().map(|stream| &**stream).enumerate();
    named.filter(|(_, stream)| !stream.is_found()).map(&mut describe).collect()
}
