//! Why a player would be sent where: the admin port's answer, and the command that prints it.

use serde_json::{Value, json};

use crate::life::program::{run, text};
use crate::relay::Relay;
use crate::support::{Answer, Balancer, eventually, raw, servers_with};

/// The question about a stream, with these further parameters.
async fn ask(balancer: &Balancer, parameters: &str) -> Answer {
    balancer.admin_get(&format!("/api/v1/explain?{parameters}")).await
}

async fn explained(balancer: &Balancer, parameters: &str) -> Value {
    let answer = ask(balancer, parameters).await;
    assert_eq!(answer.status, 200, "{parameters}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_str(&answer.body).expect("JSON")
}

/// What a command prints, what it complains of, and its exit code.
async fn told(arguments: &[&str]) -> (String, String, i32) {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let ran = tokio::task::spawn_blocking(move || {
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    });
    let output = ran.await.unwrap();
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap())
}

fn relay() -> Relay {
    Relay::builder().mount("/a.ogg", 10).clients(50).start().unwrap()
}

/// Polls that come once, at the start, so that numbers stand still.
const ONCE: &str = "poll: {interval: 1h, fast_interval: 1h, stale_after: 1h}\n";

#[tokio::test]
async fn every_mount_is_told_with_its_verdict_and_the_numbers_behind_it() {
    let (one, two) = (relay(), relay());
    one.hold_listeners("/a.ogg", 4);
    two.hold_listeners("/a.ogg", 10);
    let yaml = format!(
        "{ONCE}balance: {{headroom: 1, settle: 1h}}\n{}streams: {{/a.ogg: {{aliases: [/a]}}}}\n",
        servers_with(&[&one, &two], "max_listeners: 40")
    );
    let balancer = Balancer::start(&yaml).await;
    balancer.get("/a.ogg").await.location();
    let told = explained(&balancer, "stream=/a").await;
    assert_eq!((&told["stream"], &told["asked"]), (&json!("/a.ogg"), &json!("/a")));
    assert_eq!(told["answer"]["text"], "302 to r0");
    assert_eq!(told["answer"]["location"], format!("{}/a.ogg", one.url()));
    let mounts = &told["stages"][0]["mounts"];
    let first = &mounts[0];
    assert_eq!((&first["verdict"], &first["chance"]), (&json!("chosen"), &json!(1.0)), "{first}");
    assert_eq!(first["free"], 10 - 1 - 4 - 1);
    assert_eq!(
        first["limits"][0],
        json!({"of": "mount", "unit": "listeners", "limit": 10, "from": "relay",
               "configured": null, "reported": 10, "headroom": 1, "used": 4, "reserved": 1,
               "free": 4, "refuses": false}),
    );
    let whole = &first["limits"][1];
    assert_eq!((&whole["limit"], &whole["from"]), (&json!(40), &json!("configuration")), "{whole}");
    assert!(first["age_seconds"].as_f64().is_some_and(|age| age < 60.0), "{first}");
    let second = &mounts[1];
    assert_eq!((&second["verdict"], &second["reason"]["code"]), (&json!("passed"), &json!("full")));
}

#[tokio::test]
async fn nothing_is_taken_and_nothing_is_counted() {
    let one = relay();
    let yaml = format!("{ONCE}{}streams: {{/a.ogg: }}\n", servers_with(&[&one], ""));
    let balancer = Balancer::start(&yaml).await;
    let before = balancer.status().await["streams"].clone();
    for client in ["", "&client=192.0.2.1", "&client=::1&https=true&agent=VLC/3"] {
        for _ in 0..20 {
            explained(&balancer, &format!("stream=/a.ogg{client}")).await;
        }
    }
    assert_eq!(balancer.status().await["streams"], before);
    let requests = "icecast_balancer_requests_total{outcome=\"redirected\"}";
    assert_eq!(balancer.metric(requests).await, Some(0.0));
}

