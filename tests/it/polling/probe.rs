//! Servers that speak nothing but HTTP: each mount is asked for, and nobody is counted.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::support::hostile::{ACTS, Hostile};
use crate::support::{Balancer, eventually, number};

use super::{BUSY, mount, polls, server, until_polled};

/// A web server with files that are there, or are not. It ends when dropped.
struct Web {
    url: String,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

#[derive(Default)]
struct Shared {
    /// What it answers for a path; for all others 404.
    files: Mutex<HashMap<String, File>>,
    /// The head of every request, in lower case.
    heads: Mutex<Vec<String>>,
}

#[derive(Clone, Copy)]
enum File {
    /// This status line's code and reason.
    Answers(&'static str),
    /// No answer, ever.
    Hangs,
    /// The connection ends without one.
    HangsUp,
    /// A stream that never ends.
    Plays,
    /// The same, by an Icecast.
    PlaysFromIcecast,
}

const THERE: File = File::Answers("206 Partial Content");

impl Web {
    async fn with(files: &[(&str, File)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::<Shared>::default();
        let serving = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(socket, Arc::clone(&serving)));
            }
        });
        let web = Self { url, shared, accepting: accepting.abort_handle() };
        for (path, file) in files {
            web.put(path, *file);
        }
        web
    }

    fn put(&self, path: &str, file: File) {
        self.shared.files.lock().unwrap().insert(path.to_owned(), file);
    }

    fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }

    /// How often a path was asked for.
    fn asked(&self, path: &str) -> usize {
        let begin = format!("get {path} http");
        self.heads().iter().filter(|head| head.starts_with(&begin)).count()
    }

    /// A balancer that knows it as `r0`, with more `settings` of the server and of its own.
    async fn balanced(&self, settings: &str, more: &str, paths: &[&str]) -> Balancer {
        let mut yaml = format!(
            "{BUSY}{more}servers: {{r0: {{url: '{}', stats: {{source: probe}}, {settings}}}}}\n\
             streams:\n",
            self.url
        );
        for path in paths {
            writeln!(yaml, "  '{path}':").unwrap();
        }
        Balancer::start(&yaml).await
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(socket: TcpStream, shared: Arc<Shared>) {
    let mut lines = BufReader::new(socket).lines();
    let mut head = String::new();
    while let Ok(Some(line)) = lines.next_line().await
        && !line.is_empty()
    {
        head.extend([&*line.to_lowercase(), "\n"]);
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    shared.heads.lock().unwrap().push(head);
    let file = shared.files.lock().unwrap().get(&path).copied();
    let mut socket = lines.into_inner();
    match file.unwrap_or(File::Answers("404 Not Found")) {
        File::Hangs => std::future::pending().await,
        File::HangsUp => {}
        File::Answers(status) => {
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 1\r\nLocation: /x\r\n\r\n#");
            // Whoever asked may have gone.
            drop(socket.write_all(answer.as_bytes()).await);
        }
        playing @ (File::Plays | File::PlaysFromIcecast) => {
            let icecast = matches!(playing, File::PlaysFromIcecast);
            let name = if icecast { "Icecast 2.4.4" } else { "nginx" };
            let head = format!("HTTP/1.0 200 OK\r\nServer: {name}\r\n\r\n");
            drop(socket.write_all(head.as_bytes()).await);
            while socket.write_all(&[0; 4096]).await.is_ok() {}
        }
    }
}

const LIVE: &str = "/hls/live.m3u8";

/// The status of the mount, once something is known of it.
async fn known(balancer: &Balancer) -> Value {
    eventually("it is known", async || mount(balancer).await["presence"] != "unknown").await;
    mount(balancer).await
}

#[tokio::test]
async fn a_mount_is_there_if_a_listener_would_get_it() {
    for (status, is_there) in [
        ("200 OK", true),
        ("206 Partial Content", true),
        ("204 No Content", false),
        ("205 Reset Content", false),
        ("301 Moved Permanently", false),
        ("302 Found", false),
        ("304 Not Modified", false),
        ("307 Temporary Redirect", false),
        ("308 Permanent Redirect", false),
        ("400 Bad Request", false),
        ("401 Unauthorized", false),
        ("403 Forbidden", false),
        ("404 Not Found", false),
        ("405 Method Not Allowed", false),
        ("410 Gone", false),
        ("416 Range Not Satisfiable", false),
        ("429 Too Many Requests", false),
        ("500 Internal Server Error", false),
        ("502 Bad Gateway", false),
        ("503 Service Unavailable", false),
        ("504 Gateway Timeout", false),
        ("599 Whatever", false),
    ] {
        let web = Web::with(&[(LIVE, File::Answers(status))]).await;
        let balancer = web.balanced("", "", &[LIVE]).await;
        let presence = known(&balancer).await["presence"].clone();
        assert_eq!(presence, if is_there { "active" } else { "absent" }, "{status}");
        let answer = balancer.get(LIVE).await;
        if is_there {
            assert_eq!(answer.location(), format!("{}{LIVE}", web.url), "{status}");
        } else {
            assert!(answer.body.starts_with("offline: "), "{status}: {}", answer.body);
        }
        // The server itself is well either way, and only what is neither there nor gone is odd.
        let server = server(&balancer).await;
        assert_eq!((&server["source"], &server["up"]), (&"probe".into(), &true.into()), "{status}");
        let (code, _) = status.split_once(' ').unwrap();
        let is_odd = !is_there && !["404", "410"].contains(&code);
        let trouble = server["trouble"].as_str().unwrap_or_default();
        assert_eq!(trouble.contains(&format!("{LIVE} answers {code}")), is_odd, "{trouble}");
        assert!(polls(&balancer, "http_status").await < 1.0, "{status}");
    }
}

#[tokio::test]
async fn it_is_asked_as_a_listener_asks_for_the_first_byte_alone() {
    let web = Web::with(&[("/a%20b.m3u8", File::Plays)]).await;
    let balancer = web.balanced("", "", &["/a b.m3u8"]).await;
    assert_eq!(known(&balancer).await["presence"], "active");
    let heads = web.heads();
    assert!(heads[0].starts_with("get /a%20b.m3u8 http/1.1\n"), "{}", heads[0]);
    assert!(heads[0].contains("\nrange: bytes=0-0\n"), "{}", heads[0]);
    // A redirect is not followed, and nothing else is asked for.
    web.put("/a%20b.m3u8", File::Answers("302 Found"));
    eventually("it is absent", async || mount(&balancer).await["presence"] == "absent").await;
    assert!(web.heads().iter().all(|head| head.starts_with("get /a%20b.m3u8 ")));
}

#[tokio::test]
async fn who_comes_and_goes_is_followed_look_by_look() {
    let web = Web::with(&[(LIVE, THERE)]).await;
    let balancer = web.balanced("", "", &[LIVE]).await;
    for (file, presence) in
        [(File::Answers("404 Not Found"), "absent"), (THERE, "active"), (File::Plays, "active")]
    {
        web.put(LIVE, file);
        eventually(presence, async || mount(&balancer).await["presence"] == presence).await;
    }
    assert_eq!(balancer.get(LIVE).await.status, 302);
}

#[tokio::test]
async fn nobody_is_told_a_number_that_nobody_knows() {
    let web = Web::with(&[(LIVE, THERE)]).await;
    let balancer = web.balanced("max_listeners: 100", "", &[LIVE]).await;
    assert_eq!(known(&balancer).await["listeners"], Value::Null);
    let server = server(&balancer).await;
    assert_eq!((&server["clients"], &server["arrived"]), (&Value::Null, &Value::Null));
    assert_eq!(number(&server, "/max_listeners"), 100);
    let of_server = "{server=\"r0\"}";
    let of_mount = format!("{{stream=\"{LIVE}\",server=\"r0\"}}");
    for (name, labels, is_there) in [
        ("mount_listeners", &*of_mount, false),
        ("mount_up", &of_mount, true),
        ("mount_free_slots", &of_mount, true),
        ("mount_reserved_slots", &of_mount, true),
        ("server_arrived_total", of_server, false),
        ("server_redirected_total", of_server, true),
        ("server_up", of_server, true),
    ] {
        let value = balancer.metric(&format!("icecast_balancer_{name}{labels}")).await;
        assert_eq!(value.is_some(), is_there, "{name}: {value:?}");
    }
    let page = balancer.admin_get("/").await.body;
    let row = page.split("<tr data-key=\"r0\">").nth(1).unwrap();
    assert!(row.contains("<td class=\"n nil\">–</td>"), "{page}");
    assert!(page.contains("<td class=\"wide\">probe"), "{page}");
}

#[tokio::test]
async fn so_many_are_sent_within_settle_and_no_more_until_their_time_is_over() {
    let web = Web::with(&[(LIVE, THERE)]).await;
    let settle = "balance: {headroom: 0, settle: 2s}\n";
    let balancer = web.balanced("max_listeners: 4", settle, &[LIVE]).await;
    known(&balancer).await;
    let mut sent = 0;
    while balancer.get(LIVE).await.status == 302 {
        sent += 1;
        assert!(sent < 4, "one slot of the server is kept for the look");
    }
    assert_eq!(sent, 3);
    assert!(balancer.get(LIVE).await.body.starts_with("full: "));
    eventually("there is room again", async || balancer.get(LIVE).await.status == 302).await;
}

#[tokio::test]
async fn a_relay_that_nobody_is_seen_to_arrive_at_is_not_held_for_broken() {
    let web = Web::with(&[(LIVE, THERE)]).await;
    let balancer = web.balanced("", "", &[LIVE]).await;
    known(&balancer).await;
    for _ in 0..30 {
        assert_eq!(balancer.get(LIVE).await.status, 302);
    }
    assert_eq!(mount(&balancer).await["reason"], Value::Null);
}

#[tokio::test]
async fn a_server_that_refuses_connections_is_refusing_at_once() {
    let web = Web::with(&[(LIVE, THERE)]).await;
    let balancer = web.balanced("", "", &[LIVE]).await;
    known(&balancer).await;
    drop(web);
    until_polled(&balancer, "connect").await;
    assert!(balancer.get(LIVE).await.body.starts_with("unreachable: "));
}

#[tokio::test]
async fn a_server_that_answers_nothing_is_down_and_one_that_answers_something_is_not() {
    const OTHER: &str = "/hls/other.m3u8";
    for silence in [File::Hangs, File::HangsUp] {
        let web = Web::with(&[(LIVE, THERE), (OTHER, THERE)]).await;
        let poll = "poll: {interval: 50ms, fast_interval: 50ms, timeout: 300ms, slow_start: 0s}\n";
        let yaml = format!(
            "{poll}servers: {{r0: {{url: '{}', stats: {{source: probe}}}}}}\n\
             streams: {{{LIVE}: , {OTHER}: }}\n",
            web.url
        );
        let balancer = Balancer::start(&yaml).await;
        known(&balancer).await;
        web.put(LIVE, silence);
        eventually("it is absent", async || mount(&balancer).await["presence"] == "absent").await;
        assert_eq!(server(&balancer).await["health"], "up");
        assert_eq!(balancer.get(OTHER).await.status, 302);
        web.put(OTHER, silence);
        balancer.until_health("r0", "down").await;
        web.put(OTHER, THERE);
        balancer.until_health("r0", "up").await;
        assert_eq!(balancer.get(OTHER).await.status, 302);
    }
}

#[tokio::test]
async fn mounts_for_which_there_is_no_time_are_asked_for_in_turn() {
    let paths: Vec<_> = (0..12).map(|n| format!("/{n:02}.m3u8")).collect();
    let files: Vec<_> = paths.iter().map(|path| (&**path, File::Hangs)).collect();
    let web = Web::with(&files).await;
    web.put("/11.m3u8", THERE);
    // Four are asked for at one time, and as long as they hang there is time for no more.
    let poll = "poll: {interval: 30ms, fast_interval: 30ms, timeout: 200ms, slow_start: 0s}\n";
    let mut yaml = format!(
        "{poll}servers: {{r0: {{url: '{}', stats: {{source: probe}}}}}}\nstreams:\n",
        web.url
    );
    for path in &paths {
        writeln!(yaml, "  {path}:").unwrap();
    }
    let balancer = Balancer::start(&yaml).await;
    eventually("the last is found", async || {
        let status = balancer.status().await;
        status["streams"][11]["mounts"][0]["presence"] == "active"
    })
    .await;
    eventually("each was asked for twice", async || paths.iter().all(|path| web.asked(path) >= 2))
        .await;
    let least = paths.iter().map(|path| web.asked(path)).min().unwrap();
    let most = paths.iter().map(|path| web.asked(path)).max().unwrap();
    assert!(most <= least + 2, "they take turns: {least} and {most}");
}

#[tokio::test]
async fn a_server_without_mounts_is_asked_whether_it_is_there() {
    let web = Web::with(&[]).await;
    let other = Web::with(&[(LIVE, THERE)]).await;
    let yaml = format!(
        "{BUSY}servers: {{r0: {{url: '{}', stats: {{source: probe}}}}, \
         r1: {{url: '{}', stats: {{source: probe}}}}}}\nstreams: {{{LIVE}: {{servers: [r1]}}}}\n",
        web.url, other.url
    );
    let balancer = Balancer::start(&yaml).await;
    until_polled(&balancer, "ok").await;
    assert_eq!(server(&balancer).await["health"], "up");
    assert!(web.asked("/") > 0);
}

#[tokio::test]
async fn an_icecast_is_better_asked_otherwise() {
    let web = Web::with(&[("/radio.mp3", File::PlaysFromIcecast)]).await;
    let balancer = web.balanced("", "", &["/radio.mp3"]).await;
    assert_eq!(known(&balancer).await["presence"], "active");
    let server = server(&balancer).await;
    let trouble = server["trouble"].as_str().unwrap();
    assert!(trouble.contains("each probe is a listener"), "{trouble}");
}

#[tokio::test]
async fn it_is_asked_where_its_statistics_would_be() {
    let inside = Web::with(&[(LIVE, THERE)]).await;
    let yaml = format!(
        "{BUSY}servers: {{r0: {{url: 'https://cdn.example.org', \
         stats: {{source: probe, url: '{}'}}}}}}\nstreams: {{{LIVE}: }}\n",
        inside.url
    );
    let balancer = Balancer::start(&yaml).await;
    assert_eq!(known(&balancer).await["presence"], "active");
    assert_eq!(balancer.get(LIVE).await.location(), format!("https://cdn.example.org{LIVE}"));
}

#[tokio::test]
async fn what_was_counted_before_is_forgotten_when_a_relay_is_merely_asked() {
    let relay = super::relay(10);
    relay.hold_listeners("/saal1.ogg", 7);
    let balancer = super::watching(&[&relay], "").await;
    eventually("they are seen", async || mount(&balancer).await["listeners"] == 7).await;
    let probed = crate::support::servers_with(&[&relay], "stats: {source: probe}");
    balancer.edit(&format!("{BUSY}{probed}{}", super::STREAM));
    eventually("nothing is told", async || mount(&balancer).await["listeners"].is_null()).await;
    assert_eq!(mount(&balancer).await["max_listeners"], Value::Null);
    balancer.edit(&format!("{BUSY}{}{}", crate::support::servers(&[&relay]), super::STREAM));
    eventually("they are seen again", async || mount(&balancer).await["listeners"] == 7).await;
    let arrived = "icecast_balancer_server_arrived_total{server=\"r0\"}";
    assert_eq!(balancer.metric(arrived).await, Some(0.0), "they were there all the time");
}

#[tokio::test]
async fn hostile_answers_cost_a_probe_its_looks_and_nothing_else() {
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let well = super::relay(1_000);
    let poll = "poll: {interval: 60ms, fast_interval: 60ms, timeout: 300ms, slow_start: 0s}\n";
    let mut yaml = format!("{poll}servers:\n  well: '{}'\n", well.url());
    let mut relays = Vec::new();
    for act in ACTS {
        let relay = Hostile::start(*act, trap.local_addr().unwrap()).await;
        relay.turn();
        let settings = "tier: 1, stats: {source: probe}";
        writeln!(yaml, "  {}: {{url: '{}', {settings}}}", act.name, relay.url()).unwrap();
        relays.push(relay);
    }
    let balancer = Balancer::start(&format!("{yaml}{}", super::STREAM)).await;
    eventually("each was looked at several times", async || {
        let metrics = balancer.admin_get("/metrics").await.body;
        ACTS.iter().all(|act| {
            let name = format!("icecast_balancer_server_polls_total{{server=\"{}\",", act.name);
            let counts = metrics.lines().filter_map(|line| line.strip_prefix(&name));
            let counts = counts.filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<u32>().ok());
            counts.sum::<u32>() >= 5
        })
    })
    .await;
    let lured = tokio::time::timeout(Duration::from_millis(1), trap.accept()).await;
    assert!(lured.is_err(), "nobody follows a redirect");
    let answer = balancer.get("/saal1.ogg").await;
    assert_eq!(answer.location(), format!("{}/saal1.ogg", well.url()));
    let panics = balancer.metric("icecast_balancer_panics_total").await;
    assert_eq!(panics, Some(0.0));
}
