//! One connection: the request in, Icecast's answer out, and the sound for as long as it is heard.
//!
//! Icecast 2.4.4 answers one request a connection, in HTTP/1.0, whatever it was asked in.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until, timeout};

use super::feed;
use super::state::{Connection, Fault, Refusal, Request, START, Seat, Shared, wall_clock};
use super::stats::{Document, MEDIA_TYPE};

const HEAD_LIMIT: usize = 16 * 1024;
/// Icecast's `<header-timeout>`.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A listener whose player takes nothing for so long is dropped, as Icecast drops one whose queue
/// is full.
const STALL: Duration = Duration::from_secs(30);
/// How long a client may take to read an answer and close; closing first with bytes of it unread
/// would reset the connection and lose the answer.
const LINGER: Duration = Duration::from_secs(1);

/// Serves one connection to its end.
pub async fn serve(shared: Arc<Shared>, mut socket: TcpStream) {
    let (connection, room) = shared.connect();
    let outcome = match room {
        Ok(()) => converse(&shared, &mut socket, connection).await,
        Err(_) => refuse_connection(&shared, &mut socket, connection).await,
    };
    // What fails here is the connection, and its client knows.
    if outcome.is_ok() {
        linger(&mut socket).await;
    }
}

/// The relay has too many clients: Icecast says so before it reads a byte.
async fn refuse_connection(
    shared: &Shared,
    socket: &mut TcpStream,
    connection: Connection,
) -> io::Result<()> {
    let answer = Answer::text(StatusCode::FORBIDDEN, "Icecast connection limit reached");
    answer.write(socket).await?;
    drop(connection);
    // Read all the same, so that it can be counted what was refused.
    if let Ok(Ok(Some(request))) = timeout(LINGER, read_request(socket)).await {
        let is_listener = request.method == "GET" && document(&request).is_none();
        record(shared, request);
        shared.lock().refused += u64::from(is_listener);
    }
    Ok(())
}

async fn converse(
    shared: &Arc<Shared>,
    socket: &mut TcpStream,
    connection: Connection,
) -> io::Result<()> {
    let request = match timeout(HEAD_TIMEOUT, read_request(socket)).await {
        Ok(Ok(Some(request))) => request,
        Ok(Ok(None)) | Err(_) => return Ok(()),
        Ok(Err(error)) => return Err(error),
    };
    record(shared, request.clone());
    let fault = shared.lock().fault.clone();
    if matches!(fault, Some(Fault::Hang)) {
        return closed_by_client(socket).await;
    }
    let answer = match request.method.as_str() {
        "GET" => match document(&request) {
            Some(_) if matches!(fault, Some(Fault::HangStatistics)) => {
                return closed_by_client(socket).await;
            }
            Some(document) => statistics(shared, document, &request, fault),
            None => match shared.sit_down(&path(&request)) {
                Ok(seat) => return play(socket, seat).await,
                Err(refusal) => refuse_listener(shared, refusal, &request).await,
            },
        },
        "HEAD" => Answer::page(StatusCode::BAD_REQUEST, "unknown request"),
        "STATS" if is_admin(shared, &request) => return feed::tell(shared, socket).await,
        "SOURCE" | "PUT" | "STATS" => Answer::unauthorized(),
        _ => return Ok(()), // Icecast closes without a word
    };
    answer.write(socket).await?;
    drop(connection);
    Ok(())
}

fn record(shared: &Shared, request: Request) {
    let is_poll = document(&request).is_some();
    let mut state = shared.lock();
    state.polls += u64::from(is_poll);
    state.record(request);
}

fn document(request: &Request) -> Option<Document> {
    Document::at(&path(request)).filter(|_| request.method == "GET")
}

/// The decoded path: Icecast knows its mounts by no other name.
fn path(request: &Request) -> String {
    let encoded = request.target.split('?').next().unwrap_or_default();
    percent_decode_str(encoded).decode_utf8_lossy().into_owned()
}

fn statistics(
    shared: &Shared,
    document: Document,
    request: &Request,
    fault: Option<Fault>,
) -> Answer {
    let view = match fault {
        Some(Fault::Answer(status, body)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            return Answer::new(status, document.content_type(), body).with_length();
        }
        Some(Fault::Frozen(view)) => view,
        _ => shared.view(),
    };
    if !shared.lock().documents.contains(&document) {
        return Answer::page(StatusCode::NOT_FOUND, "Could not parse XSLT file");
    }
    if document == Document::Admin && !is_admin(shared, request) {
        return Answer::unauthorized();
    }
    Answer::new(StatusCode::OK, document.content_type(), document.render(&view)).with_length()
}

fn is_admin(shared: &Shared, request: &Request) -> bool {
    let Some(admin) = &shared.admin else { return false };
    let expected = format!("Basic {}", BASE64_STANDARD.encode(admin));
    request
        .head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| name.eq_ignore_ascii_case("authorization") && value.trim() == expected)
}