#[tokio::test]
async fn what_is_said_of_a_player_is_what_becomes_of_it() {
    let one = relay();
    let two = Relay::builder().mount("/a.ogg", 10).listen("[::1]:0".parse().unwrap());
    let two = two.start().unwrap();
    let yaml = format!(
        "{ONCE}trusted_proxies: [127.0.0.1]\nbalance: {{headroom: 0, settle: 1h}}\n\
         servers:\n  r0: {{url: '{}', clients: {{networks: [192.0.2.0/24], only: true}}}}\n  \
         r1: {{url: '{}', ip: 6, tier: 1}}\nstreams: {{/a.ogg: }}\n",
        one.url(),
        two.url()
    );
    let balancer = Balancer::start(&yaml).await;
    for (client, answer, reasons) in [
        ("192.0.2.7", "302 to r0", [Value::Null, json!("other_family")]),
        ("2001:db8::7", "302 to r1", [json!("for_others"), Value::Null]),
        (
            "198.51.100.7",
            "503 unreachable: the relays of /a.ogg are for listeners from elsewhere only",
            [json!("for_others"), json!("other_family")],
        ),
    ] {
        let told = explained(&balancer, &format!("stream=/a.ogg&client={client}")).await;
        assert_eq!(told["answer"]["text"], answer);
        let mounts = &told["stages"][0]["mounts"];
        assert_eq!([0, 1].map(|at| mounts[at]["reason"]["code"].clone()), reasons, "{client}");
        let request = format!(
            "GET /a.ogg HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {client}\r\nConnection: close\r\n\r\n"
        );
        let player = raw(balancer.public, &request).await;
        assert_eq!(json!(player.status), told["answer"]["status"], "{client}");
        match told["answer"]["location"].as_str() {
            Some(location) => assert_eq!(player.location(), location),
            None => assert_eq!(format!("503 {}", player.body.trim_end()), answer),
        }
    }
}

#[tokio::test]
async fn who_has_just_come_back_is_known_and_vlc_takes_two_slots() {
    let (one, two) = (relay(), relay());
    let yaml = format!(
        "{ONCE}trusted_proxies: [127.0.0.1]\nbalance: {{headroom: 0, settle: 1h}}\n{}\
         streams: {{/a.ogg: }}\n",
        servers_with(&[&one, &two], "")
    );
    let balancer = Balancer::start(&yaml).await;
    let request = "GET /a.ogg HTTP/1.1\r\nHost: x\r\nUser-Agent: VLC/3\r\n\
                   X-Forwarded-For: 192.0.2.7\r\nConnection: close\r\n\r\n";
    let sent = raw(balancer.public, request).await.location().to_owned();
    let from = if sent.starts_with(&one.url()) { "r0" } else { "r1" };
    let told = explained(&balancer, "stream=/a.ogg&client=192.0.2.7&agent=VLC/3").await;
    assert_eq!(told["client"]["came_from"], from, "{told:#}");
    assert_eq!(told["client"]["slots"], 2);
    let other = explained(&balancer, "stream=/a.ogg&client=192.0.2.7&agent=mpv").await;
    assert_eq!(other["client"]["came_from"], Value::Null);
}

