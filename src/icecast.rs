//! Icecast's statistics in, one [`Report`] out.
//!
//! Icecast tells its listener counts in several documents; each has a parser here, as has what
//! SHOUTcast tells, and all of them give the same [`Report`]. Nothing a relay sends is trusted: numbers are read leniently, one
//! broken mount costs only itself, and a document that is not statistics is [`Malformed`].
//!
//! How numbers are read stands in `docs/relays.md`, which a test holds against the code: too odd a
//! number is as good as none, and none ends in a panic, a wrap-around or a slot too many. A limit
//! is unknown, too, where it is a number but the listeners beside it are not told, because nobody
//! can say then how many of its slots are free.
//!
//! # Which mounts are kept
//!
//! Of a mount that is listed twice the first stays. A name that does not begin with `/` or is
//! longer than 1 KiB is dropped, and so is every mount after the first 20,000.

pub mod admin;
pub mod feed;
pub mod shoutcast;
pub mod slots;
pub mod status_json;

mod listing;
mod number;
mod xml;

use std::fmt;

/// What one look at a relay saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// TCP clients of the whole relay (listeners, sources, relays pulling from it, statistics
    /// requests), where the document tells it. It is this number that Icecast holds against its
    /// `<limits><clients>`.
    pub clients: Option<u64>,
    /// The mounts the relay lists, in the document's order, each name once.
    pub mounts: Vec<MountReport>,
}

/// One mount of a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountReport {
    /// The mount's path as Icecast knows it: URL-decoded, beginning with `/`.
    pub name: String,
    /// Listeners on this mount now; `None` where the document does not tell (the `load.xsl` of
    /// 2010 tells free slots alone, and a mount that was merely asked for tells nothing).
    pub listeners: Option<u64>,
    /// The most listeners this mount accepts.
    pub limit: Limit,
    /// Whether a stream has been proven to flow.
    pub activity: Activity,
    /// Bytes that the source has sent since it began, where the document tells it. Icecast counts
    /// them up about every five seconds.
    pub bytes: Option<u64>,
}

/// A mount's `<max-listeners>` as its relay reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// This many listeners. Where the listeners are not told, this many *further* listeners.
    Listeners(u64),
    /// The relay says that there is none.
    Unlimited,
    /// The document does not say, or says something absurd.
    Unknown,
}

/// Whether a mount has a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// A stream has begun.
    Active,
    /// Listed, but no stream has begun: a relay on demand that waits for its first listener, and
    /// may well answer it 404.
    Idle,
    /// It gives a listener what it asks for, and nobody tells how many it has.
    Answers,
    /// Nobody asked it this time: it is as it was.
    Unasked,
}

impl Report {
    /// Whether it tells how many listen; `None` where it has no mount to tell of.
    pub fn counts_listeners(&self) -> Option<bool> {
        let counts = self.mounts.iter().any(|mount| mount.listeners.is_some());
        (!self.mounts.is_empty()).then_some(counts)
    }
}

/// Why a document cannot be read as statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(listeners: Option<u64>) -> MountReport {
        MountReport {
            name: "/a".to_owned(),
            listeners,
            limit: Limit::Unknown,
            activity: Activity::Active,
            bytes: None,
        }
    }

    #[test]
    fn listeners_are_counted_where_any_mount_tells_them() {
        let counts = |mounts| Report { clients: None, mounts }.counts_listeners();
        assert_eq!(counts(vec![mount(None), mount(Some(0))]), Some(true));
        assert_eq!(counts(vec![mount(None)]), Some(false));
        assert_eq!(counts(Vec::new()), None);
    }
}
