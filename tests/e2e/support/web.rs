//! A client for one request at a time, that sees every byte and follows nothing.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// The longest that a server may be silent.
const SILENCE: Duration = Duration::from_secs(5);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The head, from the status line to the last header.
    head: String,
    /// The body.
    pub(crate) body: String,
}

impl Answer {
    /// The first header called `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        // The first line is the status.
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// `GET url`.
pub(crate) fn get(url: &str) -> io::Result<Answer> {
    get_with(url, "")
}

/// `GET url` with further header lines, each with its line end.
pub(crate) fn get_with(url: &str, headers: &str) -> io::Result<Answer> {
    ask("GET", url, headers)
}

/// `HEAD url`.
pub(crate) fn head(url: &str) -> io::Result<Answer> {
    ask("HEAD", url, "")
}

/// Any request without a body.
pub(crate) fn ask(method: &str, url: &str, headers: &str) -> io::Result<Answer> {
    let (authority, path) = split(url);
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(SILENCE))?;
    // HTTP/1.0: the answer ends where the connection does.
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {authority}\r\n{headers}\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no answer from {url}: {head:?}")))?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// The authority and the path of `http://authority/path`.
pub(crate) fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").expect("an http URL");
    let slash = rest.find('/').expect("a URL with a path");
    rest.split_at(slash)
}
