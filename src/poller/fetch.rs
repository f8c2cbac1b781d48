//! One look at one relay over HTTP: which document, how long, how much, and what an odd answer
//! means.
//!
//! Nothing a relay answers can hold this up or grow it: connecting, the whole answer and its size
//! are bounded, no redirect is followed and nothing is decompressed.

use std::fmt;
use std::io;
use std::time::Duration;

use http::StatusCode;
use http::header::USER_AGENT;
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use url::Url;

use crate::counters::PollResult;
use crate::fleet::{Server, StatsSource};
use crate::icecast::{self, Malformed, Report};
use crate::slots::{Evidence, Listed};

use super::exchange::{Answer, Break, Question};
use super::eye::Eye;
use super::resolve;

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

/// The name of the statistics behind the admin password.
pub(super) const ADMIN: &str = "admin";

/// A browser, to SHOUTcast 1; it looks no further than the first word.
const BROWSER: &str = concat!("Mozilla/5.0 (icecast-balancer/", env!("CARGO_PKG_VERSION"), ")");

/// A relay's answer may not be larger: some 5,000 mounts.
const MAX_BODY: usize = 1 << 20;

/// One of this size is read within a millisecond, whatever it says.
const SMALL_BODY: usize = 16 * 1024;

/// What an Icecast says when `<limits><clients>` is reached: 2.4 with status 403 and 2.5 with 503, and
/// icecast-kh in the status line, with 403.
const FULL_TEXTS: [&[u8]; 2] = [b"Icecast connection limit reached", b"Too many clients connected"];

impl Eye for Fetcher {
    async fn look(
        &mut self,
        server: &Server,
        _: &[Listed<'_>],
        _: Duration,
    ) -> Result<Seen, Failure> {
        let mut first_failure = None;
        self.looks = self.looks.wrapping_add(1);
        for document in self.candidates(server) {
            match get(server, document).await {
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
        resolve::remark(server.stats.url.domain()?)
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

/// Asks for what the admin password opens.
pub(super) async fn try_password(server: &Server, limit: Duration) -> Result<(), Failure> {
    let trying = timeout(limit, get(server, Document::Admin)).await;
    trying.map_or_else(|_elapsed| Err(Failure::late(&server.stats.url)), |got| got.map(drop))
}

async fn get(server: &Server, document: Document) -> Result<Seen, Failure> {
    let question = document.question(server);
    let shown = || url_of(server, document);
    let mut answer = question.ask().await.map_err(|broken| Failure::of(&broken, &shown()))?;
    let status = answer.status();
    let mut body = Vec::new();
    let whole = read(&mut answer, &mut body, shown).await;
    // Icecast refuses without having read the request, so a reset follows what it says.
    if matches!(status, StatusCode::FORBIDDEN | StatusCode::SERVICE_UNAVAILABLE)
        && FULL_TEXTS.iter().any(|text| contains(&body, text) || contains(answer.reason(), text))
    {
        return Ok(Seen::Full);
    }
    whole?;
    // What was read is all that there was.
    drop(answer);
    if status != StatusCode::OK {
        return Err(Failure::status(status, &shown(), document));
    }
    let report = parse(document, body).await.map_err(|error| {
        Failure::odd(PollResult::Malformed, format!("{} is no statistics: {error}", shown()))
    })?;
    Ok(Seen::Report { report, source: document.name() })
}

/// Where a server has a document.
fn url_of(server: &Server, document: Document) -> String {
    format!("{}{}", server.stats.url.as_str().trim_end_matches('/'), document.path())
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

/// Reads what follows the head into `body`, which keeps what came before a failure.
async fn read(
    answer: &mut Answer,
    body: &mut Vec<u8>,
    url: impl Fn() -> String,
) -> Result<(), Failure> {
    while let Some(piece) = answer.piece().await.map_err(|broken| Failure::of(&broken, &url()))? {
        if body.len() + piece.len() > MAX_BODY {
            let why = format!("{} answers more than {} KiB", url(), MAX_BODY / 1024);
            return Err(Failure::odd(PollResult::TooLarge, why));
        }
        body.extend_from_slice(&piece);
    }
    Ok(())
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len()).any(|window| window == text)
}

impl Document {
    /// Asks a server for it.
    fn question(self, server: &Server) -> Question<'_> {
        let url = &server.stats.url;
        let target = format!("{}{}", url.path().trim_end_matches('/'), self.path());
        let question = Question::get(url, target);
        match (self, &server.stats.credentials) {
            (Self::Admin, Some(account)) => {
                question.in_the_name_of(&account.username, account.password.expose_secret())
            }
            // It shows its numbers to browsers, and plays to everybody else.
            (Self::Seven, _) => question.with(USER_AGENT, BROWSER),
            _ => question,
        }
    }

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
            Self::Admin => ADMIN,
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

    /// As of a server that gives no answer in time.
    pub(super) fn late(url: &Url) -> Self {
        Self::timeout(format!("no whole answer from {url} in time"))
    }

    /// What a failed exchange says. What would fail a listener too is hard evidence; what our own
    /// machine lacks is none.
    pub(super) fn of(broken: &Break, url: &str) -> Self {
        let mut io = None;
        let mut certificate = false;
        let mut too_large = false;
        let mut last = None;
        let mut next = broken.cause();
        while let Some(cause) = next {
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
            (last, next) = (Some(cause), cause.source());
        }
        let why = last.map_or_else(|| broken.to_string(), ToString::to_string);
        let why = format!("{url}: {why}");
        let kind = io.map(io::Error::kind);
        if kind == Some(io::ErrorKind::TimedOut) {
            return Self::timeout(why);
        }
        let evidence = match kind {
            _ if certificate => Evidence::Hard,
            _ if matches!(broken, Break::Unable(_)) => Evidence::Own,
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
        let result = match broken {
            Break::Unable(_) | Break::Connection(_) => PollResult::Connect,
            Break::Head(_) | Break::Body(_) if too_large => PollResult::TooLarge,
            Break::Head(_) | Break::Body(_) => PollResult::Malformed,
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
