//! Requests that no player means, and what the public port answers to them.
//!
//! The stream is `/saal1.ogg`. What a request would smuggle in is called `evil` or `größe`.

/// What is sent, what is answered, and whether the connection is closed after it.
pub(crate) type Vector = (&'static str, Vec<u8>, u16, After);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Open,
    Closed,
}

use After::{Closed, Open};

/// Heads with something wrong in their headers.
fn headers() -> Vec<Vector> {
    let line = "GET /saal1.ogg HTTP/1.1\r\n";
    let with = |headers: &str| format!("{line}Host: x\r\n{headers}\r\n").into_bytes();
    let host = |headers: &str| format!("{line}{headers}\r\n").into_bytes();
    vec![
        ("HTTP/1.1 without Host", host(""), 400, Closed),
        ("two Host lines", host("Host: x\r\nHost: x\r\n"), 400, Closed),
        ("an empty Host", host("Host:\r\n"), 400, Closed),
        ("a Host with a slash", host("Host: a/b\r\n"), 400, Closed),
        ("a Host with a user", host("Host: u@a\r\n"), 400, Closed),
        ("a Host with a space", host("Host: a b\r\n"), 400, Closed),
        ("a Host beyond ASCII", host("Host: größe\r\n"), 400, Closed),
        ("a Host with a port", host("Host: [2001:db8::1]:8000\r\n"), 302, Open),
        (
            "Content-Length, then Transfer-Encoding",
            with("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
            400,
            Closed,
        ),
        (
            "Transfer-Encoding, then Content-Length",
            with("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"),
            400,
            Closed,
        ),
        ("Transfer-Encoding alone", with("Transfer-Encoding: chunked\r\n"), 400, Closed),
        ("an unknown Transfer-Encoding", with("Transfer-Encoding: evil\r\n"), 400, Closed),
        (
            "two different Content-Lengths",
            with("Content-Length: 1\r\nContent-Length: 2\r\n"),
            400,
            Closed,
        ),
        ("a list of Content-Lengths", with("Content-Length: 0, 0\r\n"), 400, Closed),
        ("a negative Content-Length", with("Content-Length: -1\r\n"), 400, Closed),
        ("a Content-Length with a sign", with("Content-Length: +1\r\n"), 400, Closed),
        ("a huge Content-Length", with("Content-Length: 18446744073709551616\r\n"), 400, Closed),
        ("an offer to upgrade", with("Connection: upgrade\r\nUpgrade: h2c\r\n"), 302, Open),
        ("a folded header", with("X-A: a\r\n b\r\n"), 400, Closed),
        ("a folded first header", format!("{line} X: y\r\nHost: x\r\n\r\n").into(), 400, Closed),
        ("NUL in a value", with("X-A: a\0b\r\n"), 400, Closed),
        ("a bare CR in a value", with("X-A: a\rb\r\n"), 400, Closed),
        ("a space before the colon", with("X-A : a\r\n"), 400, Closed),
        ("a header without a colon", with("evil\r\n"), 400, Closed),
        ("a header without a name", with(": evil\r\n"), 400, Closed),
        ("bare LF line ends", b"GET /saal1.ogg HTTP/1.1\nHost: x\n\n".to_vec(), 302, Open),
    ]
}

/// Requests with something wrong in their first line.
fn first_lines() -> Vec<Vector> {
    let target = |target: &str| get(target).into_bytes();
    vec![
        ("a path that looks like a host", target("//evil/x"), 404, Open),
        ("a backslash", target("/\\evil"), 404, Open),
        ("an encoded header in the path", target("/%0d%0aSet-Cookie:x"), 404, Open),
        ("an encoded NUL in the path", target("/saal1.ogg%00"), 404, Open),
        ("a path that is not UTF-8 once decoded", target("/%ff"), 404, Open),
        ("a broken percent-encoding", target("/%zz%"), 404, Open),
        ("a path that climbs", target("/x/../saal1.ogg"), 404, Open),
        ("another host's URL", target("http://evil/x"), 404, Open),
        ("our path at another host", target("http://evil/saal1.ogg"), 302, Open),
        ("our path at another host by https", target("https://evil/saal1.ogg"), 302, Open),
        ("another host without a path", target("http://evil"), 404, Open),
        ("a URL without a host", target("http:///saal1.ogg"), 400, Closed),
        ("a host as target", target("evil:80"), 400, Closed),
        ("CONNECT", b"CONNECT evil:80 HTTP/1.1\r\nHost: evil:80\r\n\r\n".to_vec(), 405, Closed),
        ("OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 204, Open),
        ("GET *", target("*"), 400, Closed),
        ("TRACE", b"TRACE / HTTP/1.1\r\nHost: x\r\nX: evil\r\n\r\n".to_vec(), 405, Closed),
        ("a raw path beyond ASCII", target("/größe"), 400, Closed),
        ("a raw query beyond ASCII", target("/saal1.ogg?größe"), 400, Closed),
        (
            "bytes that are no text in the path",
            b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            400,
            Closed,
        ),
        ("a control byte in the query", target("/saal1.ogg?a\x01b"), 400, Closed),
        ("DEL in the query", target("/saal1.ogg?a\x7fb"), 400, Closed),
        ("a fragment", target("/saal1.ogg#evil"), 400, Closed),
        ("a fragment behind a query", target("/saal1.ogg?a=b#evil"), 400, Closed),
        ("a fragment in another host's URL", target("http://evil/saal1.ogg#x"), 400, Closed),
        ("a space in the target", target("/saal1.ogg evil"), 400, Closed),
        (
            "HTTP/2.0 in a line of HTTP/1",
            b"GET /saal1.ogg HTTP/2.0\r\nHost: x\r\n\r\n".to_vec(),
            400,
            Closed,
        ),
        ("HTTP/1.0 without Host", b"GET /saal1.ogg HTTP/1.0\r\n\r\n".to_vec(), 302, Closed),
        (
            "an unknown minor version",
            b"GET /saal1.ogg HTTP/1.2\r\nHost: x\r\n\r\n".to_vec(),
            400,
            Closed,
        ),
        (
            "an empty line before the request",
            [b"\r\n".to_vec(), target("/saal1.ogg")].concat(),
            302,
            Open,
        ),
        (
            "an expectation",
            b"PUT /evil HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
                .to_vec(),
            405,
            Closed,
        ),
        ("an ICY version", b"GET /saal1.ogg ICY/1.0\r\n\r\n".to_vec(), 400, Closed),
        ("no version", b"GET /saal1.ogg\r\n\r\n".to_vec(), 400, Closed),
        ("no method", b"/saal1.ogg HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 400, Closed),
        ("a TLS greeting", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400, Closed),
    ]
}

/// Requests with too much of something.
fn sizes() -> Vec<Vector> {
    let with = |headers: &str| get("/saal1.ogg").replace("\r\n\r\n", &format!("\r\n{headers}\r\n"));
    let with = |headers: &str| with(headers).into_bytes();
    let long = |bytes| "a".repeat(bytes);
    vec![
        ("101 headers", with(&"X-Evil: 1\r\n".repeat(101)), 431, Closed),
        ("64 headers", with(&"X-Evil: 1\r\n".repeat(63)), 302, Open),
        ("65 headers", with(&"X-Evil: 1\r\n".repeat(64)), 431, Closed),
        ("a path of 5 kB", get(&format!("/{}", long(5_000))).into_bytes(), 414, Closed),
        ("a query of 9 kB", get(&format!("/saal1.ogg?{}", long(9_000))).into_bytes(), 414, Closed),
        ("a URI of 17 kB", get(&format!("/{}", long(17_000))).into_bytes(), 414, Closed),
        ("a URI of 70 kB", get(&format!("/{}", long(70_000))).into_bytes(), 414, Closed),
        ("a header of 17 kB", with(&format!("X-A: {}\r\n", long(17_000))), 431, Closed),
        ("a header name of 17 kB", with(&format!("X{}: a\r\n", long(17_000))), 431, Closed),
        ("a header of 500 kB", with(&format!("X-A: {}\r\n", long(500_000))), 431, Closed),
    ]
}

/// Lengths and codings that a proxy could read otherwise than we do.
fn framing() -> Vec<Vector> {
    let with = |headers: &str| get("/saal1.ogg").replace("\r\n\r\n", &format!("\r\n{headers}\r\n"));
    let refused = |name, headers: &str| -> Vector { (name, with(headers).into(), 400, Closed) };
    vec![
        refused("a Content-Length in hexadecimal", "Content-Length: 0x0\r\n"),
        refused("a Content-Length with a space in it", "Content-Length: 0 0\r\n"),
        refused("a Content-Length with a unit", "Content-Length: 0b\r\n"),
        refused("an empty Content-Length", "Content-Length:\r\n"),
        refused(
            "Transfer-Encoding with a space before the colon",
            "Transfer-Encoding : chunked\r\n",
        ),
        refused("chunked, and then identity", "Transfer-Encoding: chunked, identity\r\n"),
        refused("Transfer-Encoding: identity", "Transfer-Encoding: identity\r\n"),
        refused("two Transfer-Encodings", "Transfer-Encoding: a\r\nTransfer-Encoding: chunked\r\n"),
        refused("chunked behind a vertical tab", "Transfer-Encoding: \x0bchunked\r\n"),
        refused("a header name with a bracket", "X[A]: a\r\n"),
        refused("a header name beyond ASCII", "X-ö: a\r\n"),
        refused("a line with nothing but a space", " \r\n"),
        refused("a DEL in a value", "X-A: a\x7fb\r\n"),
        refused("an escape sequence in a value", "X-A: \x1b[31m\r\n"),
        ("a value beyond ASCII", with("X-A: größe\r\n").into(), 302, Open),
        ("a tab in a value", with("X-A:\ta\tb\t\r\n").into(), 302, Open),
        ("an empty value", with("X-A:\r\n").into(), 302, Open),
        ("a header that comes twice", with("X-A: a\r\nX-A: b\r\n").into(), 302, Open),
    ]
}

/// Requests whose first line or Host is nearly right.
fn nearly_right() -> Vec<Vector> {
    let line = |line: &str| format!("{line}\r\nHost: x\r\n\r\n").into_bytes();
    let host = |host: &str| format!("GET /saal1.ogg HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
    let refused = |name, bytes| -> Vector { (name, bytes, 400, Closed) };
    vec![
        refused("a version in lower case", line("GET /saal1.ogg http/1.1")),
        refused("a version without a point", line("GET /saal1.ogg HTTP/11")),
        refused("a version with two digits", line("GET /saal1.ogg HTTP/1.10")),
        refused("a version with a space in it", line("GET /saal1.ogg HTTP /1.1")),
        refused("a space behind the version", line("GET /saal1.ogg HTTP/1.1 ")),
        refused("a version of the year 1991", line("GET /saal1.ogg HTTP/0.9")),
        refused("a space too many before the version", line("GET /saal1.ogg  HTTP/1.1")),
        refused("a space too many before the target", line("GET  /saal1.ogg HTTP/1.1")),
        refused("a tab for a space", line("GET\t/saal1.ogg\tHTTP/1.1")),
        refused("no target", line("GET  HTTP/1.1")),
        refused("a space before the method", line(" GET /saal1.ogg HTTP/1.1")),
        refused("a method with a bracket", line("G(ET /saal1.ogg HTTP/1.1")),
        refused("a method with NUL", line("G\0ET /saal1.ogg HTTP/1.1")),
        refused("a target without a slash", line("GET saal1.ogg HTTP/1.1")),
        refused("a line that ends in a bare CR", b"GET /saal1.ogg HTTP/1.1\rHost: x\r\r".to_vec()),
        refused("a Host with a port that is none", host("x:evil")),
        refused("a Host with two ports", host("x:80:80")),
        refused("a Host with an open bracket", host("[::1")),
        refused("a Host that is a list", host("x,y")),
        refused("a Host with a question", host("x?y")),
        refused("a Host with a fragment", host("x#y")),
        refused("a Host with a backslash", host("x\\y")),
        ("a method in lower case", line("get /saal1.ogg HTTP/1.1"), 405, Closed),
        ("a method of 1 kB", line(&format!("{} / HTTP/1.1", "G".repeat(1_000))), 405, Closed),
        (
            "a preface of HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
            400,
            Closed,
        ),
    ]
}

/// All of them.
pub(crate) fn vectors() -> Vec<Vector> {
    [headers(), framing(), first_lines(), nearly_right(), sizes()].concat()
}

/// The request that every player makes.
fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: radio.example\r\n\r\n")
}
