//! One look at one relay over HTTP: which document, how long, how much, and what an odd answer
//! means.
//!
//! Nothing a relay answers can hold this up or grow it: connecting, the whole answer and its size
//! are bounded, no redirect is followed and nothing is decompressed.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use hyper::ext::ReasonPhrase;
use reqwest::header::USER_AGENT;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::counters::PollResult;
use crate::fleet::{Server, StatsSource};
use crate::icecast::{self, Malformed, Report};
use crate::slots::{Evidence, Listed};

use super::eye::Eye;
use super::resolve::{self, Resolver};

/// Asks one relay, and remembers which of its documents answered.
#[derive(Debug, Default)]
pub(super) struct Fetcher {
    /// The document that worked last; `auto` begins with it.
    worked: Option<Document>,
    looks: u32,
}

/// What a look saw.
#[derive(Debug)]
pub(super) enum Seen {
    /// The numbers, and the name of the document they come from.
    Report {
        /// What it saw.
        report: Report,
        /// Where it saw it.
        source: &'static str,
    },
    /// Icecast's word that it serves as many clients as it may: well, but without a slot.
    Full,
}

/// Why a look saw nothing.
#[derive(Debug)]
pub(super) struct Failure {
    /// For the metrics.
    pub(super) result: PollResult,
    /// For the relay's health.
    pub(super) evidence: Evidence,
    why: String,
}

/// A statistics document of Icecast, in order of preference (the last one is of 2.5 alone), and those
/// of SHOUTcast 2 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Document {
    Slots,
    Load,
    Admin,
    StatusJson,
    PublicStats,
    Statistics,
    Seven,
}

/// Every so many looks `auto` begins with the best document again: it may have been installed, or
/// have failed for a moment only.
const LOOKS_UNTIL_BEST: u32 = 30;

/// A browser, to SHOUTcast 1; it looks no further than the first word.
const BROWSER: &str = concat!("Mozilla/5.0 (icecast-balancer/", env!("CARGO_PKG_VERSION"), ")");

/// A relay's answer may not be larger: some 5,000 mounts.
const MAX_BODY: usize = 1 << 20;

/// One of this size is read within a millisecond, whatever it says.
const SMALL_BODY: usize = 16 * 1024;

/// Nor may the head of one, which Icecast makes in 500 bytes. The HTTP client reads 408 KiB of a
/// head, or 100 lines, before it gives up by itself.
pub(super) const MAX_HEAD: usize = 16 * 1024;

/// What an Icecast says when `<limits><clients>` is reached: 2.4 with status 403 and 2.5 with 503, and
/// icecast-kh in the status line, with 403.
const FULL_TEXTS: [&[u8]; 2] = [b"Icecast connection limit reached", b"Too many clients connected"];

