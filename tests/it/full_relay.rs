//! A relay at its `<limits><clients>`: it refuses looks in a way that HTTP clients do not expect.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::{Balancer, eventually};

/// What Icecast 2.4 says to whoever connects.
const REFUSAL: &[u8] = b"HTTP/1.0 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
                         Icecast connection limit reached";

/// Refuses as Icecast does: without reading the request, so that a reset follows. Every second
/// refusal is lost altogether, as those are that come before the request.
async fn refuse_everybody(listener: TcpListener) {
    for is_lost in [true, false].into_iter().cycle() {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        if !is_lost {
            socket.write_all(REFUSAL).await.expect("a few bytes fit in");
        }
    }
}

#[tokio::test]
async fn a_relay_whose_refusals_are_cut_off_is_full_and_not_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut relay = JoinSet::new();
    relay.spawn(refuse_everybody(listener));
    // Of several documents, the second would be asked for when the first is not to be had.
    let yaml = format!(
        "poll: {{interval: 50ms, fast_interval: 50ms}}\n\
         servers: {{r0: {{url: 'http://{address}', stats: {{source: status-json}}}}}}\n\
         streams: {{/x: }}\n"
    );
    let balancer = Balancer::start(&yaml).await;
    let polls = async |result: &str| {
        let labels = format!("{{server=\"r0\",result=\"{result}\"}}");
        balancer.metric(&format!("icecast_balancer_server_polls_total{labels}")).await
    };
    eventually("several looks were refused", async || polls("http_status").await >= Some(6.0))
        .await;
    for result in ["connect", "malformed", "timeout"] {
        assert_eq!(polls(result).await, Some(0.0), "{result}");
    }
    assert_eq!(balancer.status().await["servers"][0]["health"], "up");
    let answer = balancer.get("/x").await;
    assert_eq!((answer.status, answer.body.starts_with("full")), (503, true), "{answer:?}");
}