#[tokio::test]
async fn a_full_stream_waits_goes_to_its_fallback_or_beyond_its_limit_as_it_is_configured() {
    let one = Relay::builder().mount("/a.ogg", 2).mount("/pause.ogg", 9).start().unwrap();
    one.hold_listeners("/a.ogg", 2);
    for (stream, outcome, text) in [
        ("", "full", "503 full: no relay has a free slot for /a.ogg"),
        ("when_full: wait, wait: 3s", "waits", "full: waits for a slot, 3s at most"),
        ("when_full: overflow", "redirected", "302 to r0, beyond its limit"),
        (
            "when_full: fallback, fallback: /pause.ogg",
            "redirected",
            "302 to r0: the fallback /pause.ogg",
        ),
        (
            "when_full: fallback, fallback: 'https://example.org/x'",
            "redirected",
            "302 to the fallback https://example.org/x",
        ),
    ] {
        let yaml = format!(
            "{ONCE}balance: {{headroom: 0}}\n{}streams: {{/a.ogg: {{{stream}}}, /pause.ogg: }}\n",
            servers_with(&[&one], "")
        );
        let balancer = Balancer::start(&yaml).await;
        let answer = explained(&balancer, "stream=/a.ogg").await["answer"].clone();
        assert_eq!((&answer["outcome"], &answer["text"]), (&json!(outcome), &json!(text)));
        assert_eq!(answer["wait_seconds"].as_f64(), (outcome == "waits").then_some(3.0));
    }
}

#[tokio::test]
async fn who_would_wait_behind_others_is_told_so() {
    let one = Relay::builder().mount("/a.ogg", 2).start().unwrap();
    one.hold_listeners("/a.ogg", 2);
    let yaml = format!(
        "{ONCE}balance: {{headroom: 0, when_full: wait, wait: 1m}}\n{}streams: {{/a.ogg: }}\n",
        servers_with(&[&one], "")
    );
    let balancer = Balancer::start(&yaml).await;
    let waiting = tokio::spawn({
        let public = balancer.public;
        async move { raw(public, "GET /a.ogg HTTP/1.1\r\nHost: x\r\n\r\n").await }
    });
    eventually("it is said to wait behind one", async || {
        let told = explained(&balancer, "stream=/a.ogg").await;
        told["answer"]["text"] == "waits behind 1 for a slot, 60s at most"
    })
    .await;
    waiting.abort();
}

#[tokio::test]
async fn a_pattern_answers_for_what_is_found_and_for_what_is_not() {
    let one = Relay::builder().mount("/talks/a.ogg", 5).start().unwrap();
    let yaml = format!("{}streams: {{/talks/*: }}\n", servers_with(&[&one], ""));
    let balancer = Balancer::start(&yaml).await;
    let found = explained(&balancer, "stream=/talks/a.ogg").await;
    assert_eq!(
        (&found["stream"], &found["answer"]["status"]),
        (&json!("/talks/a.ogg"), &json!(302))
    );
    let lost = explained(&balancer, "stream=/talks/b.ogg").await;
    assert_eq!(
        (&lost["stream"], &lost["answer"]["outcome"]),
        (&json!("/talks/*"), &json!("offline"))
    );
    assert_eq!(
        (&lost["pattern"]["found"], &lost["pattern"]["servers"]),
        (&json!(1), &json!(["r0"]))
    );
}

