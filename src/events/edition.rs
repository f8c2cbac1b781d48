//! What there is to tell at one moment: everything, and what changed since the moment before.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::status::{
    ClusterStatus, ConfigStatus, Overview, ServerStatus, StreamLine, Totals, Trouble,
};

/// Everything there is to tell at one moment, ready to be sent.
#[derive(Debug)]
pub(super) struct Edition {
    /// Its number; that of the next is one more.
    pub(super) number: u64,
    /// Everything, as an event.
    pub(super) state: Bytes,
    /// What changed since the edition before, as an event.
    pub(super) change: Bytes,
    overview: Arc<Overview>,
}

/// The data of an event. What an event of changes does not name has not changed.
#[derive(Serialize)]
struct Data<'a> {
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'a ConfigStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<Balancers<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    totals: Option<&'a Totals>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<&'a [Trouble]>,
    streams: Vec<&'a StreamLine>,
    servers: Vec<&'a ServerStatus>,
    #[serde(skip_serializing_if = "Gone::is_empty")]
    gone: Gone<'a>,
}

/// The other balancers, or `null`: there are none.
#[derive(Serialize)]
#[serde(untagged)]
enum Balancers<'a> {
    Several(&'a ClusterStatus),
    Alone,
}

/// What is not there any more.
#[derive(Default, Serialize)]
struct Gone<'a> {
    streams: Vec<&'a str>,
    servers: Vec<&'a str>,
}

impl Edition {
    /// The edition after `last`, whose number was `number`, or the first for those who have come;
    /// `None`: nothing has changed.
    pub(super) fn after(last: Option<&Self>, number: u64, now: Arc<Overview>) -> Option<Self> {
        let change = match last {
            Some(last) => Some(Data::between(&last.overview, &now)?),
            None => None,
        };
        let number = number + 1;
        let state = event(number, "state", &Data::all(&now));
        let change = change.map_or_else(|| state.clone(), |it| event(number, "change", &it));
        Some(Self { number, state, change, overview: now })
    }

    /// What somebody is to be told who was told the edition of this number last; 0: none.
    pub(super) fn for_whom_knows(&self, number: u64) -> Bytes {
        let knows_the_last = number != 0 && number + 1 == self.number;
        if knows_the_last { self.change.clone() } else { self.state.clone() }
    }
}

impl<'a> Data<'a> {
    fn all(now: &'a Overview) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            config: Some(&now.config),
            cluster: now.cluster.as_ref().map(Balancers::Several),
            totals: Some(&now.totals),
            trouble: Some(&now.troubles),
            streams: now.streams.iter().collect(),
            servers: now.servers.iter().collect(),
            gone: Gone::default(),
        }
    }

    /// What is other than before; `None`: nothing.
    fn between(before: &'a Overview, now: &'a Overview) -> Option<Self> {
        let (streams, gone_streams) =
            differences(&before.streams, &now.streams, |it| &*it.path, PartialEq::eq);
        let (servers, gone_servers) =
            differences(&before.servers, &now.servers, |it| &*it.name, is_as_before);
        let data = Self {
            version: env!("CARGO_PKG_VERSION"),
            config: (before.config != now.config).then_some(&now.config),
            cluster: (!is_same_cluster(before, now))
                .then(|| now.cluster.as_ref().map_or(Balancers::Alone, Balancers::Several)),
            totals: (before.totals != now.totals).then_some(&now.totals),
            trouble: (before.troubles != now.troubles).then_some(&now.troubles),
            streams,
            servers,
            gone: Gone { streams: gone_streams, servers: gone_servers },
        };
        (!data.is_empty()).then_some(data)
    }

    fn is_empty(&self) -> bool {
        self.config.is_none()
            && self.cluster.is_none()
            && self.totals.is_none()
            && self.trouble.is_none()
            && self.streams.is_empty()
            && self.servers.is_empty()
            && self.gone.is_empty()
    }
}

impl Gone<'_> {
    fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.servers.is_empty()
    }
}

/// Whether nothing about the balancers has changed but that time went by.
fn is_same_cluster(before: &Overview, now: &Overview) -> bool {
    match (&before.cluster, &now.cluster) {
        (Some(before), Some(now)) => now.is_as(before),
        (before, now) => before.is_none() && now.is_none(),
    }
}

/// Whether nothing about a server has changed but that time went by.
fn is_as_before(before: &ServerStatus, now: &ServerStatus) -> bool {
    before == &ServerStatus { age_seconds: before.age_seconds, ..now.clone() }
}

/// What is new or other than before, and the names of what is gone.
fn differences<'a, T, K: Eq + Hash>(
    before: &'a [T],
    now: &'a [T],
    name: impl Fn(&'a T) -> K,
    same: impl Fn(&T, &T) -> bool,
) -> (Vec<&'a T>, Vec<K>) {
    let mut known: HashMap<K, &T> = before.iter().map(|it| (name(it), it)).collect();
    let other = now.iter().filter(|it| known.remove(&name(it)).is_none_or(|was| !same(was, it)));
    let other = other.collect();
    (other, before.iter().map(name).filter(|name| known.contains_key(name)).collect())
}

/// An event as it is sent. JSON has no line end of its own, so it is one line.
fn event(number: u64, name: &str, data: &Data<'_>) -> Bytes {
    let mut text = format!("id: {number}\nevent: {name}\ndata: ").into_bytes();
    match serde_json::to_writer(&mut text, data) {
        Ok(()) => {}
        // Numbers, text and lists can always be written.
        Err(error) => text = format!(": {error}").into_bytes(),
    }
    text.extend_from_slice(b"\n\n");
    text.into()
}
