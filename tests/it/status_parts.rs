//! What of the status is told to whom, as the query says it.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::Balancer;

/// Disabled servers, on each of which every stream is.
fn configuration(servers: usize, streams: usize) -> String {
    let mut yaml = "servers:\n".to_owned();
    for server in 0..servers {
        writeln!(yaml, "  r{server}: {{url: 'http://r{server}.example', state: disabled}}")
            .unwrap();
    }
    yaml.push_str("streams:\n");
    (0..streams).for_each(|stream| writeln!(yaml, "  /s{stream}:").unwrap());
    yaml
}

async fn told(balancer: &Balancer, query: &str) -> Value {
    let answer = balancer.admin_get(&format!("/api/v1/status{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    serde_json::from_str(&answer.body).expect("JSON")
}

/// How many streams, mounts and servers are told, and how many mounts are said to be left out.
fn counts(status: &Value) -> [usize; 4] {
    let streams = status["streams"].as_array().unwrap();
    let mounts = streams.iter().map(|stream| stream["mounts"].as_array().unwrap().len()).sum();
    let left_out = streams.iter().filter_map(|stream| stream["mounts_left_out"].as_u64()).sum();
    let left_out: u64 = left_out;
    let servers = status["servers"].as_array().unwrap().len();
    [streams.len(), mounts, servers, usize::try_from(left_out).unwrap()]
}

#[tokio::test]
async fn of_too_many_mounts_none_is_told_unless_somebody_wants_them_all() {
    for (servers, by_default) in [(200, [100, 20_000, 200, 0]), (201, [100, 0, 201, 20_100])] {
        let balancer = Balancer::start(&configuration(servers, 100)).await;
        assert_eq!(counts(&told(&balancer, "").await), by_default);
        let all = [100, servers * 100, servers, 0];
        assert_eq!(counts(&told(&balancer, "?mounts=all").await), all);
        let none = [100, 0, servers, servers * 100];
        assert_eq!(counts(&told(&balancer, "?mounts=none").await), none);
        // One stream, or one server, is never too much.
        assert_eq!(counts(&told(&balancer, "?stream=/s7").await), [1, servers, servers, 0]);
        let of_one_server = counts(&told(&balancer, "?server=r7").await);
        assert_eq!(of_one_server, [100, 100, 1, (servers - 1) * 100]);
    }
}

#[tokio::test]
async fn a_stream_is_told_by_any_of_its_paths_and_a_server_with_its_own_streams() {
    let yaml = "servers: {a: 'http://a.example', b: 'http://b.example'}\n\
                streams: {/x: {aliases: [/also]}, /y: {servers: [b]}, '/talks/*': {servers: [b]}}\n";
    let balancer = Balancer::start(yaml).await;
    for path in ["/x", "/also"] {
        let status = told(&balancer, &format!("?stream={path}")).await;
        assert_eq!(status["streams"][0]["path"], "/x");
        assert_eq!(counts(&status), [1, 2, 2, 0]);
    }
    let pattern = told(&balancer, "?stream=/talks/*").await;
    assert_eq!(pattern["streams"][0]["pattern"]["found"], 0);
    assert_eq!(counts(&told(&balancer, "?stream=/x&server=a").await), [1, 1, 1, 1]);
    assert_eq!(told(&balancer, "?server=a").await["streams"][0]["path"], "/x");
    assert!(told(&balancer, "?server=a").await["streams"].as_array().unwrap().len() <= 2);
}

#[tokio::test]
async fn what_is_not_configured_is_not_found() {
    let balancer = Balancer::start(&configuration(1, 1)).await;
    for query in ["?stream=/nothing", "?stream=", "?server=nobody", "?stream=/s0&server=nobody"] {
        let answer = balancer.admin_get(&format!("/api/v1/status{query}")).await;
        assert_eq!(answer.status, 404, "{query}");
        assert!(answer.body.starts_with("there is no "), "{}", answer.body);
    }
}
