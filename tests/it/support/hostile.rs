//! A relay that answers in every way that no relay should.
//!
//! It begins well, so that it is known to be a relay, and turns when told to. It needs nothing but
//! tokio, and so can be used wherever something looks at relays.

use std::fs;
use std::io;
use std::iter;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// One way to be hostile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Act {
    /// What it is called.
    pub(crate) name: &'static str,
    /// How a look at it ends, as the metrics call it.
    pub(crate) result: &'static str,
    /// Which statistics document it pretends to have: `slots` or `status-json`.
    pub(crate) source: &'static str,
    says: Says,
}

#[derive(Debug, Clone, Copy)]
enum Says {
    /// These bytes, head and all.
    Raw(fn() -> Vec<u8>),
    /// `200`, and this.
    Body(fn() -> Vec<u8>),
    /// The first, and then the second for ever.
    Endless(fn() -> Vec<u8>, &'static [u8]),
    /// This, for ever, at what a network carries.
    Flood(&'static [u8]),
    /// This, but one byte of it in a tenth of a second.
    Dripping(&'static [u8]),
    /// A redirect to the trap.
    Redirect,
    /// An XML entity that is to be had from the trap.
    External,
    /// Nothing.
    Silence,
}

use Says::{Body, Dripping, Endless, External, Flood, Raw, Redirect, Silence};

const HEAD: &[u8] = b"HTTP/1.0 200 OK\r\n\r\n";
const MOUNT: &str = "<mount name='/saal1.ogg' listeners='1' max_listeners='9' active='1'/>";

/// A chunk of 4 KiB less what it takes to be one.
const CHUNK: [u8; 4096] = {
    let mut chunk = [b'<'; 4096];
    let (start, end) = (*b"FF9\r\n", *b"\r\n");
    let mut at = 0;
    while at < start.len() {
        chunk[at] = start[at];
        at += 1;
    }
    chunk[4094] = end[0];
    chunk[4095] = end[1];
    chunk
};

/// All of them, each with the result that it must have.
pub(crate) const ACTS: &[Act] = &[
    act("silence", "timeout", Silence),
    act("one_byte_at_a_time", "timeout", Dripping(b"HTTP/1.0 200 OK\r\n\r\n<slots><slots><slots>")),
    act("a_trickled_status_line", "timeout", Dripping(b"HTTP/1.00000000000000000000000000000000")),
    act("interim_answers_for_ever", "timeout", Flood(b"HTTP/1.1 100 Continue\r\n\r\n")),
    act("a_body_for_ever", "too_large", Endless(ok, &[b'<'; 4096])),
    act("a_body_of_an_error_for_ever", "too_large", Endless(error, &[b'x'; 4096])),
    act("chunks_for_ever", "too_large", Endless(chunked, &CHUNK)),
    act("a_terabyte_announced", "too_large", Endless(terabyte, &[b' '; 4096])),
    act(
        "a_head_for_ever",
        "too_large",
        Endless(|| b"HTTP/1.0 200 OK\r\n".to_vec(), b"X-A: evil\r\n"),
    ),
    act(
        "a_header_for_ever",
        "too_large",
        Endless(|| b"HTTP/1.0 200 OK\r\nX: ".to_vec(), &[b'a'; 4096]),
    ),
    act("a_head_of_20_kib", "too_large", Raw(|| headers(20, 1024))),
    act("two_hundred_headers", "too_large", Raw(|| headers(200, 1))),
    act("a_million_mounts", "too_large", Body(|| slots(&MOUNT.repeat(1_000_000)))),
    act("100_000_namespaces", "too_large", Body(|| slots(&many_attributes("xmlns:a", 100_000)))),
    act("a_redirect_to_this_machine", "http_status", Redirect),
    act("a_redirect_to_itself", "http_status", Raw(|| redirect("/slots.xsl"))),
    act("a_redirect_to_the_metadata", "http_status", Raw(|| redirect("http://169.254.169.254/"))),
    act("an_html_page", "malformed", Body(|| b"<!DOCTYPE html><html>parked</html>".to_vec())),
    act(
        "a_picture",
        "malformed",
        Raw(|| b"HTTP/1.0 200 OK\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\x1a\n\0\0".to_vec()),
    ),
    act("nothing", "malformed", Body(Vec::new)),
    act("compressed_though_nobody_asked", "malformed", Raw(gzip)),
    act("no_http", "malformed", Raw(|| b"\x16\x03\x01 not HTTP\r\n\r\n".to_vec())),
    act(
        "a_status_of_four_digits",
        "malformed",
        Raw(|| b"HTTP/1.0 2000 OK\r\n\r\n<slots/>".to_vec()),
    ),
    act("a_negative_length", "malformed", Raw(|| length("-1"))),
    act("two_lengths", "malformed", Raw(|| length("1\r\nContent-Length: 2"))),
    act(
        "a_chunk_of_2_to_the_68",
        "malformed",
        Raw(|| [chunked(), b"FFFFFFFFFFFFFFFFF\r\n".to_vec()].concat()),
    ),
    act("an_end_before_the_length", "malformed", Raw(|| length("100000"))),
    act(
        "an_end_in_the_middle",
        "malformed",
        Body(|| b"<slots><mount name='/saal1.ogg' lis".to_vec()),
    ),
    act("more_after_the_end", "ok", Raw(more_after_the_end)),
    act("an_entity_bomb", "ok", Body(entity_bomb)),
    act("an_entity_from_elsewhere", "ok", External),
    act("80_000_attributes", "ok", Body(|| slots(&many_attributes("a", 80_000)))),
    act("40_000_namespaces", "ok", Body(|| slots(&many_attributes("xmlns:a", 40_000)))),
    act(
        "a_depth_of_100_000",
        "ok",
        Body(|| slots(&["<a>".repeat(100_000), "</a>".repeat(100_000)].concat())),
    ),
    act(
        "as_many_mounts_as_fit",
        "ok",
        Body(|| slots(&numbered(40_000, |n| format!("<mount name='/{n}'/>")))),
    ),
    act(
        "a_mount_name_of_1_mb",
        "ok",
        Body(|| slots(&format!("<mount name='/{}'/>", "x".repeat(1_000_000)))),
    ),
    act(
        "a_name_that_attacks",
        "ok",
        Body(|| {
            slots("<mount name='/\0&#13;&#10;\x1b[31m&lt;script&gt;alert(1)&lt;/script&gt;'/>")
        }),
    ),
    act(
        "invalid_utf_8",
        "ok",
        Body(|| [&b"<slots><mount name='/\xff\xfe'/>"[..], MOUNT.as_bytes(), b"</slots>"].concat()),
    ),
    json(
        "json_of_depth_100_000",
        "malformed",
        Body(|| {
            ["{\"icestats\":".to_owned(), "[".repeat(100_000), "{\"a\":".repeat(100_000)]
                .concat()
                .into_bytes()
        }),
    ),
    json("json_that_is_another", "malformed", Body(|| b"{\"error\":\"no\"}".to_vec())),
    json(
        "json_that_ends_in_the_middle",
        "malformed",
        Body(|| b"{\"icestats\":{\"source\":[{\"listenurl\":\"http://h/a".to_vec()),
    ),
    json("json_with_absurd_counts", "ok", Body(|| sources(18_000, "4294967296"))),
    json("json_with_numbers_beyond_all", "ok", Body(|| sources(5_000, "1e308"))),
    json("json_with_titles_that_attack", "ok", Body(titles)),
];

const fn act(name: &'static str, result: &'static str, says: Says) -> Act {
    Act { name, result, source: "slots", says }
}

const fn json(name: &'static str, result: &'static str, says: Says) -> Act {
    Act { name, result, source: "status-json", says }
}

impl Act {
    /// The document that it answers, if it answers one and ends.
    pub(crate) fn document(&self) -> Option<Vec<u8>> {
        match self.says {
            Body(body) => Some(body()),
            _ => None,
        }
    }
}

/// A running hostile relay. It ends when dropped.
pub(crate) struct Hostile {
    pub(crate) act: Act,
    address: SocketAddr,
    evil: Arc<AtomicBool>,
    connections: Arc<Connections>,
    accepting: AbortHandle,
}

#[derive(Default)]
struct Connections {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Hostile {
    /// Starts one that is well for now. It lures to `trap`, where nobody must come.
    pub(crate) async fn start(act: Act, trap: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let evil = Arc::<AtomicBool>::default();
        let connections = Arc::<Connections>::default();
        let beginning = Arc::new(beginning(act.says, trap));
        let well = Arc::new(answer_of(act.source));
        let accepting = {
            let (evil, connections) = (Arc::clone(&evil), Arc::clone(&connections));
            tokio::spawn(async move {
                while let Ok((socket, _)) = listener.accept().await {
                    let counted = Counted::new(Arc::clone(&connections), address.port());
                    let is_evil = evil.load(SeqCst);
                    let bytes = Arc::clone(if is_evil { &beginning } else { &well });
                    tokio::spawn(async move {
                        let _counted = counted;
                        // Whoever asks leaves before the end, most often.
                        drop(answer(socket, act.says, is_evil, &bytes).await);
                    });
                }
            })
        };
        Self { act, address, evil, connections, accepting: accepting.abort_handle() }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it is hostile.
    pub(crate) fn turn(&self) {
        self.evil.store(true, SeqCst);
    }

    /// The most connections that were open at one time, when one of them was taken up.
    pub(crate) fn most_at_once(&self) -> usize {
        self.connections.most.load(SeqCst)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Counted(Arc<Connections>);

impl Counted {
    fn new(connections: Arc<Connections>, port: u16) -> Self {
        // Under load one is taken up before this thread has seen that the one before is closed.
        let seen = connections.now.fetch_add(1, SeqCst) + 1;
        let open = if seen > 1 { open_at(port) } else { seen };
        connections.most.fetch_max(open, SeqCst);
        Self(connections)
    }
}

/// Connections to a port of this machine that nobody has closed, as the kernel knows it. That one was
/// closed it enters when nobody writes to it at that moment, so whoever seems to have too many is looked
/// at again; connections that are open stay so for longer.
fn open_at(port: u16) -> usize {
    let again = (1..10).map(|_| {
        thread::sleep(Duration::from_millis(1));
        established_at(port)
    });
    let looks = iter::once(established_at(port)).chain(again);
    let mut least = usize::MAX;
    for open in looks {
        least = least.min(open);
        if least <= 1 {
            break;
        }
    }
    least
}

fn established_at(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    let local = format!(":{port:04X}");
    let all = fs::read_to_string("/proc/net/tcp").expect("a table of connections");
    let open = all.lines().filter(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|it| it.ends_with(&local)) && words.nth(1) == Some(ESTABLISHED)
    });
    open.count()
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, SeqCst);
    }
}

/// Answers one connection, for as long as the other side is there.
async fn answer(mut socket: TcpStream, says: Says, is_evil: bool, bytes: &[u8]) -> io::Result<()> {
    let mut head = [0; 4096];
    let _some = socket.read(&mut head).await?;
    let (mut from, mut to) = socket.into_split();
    let gone = async { while from.read(&mut head).await.is_ok_and(|read| read > 0) {} };
    tokio::select! {
        sent = say(&mut to, says, is_evil, bytes) => sent,
        () = gone => Ok(()),
    }
}

async fn say(to: &mut OwnedWriteHalf, says: Says, is_evil: bool, bytes: &[u8]) -> io::Result<()> {
    match says {
        Dripping(_) if is_evil => {
            for byte in bytes {
                to.write_all(&[*byte]).await?;
                sleep(Duration::from_millis(100)).await;
            }
            std::future::pending().await
        }
        Silence if is_evil => std::future::pending().await,
        Flood(bytes) if is_evil => {
            let bytes = bytes.repeat(1 + 4096 / bytes.len());
            loop {
                to.write_all(&bytes).await?;
                sleep(Duration::from_millis(1)).await;
            }
        }
        Endless(_, more) if is_evil => {
            to.write_all(bytes).await?;
            let more = more.repeat(1 + 4096 / more.len());
            loop {
                to.write_all(&more).await?;
            }
        }
        _ => {
            to.write_all(bytes).await?;
            to.shutdown().await
        }
    }
}

/// What is said first.
fn beginning(says: Says, trap: SocketAddr) -> Vec<u8> {
    match says {
        Raw(bytes) | Endless(bytes, _) => bytes(),
        Body(body) => [HEAD, &body()].concat(),
        Dripping(bytes) => bytes.to_vec(),
        Redirect => redirect(&format!("http://{trap}/slots.xsl")),
        External => {
            let entity = format!("<!DOCTYPE slots [<!ENTITY x SYSTEM \"http://{trap}/\">]>");
            let mount = MOUNT.replace("active='1'", "active='&x;'");
            [HEAD, entity.as_bytes(), &slots(&mount)].concat()
        }
        Silence | Flood(_) => Vec::new(),
    }
}

/// What a relay answers that is well.
fn answer_of(source: &str) -> Vec<u8> {
    let body = if source == "slots" {
        slots(MOUNT)
    } else {
        b"{\"icestats\":{\"source\":{\"listenurl\":\"http://h/saal1.ogg\",\"listeners\":1,\
            \"stream_start\":\"x\"}}}"
            .to_vec()
    };
    [HEAD, &body].concat()
}

fn ok() -> Vec<u8> {
    HEAD.to_vec()
}

fn error() -> Vec<u8> {
    b"HTTP/1.0 500 Internal Server Error\r\n\r\n".to_vec()
}

fn chunked() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()
}

fn terabyte() -> Vec<u8> {
    b"HTTP/1.0 200 OK\r\nContent-Length: 1000000000000\r\n\r\n".to_vec()
}

fn length(length: &str) -> Vec<u8> {
    format!("HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n<slots></slots>").into_bytes()
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.0 302 Found\r\nLocation: {to}\r\n\r\n").into_bytes()
}

fn headers(count: usize, size: usize) -> Vec<u8> {
    let lines = numbered(count, |n| format!("X-{n}: {}\r\n", "a".repeat(size)));
    [b"HTTP/1.0 200 OK\r\n", lines.as_bytes(), b"\r\n", &slots(MOUNT)].concat()
}

fn gzip() -> Vec<u8> {
    let mut answer = b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n".to_vec();
    answer.extend(b"\x1f\x8b\x08\0\0\0\0\0\0\xff");
    answer.extend([0xed, 0xc1].repeat(50_000));
    answer
}

fn more_after_the_end() -> Vec<u8> {
    let body = slots(MOUNT);
    let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), &body, &vec![b'x'; 100_000]].concat()
}

