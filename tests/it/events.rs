//! What is told of changes as they happen: `GET /api/v1/events`.

use std::net::SocketAddr;

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::relay::Relay;
use crate::support::{Answer, Balancer, PATIENCE, eventually, raw};

const BUSY: &str = "poll: {interval: 20ms, fast_interval: 20ms, fall: 2, slow_start: 0s}\n\
                    balance: {headroom: 0}\n";

async fn start(relay: &Relay) -> Balancer {
    Balancer::start(&yaml(relay)).await
}

fn yaml(relay: &Relay) -> String {
    format!("{BUSY}servers: {{one: '{}'}}\nstreams: {{/a.ogg: , /b.ogg: }}\n", relay.url())
}

fn relay() -> Relay {
    Relay::builder().mount("/a.ogg", 5).mount("/b.ogg", 5).start().unwrap()
}

/// Somebody who is told of changes.
struct Listener {
    socket: TcpStream,
    come: String,
    head: String,
}

/// One event, as a browser would hand it over.
#[derive(Debug)]
struct Event {
    id: u64,
    name: String,
    data: Value,
}

impl Listener {
    async fn of(balancer: &Balancer) -> Self {
        Self::over(TcpStream::connect(balancer.admin).await.unwrap()).await
    }

    /// Somebody for whom sockets keep little: their buffers grow with the size of a segment.
    async fn slow(admin: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_tcp_mss(536).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&admin.into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self::over(TcpStream::from_std(socket.into()).unwrap()).await
    }

    async fn over(mut socket: TcpStream) -> Self {
        let request = "GET /api/v1/events HTTP/1.0\r\nHost: localhost\r\n\r\n";
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut listener = Self { socket, come: String::new(), head: String::new() };
        listener.head = listener.until("\r\n\r\n").await.expect("a head");
        listener
    }

    /// What comes up to `end`; `None` if the other side closes before.
    async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some((before, rest)) = self.come.split_once(end) {
                let (before, rest) = (before.to_owned(), rest.to_owned());
                self.come = rest;
                return Some(before);
            }
            let mut bytes = vec![0; 16 * 1024];
            let reading = timeout(PATIENCE, self.socket.read(&mut bytes));
            match reading.await.expect("bytes or an end in time") {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.come.push_str(std::str::from_utf8(&bytes[..count]).unwrap()),
            }
        }
    }

    /// The next event; comments and the like are passed over. `None` once it is closed.
    async fn event(&mut self) -> Option<Event> {
        loop {
            let text = self.until("\n\n").await?;
            let field = |name: &str| {
                text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            };
            if let (Some(name), Some(data)) = (field("event"), field("data")) {
                return Some(Event {
                    id: field("id").map_or(0, |id| id.parse().unwrap()),
                    name: name.to_owned(),
                    data: serde_json::from_str(data).unwrap(),
                });
            }
        }
    }

    /// The next event that says something about this.
    async fn told(&mut self, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.event().await.unwrap_or_else(|| panic!("never told: {what}"));
            if is_it(&event) {
                return event;
            }
        }
    }
}

fn named<'a>(list: &'a Value, key: &str, name: &str) -> &'a Value {
    let found = list.as_array().and_then(|list| list.iter().find(|it| it[key] == name));
    found.unwrap_or(&Value::Null)
}

