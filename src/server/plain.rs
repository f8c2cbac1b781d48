//! What a plain request is, and how it is read: by httparse, as hyper reads. What is left to do here is
//! to leave to hyper whatever it, or what stands before and behind it, gives a meaning of its own.

use std::mem::MaybeUninit;

use httparse::{ParserConfig, Request, Status};

/// A request that is plain.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a> {
    /// Whether it was `HEAD`, and not `GET`.
    pub is_head: bool,
    /// The path as it was sent.
    pub path: &'a str,
    /// What follows the first `?`, if there is one.
    pub query: Option<&'a str>,
    /// The value of the only `Host`; none in HTTP/1.0 alone.
    pub host: Option<&'a [u8]>,
    /// The first `User-Agent`, or nothing.
    pub agent: &'a [u8],
    /// Whether it speaks HTTP/1.0.
    pub is_old: bool,
    /// Whether the connection is closed behind the answer.
    pub closes: bool,
}

/// The most headers of one.
const MOST_HEADERS: usize = 24;

/// What stands for itself in a path (RFC 3986, section 3.3), and in a query.
static PATH: Kind = Kind::of(b"!$%&'()*+,-./:;=@_~");
static QUERY: Kind = Kind::of(b"!$%&'()*+,-./:;=@_~?");

/// Reads one request, if that is all there is and it is plain.
pub(super) fn read(bytes: &[u8]) -> Option<Plain<'_>> {
    // As many as there may be need not be made anew for each request.
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut request = Request::new(&mut []);
    let parsed = ParserConfig::default().parse_request_with_uninit_headers(
        &mut request,
        bytes,
        &mut headers,
    );
    // Empty lines before it, and what is behind it, are not ours to read.
    let is_all = parsed == Ok(Status::Complete(bytes.len()))
        && bytes.first().is_some_and(u8::is_ascii_uppercase);
    let is_head = match request.method? {
        "GET" => false,
        "HEAD" => true,
        _ => return None,
    };
    let target = request.path?;
    if !is_all || !target.starts_with('/') {
        return None;
    }
    let end = target.bytes().position(|byte| !PATH.has(byte)).unwrap_or(target.len());
    let (path, rest) = target.split_at_checked(end)?;
    let query = match rest.strip_prefix('?') {
        Some(query) if query.bytes().all(|byte| QUERY.has(byte)) => Some(query),
        None if rest.is_empty() => None,
        _ => return None,
    };
    let is_old = request.version? == 0;
    let (mut host, mut agent, mut closes) = (None, None, is_old);
    for header in request.headers.iter() {
        let value = header.value;
        match Means::of(header.name.as_bytes()) {
            Means::Nothing => {}
            Means::Host if host.is_none() => host = Some(value),
            Means::Agent => agent = agent.or(Some(value)),
            // Whoever may want a list is asked what it wants.
            Means::Accept if !value.iter().any(|byte| matches!(byte, b'j' | b'J')) => {}
            Means::Connection if value.eq_ignore_ascii_case(b"close") => closes = true,
            Means::Connection if value.eq_ignore_ascii_case(b"keep-alive") => {}
            Means::Host | Means::Accept | Means::Connection | Means::More => return None,
        }
    }
    if host.is_none() && !is_old {
        return None;
    }
    let agent = agent.unwrap_or_default();
    Some(Plain { is_head, path, query, host, agent, is_old, closes })
}

/// A kind of bytes.
#[derive(Debug)]
pub struct Kind([bool; 256]);

impl Kind {
    /// Letters and digits of ASCII, and these.
    pub const fn of(marks: &[u8]) -> Self {
        let mut all = [false; 256];
        let (mut left, mut byte): (&mut [bool], u8) = (&mut all, 0);
        while let Some((is_of_it, behind)) = left.split_first_mut() {
            *is_of_it = byte.is_ascii_alphanumeric() || is_among(byte, marks);
            byte = byte.wrapping_add(1);
            left = behind;
        }
        Self(all)
    }

    /// Whether a byte is of this kind.
    pub fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).copied().unwrap_or(false)
    }
}

const fn is_among(byte: u8, mut marks: &[u8]) -> bool {
    while let [first, rest @ ..] = marks {
        if *first == byte {
            return true;
        }
        marks = rest;
    }
    false
}

/// What a header means to the answer.
enum Means {
    Nothing,
    Host,
    Agent,
    Accept,
    Connection,
    /// More than is known here.
    More,
}

