//! One request on a connection of its own, and as much of its answer as somebody wants.
//!
//! No connection is kept for the next request, also where a server offers to. An Icecast that serves
//! as many clients as it may refuses whoever comes to its door, and whoever is in already learns
//! nothing of it: a look must meet what a listener would meet. And it must not be a client for good.
//!
//! A connection is worked by whoever waits for the answer and is no task of its own, so that it ends
//! in the moment in which nobody wants the answer any more.

mod connect;

use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;
use url::{Position, Url};

use connect::{Kept, Wire};

/// What is asked of a server.
pub(super) struct Question<'a> {
    server: &'a Url,
    method: Method,
    /// The path, and the query if there is one.
    target: String,
    headers: HeaderMap,
    kept: Kept,
}

/// What was answered: the head, and a body that is read piece by piece.
pub(super) struct Answer {
    response: Response<Incoming>,
    connection: Worked,
}

/// Why there is no answer, or not all of it.
#[derive(Debug)]
pub(super) enum Break {
    /// This machine cannot ask.
    Unable(String),
    /// There is no connection.
    Connection(io::Error),
    /// It broke before the head of an answer was made out.
    Head(hyper::Error),
    /// The answer is not whole.
    Body(hyper::Error),
}

/// The head of an answer may not be larger: Icecast makes it in 500 bytes.
const MAX_HEAD: usize = 16 * 1024;

/// As much is read of an answer at one time.
const MAX_PIECE: usize = 64 * 1024;

const OURSELVES: HeaderValue =
    HeaderValue::from_static(concat!("icecast-balancer/", env!("CARGO_PKG_VERSION")));

impl<'a> Question<'a> {
    /// For what stands at `target`, a path with or without a query, on the server of that URL.
    pub(super) fn get(server: &'a Url, target: String) -> Self {
        let mut headers = HeaderMap::with_capacity(6);
        let host = &server[Position::BeforeHost..Position::AfterPort];
        // A URL has no host that could not stand there.
        if let Ok(host) = HeaderValue::from_str(host) {
            headers.insert(HOST, host);
        }
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(USER_AGENT, OURSELVES);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        Self { server, method: Method::GET, target, headers, kept: Kept::ForOneAnswer }
    }

    /// For what a URL means, all of it.
    pub(super) fn of(url: &'a Url) -> Self {
        Self::get(url, url[Position::BeforePath..Position::AfterQuery].to_owned())
    }

    /// By another method.
    pub(super) fn by(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// With this header, and none of this name before.
    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// In this name.
    pub(super) fn in_the_name_of(mut self, username: &str, password: &str) -> Self {
        let account = BASE64_STANDARD.encode(format!("{username}:{password}"));
        if let Ok(mut value) = HeaderValue::from_str(&format!("Basic {account}")) {
            value.set_sensitive(true);
            self.headers.insert(AUTHORIZATION, value);
        }
        self
    }

    /// On a connection that is to last.
    pub(super) fn for_long(mut self) -> Self {
        self.headers.remove(CONNECTION);
        Self { kept: Kept::ForLong, ..self }
    }

    /// Asks, and once more if the connection broke before an answer was made out.
    ///
    /// A full Icecast refuses whoever connects, and if it does so before it was asked anything, its
    /// refusal is taken for nonsense. It then accepts nobody for 0.4 s, so that the second request
    /// waits there before the second refusal is made.
    pub(super) async fn ask(&self) -> Result<Answer, Break> {
        match self.ask_once().await {
            Err(Break::Head(_)) => self.ask_once().await,
            answer => answer,
        }
    }

    /// Asks, however it ends.
    pub(super) async fn ask_once(&self) -> Result<Answer, Break> {
        let wire = connect::to(self.server, self.kept).await?;
        let shaken = http1::Builder::new()
            .max_header_size(MAX_HEAD)
            .max_buf_size(MAX_PIECE)
            .handshake(TokioIo::new(wire));
        let (mut sender, connection) = shaken.await.map_err(Break::Head)?;
        let mut connection = Worked(Some(connection));
        let mut request = Request::new(Empty::new());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.parse().map_err(|_no_path| {
            Break::Unable(format!("there is no asking for {:?}", self.target))
        })?;
        request.headers_mut().clone_from(&self.headers);
        let response = connection.until(sender.send_request(request)).await.map_err(Break::Head)?;
        Ok(Answer { response, connection })
    }
}

impl Answer {
    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// What it says beside its status, where that is not the usual.
    pub(super) fn reason(&self) -> &[u8] {
        self.response.extensions().get::<ReasonPhrase>().map_or(&b""[..], ReasonPhrase::as_bytes)
    }

    /// A header.
    pub(super) fn header(&self, name: HeaderName) -> Option<&HeaderValue> {
        self.response.headers().get(name)
    }

    /// The next piece of its body; `None`: that was all.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, Break> {
        let body = self.response.body_mut();
        loop {
            let Some(frame) = self.connection.until(body.frame()).await else { return Ok(None) };
            // What else there may be comes after the body.
            if let Ok(piece) = frame.map_err(Break::Body)?.into_data() {
                return Ok(Some(piece));
            }
        }
    }
}

/// A connection that is worked while somebody waits for something of it; `None` when it has ended.
struct Worked(Option<http1::Connection<TokioIo<Wire>, Empty<Bytes>>>);

impl Worked {
    async fn until<T>(&mut self, wanted: impl Future<Output = T>) -> T {
        let mut wanted = pin!(wanted);
        poll_fn(|context| {
            if let Poll::Ready(done) = wanted.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            // How it ended, its answer tells as well. It is closed when it is dropped: to shut it down
            // before would be to say the same to the kernel twice.
            if let Some(connection) = &mut self.0
                && connection.poll_without_shutdown(context).is_ready()
            {
                self.0 = None;
            }
            wanted.as_mut().poll(context)
        })
        .await
    }
}

impl Break {
    /// What broke, as far as it is an error.
    pub(super) fn cause(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Unable(_) => None,
            Self::Connection(error) => Some(error),
            Self::Head(error) | Self::Body(error) => Some(error),
        }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unable(why) => f.write_str(why),
            Self::Connection(error) => error.fmt(f),
            Self::Head(error) | Self::Body(error) => error.fmt(f),
        }
    }
}