async fn refuse_listener(shared: &Shared, refusal: Refusal, request: &Request) -> Answer {
    let is_xslt = path(request).rsplit('.').next() == Some("xsl");
    shared.lock().refused += u64::from(!is_xslt);
    match refusal {
        Refusal::Full => Answer::text(StatusCode::FORBIDDEN, "max listeners reached"),
        Refusal::Missing if is_xslt => {
            Answer::page(StatusCode::NOT_FOUND, "Could not parse XSLT file")
        }
        Refusal::Missing => {
            Answer::page(StatusCode::NOT_FOUND, "The file you requested could not be found")
        }
        Refusal::Unavailable => {
            tokio::time::sleep(START).await;
            Answer::page(StatusCode::NOT_FOUND, "Mount unavailable")
        }
    }
}

/// Plays until the listener leaves or the mount is gone.
async fn play(socket: &mut TcpStream, seat: Seat) -> io::Result<()> {
    let (mut reader, mut writer) = socket.split();
    tokio::select! {
        ended = stream(&mut writer, &seat) => ended,
        () = seat.gone.cancelled() => Ok(()),
        ended = left(&mut reader) => ended,
    }
}

async fn stream(writer: &mut WriteHalf<'_>, seat: &Seat) -> io::Result<()> {
    sleep_until(seat.from).await;
    let head = format!(
        "{}icy-description:A soft note\r\nicy-genre:Demo\r\nicy-metadata:1\r\nicy-name:{}\r\n\
         icy-pub:0\r\n\r\n",
        head(StatusCode::OK, MEDIA_TYPE, ""),
        seat.station.title(),
    );
    send(writer, head.as_bytes()).await?;
    let station = &seat.station;
    let join = station.join(Instant::now());
    send(writer, &join.opening).await?;
    for number in join.next.. {
        sleep_until(station.due(number)).await;
        send(writer, &station.slice(join.first, number)).await?;
    }
    Ok(())
}

async fn send(writer: &mut WriteHalf<'_>, bytes: &[u8]) -> io::Result<()> {
    timeout(STALL, writer.write_all(bytes)).await?
}

/// Waits until the listener is gone, which is an error so that nobody lingers for it.
async fn left(reader: &mut ReadHalf<'_>) -> io::Result<()> {
    read_to_end(reader).await?;
    Err(io::ErrorKind::ConnectionAborted.into())
}

async fn closed_by_client(socket: &mut TcpStream) -> io::Result<()> {
    read_to_end(socket).await
}

async fn read_to_end(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut ignored = [0; 512];
    while reader.read(&mut ignored).await? > 0 {}
    Ok(())
}

async fn linger(socket: &mut TcpStream) {
    let close = async {
        socket.shutdown().await?;
        read_to_end(socket).await
    };
    // Either way the connection ends now.
    drop(timeout(LINGER, close).await);
}

/// Reads a request's head; `None` if the client leaves before its end or sends something else.
async fn read_request(socket: &mut TcpStream) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        if bytes.len() > HEAD_LIMIT || socket.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let mut words = head.split_ascii_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    Ok(Some(Request { method: method.to_owned(), target: target.to_owned(), head: head.clone() }))
}

/// An answer that ends.
struct Answer {
    status: StatusCode,
    content_type: &'static str,
    extra: &'static str,
    has_length: bool,
    body: String,
}

impl Answer {
    fn new(status: StatusCode, content_type: &'static str, body: String) -> Self {
        Self { status, content_type, extra: "", has_length: false, body }
    }

    fn text(status: StatusCode, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.to_owned())
    }

    fn page(status: StatusCode, message: &str) -> Self {
        let code = status.as_str();
        let body = format!(
            "<html><head><title>Error {code}</title></head><body><b>{code} - {message}</b></body></html>\r\n"
        );
        Self::new(status, "text/html; charset=utf-8", body)
    }

    fn unauthorized() -> Self {
        let extra = "WWW-Authenticate: Basic realm=\"Icecast2 Server\"\r\n";
        let answer = Self::text(StatusCode::UNAUTHORIZED, "You need to authenticate\r\n");
        Self { extra, ..answer }
    }

    /// Icecast tells the length of statistics alone.
    fn with_length(self) -> Self {
        Self { has_length: true, ..self }
    }

    async fn write(self, socket: &mut TcpStream) -> io::Result<()> {
        let head = head(self.status, self.content_type, self.extra);
        let length = if self.has_length {
            format!("Content-Length: {}\r\n", self.body.len())
        } else {
            String::new()
        };
        let text = [head.as_str(), &length, "\r\n", &self.body].concat();
        socket.write_all(text.as_bytes()).await
    }
}

/// The lines that begin every answer, without the empty one.
fn head(status: StatusCode, content_type: &str, extra: &str) -> String {
    let reason = match status {
        StatusCode::UNAUTHORIZED => "Authentication Required",
        StatusCode::NOT_FOUND => "File Not Found",
        _ => status.canonical_reason().unwrap_or("Unknown"),
    };
    format!(
        "HTTP/1.0 {} {reason}\r\n\
         Server: Icecast 2.4.4\r\n\
         Connection: Close\r\n\
         Date: {}\r\n\
         Content-Type: {content_type}\r\n\
         {extra}\
         Cache-Control: no-cache, no-store\r\n\
         Expires: Mon, 26 Jul 1997 05:00:00 GMT\r\n\
         Pragma: no-cache\r\n\
         Access-Control-Allow-Origin: *\r\n",
        status.as_str(),
        httpdate::fmt_http_date(wall_clock()),
    )
}