fn slots(mounts: &str) -> Vec<u8> {
    format!("<slots version=\"1\" clients=\"1\">{mounts}</slots>").into_bytes()
}

fn many_attributes(name: &str, count: usize) -> String {
    format!("<mount {}/>", numbered(count, |n| format!("{name}{n}='' ")))
}

fn entity_bomb() -> Vec<u8> {
    let entities =
        numbered(9, |n| format!("<!ENTITY lol{} \"{}\">", n + 1, format!("&lol{n};").repeat(10)));
    let bomb = format!("<!DOCTYPE slots [<!ENTITY lol0 \"lol\">{entities}]>");
    [bomb.as_bytes(), &slots("<mount name='/&lol9;' listeners='&lol9;'/>")].concat()
}

fn sources(count: usize, listeners: &str) -> Vec<u8> {
    let source = |n| format!("{{\"listenurl\":\"http://h/{n}\",\"listeners\":{listeners}}},");
    format!("{{\"icestats\":{{\"source\":[{}null]}}}}", numbered(count, source)).into_bytes()
}

fn titles() -> Vec<u8> {
    b"{\"icestats\":{\"source\":{\"listenurl\":\"http://h/saal1.ogg\",\"listeners\":1,\"title\":\
        \"\x00\r\n\x1b[2J\xff<script>alert(1)</script>\",\"stream_start\":\"x\"}}}"
        .to_vec()
}

fn numbered(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect()
}
