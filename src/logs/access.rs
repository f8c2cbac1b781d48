//! A line for each request: what was asked, by whom about, and what was told.
//!
//! The request's own task copies a few names; everything else is done by the thread that writes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use humantime::format_rfc3339_micros;
use serde::Serialize;

use crate::counters::PROCESS;

use super::escape;
use super::queue::Line;
use super::writer::{Target, Writer};

/// The access log. Clones write to the same.
#[derive(Debug, Clone)]
pub struct AccessLog {
    writer: Arc<Writer<Styled>>,
    style: Style,
}

/// What a line of the access log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Fields with spaces between, the last two in quotes.
    Text,
    /// A JSON object.
    Json,
}

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Access {
    /// The time of day when it was answered.
    pub at: SystemTime,
    /// Where it came from. Only its network is logged.
    pub client: IpAddr,
    /// Its method, if it is one that players use.
    pub method: &'static str,
    /// The stream that it asked for.
    pub stream: Option<Box<str>>,
    /// The server that it was sent to.
    pub server: Option<Box<str>>,
    /// How it ended.
    pub outcome: &'static str,
    /// The status that it was answered with.
    pub status: u16,
    /// How long the answer took.
    pub took: Duration,
    /// The path that it asked for, [`cut`]; logged where it is no stream's, or only a pattern's.
    pub path: Option<Box<[u8]>>,
    /// What it says its program is, [`cut`].
    pub agent: Option<Box<[u8]>>,
}

/// A request as it waits to be written.
#[derive(Debug)]
struct Styled {
    style: Style,
    access: Access,
}

/// A line as JSON. Its fields are its format: they stay.
#[derive(Serialize)]
struct Object<'a> {
    time: String,
    client: String,
    method: &'a str,
    stream: Option<&'a str>,
    server: Option<&'a str>,
    outcome: &'a str,
    status: u16,
    duration_us: u128,
    path: Option<&'a str>,
    agent: Option<&'a str>,
}

/// An absent field.
const NONE: &str = "-";

impl AccessLog {
    /// Starts one on standard output.
    pub fn on_stdout(style: Style) -> io::Result<Self> {
        Self::start(Target::stream(&io::stdout())?, style)
    }

    /// Starts one in a file, which is made if it is not there, and added to if it is.
    pub fn in_file(path: &Path, style: Style) -> io::Result<Self> {
        Self::start(Target::file(path)?, style)
    }

    fn start(target: Target, style: Style) -> io::Result<Self> {
        let writer = Writer::start("access log", target, &PROCESS.log_lines_dropped)?;
        Ok(Self { writer: Arc::new(writer), style })
    }

    /// Has a request written down, unless too many wait to be. Never waits.
    pub fn note(&self, access: Access) {
        self.writer.push(Styled { style: self.style, access });
    }

    /// Opens the file anew, as is wanted after somebody has renamed it.
    pub fn reopen(&self) {
        self.writer.reopen();
    }

    /// Waits until everything is written, or for `limit`.
    pub fn finish(&self, limit: Duration) {
        self.writer.finish(limit);
    }
}

/// As much of what a client sent as is logged; `None` if it sent nothing.
pub fn cut(bytes: &[u8]) -> Option<Box<[u8]>> {
    let bytes = bytes.get(..escape::LONGEST).unwrap_or(bytes);
    (!bytes.is_empty()).then(|| bytes.into())
}

impl Line for Styled {
    fn weight(&self) -> usize {
        let Access { stream, server, path, agent, .. } = &self.access;
        let names = [stream, server].into_iter().flatten().map(|name| name.len());
        let sent = [path, agent].into_iter().flatten().map(|bytes| bytes.len());
        size_of::<Self>() + names.chain(sent).sum::<usize>()
    }

    fn write_to(self, text: &mut Vec<u8>) {
        match self.style {
            Style::Text => self.as_text(text),
            Style::Json => self.as_json(text),
        }
        text.push(b'\n');
    }
}