#[tokio::test]
async fn everything_is_told_first_and_then_what_changes() {
    let relay = relay();
    let balancer = start(&relay).await;
    let mut listener = Listener::of(&balancer).await;
    assert!(listener.head.starts_with("HTTP/1.1 200"), "{}", listener.head);
    let head = listener.head.to_lowercase();
    for header in
        ["content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"]
    {
        assert!(head.contains(header), "{head}");
    }
    assert_eq!(listener.until("\n\n").await.unwrap(), "retry: 3000");
    let first = listener.event().await.unwrap();
    assert_eq!(first.name, "state");
    let data = &first.data;
    assert_eq!(data["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(data["streams"].as_array().unwrap().len(), 2);
    assert_eq!(data["servers"][0]["name"], "one");
    assert_eq!(data["servers"][0]["health"], "up");
    assert_eq!(data["config"]["file"], balancer.config().to_str().unwrap());
    assert_eq!(data["trouble"], Value::Array(Vec::new()));
    assert_eq!(data["totals"]["streams_up"], 2);

    relay.hold_listeners("/a.ogg", 3);
    let change =
        listener.told("three listeners", |it| it.data["streams"][0]["listeners"] == 3).await;
    assert_eq!((change.name.as_str(), change.id), ("change", first.id + 1));
    let streams = change.data["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 1, "only what changed: {streams:?}");
    assert_eq!((&streams[0]["path"], &streams[0]["free"]), (&"/a.ogg".into(), &2.into()));
    assert!(change.data.get("config").is_none() && change.data.get("gone").is_none());
}

#[tokio::test]
async fn a_relay_that_goes_down_is_told_with_what_is_wrong() {
    let relay = relay();
    let balancer = start(&relay).await;
    let mut listener = Listener::of(&balancer).await;
    relay.stop().await;
    let event = listener
        .told("down", |it| named(&it.data["servers"], "name", "one")["health"] == "down")
        .await;
    let trouble = event.data["trouble"].as_array().unwrap();
    assert_eq!(trouble[0]["severity"], "critical");
    assert_eq!((&trouble[0]["kind"], &trouble[0]["name"]), (&"stream".into(), &"/a.ogg".into()));
    assert!(trouble.iter().any(|it| it["kind"] == "server" && it["name"] == "one"), "{trouble:?}");
    let stream = named(&event.data["streams"], "path", "/a.ogg");
    assert_eq!((&stream["state"], &stream["up"]), (&"unreachable".into(), &false.into()));
    assert_eq!(stream["passed_over"]["refuses connections"], 1);
}

#[tokio::test]
async fn what_a_reload_takes_away_is_told_to_be_gone_and_a_bad_one_with_its_diagnostics() {
    let relay = relay();
    let balancer = start(&relay).await;
    let mut listener = Listener::of(&balancer).await;
    balancer.edit(&yaml(&relay).replace(", /b.ogg: ", ""));
    balancer.reload.reload().await.unwrap();
    let event = listener.told("gone", |it| it.data.get("gone").is_some()).await;
    assert_eq!(event.data["gone"]["streams"], serde_json::json!(["/b.ogg"]));
    assert!(event.data["config"]["sha256"].is_string());
    balancer.edit("streams: 7\n");
    balancer.reload.reload().await.unwrap();
    let event = listener.told("refused", |it| it.data["config"]["refused"].is_string()).await;
    assert!(event.data["config"]["refused"].as_str().unwrap().contains("balancer.yaml:"));
    assert!(event.data["config"]["refused_unix"].as_f64().unwrap() > 1e9);
    assert_eq!(event.data["trouble"][0]["kind"], "config");
}

#[tokio::test]
async fn who_comes_back_is_told_everything_anew() {
    let relay = relay();
    let balancer = start(&relay).await;
    let first = Listener::of(&balancer).await.event().await.unwrap();
    relay.hold_listeners("/a.ogg", 4);
    eventually("the ledger knows", async || {
        balancer.status().await["streams"][0]["mounts"][0]["listeners"] == 4
    })
    .await;
    let mut again = Listener::of(&balancer).await;
    let state = again.event().await.unwrap();
    assert_eq!(state.name, "state");
    assert!(state.id >= first.id, "{} after {}", state.id, first.id);
    assert_eq!(state.data["streams"].as_array().unwrap().len(), 2);
    if state.data["streams"][0]["listeners"] != 4 {
        // What it was told was half a second old, and is made good.
        again.told("four", |it| it.data["streams"][0]["listeners"] == 4).await;
    }
}

#[tokio::test]
async fn nobody_is_told_beyond_the_most_and_a_seat_is_free_when_somebody_goes() {
    let relay = relay();
    let balancer = start(&relay).await;
    let mut listeners = Vec::new();
    for _ in 0..icecast_balancer::events::MOST {
        let mut listener = Listener::of(&balancer).await;
        assert_eq!(listener.event().await.unwrap().name, "state");
        listeners.push(listener);
    }
    let refused = refusal(&balancer).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("10")));
    assert!(refused.body.starts_with("busy: "), "{refused:?}");
    // Operators and the page are as well as before.
    assert_eq!(balancer.admin_get("/").await.status, 200);
    listeners.pop();
    eventually("there is a seat", async || {
        let listener = Listener::of(&balancer).await;
        listener.head.starts_with("HTTP/1.1 200")
    })
    .await;
}

async fn refusal(balancer: &Balancer) -> Answer {
    let request = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    raw(balancer.admin, request).await
}

#[tokio::test]
async fn the_end_is_told_and_holds_up_no_stop() {
    let relay = relay();
    let balancer = start(&relay).await;
    let mut listener = Listener::of(&balancer).await;
    assert_eq!(listener.event().await.unwrap().name, "state");
    let stopping = tokio::spawn(balancer.stop());
    let end = listener.told("the end", |it| it.name == "end").await;
    assert_eq!(end.data["reason"], "stopping");
    assert_eq!(listener.until("\n\n").await, None, "nothing follows");
    timeout(PATIENCE, stopping).await.expect("it ends in time").unwrap();
}

/// Many streams, so that what is told at once is more than sockets take.
fn many(relay: &Relay) -> String {
    let streams: Vec<String> =
        (0..1_500).map(|n| format!("/{n:04}.ogg: {{mounts: {{one: /a.ogg}}}}")).collect();
    let url = relay.url();
    format!("{BUSY}servers: {{one: '{url}'}}\nstreams: {{{}}}\n", streams.join(", "))
}

/// Whether all can be told at once but the one who is told already.
async fn all_seats_but_one_are_free(balancer: &Balancer) -> bool {
    let mut seated = Vec::new();
    for _ in 1..icecast_balancer::events::MOST {
        let listener = Listener::of(balancer).await;
        if !listener.head.starts_with("HTTP/1.1 200") {
            return false;
        }
        seated.push(listener);
    }
    true
}

#[tokio::test]
async fn those_who_take_nothing_are_let_go_and_hold_up_nobody() {
    let relay = relay();
    let balancer = Balancer::start(&many(&relay)).await;
    // They take a beginning, and no more.
    let mut slow = Vec::new();
    for _ in 1..icecast_balancer::events::MOST {
        slow.push(Listener::slow(balancer.admin).await);
    }
    let mut quick = Listener::of(&balancer).await;
    assert_eq!(quick.event().await.unwrap().data["streams"].as_array().unwrap().len(), 1_500);
    assert_eq!(refusal(&balancer).await.status, 503, "all seats are taken");
    // How much sockets take for those who take nothing is the kernel's business, so it goes on until
    // it is more than that.
    let freed = async {
        for listeners in (1..=4).cycle() {
            relay.hold_listeners("/a.ogg", listeners);
            let told = |it: &Event| it.data["streams"][0]["listeners"] == listeners;
            quick.told("they change", told).await;
            if all_seats_but_one_are_free(&balancer).await {
                break;
            }
        }
    };
    timeout(PATIENCE * 6, freed).await.expect("an answer that is not taken ends");
    for mut slow in slow {
        while slow.event().await.is_some_and(|event| event.name != "end") {}
    }
}
