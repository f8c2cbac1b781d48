//! What the public port answers to bytes that no player means, and how long it listens to them.

use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::Instant;

use crate::relay::Relay;
use crate::support::{Answer, Balancer, Wire, servers, servers_with};

use super::vectors::{After, vectors};
use super::{get, one_relay};

/// How often each vector is tried: an answer that depends on chance is found out.
const REPEATS: usize = 20;

/// Sends a request in these pieces and holds the answer, and what becomes of the connection,
/// against what is expected; tells the difference.
async fn tried(
    balancer: &Balancer,
    relay: &Relay,
    pieces: &[&[u8]],
    status: u16,
    after: After,
) -> Result<Answer, String> {
    let mut wire = Wire::to(balancer.public).await;
    for piece in pieces {
        wire.send(piece).await;
        if pieces.len() > 1 {
            // Lets the balancer, which lives on this thread, read what came so far.
            for _ in 0..5 {
                yield_now().await;
            }
        }
    }
    let Some(answer) = wire.answer_if_any().await else {
        return Err(format!("closed instead of {status}"));
    };
    if answer.status != status {
        return Err(format!("{} instead of {status}", answer.status));
    }
    let text = format!("{answer:?}").to_lowercase();
    for forged in ["evil", "set-cookie", "größe", "radio.example"] {
        assert!(!text.contains(forged), "{text}");
    }
    let expected = (status == 302).then(|| format!("{}/saal1.ogg", relay.url()));
    assert_eq!(answer.header("location"), expected.as_deref());
    match after {
        After::Closed => wire.closed().await,
        After::Open => {
            wire.send(get("/saal1.ogg")).await;
            let next = wire.answer().await.status;
            if next != 302 {
                return Err(format!("the next request is answered {next}"));
            }
        }
    }
    Ok(answer)
}

