//! Two doors into the same house: what is answered at once is what hyper would have answered.

use icecast_balancer::redirect::Redirector;
use icecast_balancer::server::{Descriptors, Service};

use crate::relay::Relay;
use crate::support::{Answer, Balancer, Wire, servers_with};

use super::vectors::vectors;

/// Requests that players, browsers and proxies make, and some that nobody does.
fn requests() -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    let targets = [
        "/saal1.ogg",
        "/saal1.ogg?a=b&c",
        "/saal1.ogg?",
        "/saal1.ogg?a?b",
        "/none",
        "/gone.ogg",
        "/saal%31.ogg",
        "/saal1.ogg.m3u",
    ];
    for method in ["GET", "HEAD"] {
        for target in targets {
            for version in ["HTTP/1.1", "HTTP/1.0"] {
                for headers in HEADERS {
                    requests.push(format!("{method} {target} {version}\r\n{headers}\r\n").into());
                }
            }
        }
    }
    requests
}

const HEADERS: &[&str] = &[
    "Host: x\r\n",
    "",
    "Host: x\r\nConnection: close\r\n",
    "Host: x\r\nConnection: Close\r\nConnection: keep-alive\r\n",
    "Host: x\r\nConnection: keep-alive\r\n",
    "Host: x\r\nConnection: close, te\r\n",
    "host:x\r\nUSER-AGENT:  VLC/3.0 \r\nIcy-MetaData: 1\r\nRange: bytes=0-\r\nAccept: */*\r\n",
    "Host: x\r\nAccept: application/json\r\n",
    "Host: x\r\nContent-Length: 0\r\n",
    "Host: x\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n",
    "Host: x\r\nHost: x\r\n",
    "Host: a b\r\n",
    "Host: [::1]:8000\r\n",
];

/// Two balancers over one relay, with and without the fast door.
async fn both() -> (Relay, [Balancer; 2]) {
    let relay = Relay::builder().unlimited("/saal1.ogg").start().unwrap();
    // Nobody waits for a turn.
    let yaml = format!(
        "{}streams: {{/saal1.ogg: , /gone.ogg: }}\n",
        servers_with(&[&relay], "max_joins_per_second: 1000000")
    );
    let fast = Balancer::start(&yaml).await;
    let plain = Balancer::start_without_fast_door(&yaml).await;
    (relay, [fast, plain])
}

/// The answers to a request, sent in these pieces and once more as a whole if the connection stays.
async fn answers(balancer: &Balancer, pieces: &[&[u8]]) -> Vec<Answer> {
    let mut wire = Wire::to(balancer.public).await;
    for piece in pieces {
        wire.send(piece).await;
        if pieces.len() > 1 {
            // Lets the balancer, which lives on this thread, read what came so far.
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
        }
    }
    let is_head = pieces.concat().starts_with(b"HEAD ");
    let mut answers = Vec::new();
    for _ in 0..2 {
        let next =
            if is_head { wire.answer_to_head_if_any().await } else { wire.answer_if_any().await };
        let Some(answer) = next else { break };
        answers.push(answer);
        wire.send(pieces.concat()).await;
    }
    answers
}

/// Both answers, if they are not alike.
async fn difference(balancers: &[Balancer; 2], pieces: &[&[u8]]) -> Option<String> {
    let [fast, plain] = balancers;
    let (fast, plain) = (answers(fast, pieces).await, answers(plain, pieces).await);
    let told = |answers: &[Answer]| {
        let parts = answers.iter().map(|answer| {
            let mut headers = answer.headers();
            // Of these there are many.
            headers.retain(|(name, _)| name != "retry-after");
            let headers: Vec<_> =
                headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
            format!("{} {headers:?} {}", answer.status_line, answer.body)
        });
        parts.collect::<Vec<_>>()
    };
    let (fast, plain) = (told(&fast), told(&plain));
    let request = String::from_utf8_lossy(&pieces.concat()).into_owned();
    (fast != plain).then(|| format!("{request:?}: {fast:#?} at once, {plain:#?} by hyper"))
}

/// Else one door would be compared with itself.
#[test]
fn a_redirector_has_the_doors_that_it_was_told() {
    let redirector = || Redirector::new(super::per_client::state(""), Descriptors::raised());
    assert!(redirector().has_fast_door());
    for fast_door in [true, false] {
        assert_eq!(redirector().with_fast_door(fast_door).has_fast_door(), fast_door);
    }
}

#[tokio::test]
async fn both_doors_answer_alike() {
    let (_relay, balancers) = both().await;
    let mut different = Vec::new();
    let vectors = vectors().into_iter().map(|(_, bytes, _, _)| bytes);
    for request in requests().into_iter().chain(vectors) {
        different.extend(difference(&balancers, &[&request]).await);
    }
    assert!(different.is_empty(), "{different:#?}");
}

#[tokio::test]
async fn both_doors_answer_alike_in_whatever_pieces_a_request_comes() {
    let (_relay, balancers) = both().await;
    let mut different = Vec::new();
    for request in requests().iter().step_by(7) {
        for at in 1..request.len() {
            let (first, second) = request.split_at(at);
            different.extend(difference(&balancers, &[first, second]).await);
        }
        let bytes: Vec<_> = request.chunks(1).collect();
        different.extend(difference(&balancers, &bytes).await);
    }
    assert!(different.is_empty(), "{different:#?}");
}