#[tokio::test]
async fn questions_that_have_no_answer_are_told_what_to_ask() {
    let one = relay();
    let yaml = format!("{}streams: {{/a.ogg: {{aliases: [/radio]}}}}\n", servers_with(&[&one], ""));
    let balancer = Balancer::start(&yaml).await;
    for (question, status, words) in [
        ("", 400, "which stream? Ask for instance /api/v1/explain?stream="),
        ("stream=/a.ogg&client=1.2.3", 400, "client: \"1.2.3\" is no IP address such as"),
        ("stream=/a.ogg&cleint=::1", 400, "did you mean \"client\"?"),
        ("stream=/a.oga", 404, "there is no stream \"/a.oga\"; did you mean \"/a.ogg\"?"),
        ("stream=/radoi", 404, "did you mean \"/radio\"?"),
        ("stream=/nothing", 404, "the streams are \"/a.ogg\""),
    ] {
        let answer = ask(&balancer, question).await;
        assert_eq!(answer.status, status, "{question}: {answer:?}");
        assert!(answer.body.contains(words) && answer.body.ends_with('\n'), "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}

#[tokio::test]
async fn it_is_for_looking_and_on_the_admin_port_alone() {
    let one = relay();
    let yaml = format!("{}streams: {{/a.ogg: }}\n", servers_with(&[&one], ""));
    let balancer = Balancer::start(&yaml).await;
    let request = |method: &str| {
        format!(
            "{method} /api/v1/explain?stream=/a.ogg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
    };
    let head = raw(balancer.admin, &request("HEAD")).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let post = raw(balancer.admin, &request("POST")).await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(raw(balancer.public, &request("GET")).await.status, 404);
}

#[tokio::test]
async fn no_secret_is_told() {
    let one = Relay::builder().mount("/a.ogg", 5).admin("admin", "s3cr3t").start().unwrap();
    let settings = "stats: {password: s3cr3t, username: root, source: admin}";
    let yaml = format!("{}streams: {{/a.ogg: }}\n", servers_with(&[&one], settings));
    let balancer = Balancer::start(&yaml).await;
    let told = ask(&balancer, "stream=/a.ogg").await.body;
    assert!(told.contains("\"trouble\":\"") && !told.contains("s3cr3t"), "{told}");
    assert!(!told.contains("root"), "{told}");
}

#[tokio::test]
async fn the_command_prints_a_table_of_80_columns() {
    let (one, two, three) = (relay(), relay(), relay());
    one.hold_listeners("/a.ogg", 3);
    let yaml = format!(
        "{ONCE}balance: {{headroom: 0}}\n{}streams: {{/a.ogg: }}\n",
        servers_with(&[&one, &two, &three], "")
    );
    let yaml = yaml.replace("  r1: {", "  r1: {state: draining, ");
    let balancer = Balancer::start(&yaml).await;
    let admin = format!("http://{}", balancer.admin);
    let arguments = ["explain", "/a.ogg", "--client", "192.0.2.7", "--admin", &admin];
    let (shown, complaint, code) = told(&arguments).await;
    assert_eq!((complaint.as_str(), code), ("", 0), "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{shown}");
    assert_eq!(lines[..2], ["/a.ogg for 192.0.2.7, IPv4, http", "302 to r2"]);
    assert_eq!(lines[2], format!("{}/a.ogg", three.url()));
    assert_eq!(lines[5], "RELAY  VERDICT   FREE  USED  HELD  LIMIT  FROM   KEPT    AGE");
    assert!(
        lines[6].starts_with("r2     chosen      10     0     0     10  relay     0"),
        "{shown}"
    );
    assert!(
        lines[7].starts_with("r0     next: 2.     7     3     0     10  relay     0"),
        "{shown}"
    );
    assert_eq!(lines[8], "    the policy prefers the others at the moment");
    assert!(lines[9].starts_with("r1     passed"), "{shown}");
    assert_eq!(lines[10], "    draining");

    let (json, _, code) = told(&[&arguments[..], &["--format", "json"]].concat()).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["answer"]["text"], code), (&json!("302 to r2"), 0));
}

#[tokio::test]
async fn a_command_that_gets_no_answer_says_why_and_ends_with_1() {
    let one = relay();
    let yaml = format!("{}streams: {{/a.ogg: }}\n", servers_with(&[&one], ""));
    let balancer = Balancer::start(&yaml).await;
    let admin = format!("http://{}", balancer.admin);
    // Nobody has it: it was given to this socket, and nobody listens on it.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", socket.local_addr().unwrap());
    for (arguments, words) in [
        (["explain", "/a.oga", "--admin", &*admin], "did you mean \"/a.ogg\"?"),
        (["explain", "/a.ogg", "--admin", &*nobody], "the balancer does not answer on http://"),
        (["explain", "/a.ogg", "--admin", &*one.url()], "error: "),
        (["explain", "/a.ogg", "--admin", "127.0.0.1"], "is no URL such as http://127.0.0.1:9090"),
    ] {
        let (shown, complaint, code) = told(&arguments).await;
        assert_eq!((shown.as_str(), code), ("", 1), "{arguments:?}: {complaint}");
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
}