impl Styled {
    fn as_text(&self, text: &mut Vec<u8>) {
        let access = &self.access;
        let time = format_rfc3339_micros(access.at);
        let begin = format!("{time} {} {} ", network(access.client), access.method);
        text.extend(begin.bytes());
        for named in [&access.stream, &access.server] {
            escape::name(text, named.as_deref().unwrap_or(NONE));
            text.push(b' ');
        }
        let micros = access.took.as_micros();
        text.extend(format!("{} {} {micros} \"", access.outcome, access.status).bytes());
        escape::foreign(text, access.path.as_deref().unwrap_or_default());
        text.extend(b"\" \"");
        escape::foreign(text, access.agent.as_deref().unwrap_or_default());
        text.push(b'"');
    }

    fn as_json(&self, text: &mut Vec<u8>) {
        let access = &self.access;
        let [path, agent] =
            [&access.path, &access.agent].map(|sent| Some(escaped(sent.as_deref()?)));
        let object = Object {
            time: format_rfc3339_micros(access.at).to_string(),
            client: network(access.client),
            method: access.method,
            stream: access.stream.as_deref(),
            server: access.server.as_deref(),
            outcome: access.outcome,
            status: access.status,
            duration_us: access.took.as_micros(),
            path: path.as_deref(),
            agent: agent.as_deref(),
        };
        // Text and numbers become JSON, and memory takes them.
        drop(serde_json::to_writer(text, &object));
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    escape::foreign(&mut text, bytes);
    String::from_utf8_lossy(&text).into_owned()
}

/// The network of an address: enough to see where listeners are, too little to say who.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("{}/24", Ipv4Addr::from_bits(address.to_bits() & !0xff)),
        IpAddr::V6(address) => {
            format!("{}/56", Ipv6Addr::from_bits(address.to_bits() & (!0 << (128 - 56))))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn line(style: Style, stream: Option<&str>, path: &[u8], agent: &[u8]) -> String {
        let access = Access {
            at: UNIX_EPOCH + Duration::from_micros(1_290_000_000_000_057),
            client: "192.0.2.77".parse().unwrap(),
            method: "GET",
            stream: stream.map(Into::into),
            server: stream.map(|_| "vienna".into()),
            outcome: "redirected",
            status: 302,
            took: Duration::from_nanos(57_900),
            path: cut(path),
            agent: cut(agent),
        };
        let mut text = Vec::new();
        Styled { style, access }.write_to(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_line_for_people_is_words_and_two_quoted_fields() {
        assert_eq!(
            line(Style::Text, Some("/saal1.ogv"), b"", b"VLC/3.0.18 \"x\"\n"),
            "2010-11-17T13:20:00.000057Z 192.0.2.0/24 GET /saal1.ogv vienna redirected 302 57 \"\" \
             \"VLC/3.0.18 \\x22x\\x22\\x0A\"\n"
        );
        assert!(
            line(Style::Text, None, b"/x\0", b"")
                .contains(" - - redirected 302 57 \"/x\\x00\" \"\"\n")
        );
    }

    #[test]
    fn a_line_for_programs_is_json() {
        assert_eq!(
            line(Style::Json, Some("/a \"b\".ogg"), b"", b"x\x1b"),
            "{\"time\":\"2010-11-17T13:20:00.000057Z\",\"client\":\"192.0.2.0/24\",\"method\":\"GET\",\
             \"stream\":\"/a \\\"b\\\".ogg\",\"server\":\"vienna\",\"outcome\":\"redirected\",\
             \"status\":302,\"duration_us\":57,\"path\":null,\"agent\":\"x\\\\x1B\"}\n"
        );
    }

    #[test]
    fn of_an_address_only_the_network_is_told() {
        for (address, told) in [
            ("192.0.2.255", "192.0.2.0/24"),
            ("::ffff:192.0.2.255", "192.0.2.0/24"),
            ("2001:db8:1:2ff:ffff::1", "2001:db8:1:200::/56"),
            ("::1", "::/56"),
        ] {
            assert_eq!(network(address.parse().unwrap()), told);
        }
    }
}
