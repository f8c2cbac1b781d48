//! Which requests are answered at all.
//!
//! hyper lets pass some of what RFC 9112 wants refused. A redirector behind a CDN must not read a
//! request otherwise than the CDN did, so whatever could be read in two ways is answered 400 and
//! the connection closed.

use http::header::{
    ACCEPT, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING, USER_AGENT,
};
use http::request::Parts;
use http::{Method, Version};

use crate::player::Client;
use crate::server::{Kind, Plain};

use super::reply::Reply;

/// What a good request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ask<'a> {
    /// The path as it was sent, percent-encoded or not.
    pub(super) path: &'a str,
    /// The query string without its question mark; printable ASCII.
    pub(super) query: Option<&'a str>,
    /// What the request says of the player.
    pub(super) client: Client,
    /// What it says the player's program is.
    pub(super) agent: &'a [u8],
    /// Whether it is for the stream and its slot; who only wants to know takes none.
    pub(super) takes: bool,
    /// Whether a list as JSON would be liked better.
    pub(super) prefers_json: bool,
    /// The host that was asked, if it was said.
    pub(super) host: Option<&'a str>,
}

/// The longest query string that is passed on, in bytes: consent strings of advertisers run to
/// more than 1 KiB, listener tokens are shorter.
const MAX_QUERY: usize = 8 * 1024;

/// What the name of a host may be made of.
static OF_A_NAME: Kind = Kind::of(b"!$%&'()*+-.;=_~");

/// The longest path that is looked up, in bytes.
const MAX_PATH: usize = 4 * 1024;

/// What the request asks for, or what it is told instead.
pub(super) fn check(head: &Parts) -> Result<Ask<'_>, Reply> {
    if head.method == Method::CONNECT {
        return Err(Reply::BadMethod);
    }
    let hosts = head.headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
    check_host(hosts, head.version == Version::HTTP_10)?;
    if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(&head.method) {
        return Err(Reply::BadMethod);
    }
    // Beside a Content-Length it could be read in two ways, and hyper does not tell whether there
    // was one. No player sends it.
    if head.headers.contains_key(TRANSFER_ENCODING) {
        return Err(Reply::Bad("Transfer-Encoding is not for requests of players"));
    }
    if head.method == Method::OPTIONS {
        return Err(Reply::Preflight);
    }
    let (path, query) = target(head.uri.path(), head.uri.query())?;
    let agent = head.headers.get(USER_AGENT).map_or(&[][..], HeaderValue::as_bytes);
    Ok(Ask {
        path,
        query,
        client: Client::ANY.with_agent(agent),
        agent,
        takes: head.method == Method::GET,
        prefers_json: prefers_json(&head.headers),
        host: host(head),
    })
}

/// What a plain request asks for; `None` if it is one that has to be told what is wrong with it.
pub(super) fn check_plain<'a>(request: &Plain<'a>) -> Option<Ask<'a>> {
    check_host(request.host.into_iter(), request.is_old).ok()?;
    // What stands for itself in a URL is printable.
    let (path, query) = bounded(request.path, request.query).ok()?;
    let agent = request.agent;
    let takes = !request.is_head;
    // Both are for lists, and who asks for one is sent to the other door.
    let (prefers_json, host) = (false, None);
    Some(Ask {
        path,
        query,
        client: Client::ANY.with_agent(agent),
        agent,
        takes,
        prefers_json,
        host,
    })
}

/// The path and the query of a target that may be looked up and passed on.
fn target<'a>(path: &'a str, query: Option<&'a str>) -> Result<(&'a str, Option<&'a str>), Reply> {
    if !path.starts_with('/') {
        return Err(Reply::Bad("the request's target must be a path"));
    }
    let (path, query) = bounded(path, query)?;
    if !is_printable(path) || !query.is_none_or(is_printable) {
        return Err(Reply::Bad("the request's target must be printable ASCII; percent-encode it"));
    }
    Ok((path, query))
}

/// The same, as far as it is not too long.
fn bounded<'a>(path: &'a str, query: Option<&'a str>) -> Result<(&'a str, Option<&'a str>), Reply> {
    // An empty query is no query: "/x?" and "/x" are the same to a relay.
    let query = query.filter(|query| !query.is_empty());
    if path.len() > MAX_PATH || query.is_some_and(|query| query.len() > MAX_QUERY) {
        return Err(Reply::TooLong);
    }
    Ok((path, query))
}

/// The host that was asked, with the port if that was said; `None` if it was not said. Only for the
/// body of an answer: a header made of it would send others to where somebody wants them.
fn host(head: &Parts) -> Option<&str> {
    let told = match head.uri.authority() {
        // RFC 9112 has an absolute target outweigh the Host header.
        Some(authority) => authority.as_str(),
        None => head.headers.get(HOST)?.to_str().ok()?,
    };
    is_host(told.as_bytes()).then_some(told)
}

/// Whether JSON is named in `Accept`, and nothing else is wanted more.
fn prefers_json(headers: &HeaderMap) -> bool {
    let (mut json, mut others) = (0.0, 0.0_f32);
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    for range in lines.flat_map(|line| line.split(',')) {
        let (media_type, parameters) = range.split_once(';').unwrap_or((range, ""));
        let quality = quality(parameters);
        if media_type.trim().eq_ignore_ascii_case("application/json") {
            json = quality;
        } else {
            others = others.max(quality);
        }
    }
    json > 0.0 && json >= others
}

/// The `q` among the parameters of a media range; what is no number is not wanted.
fn quality(parameters: &str) -> f32 {
    let q = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().unwrap_or(0.0))
    });
    q.unwrap_or(1.0)
}

/// Whether a body follows the head, or is said to.
pub(super) fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

/// Old players speak HTTP/1.0 and send no Host; for everybody else it is required, once.
fn check_host<'a>(mut hosts: impl Iterator<Item = &'a [u8]>, is_old: bool) -> Result<(), Reply> {
    match (hosts.next(), hosts.next()) {
        (None, _) if is_old => Ok(()),
        (None, _) => Err(Reply::Bad("HTTP/1.1 requires a Host header")),
        (Some(_), Some(_)) => Err(Reply::Bad("more than one Host header")),
        (Some(host), None) if is_host(host) => Ok(()),
        (Some(_), None) => Err(Reply::Bad("the Host header is not a host")),
    }
}

/// A name or an address, perhaps with a port. A list, which a proxy may make of two Host lines, is
/// none.
fn is_host(host: &[u8]) -> bool {
    let of_an_address = |byte: &u8| byte.is_ascii_hexdigit() || b":.%".contains(byte);
    let end_at = |text: &[u8], end: u8| text.iter().position(|byte| *byte == end);
    let (host_is_good, port) = if let [b'[', rest @ ..] = host {
        let (address, port) = rest.split_at(end_at(rest, b']').unwrap_or(rest.len()));
        let closed = port.strip_prefix(b"]");
        (closed.is_some() && address.iter().all(of_an_address), closed.unwrap_or_default())
    } else {
        let end = host.iter().position(|byte| !OF_A_NAME.has(*byte)).unwrap_or(host.len());
        let (name, port) = host.split_at(end);
        (!name.is_empty(), port)
    };
    let port_is_good = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    host_is_good && port_is_good
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}
