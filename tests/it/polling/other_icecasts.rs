//! Icecast 2.5 and icecast-kh, as their source says that they answer: none was run for this.

use crate::support::{Balancer, eventually, number};

use super::stub::Stub;
use super::{BUSY, mount, server, until_polled};

const PUBLIC_2_5: &[u8] = include_bytes!("../../fixtures/icecast/publicstats-2.5.xml");

#[tokio::test]
async fn what_icecast_2_5_tells_everybody_is_read_where_there_is_nothing_better() {
    let relay = Stub::showing("/admin/publicstats", PUBLIC_2_5).await;
    let balancer = Balancer::start(&relay.config(BUSY, "streams: {/radio.ogg: }\n")).await;
    until_polled(&balancer, "ok").await;
    assert_eq!(server(&balancer).await["source"], "publicstats");
    let told = mount(&balancer).await;
    assert_eq!(number(&told, "/listeners"), 3);
    assert!(told["max_listeners"].is_null(), "{told}");
}

#[tokio::test]
async fn the_refusal_of_either_at_its_limit_is_known_for_what_it_is() {
    for refusal in [
        // 2.5: a page or plain text, by what is asked for.
        "HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/html\r\n\r\n\
         <html><p>Icecast connection limit reached</p></html>",
        // kh: in the status line.
        "HTTP/1.1 403 Too many clients connected\r\nContent-Length: 0\r\n\r\n",
    ] {
        let relay = Stub::answering(refusal.as_bytes().to_vec()).await;
        let balancer = Balancer::start(&relay.config(BUSY, "streams: {/x: }\n")).await;
        eventually("several looks were refused", async || relay.asked() >= 6).await;
        let server = server(&balancer).await;
        assert_eq!(server["health"], "up", "{refusal}");
        assert!(server["trouble"].as_str().unwrap().starts_with("full to its last client"));
        assert!(balancer.get("/x").await.body.starts_with("full: "), "{refusal}");
    }
}

#[tokio::test]
async fn another_refusal_with_the_same_status_is_a_failure() {
    for refusal in ["HTTP/1.0 503 Service Unavailable\r\n\r\nback soon", "HTTP/1.0 403 No\r\n\r\n"]
    {
        let relay = Stub::answering(refusal.as_bytes().to_vec()).await;
        let balancer = Balancer::start(&relay.config(BUSY, "streams: {/x: }\n")).await;
        balancer.until_health("r0", "down").await;
    }
}
