//! How requests come over connections, and when these are closed.

use crate::support::{Wire, raw};

use super::{get, one_relay};

#[tokio::test]
async fn a_body_is_never_read_and_ends_the_connection() {
    let (_relay, balancer) = one_relay(10, "").await;
    let mut wire = Wire::to(balancer.public).await;
    let inside = get("/inside");
    let length = inside.len();
    wire.send(format!(
        "GET /saal1.ogg HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{inside}"
    ))
    .await;
    let answer = wire.answer().await;
    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("connection"), Some("close"));
    wire.closed().await;
}

#[tokio::test]
async fn an_empty_body_does_not_end_the_connection() {
    let (_relay, balancer) = one_relay(10, "").await;
    let mut wire = Wire::to(balancer.public).await;
    for _ in 0..2 {
        wire.send("GET /saal1.ogg HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(wire.answer().await.status, 302);
    }
}

#[tokio::test]
async fn an_http_1_0_player_without_a_host_is_answered_in_1_1_and_let_go() {
    let (_relay, balancer) = one_relay(10, "").await;
    let answer =
        raw(balancer.public, "GET /saal1.ogg HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    assert_eq!(answer.status_line, "HTTP/1.1 302 Found");
    assert_eq!(answer.header("content-length"), Some("0"));
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let (_relay, balancer) = one_relay(1_000, "").await;
    let mut wire = Wire::to(balancer.public).await;
    for number in 0..100 {
        wire.send(get(&format!("/saal1.ogg?n={number}"))).await;
        assert!(wire.answer().await.location().ends_with(&format!("?n={number}")));
    }
}

#[tokio::test]
async fn a_player_that_asks_for_it_is_let_go() {
    let (_relay, balancer) = one_relay(10, "").await;
    let mut wire = Wire::to(balancer.public).await;
    wire.send("GET /saal1.ogg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert_eq!(wire.answer().await.header("connection"), Some("close"));
    wire.closed().await;
}

#[tokio::test]
async fn a_player_that_closes_its_side_first_is_answered() {
    let (_relay, balancer) = one_relay(10, "").await;
    let socket = std::net::TcpStream::connect(balancer.public).unwrap();
    std::io::Write::write_all(&mut &socket, get("/saal1.ogg").as_bytes()).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let reading = tokio::task::spawn_blocking(move || std::io::read_to_string(&socket).unwrap());
    assert!(reading.await.unwrap().starts_with("HTTP/1.1 302 Found\r\n"));
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_their_order() {
    let (_relay, balancer) = one_relay(1_000, "").await;
    let mut wire = Wire::to(balancer.public).await;
    let targets: Vec<_> = (0..50).map(|number| format!("/saal1.ogg?n={number}")).collect();
    wire.send(targets.iter().map(|target| get(target)).collect::<String>()).await;
    for target in targets {
        assert!(wire.answer().await.location().ends_with(&target));
    }
}

#[tokio::test]
async fn a_request_may_come_in_two_pieces_broken_at_any_byte() {
    let (_relay, balancer) = one_relay(1_000, "").await;
    let request = get("/saal1.ogg?a=b");
    for at in 1..request.len() {
        let mut wire = Wire::to(balancer.public).await;
        wire.send(&request[..at]).await;
        // Lets the balancer, which lives on this thread, read what came so far.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        wire.send(&request[at..]).await;
        assert_eq!(wire.answer().await.status, 302, "broken at byte {at}");
    }
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let (_relay, balancer) = one_relay(10, "").await;
    let mut wire = Wire::to(balancer.public).await;
    for byte in get("/saal1.ogg").bytes() {
        wire.send([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(wire.answer().await.status, 302);
}