#[tokio::test]
async fn each_vector_gets_its_answer_every_time() {
    let (relay, balancer) = unlimited().await;
    let mut wrong = Vec::new();
    for (name, bytes, status, after) in vectors() {
        for _ in 0..REPEATS {
            if let Err(why) = tried(&balancer, &relay, &[&bytes], status, after).await {
                wrong.push(format!("{name}: {why}"));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn each_vector_gets_its_answer_in_whatever_pieces_it_comes() {
    let (relay, balancer) = unlimited().await;
    let mut wrong = Vec::new();
    for (name, bytes, status, after) in vectors() {
        // Of what is long, its ends and what lies around our limits.
        let near = |at: usize, place: usize| at.abs_diff(place) <= 2;
        let long = bytes.len() > 2_000;
        let cut = |at: &usize| {
            !long || *at < 40 || bytes.len() - at < 40 || near(*at, 8_192) || near(*at, 16_384)
        };
        for at in (1..bytes.len()).filter(cut) {
            let (first, second) = bytes.split_at(at);
            if let Err(why) = tried(&balancer, &relay, &[first, second], status, after).await {
                wrong.push(format!("{name}, broken at byte {at}: {why}"));
            }
        }
        let pieces: Vec<_> = bytes.chunks(if long { 1_000 } else { 1 }).collect();
        if let Err(why) = tried(&balancer, &relay, &pieces, status, after).await {
            wrong.push(format!("{name}, in {} pieces: {why}", pieces.len()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A relay that never fills.
async fn unlimited() -> (Relay, Balancer) {
    let relay = Relay::builder().unlimited("/saal1.ogg").start().unwrap();
    // Nobody waits for a turn.
    let yaml = format!(
        "{}streams: {{/saal1.ogg: }}\n",
        servers_with(&[&relay], "max_joins_per_second: 1000000")
    );
    (relay, Balancer::start(&yaml).await)
}

#[tokio::test]
async fn a_head_may_have_16_kib_and_not_one_byte_more_however_it_arrives() {
    let (_relay, balancer) = one_relay(1_000, "").await;
    let limit = 16 * 1024;
    for (length, status) in [(limit, 302), (limit + 1, 431), (limit + 200, 431), (2 * limit, 431)] {
        let request = get("/saal1.ogg").replace("\r\n\r\n", "\r\nX-A: ");
        let filler = "a".repeat(length - request.len() - 4);
        let request = request + &filler + "\r\n\r\n";
        for piece in [request.len(), 16_000, 8_192, 4_096, 1_000] {
            let mut wire = Wire::to(balancer.public).await;
            for piece in request.as_bytes().chunks(piece) {
                wire.send(piece).await;
                yield_now().await;
            }
            assert_eq!(wire.answer().await.status, status, "{length} bytes in pieces of {piece}");
        }
    }
}

#[tokio::test]
async fn a_request_that_is_never_finished_is_closed_at_the_header_timeout() {
    let relay = Relay::builder().mount("/saal1.ogg", 10).start().unwrap();
    let streams = "streams: {/saal1.ogg: }\nlimits: {header_timeout: 100ms}\n";
    let balancer = Balancer::start(&(servers(&[&relay]) + streams)).await;
    for beginning in ["", "G", "GET /saal1.ogg HTTP/1.1\r\nHost: x\r\n"] {
        let mut wire = Wire::to(balancer.public).await;
        wire.send(beginning).await;
        let told = wire.rest().await;
        assert!(!told.contains(" 302 "), "after {beginning:?}: {told}");
    }
}

#[tokio::test]
async fn a_connection_that_is_kept_for_nothing_is_closed() {
    let relay = Relay::builder().mount("/saal1.ogg", 10).start().unwrap();
    let streams = "streams: {/saal1.ogg: }\nlimits: {header_timeout: 100ms}\n";
    let balancer = Balancer::start(&(servers(&[&relay]) + streams)).await;
    let mut wire = Wire::to(balancer.public).await;
    wire.send(get("/saal1.ogg")).await;
    assert_eq!(wire.answer().await.status, 302);
    wire.closed().await;
}

#[tokio::test]
async fn a_connection_too_many_is_told_so() {
    let relay = Relay::builder().mount("/saal1.ogg", 10).start().unwrap();
    let streams = "streams: {/saal1.ogg: }\nlimits: {max_connections: 1}\n";
    let balancer = Balancer::start(&(servers(&[&relay]) + streams)).await;
    let mut first = Wire::to(balancer.public).await;
    first.send(get("/saal1.ogg")).await;
    assert_eq!(first.answer().await.status, 302);
    for _ in 0..20 {
        let mut second = Wire::to(balancer.public).await;
        second.send(get("/saal1.ogg")).await;
        let answer = second.answer().await;
        assert_eq!(answer.status, 503);
        assert!(answer.body.starts_with("busy: "), "{}", answer.body);
        second.closed().await;
    }
    let series = "icecast_balancer_shed_total{reason=\"max_connections\"}";
    assert_eq!(balancer.metric(series).await, Some(20.0));
}

/// A connection that may begin to wait at any moment is closed at the latest after so long: the
/// limit is 100 ms, and the rest is for a busy machine.
const CLOSED_WITHIN: Duration = Duration::from_millis(100 + 1_000);

/// A balancer with a short patience.
async fn impatient() -> (Relay, Balancer) {
    let relay = Relay::builder().unlimited("/saal1.ogg").start().unwrap();
    let streams = "streams: {/saal1.ogg: }\nlimits: {header_timeout: 100ms}\n";
    let balancer = Balancer::start(&(servers(&[&relay]) + streams)).await;
    (relay, balancer)
}

#[tokio::test]
async fn a_head_that_drips_in_is_closed_at_the_header_timeout() {
    let (_relay, balancer) = impatient().await;
    let mut wire = Wire::to(balancer.public).await;
    wire.send("GET /saal1.ogg HTTP/1.1\r\nHost: x\r\n").await;
    let began = Instant::now();
    while !wire.is_closed_within(Duration::from_millis(10)).await {
        wire.send("X: y\r\n").await;
        assert!(began.elapsed() < CLOSED_WITHIN, "it is open after {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_connection_that_was_used_before_is_held_to_the_same_deadline() {
    let (_relay, balancer) = impatient().await;
    for requests in [1, 2, 3, 20] {
        for beginning in ["", "G", "GET /saal1.ogg HTTP/1.1\r\nHost: x\r\n"] {
            let mut wire = Wire::to(balancer.public).await;
            for _ in 0..requests {
                wire.send(get("/saal1.ogg")).await;
                assert_eq!(wire.answer().await.status, 302);
            }
            wire.send(beginning).await;
            let began = Instant::now();
            wire.closed().await;
            assert!(began.elapsed() < CLOSED_WITHIN, "after {requests} and {beginning:?}");
        }
    }
}

/// It sends requests as long as they are taken, and reads no answer.
#[tokio::test]
async fn who_takes_no_answers_is_read_no_further_and_closed_at_the_deadline() {
    let (_relay, balancer) = impatient().await;
    let socket = tokio::net::TcpStream::connect(balancer.public).await.unwrap();
    // Each answer is as long as its request, so that few are enough to fill what the kernel holds.
    let requests = get(&format!("/saal1.ogg?{}", "q".repeat(8_000))).repeat(100);
    let mut sent = 0_usize;
    let began = Instant::now();
    loop {
        socket.writable().await.unwrap();
        match socket.try_write(requests.as_bytes()) {
            Ok(bytes) => sent += bytes,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                // Only an end of the connection makes it writable again.
                assert!(began.elapsed() < Duration::from_secs(20), "it is held");
            }
            Err(_closed) => break,
        }
    }
    println!("closed after {:?} and {sent} bytes of requests", began.elapsed());
    // What the kernel holds for either side, and what was answered until then.
    assert!(sent < 64 << 20, "{sent} bytes were taken");
}

#[tokio::test]
async fn answers_are_sent_one_by_one_to_who_takes_them_late() {
    let (_relay, balancer) = one_relay(10_000, "").await;
    let mut wire = Wire::to(balancer.public).await;
    wire.send(get("/saal1.ogg").repeat(500)).await;
    for _ in 0..500 {
        assert_eq!(wire.answer().await.status, 302);
    }
}

#[tokio::test]
async fn a_head_that_is_refused_counts_as_a_bad_request() {
    let (_relay, balancer) = one_relay(10, "").await;
    for target in ["/a#b", "/\x01"] {
        assert_eq!(balancer.get(target).await.status, 400);
    }
    assert_eq!(balancer.get(&format!("/{}", "a".repeat(20_000))).await.status, 414);
    let series = "icecast_balancer_requests_total{outcome=\"bad_request\"}";
    crate::support::eventually("they are counted", async || {
        balancer.metric(series).await == Some(3.0)
    })
    .await;
}
