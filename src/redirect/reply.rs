//! What a player can be told, and how that looks as HTTP.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONNECTION,
    CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, VARY,
};
use http::request::Parts;
use http::{Method, Response, StatusCode, Version};
use http_body_util::Full;

use crate::counters::Outcome;
use crate::player::Refusal;
use crate::server::Answer;

use super::request::has_body;

/// What a player is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// 302 to this URL.
    Found(HeaderValue),
    /// 503: why, and the path of the stream.
    Unavailable(Refusal, String),
    /// 200 with a list.
    List(Document),
    /// 204 with what a browser asks before it dares to ask.
    Preflight,
    /// 404.
    NotFound,
    /// 405.
    BadMethod,
    /// 400 with the reason, and the end of the connection.
    Bad(&'static str),
    /// 414.
    TooLong,
}

/// What is told in a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// What it is.
    pub(super) media_type: &'static str,
    /// Whether the same path is something else for those who ask with another `Accept`.
    pub(super) varies: bool,
    pub(super) body: Bytes,
}

/// Seconds of `Retry-After`: spread, so that a refused crowd does not return as one.
const RETRY_AFTER_SECONDS: std::ops::RangeInclusive<u32> = 5..=15;

const CLOSE: HeaderValue = HeaderValue::from_static("close");
/// What a web player may send.
const ASKED: HeaderValue =
    HeaderValue::from_static("Icy-MetaData, Range, If-Range, Accept, Content-Type, Cache-Control");

/// What a web player may read.
const SHOWN: HeaderValue = HeaderValue::from_static(
    "Retry-After, icy-br, icy-description, icy-genre, icy-metaint, icy-name, icy-pub, icy-url",
);

/// How a browser asks whether a site of the internet may reach into a private network. Streams are
/// for everybody.
const FROM_OUTSIDE: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_FROM_OUTSIDE: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

impl Reply {
    /// How the request counts; a preflight is a browser's question, not a player's.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Found(_) => Some(Outcome::Redirected),
            Self::Unavailable(refusal, _) => Some(super::refused(*refusal)),
            Self::List(_) => Some(Outcome::Playlist),
            Self::Preflight => None,
            Self::NotFound => Some(Outcome::UnknownPath),
            Self::BadMethod => Some(Outcome::BadMethod),
            Self::Bad(_) | Self::TooLong => Some(Outcome::BadRequest),
        }
    }

    /// The reply as HTTP. `HEAD` gets the head alone, with the length the body would have.
    ///
    /// A player that speaks HTTP/1.0 reads to the end of the connection, so it is closed for it; so
    /// it is behind a body, which nobody reads.
    pub(super) fn into_answer(self, request: &Parts, rng: &mut fastrand::Rng) -> Answer {
        let (status, body) = self.status_and_body();
        let mut answer = Response::new(Full::new(Bytes::new()));
        *answer.status_mut() = status;
        // Told that we answer in HTTP/1.1, hyper would add `keep-alive` where HTTP/1.0 asked for it.
        *answer.version_mut() = request.version;
        let headers = answer.headers_mut();
        // Web players of any site may ask; without this their `fetch` and `crossorigin` fail.
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        if !body.is_empty() {
            let media_type = match &self {
                Self::List(list) => list.media_type,
                _ => "text/plain; charset=utf-8",
            };
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            // Of a redirect nobody is shown anything.
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, SHOWN);
        }
        if request.version == Version::HTTP_10 || has_body(&request.headers) {
            headers.insert(CONNECTION, CLOSE);
        }
        match self {
            Self::Found(location) => {
                headers.insert(LOCATION, location);
            }
            Self::Unavailable(..) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(rng.u32(RETRY_AFTER_SECONDS)));
            }
            // Nothing may be kept anyway; but a cache that is told to keep all the same must not give
            // it to a player. What a player is told is as short as it can be.
            Self::List(Document { varies: true, .. }) => {
                headers.insert(VARY, HeaderValue::from_static("Accept"));
            }
            Self::Preflight => {
                headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ASKED);
                headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
                if request.headers.contains_key(FROM_OUTSIDE) {
                    headers.insert(ALLOW_FROM_OUTSIDE, HeaderValue::from_static("true"));
                }
            }
            Self::BadMethod => {
                headers.insert(ALLOW, METHODS);
                // A source that means to send would send on.
                headers.insert(CONNECTION, CLOSE);
            }
            Self::Bad(_) | Self::TooLong => {
                headers.insert(CONNECTION, CLOSE);
            }
            Self::List(_) | Self::NotFound => {}
        }
        if request.method != Method::HEAD {
            *answer.body_mut() = Full::new(body);
        }
        answer
    }

    fn status_and_body(&self) -> (StatusCode, Bytes) {
        match self {
            Self::Found(_) => (StatusCode::FOUND, Bytes::new()),
            Self::List(list) => (StatusCode::OK, list.body.clone()),
            Self::Preflight => (StatusCode::NO_CONTENT, Bytes::new()),
            Self::Unavailable(refusal, path) => {
                let body = match refusal {
                    Refusal::Full => format!("full: no relay has a free slot for {path}\n"),
                    Refusal::Offline => format!("offline: {path} has no source at the moment\n"),
                    Refusal::Unreachable => {
                        format!("unreachable: no relay of {path} answers at the moment\n")
                    }
                    Refusal::ForOthers => format!(
                        "unreachable: the relays of {path} are for listeners from elsewhere only\n"
                    ),
                    Refusal::OnlyBy(family) => {
                        let came = family.other();
                        format!(
                            "unreachable: the relays of {path} are reached by {family} only, and \
                             you came by {came}\n"
                        )
                    }
                    Refusal::Insecure => format!(
                        "unreachable: no relay of {path} is reached by https at the moment; by \
                         plain http there may be one\n"
                    ),
                };
                (StatusCode::SERVICE_UNAVAILABLE, body.into())
            }
            Self::NotFound => {
                (StatusCode::NOT_FOUND, Bytes::from_static(b"there is no such stream here\n"))
            }
            Self::BadMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                Bytes::from_static(
                    b"this is a balancer for listeners: GET a stream to be sent to a relay; \
                      sources connect to the master Icecast server\n",
                ),
            ),
            Self::Bad(why) => (StatusCode::BAD_REQUEST, format!("bad request: {why}\n").into()),
            Self::TooLong => (
                StatusCode::URI_TOO_LONG,
                Bytes::from_static(b"bad request: the path or the query string is too long\n"),
            ),
        }
    }
}