impl Eye for Fetcher {
    async fn look(
        &mut self,
        server: &Server,
        _: &[Listed<'_>],
        timeout: Duration,
    ) -> Result<Seen, Failure> {
        let mut first_failure = None;
        self.looks = self.looks.wrapping_add(1);
        for document in self.candidates(server) {
            match get(server, document, timeout).await {
                Ok(seen) => {
                    if let Seen::Report { .. } = seen {
                        self.worked = Some(document);
                    }
                    return Ok(seen);
                }
                Err(failure) if failure.suits_another_document() => {
                    self.worked = None;
                    first_failure.get_or_insert(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(first_failure.unwrap_or_else(|| {
            Failure::odd(PollResult::Connect, format!("no document to ask {} for", server.name))
        }))
    }

    fn remark(&self, server: &Server) -> Option<String> {
        resolve::remark(server.stats.url.host_str()?)
    }
}

impl Fetcher {
    fn candidates(&self, server: &Server) -> Vec<Document> {
        let mut documents = match server.stats.source {
            StatsSource::Slots => vec![Document::Slots, Document::Load],
            StatsSource::Admin => vec![Document::Admin],
            StatsSource::StatusJson => vec![Document::StatusJson],
            StatsSource::Shoutcast => vec![Document::Statistics, Document::Seven],
            StatsSource::Probe => Vec::new(),
            StatsSource::Auto | StatsSource::Live if server.stats.credentials.is_some() => {
                vec![Document::Slots, Document::Admin, Document::Load, Document::StatusJson]
            }
            StatsSource::Auto | StatsSource::Live => {
                // The last comes last because an Icecast 2.4 takes who asks for it for somebody who has
                // no password.
                vec![Document::Slots, Document::Load, Document::StatusJson, Document::PublicStats]
            }
        };
        if !self.looks.is_multiple_of(LOOKS_UNTIL_BEST) {
            // A stable sort: what worked comes first, the rest keep their order.
            documents.sort_by_key(|document| Some(*document) != self.worked);
        }
        documents
    }
}

async fn get(server: &Server, document: Document, timeout: Duration) -> Result<Seen, Failure> {
    let base = server.stats.url.as_str().trim_end_matches('/');
    let url = format!("{base}{}", document.path());
    let client = client(server.stats.url.scheme() == "https").map_err(Failure::own)?;
    let mut request = client.get(&url).timeout(timeout).header("Connection", "close");
    if document == Document::Admin
        && let Some(account) = &server.stats.credentials
    {
        request = request.basic_auth(&account.username, Some(account.password.expose_secret()));
    }
    if document == Document::Seven {
        // It shows its numbers to browsers, and plays to everybody else.
        request = request.header(USER_AGENT, BROWSER);
    }
    let mut answer = ask(request).await.map_err(|error| Failure::of(&error, &url))?;
    if head_size(&answer) > MAX_HEAD {
        let why = format!("the head of {url} has more than {} KiB", MAX_HEAD / 1024);
        return Err(Failure::odd(PollResult::TooLarge, why));
    }
    let status = answer.status();
    let mut body = Vec::new();
    let whole = read(&mut answer, &mut body, &url).await;
    // Icecast refuses without having read the request, so a reset follows what it says.
    if matches!(status, StatusCode::FORBIDDEN | StatusCode::SERVICE_UNAVAILABLE) {
        let reason = answer.extensions().get::<ReasonPhrase>().map_or(&b""[..], |it| it.as_bytes());
        if FULL_TEXTS.iter().any(|text| contains(&body, text) || contains(reason, text)) {
            return Ok(Seen::Full);
        }
    }
    whole?;
    if status != StatusCode::OK {
        return Err(Failure::status(status, &url, document));
    }
    let report = parse(document, body).await.map_err(|error| {
        Failure::odd(PollResult::Malformed, format!("{url} is no statistics: {error}"))
    })?;
    Ok(Seen::Report { report, source: document.name() })
}

/// Sends a request, and once more if its connection broke before an answer was made out.
///
/// A full Icecast refuses whoever connects, and if it does so before it was asked anything, the
/// HTTP client takes the refusal for nonsense and drops it. Icecast then accepts nobody for 0.4 s,
/// so that the second request waits there before the second refusal is made.
pub(super) async fn ask(request: RequestBuilder) -> Result<Response, reqwest::Error> {
    let again = request.try_clone();
    match (request.send().await, again) {
        (Err(error), Some(again))
            if error.is_request() && !error.is_connect() && !error.is_timeout() =>
        {
            again.send().await
        }
        (sent, _) => sent,
    }
}

/// Reads a document; a large one on a thread of its own, since it may be made to take long and
/// everything else that polls and operators need would wait. One at a time is enough for relays
/// that mean well.
async fn parse(document: Document, body: Vec<u8>) -> Result<Report, Malformed> {
    static ONE: Semaphore = Semaphore::const_new(1);
    if body.len() <= SMALL_BODY {
        return document.parse(&body);
    }
    let turn = ONE.acquire().await;
    let reading = spawn_blocking(move || {
        let _until_read = turn;
        document.parse(&body)
    });
    reading.await.unwrap_or_else(|error| Err(Malformed(format!("it cannot be read: {error}"))))
}

/// How long the lines of a head are, near enough.
pub(super) fn head_size(answer: &Response) -> usize {
    answer.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// Reads what follows the head into `body`, which keeps what came before a failure.
async fn read(answer: &mut Response, body: &mut Vec<u8>, url: &str) -> Result<(), Failure> {
    while let Some(chunk) = answer.chunk().await.map_err(|error| Failure::of(&error, url))? {
        if body.len() + chunk.len() > MAX_BODY {
            let why = format!("{url} answers more than {} KiB", MAX_BODY / 1024);
            return Err(Failure::odd(PollResult::TooLarge, why));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(())
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len()).any(|window| window == text)
}

/// Connecting, and looking up the name before it, may not take longer. A first packet that is lost is
/// sent again after a second (RFC 6298): that must be no reason to doubt a relay.
const CONNECT: Duration = Duration::from_millis(1500);

/// The two clients there are, for looks and feeds: one that can do TLS and one that needs no certificates to exist,
/// since building the former fails in an image without any.
pub(super) fn client(tls: bool) -> Result<&'static Client, &'static str> {
    static PLAIN: OnceLock<Result<Client, String>> = OnceLock::new();
    static TLS: OnceLock<Result<Client, String>> = OnceLock::new();
    let cell = if tls { &TLS } else { &PLAIN };
    let built = cell.get_or_init(|| {
        let provider = rustls::crypto::ring::default_provider();
        // An error means that one is installed already, which serves as well.
        drop(provider.install_default());
        let mut builder = Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(0)
            .user_agent(concat!("icecast-balancer/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Resolver::shared());
        if !tls {
            builder = builder.tls_certs_only([]);
        }
        builder.build().map_err(|error| {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            format!("cannot make an HTTP client ({error}: {cause}); are CA certificates installed?")
        })
    });
    built.as_ref().map_err(String::as_str)
}

impl Document {
    fn path(self) -> &'static str {
        match self {
            Self::Slots => "/slots.xsl",
            Self::Load => "/load.xsl",
            Self::Admin => "/admin/stats",
            Self::StatusJson => "/status-json.xsl",
            Self::PublicStats => "/admin/publicstats",
            Self::Statistics => "/statistics",
            Self::Seven => "/7.html",
        }
    }

    /// Its name in the status and in logs.
    fn name(self) -> &'static str {
        match self {
            Self::Slots => "slots",
            Self::Load => "load.xsl",
            Self::Admin => "admin",
            Self::StatusJson => "status-json",
            Self::PublicStats => "publicstats",
            Self::Statistics => "shoutcast",
            Self::Seven => "shoutcast 1",
        }
    }

    fn parse(self, body: &[u8]) -> Result<Report, Malformed> {
        match self {
            Self::Slots | Self::Load => icecast::slots::slots(body),
            Self::Admin | Self::PublicStats => icecast::admin::admin(body),
            Self::StatusJson => icecast::status_json::status_json(body),
            Self::Statistics => icecast::shoutcast::statistics(body),
            Self::Seven => icecast::shoutcast::seven(body),
        }
    }
}

impl Failure {
    /// The same failure, which is our own fault: our timers were so late meanwhile.
    pub(super) fn our_own(self, late: Duration) -> Self {
        let why = format!("{}; but we ourselves did not run for {late:.1?}", self.why);
        Self { evidence: Evidence::Own, why, ..self }
    }

    /// What this machine lacks: says nothing of the relay.
    pub(super) fn own(why: &str) -> Self {
        Self { result: PollResult::Connect, evidence: Evidence::Own, why: why.to_owned() }
    }

    pub(super) fn timeout(why: String) -> Self {
        Self { result: PollResult::Timeout, evidence: Evidence::Soft, why }
    }

    pub(super) fn odd(result: PollResult, why: String) -> Self {
        Self { result, evidence: Evidence::Soft, why }
    }

    fn status(status: StatusCode, url: &str, document: Document) -> Self {
        let (result, remedy) = match (status, document) {
            (StatusCode::UNAUTHORIZED, _) => {
                (PollResult::Unauthorized, "check stats.username and stats.password")
            }
            (StatusCode::NOT_FOUND, Document::Slots | Document::Load) => {
                (PollResult::HttpStatus, "is slots.xsl in the relay's webroot?")
            }
            (_, Document::Statistics | Document::Seven) => {
                (PollResult::HttpStatus, "is this a SHOUTcast server?")
            }
            _ => (PollResult::HttpStatus, "is this an Icecast server?"),
        };
        Self::odd(result, format!("{url} answers {status}; {remedy}"))
    }

    /// As of a relay that refuses connections.
    #[cfg(test)]
    pub(super) fn refused() -> Self {
        let why = "Connection refused".to_owned();
        Self { result: PollResult::Connect, evidence: Evidence::Hard, why }
    }

    /// What a failed exchange says. What would fail a listener too is hard evidence; what our own
    /// machine lacks is none.
    pub(super) fn of(error: &reqwest::Error, url: &str) -> Self {
        let mut cause: &dyn std::error::Error = error;
        let mut io = None;
        let mut certificate = false;
        let mut too_large = false;
        while let Some(source) = cause.source() {
            cause = source;
            io = io.or_else(|| cause.downcast_ref::<io::Error>());
            // An I/O error hides what it wraps from its own `source`.
            let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let tls = match wrapped {
                Some(wrapped) => wrapped.downcast_ref::<rustls::Error>(),
                None => cause.downcast_ref::<rustls::Error>(),
            };
            let http = cause.downcast_ref::<hyper::Error>();
            too_large |= http.is_some_and(hyper::Error::is_parse_too_large);
            certificate |= matches!(tls, Some(rustls::Error::InvalidCertificate(_)));
        }
        let why = format!("{url}: {cause}");
        if error.is_timeout() {
            return Self::timeout(why);
        }
        let evidence = match io.map(io::Error::kind) {
            _ if certificate => Evidence::Hard,
            Some(
                io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::NetworkDown
                | io::ErrorKind::AddrNotAvailable
                | io::ErrorKind::OutOfMemory,
            ) => Evidence::Own,
            Some(_) if io.and_then(io::Error::raw_os_error).is_some_and(is_file_limit) => {
                Evidence::Own
            }
            Some(io::ErrorKind::ConnectionRefused) => Evidence::Hard,
            _ => Evidence::Soft,
        };
        let result = match (error.is_connect(), too_large) {
            (true, _) => PollResult::Connect,
            (false, true) => PollResult::TooLarge,
            (false, false) => PollResult::Malformed,
        };
        Self { result, evidence, why }
    }

    /// Whether the relay answered, but not this document.
    fn suits_another_document(&self) -> bool {
        matches!(
            self.result,
            PollResult::HttpStatus
                | PollResult::Unauthorized
                | PollResult::Malformed
                | PollResult::TooLarge
        ) && self.evidence == Evidence::Soft
    }
}

/// Whether an error number is EMFILE or ENFILE, for which `io::ErrorKind` has no stable name.
fn is_file_limit(errno: i32) -> bool {
    matches!(errno, 23 | 24)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}
