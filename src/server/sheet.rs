//! What an answer is written on: one sheet for each door.
//!
//! Whoever answers writes once, the status first, then headers, then the body. Behind hyper's door
//! that becomes a response; behind the fast one, bytes.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::Full;

use super::Answer;

/// Something that an answer is written on.
pub trait Sheet {
    /// The status; first of all.
    fn status(&mut self, status: StatusCode);

    /// A header, each name once.
    fn header(&mut self, name: HeaderName, value: HeaderValue);

    /// The body, which is empty if there is none; last of all.
    fn body(&mut self, body: Bytes);
}

impl Sheet for Answer {
    fn status(&mut self, status: StatusCode) {
        *self.status_mut() = status;
    }

    fn header(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers_mut().insert(name, value);
    }

    fn body(&mut self, body: Bytes) {
        *Answer::body_mut(self) = Full::new(body);
    }
}

/// The bytes of an answer, as hyper would write them but for the order of headers.
#[derive(Debug)]
pub struct Raw<'a> {
    bytes: &'a mut Vec<u8>,
    /// The last header, which tells the time, and the end of the head.
    end: &'a [u8],
}

/// An answer that was written beforehand, but for the value of one header: who is told the same as
/// everybody, but for that, is told it for less.
#[derive(Debug)]
pub struct Form {
    blank: HeaderName,
    before: Vec<u8>,
    behind: Vec<u8>,
    body: Bytes,
}

impl<'a> Raw<'a> {
    /// An answer whose head ends like this, in place of what is in `bytes`.
    pub(super) fn new(bytes: &'a mut Vec<u8>, end: &'a [u8]) -> Self {
        bytes.clear();
        Self { bytes, end }
    }

    /// Writes a form with this value where it has its blank.
    pub fn fill(&mut self, form: &Form, value: &HeaderValue) {
        for part in [&form.before[..], value.as_bytes(), &form.behind, self.end, &form.body] {
            self.bytes.extend_from_slice(part);
        }
    }
}

impl Form {
    /// What `write` writes, `blank` being left blank.
    pub fn of(blank: HeaderName, write: impl FnOnce(&mut Self)) -> Self {
        let mut form = Self { blank, before: Vec::new(), behind: Vec::new(), body: Bytes::new() };
        write(&mut form);
        form
    }
}

impl Sheet for Raw<'_> {
    fn status(&mut self, status: StatusCode) {
        write_status(self.bytes, status);
    }

    fn header(&mut self, name: HeaderName, value: HeaderValue) {
        write_header(self.bytes, &name, &value);
    }

    fn body(&mut self, body: Bytes) {
        self.bytes.extend_from_slice(self.end);
        self.bytes.extend_from_slice(&body);
    }
}

impl Sheet for Form {
    fn status(&mut self, status: StatusCode) {
        write_status(&mut self.before, status);
    }

    fn header(&mut self, name: HeaderName, value: HeaderValue) {
        if name == self.blank {
            let blank = HeaderValue::from_static("");
            write_header(&mut self.before, &name, &blank);
            self.behind = self.before.split_off(self.before.len() - END_OF_LINE.len());
        } else if self.behind.is_empty() {
            write_header(&mut self.before, &name, &value);
        } else {
            write_header(&mut self.behind, &name, &value);
        }
    }

    fn body(&mut self, body: Bytes) {
        self.body = body;
    }
}

const END_OF_LINE: &[u8] = b"\r\n";

fn write_status(bytes: &mut Vec<u8>, status: StatusCode) {
    let reason = status.canonical_reason().unwrap_or_default();
    for part in
        [&b"HTTP/1.1 "[..], status.as_str().as_bytes(), b" ", reason.as_bytes(), END_OF_LINE]
    {
        bytes.extend_from_slice(part);
    }
}

fn write_header(bytes: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), END_OF_LINE] {
        bytes.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use http::Response;
    use http::header::{CACHE_CONTROL, LOCATION, SERVER};
    use http_body_util::BodyExt as _;

    use super::*;

    fn write(sheet: &mut impl Sheet, url: &HeaderValue) {
        sheet.status(StatusCode::FOUND);
        sheet.header(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        sheet.header(LOCATION, url.clone());
        sheet.header(SERVER, HeaderValue::from_static("x"));
        sheet.body(Bytes::from_static(b"see there"));
    }

    #[test]
    fn a_form_that_is_filled_in_is_the_answer_that_was_written() {
        let url = HeaderValue::from_static("http://relay.example.org:8000/a.ogg");
        let form = Form::of(LOCATION, |form| write(form, &HeaderValue::from_static("nowhere")));
        let (mut written, mut filled) = (Vec::new(), Vec::new());
        write(&mut Raw::new(&mut written, b"date: now\r\n\r\n"), &url);
        Raw::new(&mut filled, b"date: now\r\n\r\n").fill(&form, &url);
        assert_eq!(String::from_utf8_lossy(&filled), String::from_utf8_lossy(&written));
        let told =
            "location: http://relay.example.org:8000/a.ogg\r\nserver: x\r\ndate: now\r\n\r\nsee";
        assert!(String::from_utf8_lossy(&filled).contains(told));
    }

    #[tokio::test]
    async fn on_either_sheet_the_same_is_written() {
        let url = HeaderValue::from_static("http://relay.example.org:8000/a.ogg");
        let (mut answer, mut raw) = (Response::new(Full::new(Bytes::new())), Vec::new());
        write(&mut answer, &url);
        write(&mut Raw::new(&mut raw, b"\r\n"), &url);
        let (head, body) = answer.into_parts();
        let mut lines = vec![format!("HTTP/1.1 {}", head.status)];
        let headers = head.headers.iter();
        lines.extend(headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())));
        let body = body.collect().await.unwrap().to_bytes();
        let told = format!("{}\r\n\r\n{}", lines.join("\r\n"), str::from_utf8(&body).unwrap());
        assert_eq!(told, String::from_utf8(raw).unwrap());
        assert_eq!(
            told,
            "HTTP/1.1 302 Found\r\ncache-control: no-store\r\nlocation: \
             http://relay.example.org:8000/a.ogg\r\nserver: x\r\n\r\nsee there"
        );
    }
}
