//! What of the status somebody wants to see, as the query of a request says it.

use std::fmt;

use url::form_urlencoded::parse;

use crate::fleet::{Mount, ServerId, Stream, StreamId};
use crate::state::Snapshot;

/// What somebody wants to see; by default everything, but not too many mounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only this stream, or pattern, by one of its paths.
    stream: Option<String>,
    /// Only this server, and what streams have there.
    server: Option<String>,
    mounts: Mounts,
}

/// Whether mounts are told one by one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mounts {
    /// If there are not too many.
    #[default]
    Few,
    /// However many there are.
    All,
    /// None of them.
    None,
}

/// Something is wanted that the configuration does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// There is no stream of this path.
    Stream(String),
    /// There is no server of this name.
    Server(String),
}

/// So many mounts are told one by one unless somebody wants all: a million of them would be hundreds of
/// megabytes. The metrics end there as well.
const FEW_MOUNTS: usize = 20_000;

/// What is wanted of one snapshot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    stream: Option<StreamId>,
    server: Option<ServerId>,
    tells_mounts: bool,
}

impl Wanted {
    /// What a query says. What it does not say well is left out.
    pub fn of(query: &str) -> Self {
        let mut wanted = Self::default();
        for (key, value) in parse(query.as_bytes()) {
            match &*key {
                "stream" => wanted.stream = Some(value.into_owned()),
                "server" => wanted.server = Some(value.into_owned()),
                "mounts" => {
                    wanted.mounts = match &*value {
                        "all" => Mounts::All,
                        "none" => Mounts::None,
                        _ => Mounts::Few,
                    }
                }
                _ => {}
            }
        }
        wanted
    }

    pub(super) fn scope(&self, snapshot: &Snapshot) -> Result<Scope, Unknown> {
        let fleet = &snapshot.fleet;
        let stream = self.stream.as_ref().map(|path| {
            let pattern = || fleet.streams.iter().position(|stream| stream.path == *path);
            let found = fleet.stream_at(path).or_else(pattern);
            found.ok_or_else(|| Unknown::Stream(path.clone()))
        });
        let server = self
            .server
            .as_ref()
            .map(|name| fleet.server_named(name).ok_or_else(|| Unknown::Server(name.clone())));
        let mut scope = Scope {
            stream: stream.transpose()?,
            server: server.transpose()?,
            tells_mounts: self.mounts != Mounts::None,
        };
        if self.mounts == Mounts::Few {
            let mounts = fleet.streams.iter().enumerate();
            let mounts = mounts.filter(|(id, stream)| scope.is_of(snapshot, *id, stream));
            let mounts = mounts.map(|(_, stream)| scope.mounts_of(stream));
            scope.tells_mounts = mounts.sum::<usize>() <= FEW_MOUNTS;
        }
        Ok(scope)
    }
}

impl Scope {
    /// Everything.
    pub(super) const ALL: Self = Self { stream: None, server: None, tells_mounts: true };

    /// Whether a stream that the configuration names, or the one that is wanted, is told by itself.
    pub(super) fn has_stream(&self, id: StreamId, stream: &Stream) -> bool {
        let is_wanted = self.stream.map_or(!stream.is_found(), |wanted| wanted == id);
        is_wanted && self.has_mounts_of(stream)
    }

    pub(super) fn has_server(&self, id: ServerId) -> bool {
        self.server.is_none_or(|wanted| wanted == id)
    }

    pub(super) fn tells_mounts(&self) -> bool {
        self.tells_mounts
    }

    /// How many of a stream's mounts are within it.
    pub(super) fn mounts_of(&self, stream: &Stream) -> usize {
        let is_wanted = |mount: &&Mount| self.has_server(mount.server);
        match self.server {
            None => stream.mounts.len(),
            Some(_) => stream.mounts.iter().filter(is_wanted).count(),
        }
    }

    /// A pattern has none of its own, and may have some on any of its servers.
    pub(super) fn has_mounts_of(&self, stream: &Stream) -> bool {
        self.server.is_none() || stream.mounts.is_empty() || self.mounts_of(stream) > 0
    }

    /// Whether a stream is told, by itself or under its pattern.
    fn is_of(&self, snapshot: &Snapshot, id: StreamId, stream: &Stream) -> bool {
        let pattern = || snapshot.fleet.pattern_of(stream).map(|pattern| pattern.stream);
        self.stream.is_none_or(|wanted| wanted == id || pattern() == Some(wanted))
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(path) => write!(f, "there is no stream {path:?}"),
            Self::Server(name) => write!(f, "there is no server {name:?}"),
        }
    }
}

impl std::error::Error for Unknown {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_is_wanted() {
        assert_eq!(Wanted::of(""), Wanted::default());
        assert_eq!(
            Wanted::of("stream=%2Fsaal1.ogv&server=vienna&mounts=all"),
            Wanted {
                stream: Some("/saal1.ogv".to_owned()),
                server: Some("vienna".to_owned()),
                mounts: Mounts::All,
            }
        );
        assert_eq!(Wanted::of("mounts=none").mounts, Mounts::None);
        for nonsense in ["mounts=", "mounts=some", "&&=&x=y", "%ff"] {
            assert_eq!(Wanted::of(nonsense), Wanted::default(), "{nonsense}");
        }
    }
}
