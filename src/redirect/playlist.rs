//! A stream's relays as a list: for players that follow no redirect, for those that lose their
//! relay, and for programs.
//!
//! The first entry is the stream here, so that whoever begins anew with a list is sent on by the
//! balancer; behind it are the relays that a redirect could go to at this moment, best first. No
//! slot is taken: most players never come to the second entry. Of the request, the query string
//! reaches a list, and where no `public_url` is configured, the host that was asked.

mod format;

use bytes::Bytes;
use http::HeaderValue;
use serde::Serialize;

use crate::fleet::address::{in_url, of_mount};
use crate::fleet::{Fleet, StreamId};
use crate::select::{Decision, Offer, Trust, ranked};
use crate::slots::Moment;
use crate::state::Snapshot;

use super::reply::{Document, Reply};
use super::request::Ask;
use super::with_query;

pub(super) use format::Format;

/// The most relays in a list: who has tried ten in vain has another problem.
const MOST_RELAYS: usize = 10;

/// The longest list, in bytes, as long as it has any relay: the query string stands in it once for
/// each, and who reads slowly must not hold many times what was sent.
const MOST_BYTES: usize = 32 * 1024;

/// Where Icecast's slaves ask their master for its mounts.
pub(super) const STREAMLIST: &str = "/admin/streamlist.txt";

/// The longest path that Icecast 2.4 reads in a list of mounts, in bytes.
const MOST_OF_A_PATH: usize = 250;

/// What is told of a stream; as it stands here in JSON.
#[derive(Debug, Serialize)]
struct List<'a> {
    /// Its path, percent-decoded, which is its title as well.
    stream: &'a str,
    /// Where it is played by way of the balancer; `None` if nobody said where that is.
    url: Option<String>,
    /// Where it can be played directly, best first.
    relays: Vec<Relay<'a>>,
    /// Why there are none.
    refusal: Option<String>,
}

/// One place where a stream can be played.
#[derive(Debug, Serialize)]
struct Relay<'a> {
    /// The server's name; `None`: a fallback elsewhere.
    server: Option<&'a str>,
    url: String,
    /// Slots that can be given away; `None`: unlimited.
    free: Option<u64>,
}

/// The list of `stream`'s relays for the player that asks so, in this format.
///
/// A stream that nobody can play at the moment is still worth a list: the player tries the
/// balancer, now or later. Only where its URL is unknown as well, it is a refusal.
pub(super) fn reply(
    snapshot: &Snapshot,
    stream: StreamId,
    ask: &Ask<'_>,
    now: Moment,
    format: Format,
) -> Reply {
    let path = snapshot.fleet.streams.get(stream).map_or("", |stream| &stream.path);
    let own = own_url(&snapshot.fleet, path, ask);
    let url = own.map(|own| written(&own, ask.query));
    let (relays, refusal) = match ranked(snapshot, stream, ask.client, now) {
        Decision::Mount(offers) => (relays(&offers, ask), None),
        Decision::Elsewhere(url) => {
            (vec![Relay { server: None, url: written(url, ask.query), free: None }], None)
        }
        Decision::Refused(refusal) if url.is_none() => {
            return Reply::Unavailable(refusal, path.to_owned());
        }
        Decision::Refused(refusal) => (Vec::new(), Some(refusal.to_string())),
    };
    let mut list = List { stream: path, url, relays, refusal };
    let mut body = format.write(&list);
    while body.len() > MOST_BYTES && !list.relays.is_empty() {
        list.relays.truncate(list.relays.len() / 2);
        body = format.write(&list);
    }
    let varies = format == Format::Json;
    Reply::List(Document { media_type: format.media_type(), varies, body: body.into() })
}

/// The paths of all streams, one a line, as Icecast's slaves read them.
///
/// Icecast 2.4 asks for a path as it stands in a list, with spaces and umlauts, which is no request
/// that could be answered: such streams are left out.
///
/// With patterns there may be thousands, so the list is made once for each snapshot, and all who
/// read it share it.
pub(super) fn streamlist(snapshot: &Snapshot) -> Reply {
    let body = Bytes::from_owner(snapshot.list(paths));
    Reply::List(Document { media_type: "text/plain", varies: false, body })
}

fn paths(fleet: &Fleet) -> String {
    let mut body = String::new();
    for stream in fleet.streams.iter().filter(|stream| !stream.is_pattern()) {
        let path = &stream.path;
        if path.len() <= MOST_OF_A_PATH && in_url(path).to_string() == *path {
            body.push_str(path);
            body.push('\n');
        }
    }
    body
}

/// Where the stream at `path` is played by way of the balancer: as configured, or else at the host
/// that was asked. Nobody may have said.
fn own_url(fleet: &Fleet, path: &str, ask: &Ask<'_>) -> Option<HeaderValue> {
    let url = if let Some(url) = &fleet.public_url {
        of_mount(url, path)
    } else {
        let scheme = if ask.client.https { "https" } else { "http" };
        format!("{scheme}://{}{}", ask.host?, in_url(path))
    };
    url.try_into().ok()
}

/// What a redirect comes to only when nothing else is left is no alternative: full relays, plain http
/// for who came by https, and relays of which nothing is known.
fn relays<'a>(offers: &[Offer<'a>], ask: &Ask<'_>) -> Vec<Relay<'a>> {
    let kind = |offer: &Offer<'_>| {
        let rank = offer.standing.rank;
        (rank.beyond_limit, rank.leaves_tls, rank.trust == Trust::Guess)
    };
    let best = offers.first().map(kind);
    let alike = offers.iter().filter(|offer| Some(kind(offer)) == best);
    alike
        .take(MOST_RELAYS)
        .map(|offer| Relay {
            server: Some(&offer.mount.server.name),
            url: written(offer.mount.config.location(ask.client.https), ask.query),
            free: offer.standing.free,
        })
        .collect()
}

/// A URL with the request's query, as text: all of it is printable ASCII.
fn written(url: &HeaderValue, query: Option<&str>) -> String {
    with_query(url, query).to_str().unwrap_or_default().to_owned()
}
