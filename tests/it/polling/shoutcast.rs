//! SHOUTcast servers, as far as their documentation tells: version 2 and version 1.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::support::{Balancer, number};

use super::{BUSY, mount, server, until_polled};

const VERSION_2: &str = include_str!("../../fixtures/shoutcast/statistics.xml");
const VERSION_1: &str = include_str!("../../fixtures/shoutcast/7.html");

/// A SHOUTcast that shows its numbers under one path. It ends when dropped.
struct Shoutcast {
    url: String,
    accepting: AbortHandle,
}

impl Shoutcast {
    async fn showing(path: &'static str, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(socket, path, body));
            }
        });
        Self { url, accepting: accepting.abort_handle() }
    }

    async fn balanced(&self, mount: &str) -> Balancer {
        Balancer::start(&format!(
            "{BUSY}servers: {{r0: {{url: '{}', stats: {{source: shoutcast}}}}}}\n\
             streams: {{/radio.mp3: {{mounts: {{r0: '{mount}'}}}}}}\n",
            self.url
        ))
        .await
    }
}

impl Drop for Shoutcast {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Version 1 shows pages to browsers alone, and greets everybody else with a line of its own.
async fn answer(socket: TcpStream, path: &str, body: &str) {
    let mut lines = BufReader::new(socket).lines();
    let mut head = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await
        && !line.is_empty()
    {
        head.push(line);
    }
    let browser = head.iter().any(|line| line.to_lowercase().starts_with("user-agent: mozilla"));
    let asked = head.first().is_some_and(|line| line.starts_with(&format!("GET {path} ")));
    let answer = if asked && (browser || path != "/7.html") {
        format!("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n{body}")
    } else {
        "ICY 404 Resource Not Found\r\nicy-notice1:<BR>SHOUTcast<BR>\r\n\r\n".to_owned()
    };
    // Whoever asked may have gone.
    drop(lines.into_inner().write_all(answer.as_bytes()).await);
}

#[tokio::test]
async fn version_2_tells_each_of_its_streams() {
    let relay = Shoutcast::showing("/statistics", VERSION_2).await;
    let balancer = relay.balanced("/stream").await;
    until_polled(&balancer, "ok").await;
    assert_eq!(server(&balancer).await["source"], "shoutcast");
    let told = mount(&balancer).await;
    assert_eq!((number(&told, "/listeners"), number(&told, "/max_listeners")), (11, 32));
    let answer = balancer.get("/radio.mp3").await;
    assert_eq!(answer.location(), format!("{}/stream", relay.url));
}

#[tokio::test]
async fn a_stream_of_version_2_without_a_source_is_offline() {
    let relay = Shoutcast::showing("/statistics", VERSION_2).await;
    let balancer = relay.balanced("/silent").await;
    until_polled(&balancer, "ok").await;
    assert!(balancer.get("/radio.mp3").await.body.starts_with("offline: "));
}

#[tokio::test]
async fn version_1_tells_its_only_stream_to_browsers() {
    let relay = Shoutcast::showing("/7.html", VERSION_1).await;
    let balancer = relay.balanced("/;").await;
    until_polled(&balancer, "ok").await;
    assert_eq!(server(&balancer).await["source"], "shoutcast 1");
    let told = mount(&balancer).await;
    assert_eq!((number(&told, "/listeners"), number(&told, "/max_listeners")), (10, 100));
    let answer = balancer.get("/radio.mp3").await;
    assert_eq!(answer.location(), format!("{}/;", relay.url));
}
