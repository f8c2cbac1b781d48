//! What a player can be told, and how that looks as HTTP.

use std::sync::LazyLock;

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
use crate::server::{Answer, Form, Raw, Sheet};

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

/// What of a request decides how its answer looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Whether it was `HEAD`.
    pub(super) is_head: bool,
    /// Whether the connection is closed behind the answer, by whatever the request says.
    pub(super) closes: bool,
    /// Whether a browser asks if the internet may reach in.
    pub(super) from_outside: bool,
}

/// Seconds of `Retry-After`: spread, so that a refused crowd does not return as one.
const RETRY_AFTER_SECONDS: std::ops::RangeInclusive<u32> = 5..=15;

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

/// A redirect but for its URL: the connection stays behind one, and is closed behind the other.
static REDIRECTS: LazyLock<[Form; 2]> = LazyLock::new(|| {
    [false, true].map(|closes| {
        let asked = Asked { is_head: false, closes, from_outside: false };
        let reply = Reply::Found(HeaderValue::from_static(""));
        Form::of(LOCATION, |form| reply.write(asked, &mut fastrand::Rng::new(), form))
    })
});

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

    /// The reply as a response.
    pub(super) fn into_answer(self, request: &Parts, rng: &mut fastrand::Rng) -> Answer {
        let mut answer = Response::new(Full::new(Bytes::new()));
        // Told that we answer in HTTP/1.1, hyper would add `keep-alive` where HTTP/1.0 asked for it.
        *answer.version_mut() = request.version;
        let asked = Asked {
            is_head: request.method == Method::HEAD,
            // Where HTTP/1.1 asks for it, hyper does that.
            closes: request.version == Version::HTTP_10 || has_body(&request.headers),
            from_outside: request.headers.contains_key(FROM_OUTSIDE),
        };
        self.write(asked, rng, &mut answer);
        answer
    }

    /// The reply as HTTP. `HEAD` gets the head alone, with the length the body would have.
    ///
    /// A player that speaks HTTP/1.0 reads to the end of the connection, so it is closed for it; so
    /// it is behind a body, which nobody reads.
    pub(super) fn write(self, asked: Asked, rng: &mut fastrand::Rng, sheet: &mut impl Sheet) {
        let (status, body) = (self.status(), self.body());
        sheet.status(status);
        // Web players of any site may ask; without this their `fetch` and `crossorigin` fail.
        sheet.header(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        sheet.header(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if !body.is_empty() {
            let media_type = match &self {
                Self::List(list) => list.media_type,
                _ => "text/plain; charset=utf-8",
            };
            sheet.header(CONTENT_TYPE, HeaderValue::from_static(media_type));
            // Of a redirect nobody is shown anything.
            sheet.header(ACCESS_CONTROL_EXPOSE_HEADERS, SHOWN);
        }
        let mut closes = asked.closes;
        match self {
            Self::Found(location) => {
                sheet.header(LOCATION, location);
            }
            Self::Unavailable(..) => {
                sheet.header(RETRY_AFTER, HeaderValue::from(rng.u32(RETRY_AFTER_SECONDS)));
            }
            // Nothing may be kept anyway; but a cache that is told to keep all the same must not give
            // it to a player. What a player is told is as short as it can be.
            Self::List(Document { varies: true, .. }) => {
                sheet.header(VARY, HeaderValue::from_static("Accept"));
            }
            Self::Preflight => {
                sheet.header(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
                sheet.header(ACCESS_CONTROL_ALLOW_HEADERS, ASKED);
                sheet.header(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
                if asked.from_outside {
                    sheet.header(ALLOW_FROM_OUTSIDE, HeaderValue::from_static("true"));
                }
            }
            Self::BadMethod => {
                sheet.header(ALLOW, METHODS);
                // A source that means to send would send on.
                closes = true;
            }
            Self::Bad(_) | Self::TooLong => closes = true,
            Self::List(_) | Self::NotFound => {}
        }
        if closes {
            sheet.header(CONNECTION, HeaderValue::from_static("close"));
        }
        if status != StatusCode::NO_CONTENT {
            sheet.header(CONTENT_LENGTH, length(&body));
        }
        sheet.body(if asked.is_head { Bytes::new() } else { body });
    }

    /// The same as bytes.
    pub(super) fn write_raw(self, asked: Asked, rng: &mut fastrand::Rng, sheet: &mut Raw<'_>) {
        let [stays, closes] = &*REDIRECTS;
        match self {
            // Its body is empty, so that `HEAD` gets the same.
            Self::Found(url) => sheet.fill(if asked.closes { closes } else { stays }, &url),
            other => other.write(asked, rng, sheet),
        }
    }

    /// The status code.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Found(_) => StatusCode::FOUND,
            Self::List(_) => StatusCode::OK,
            Self::Preflight => StatusCode::NO_CONTENT,
            Self::Unavailable(..) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::BadMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::TooLong => StatusCode::URI_TOO_LONG,
        }
    }

    fn body(&self) -> Bytes {
        match self {
            Self::Found(_) | Self::Preflight => Bytes::new(),
            Self::List(list) => list.body.clone(),
            Self::Unavailable(refusal, path) => (refusal.told(path) + "\n").into(),
            Self::NotFound => Bytes::from_static(b"there is no such stream here\n"),
            Self::BadMethod => Bytes::from_static(
                b"this is a balancer for listeners: GET a stream to be sent to a relay; sources \
                  connect to the master Icecast server\n",
            ),
            Self::Bad(why) => format!("bad request: {why}\n").into(),
            Self::TooLong => {
                Bytes::from_static(b"bad request: the path or the query string is too long\n")
            }
        }
    }
}

/// How long a body is, in words; a redirect has none, and its word is made.
fn length(body: &Bytes) -> HeaderValue {
    match body.len() {
        0 => HeaderValue::from_static("0"),
        length => HeaderValue::from(length),
    }
}