impl Means {
    /// By its name alone; most names are told apart by their length and their first letter.
    fn of(name: &[u8]) -> Self {
        let first = name.first().map_or(0, |byte| byte | 0x20);
        match (name.len(), first) {
            (4, b'h') if is(name, b"host") => Self::Host,
            (6, b'a') if is(name, b"accept") => Self::Accept,
            (6, b'e') if is(name, b"expect") => Self::More,
            (7, b'u') if is(name, b"upgrade") => Self::More,
            (10, b'u') if is(name, b"user-agent") => Self::Agent,
            (10, b'c') if is(name, b"connection") => Self::Connection,
            (14, b'c') if is(name, b"content-length") => Self::More,
            (14, b'h') if is(name, b"http2-settings") => Self::More,
            (15, b'x') if is(name, b"x-forwarded-for") => Self::More,
            (17, b't') if is(name, b"transfer-encoding") => Self::More,
            (17, b'x') if is(name, b"x-forwarded-proto") => Self::More,
            _ => Self::Nothing,
        }
    }
}

/// Whether a name is this one, which is written small. No byte of a name but a letter becomes one.
fn is<const N: usize>(name: &[u8], known: &[u8; N]) -> bool {
    let Ok(name) = <&[u8; N]>::try_from(name) else { return false };
    let differ = |(one, other): (&u8, &u8)| (one | 0x20) ^ other;
    name.iter().zip(known).map(differ).fold(0, |all, these| all | these) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_plain(request: &str) -> bool {
        read(request.as_bytes()).is_some()
    }

    #[test]
    fn a_plain_request_is_read() {
        let request = b"GET /a.ogg?b=c?d HTTP/1.1\r\nHOST:x\r\nuser-Agent:  VLC/3.0 (a)  \r\n\
            Icy-MetaData: 1\r\nUser-Agent: other\r\nX-Empty:\r\nConnection: Close\r\n\r\n";
        let plain = read(request).unwrap();
        assert_eq!((plain.path, plain.query), ("/a.ogg", Some("b=c?d")));
        assert_eq!((plain.host, plain.agent), (Some(&b"x"[..]), &b"VLC/3.0 (a)"[..]));
        assert!(!plain.is_head && !plain.is_old && plain.closes);
        let plain = read(b"HEAD / HTTP/1.0\r\n\r\n").unwrap();
        assert!(plain.is_head && plain.is_old && plain.closes && plain.host.is_none());
        assert_eq!(plain.query, None);
    }

    #[test]
    fn what_anybody_could_read_otherwise_is_not_plain() {
        assert!(is_plain("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n"));
        for request in [
            "",
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\nG",
            "\r\nGET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\x7f\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
            "GET /  HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
            "GET / HTTP/1.2\r\nHost: x\r\nA: b\r\n\r\n",
            "GET /\"a HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
            "GET /#a HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
            "GET /?a\"b HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
            "GET /?a#b HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
            "GET http://x/ HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
            "get / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: close, te\r\n\r\n",
        ] {
            assert!(!is_plain(request), "{request:?}");
        }
    }

    #[test]
    fn what_players_say_beside_is_plain() {
        let read = |line: &'static str| {
            let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n");
            super::read(request.as_bytes()).map(|plain| plain.closes)
        };
        assert_eq!(read("Accept: */*"), Some(false));
        assert_eq!(read("Connection: Keep-Alive"), Some(false));
        assert_eq!(read("Connection: close"), Some(true));
    }

    /// Each has the letters of a name that means something, in another order: what tells them apart
    /// must look at every one of them, and where it stands.
    #[test]
    fn a_name_is_not_taken_for_another_that_is_as_long_and_begins_alike() {
        for (name, other) in [
            ("host", "hots"),
            ("accept", "accetp"),
            ("expect", "expetc"),
            ("upgrade", "upgraed"),
            ("user-agent", "user-agetn"),
            ("connection", "connectino"),
            ("content-length", "content-lenght"),
            ("http2-settings", "http2-settinsg"),
            ("x-forwarded-for", "x-forwarded-fro"),
            ("transfer-encoding", "transfer-encodign"),
            ("x-forwarded-proto", "x-forwarded-prtoo"),
        ] {
            assert_eq!(name.len(), other.len());
            // Where it was taken for the other, this would be more than is known, or not the agent.
            let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{other}: j\r\n\r\n");
            let plain = read(request.as_bytes()).unwrap_or_else(|| panic!("{other}"));
            assert_eq!((plain.host, plain.agent), (Some(&b"x"[..]), &b""[..]), "{other}");
        }
    }

    #[test]
    fn what_means_more_than_is_known_is_not_plain() {
        for name in [
            "Expect",
            "UPGRADE",
            "content-length",
            "HTTP2-Settings",
            "Transfer-Encoding",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
        ] {
            assert!(
                !is_plain(&format!("GET / HTTP/1.1\r\nHost: x\r\n{name}: 0\r\n\r\n")),
                "{name}"
            );
            let other = format!("GET / HTTP/1.1\r\nHost: x\r\n{name}-x: 0\r\n\r\n");
            assert!(is_plain(&other), "{other}");
        }
        let many = |count| format!("GET / HTTP/1.0\r\n{}\r\n", "A: b\r\n".repeat(count));
        assert!(is_plain(&many(MOST_HEADERS)) && !is_plain(&many(MOST_HEADERS + 1)));
    }
}
