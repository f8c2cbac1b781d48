//! What Prometheus is told: the names of the contract, the truth, and nothing of what is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::relay::Relay;
use crate::support::{Answer, Balancer, Wire, eventually, raw};

/// Every metric with its type and labels, but for those of parts that are not built (`server_live`,
/// `cluster_engine_up`, `cluster_members`, `log_lines_dropped_total`, `panics_total`) or not
/// configured (`stream_waiting`).
const METRICS: &[(&str, &str, &[&str])] = &[
    ("build_info", "gauge", &["rustc", "version"]),
    ("config_info", "gauge", &["sha256"]),
    ("config_last_reload_success_timestamp_seconds", "gauge", &[]),
    ("config_last_reload_successful", "gauge", &[]),
    ("config_reloads_total", "counter", &["result"]),
    ("config_restart_required", "gauge", &[]),
    ("config_watch_active", "gauge", &[]),
    ("connections", "gauge", &["state"]),
    ("log_lines_dropped_total", "counter", &[]),
    ("mount_free_slots", "gauge", &["server", "stream"]),
    ("mount_listeners", "gauge", &["server", "stream"]),
    ("mount_max_listeners", "gauge", &["server", "stream"]),
    ("mount_reserved_slots", "gauge", &["server", "stream"]),
    ("mount_series", "gauge", &[]),
    ("mount_up", "gauge", &["server", "stream"]),
    ("network_hold", "gauge", &[]),
    ("panic_mode", "gauge", &[]),
    ("panics_total", "counter", &[]),
    ("redirects_total", "counter", &["server", "stream"]),
    ("request_duration_seconds", "histogram", &[]),
    ("requests_total", "counter", &["outcome"]),
    ("server_arrived_total", "counter", &["server"]),
    ("server_last_success_timestamp_seconds", "gauge", &["server"]),
    ("server_poll_duration_seconds", "histogram", &["server"]),
    ("server_polls_total", "counter", &["result", "server"]),
    ("server_redirected_total", "counter", &["server"]),
    ("server_state", "gauge", &["server", "state"]),
    ("server_up", "gauge", &["server"]),
    ("shed_total", "counter", &["reason"]),
    ("stream_free_slots", "gauge", &["stream"]),
    ("stream_listeners", "gauge", &["stream"]),
    ("stream_requests_total", "counter", &["outcome", "stream"]),
    ("stream_up", "gauge", &["stream"]),
];

/// Looks so seldom that only the first one happens, and a redirect's slot stays reserved.
const SELDOM: &str = "poll: {interval: 1h, fast_interval: 1h, stale_after: 1h}\n\
                      balance: {headroom: 0, settle: 1h}\n";

/// A scrape, taken apart.
struct Scrape {
    types: BTreeMap<String, String>,
    helps: BTreeSet<String>,
    /// Series as they are written, with their values.
    series: BTreeMap<String, f64>,
}

impl Scrape {
    async fn of(balancer: &Balancer) -> Self {
        let answer = balancer.admin_get("/metrics").await;
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        let mut scrape =
            Self { types: BTreeMap::new(), helps: BTreeSet::new(), series: BTreeMap::new() };
        for line in answer.body.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                let before = scrape.types.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} has two types");
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty(), "{name} has an empty help");
                scrape.helps.insert(name.to_owned());
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let before = scrape.series.insert(series.to_owned(), value.parse().unwrap());
                assert_eq!(before, None, "{series} is there twice");
            }
        }
        scrape
    }

    fn value(&self, series: &str) -> Option<f64> {
        self.series.get(&format!("icecast_balancer_{series}")).copied()
    }

    /// Series of which the name or a label has this text.
    fn with(&self, text: &str) -> Vec<&String> {
        self.series.keys().filter(|series| series.contains(text)).collect()
    }

    fn counters(&self) -> impl Iterator<Item = (&String, f64)> {
        let counts = |series: &str| {
            let name = series.split('{').next().unwrap_or_default();
            ["_total", "_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end))
        };
        self.series.iter().filter(move |(series, _)| counts(series)).map(|(s, value)| (s, *value))
    }
}

/// The names of a series' labels.
fn labels(series: &str) -> BTreeSet<String> {
    let Some((_, labels)) = series.split_once('{') else { return BTreeSet::new() };
    let names = labels.trim_end_matches('}').split("\",");
    names.map(|label| label.split_once('=').unwrap().0.to_owned()).collect()
}

/// The metric that a series belongs to.
fn family(series: &str) -> &str {
    let name = series.split('{').next().unwrap_or_default();
    let ends = ["_bucket", "_sum", "_count"];
    ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

fn one(relay: &Relay) -> String {
    format!("{SELDOM}servers: {{one: '{}'}}\nstreams: {{/a.ogg: }}\n", relay.url())
}

async fn reload(balancer: &Balancer, yaml: &str) {
    balancer.edit(yaml);
    let request = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(balancer.admin, request).await.status, 200);
}

#[tokio::test]
async fn the_names_types_and_labels_are_those_of_the_contract() {
    let relay = Relay::builder().mount("/a.ogg", 3).start().unwrap();
    let balancer = Balancer::start(&one(&relay)).await;
    let scrape = Scrape::of(&balancer).await;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for series in scrape.series.keys() {
        let Some(name) = family(series).strip_prefix("icecast_balancer_") else { continue };
        let mut names = labels(series);
        names.remove("le");
        let before = found.insert(name.to_owned(), names.clone());
        assert!(before.is_none_or(|before| before == names), "{name} has different labels");
    }
    let found: Vec<_> = found
        .into_iter()
        .map(|(name, labels)| {
            let kind = scrape.types.get(&format!("icecast_balancer_{name}")).cloned();
            (name, kind.unwrap_or_default(), Vec::from_iter(labels))
        })
        .collect();
    let wanted: Vec<_> = METRICS
        .iter()
        .map(|(name, kind, labels)| {
            let labels: Vec<_> = labels.iter().map(ToString::to_string).collect();
            ((*name).to_owned(), (*kind).to_owned(), labels)
        })
        .collect();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn the_values_of_labels_are_those_of_the_contract() {
    let relay = Relay::builder().mount("/a.ogg", 3).start().unwrap();
    let balancer = Balancer::start(&one(&relay)).await;
    let scrape = Scrape::of(&balancer).await;
    let wanted: [(&str, &str, &[&str]); 5] = [
        (
            "requests_total{",
            "outcome",
            &[
                "redirected",
                "full",
                "offline",
                "unreachable",
                "unknown_path",
                "playlist",
                "bad_method",
                "bad_request",
            ],
        ),
        ("config_reloads_total{", "result", &["ok", "rejected", "unchanged"]),
        ("server_state{", "state", &["active", "draining", "disabled"]),
        (
            "server_polls_total{",
            "result",
            &["ok", "timeout", "connect", "http_status", "too_large", "malformed", "unauthorized"],
        ),
        ("connections{", "state", &["active", "idle"]),
    ];
    for (name, label, values) in wanted {
        let name = format!("icecast_balancer_{name}");
        let series = scrape.series.keys().filter(|series| series.starts_with(&name));
        let found: BTreeSet<&str> = series
            .map(|series| {
                let (_, after) = series.split_once(&format!("{label}=\"")).unwrap();
                after.split('"').next().unwrap()
            })
            .collect();
        assert_eq!(found, values.iter().copied().collect(), "{name}");
    }
}

#[tokio::test]
async fn everything_has_a_help_and_a_type() {
    let relay = Relay::builder().mount("/a.ogg", 3).start().unwrap();
    let balancer = Balancer::start(&one(&relay)).await;
    let scrape = Scrape::of(&balancer).await;
    for series in scrape.series.keys() {
        let name = family(series);
        assert!(scrape.types.contains_key(name), "{name} has no type");
        assert!(scrape.helps.contains(name), "{name} has no help");
    }
}

#[tokio::test]
async fn the_process_is_measured_under_the_usual_names() {
    let relay = Relay::builder().mount("/a.ogg", 3).start().unwrap();
    let balancer = Balancer::start(&one(&relay)).await;
    let scrape = Scrape::of(&balancer).await;
    for name in [
        "process_cpu_seconds_total",
        "process_max_fds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_virtual_memory_bytes",
    ] {
        assert!(scrape.series.contains_key(name), "{name} is missing");
    }
}

#[tokio::test]
async fn every_counter_of_requests_is_there_with_zero_before_the_first_request() {
    let relay = Relay::builder().mount("/a.ogg", 3).start().unwrap();
    let balancer = Balancer::start(&one(&relay)).await;
    let scrape = Scrape::of(&balancer).await;
    let requests = scrape.counters().filter(|(series, _)| {
        ["requests_total", "redirects_total", "shed_total", "config_reloads_total"]
            .iter()
            .any(|name| family(series).ends_with(name))
    });
    let requests: Vec<_> = requests.collect();
    // 8 outcomes in all, 5 of the stream, a redirect, 3 reasons to shed, 3 results of a reload.
    assert_eq!(requests.len(), 20, "{requests:?}");
    assert!(requests.iter().all(|(_, value)| *value == 0.0), "{requests:?}");
}

/// Redirects, refusals of each kind, and what is no request of a player at all.
async fn a_known_story() -> (Relay, Balancer) {
    let relay = Relay::builder().mount("/a.ogg", 2).start().unwrap();
    let yaml = format!(
        "{SELDOM}servers: {{one: '{}', dead: 'http://127.0.0.1:9'}}\nstreams:\n  \
         /a.ogg: {{servers: [one]}}\n  /gone.ogg: {{servers: [one]}}\n  \
         /dead.ogg: {{servers: [dead]}}\n",
        relay.url()
    );
    let balancer = Balancer::start(&yaml).await;
    for path in ["/a.ogg", "/a.ogg", "/a.ogg", "/gone.ogg", "/dead.ogg", "/nobody", "/knows"] {
        balancer.get(path).await;
    }
    let head = "HEAD /a.ogg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let put = "PUT /a.ogg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for request in [head, put, "this is no HTTP\r\n\r\n"] {
        raw(balancer.public, request).await;
    }
    (relay, balancer)
}

#[tokio::test]
async fn requests_are_counted_by_what_became_of_them() {
    let (_relay, balancer) = a_known_story().await;
    // A request that is none is counted when its connection has ended.
    let bad = "icecast_balancer_requests_total{outcome=\"bad_request\"}";
    eventually("the bad request counts", async || balancer.metric(bad).await == Some(1.0)).await;
    let scrape = Scrape::of(&balancer).await;
    let total = |outcome| scrape.value(&format!("requests_total{{outcome=\"{outcome}\"}}"));
    let outcomes = ["redirected", "full", "offline", "unreachable", "unknown_path", "bad_method"];
    let counts = outcomes.map(total);
    assert_eq!(counts, [2.0, 2.0, 1.0, 1.0, 2.0, 1.0].map(Some), "{outcomes:?}");
}

#[tokio::test]
async fn requests_are_counted_for_their_stream() {
    let (_relay, balancer) = a_known_story().await;
    let scrape = Scrape::of(&balancer).await;
    let of = |stream, outcome| {
        let labels = format!("{{stream=\"{stream}\",outcome=\"{outcome}\"}}");
        scrape.value(&format!("stream_requests_total{labels}"))
    };
    assert_eq!([of("/a.ogg", "redirected"), of("/a.ogg", "full")], [Some(2.0), Some(2.0)]);
    assert_eq!(
        [of("/gone.ogg", "offline"), of("/dead.ogg", "unreachable")],
        [Some(1.0), Some(1.0)]
    );
    assert_eq!(scrape.value("redirects_total{stream=\"/a.ogg\",server=\"one\"}"), Some(2.0));
}

#[tokio::test]
async fn the_time_of_every_request_is_counted_once() {
    let (_relay, balancer) = a_known_story().await;
    let scrape = Scrape::of(&balancer).await;
    // All but the one that was no HTTP.
    assert_eq!(scrape.value("request_duration_seconds_count"), Some(9.0));
    assert_eq!(scrape.value("request_duration_seconds_bucket{le=\"+Inf\"}"), Some(9.0));
}

#[tokio::test]
async fn slots_that_are_promised_are_reserved_and_not_free() {
    let (_relay, balancer) = a_known_story().await;
    let scrape = Scrape::of(&balancer).await;
    let mount = |name: &str| scrape.value(&format!("{name}{{stream=\"/a.ogg\",server=\"one\"}}"));
    assert_eq!([mount("mount_max_listeners"), mount("mount_listeners")], [Some(2.0), Some(0.0)]);
    assert_eq!([mount("mount_reserved_slots"), mount("mount_free_slots")], [Some(2.0), Some(0.0)]);
    assert_eq!(scrape.value("stream_free_slots{stream=\"/a.ogg\"}"), Some(0.0));
    assert_eq!(scrape.value("stream_up{stream=\"/a.ogg\"}"), Some(0.0));
}

#[tokio::test]
async fn listeners_that_came_by_themselves_take_free_slots() {
    let relay = Relay::builder().mount("/a.ogg", 10).start().unwrap();
    relay.hold_listeners("/a.ogg", 3);
    let balancer = Balancer::start(&one(&relay)).await;
    let scrape = Scrape::of(&balancer).await;
    let labels = "{stream=\"/a.ogg\",server=\"one\"}";
    assert_eq!(scrape.value(&format!("mount_listeners{labels}")), Some(3.0));
    assert_eq!(scrape.value(&format!("mount_free_slots{labels}")), Some(7.0));
    assert_eq!(scrape.value("stream_free_slots{stream=\"/a.ogg\"}"), Some(7.0));
}

#[tokio::test]
async fn the_free_slots_of_a_stream_are_those_of_the_mounts_that_can_be_had() {
    let relays = [4, 5, 6].map(|limit| Relay::builder().mount("/a.ogg", limit).start().unwrap());
    let [one, two, draining] = relays.each_ref().map(Relay::url);
    let yaml = format!(
        "{SELDOM}servers:\n  one: '{one}'\n  two: '{two}'\n  \
         away: {{url: '{draining}', state: draining}}\nstreams: {{/a.ogg: }}\n"
    );
    let balancer = Balancer::start(&yaml).await;
    let scrape = Scrape::of(&balancer).await;
    let free = |server| {
        scrape.value(&format!("mount_free_slots{{stream=\"/a.ogg\",server=\"{server}\"}}"))
    };
    assert_eq!([free("one"), free("two"), free("away")], [Some(4.0), Some(5.0), Some(0.0)]);
    assert_eq!(scrape.value("stream_free_slots{stream=\"/a.ogg\"}"), Some(9.0));
}

#[tokio::test]
async fn a_relay_that_dies_has_no_free_slots_and_is_not_up() {
    let relay = Relay::builder().mount("/a.ogg", 4).start().unwrap();
    let yaml = one(&relay).replace("interval: 1h", "interval: 50ms");
    let balancer = Balancer::start(&yaml).await;
    relay.stop().await;
    balancer.until_health("one", "down").await;
    let scrape = Scrape::of(&balancer).await;
    let labels = "{stream=\"/a.ogg\",server=\"one\"}";
    assert_eq!(scrape.value("server_up{server=\"one\"}"), Some(0.0));
    assert_eq!(scrape.value(&format!("mount_up{labels}")), Some(0.0));
    assert_eq!(scrape.value(&format!("mount_free_slots{labels}")), Some(0.0));
    assert_eq!(scrape.value("stream_up{stream=\"/a.ogg\"}"), Some(0.0));
    assert!(scrape.value("server_polls_total{server=\"one\",result=\"connect\"}") >= Some(3.0));
}

#[tokio::test]
async fn an_unlimited_mount_has_neither_a_maximum_nor_free_slots() {
    let relay = Relay::builder().unlimited("/a.ogg").start().unwrap();
    let balancer = Balancer::start(&one(&relay)).await;
    let scrape = Scrape::of(&balancer).await;
    assert_eq!(scrape.value("mount_up{stream=\"/a.ogg\",server=\"one\"}"), Some(1.0));
    for name in ["mount_max_listeners", "mount_free_slots", "stream_free_slots"] {
        assert_eq!(scrape.with(name), Vec::<&String>::new());
    }
}

#[tokio::test]
async fn what_a_reload_removes_takes_its_series_with_it() {
    let relay = Relay::builder().mount("/a.ogg", 3).mount("/b.ogg", 3).start().unwrap();
    let url = relay.url();
    let both = format!(
        "{SELDOM}servers: {{one: '{url}', other: '{url}'}}\nstreams:\n  /a.ogg:\n  /b.ogg:\n"
    );
    let balancer = Balancer::start(&both).await;
    let before = Scrape::of(&balancer).await;
    assert!(!before.with("server=\"other\"").is_empty());
    assert!(!before.with("stream=\"/b.ogg\"").is_empty());

    // A mount goes, of a server and a stream that stay.
    let without_mount = both.replace("  /b.ogg:\n", "  /b.ogg: {servers: [one]}\n");
    reload(&balancer, &without_mount).await;
    let scrape = Scrape::of(&balancer).await;
    assert_eq!(scrape.with("stream=\"/b.ogg\",server=\"other\""), Vec::<&String>::new());
    assert!(!scrape.with("stream=\"/b.ogg\",server=\"one\"").is_empty());

    reload(&balancer, &one(&relay)).await;
    let scrape = Scrape::of(&balancer).await;
    assert_eq!(scrape.with("server=\"other\""), Vec::<&String>::new());
    assert_eq!(scrape.with("stream=\"/b.ogg\""), Vec::<&String>::new());
}

#[tokio::test]
async fn no_counter_of_what_stays_goes_back_over_reloads() {
    let (relay, balancer) = a_known_story().await;
    let mut before = Scrape::of(&balancer).await;
    for round in 0..5 {
        let more = one(&relay).replace("/a.ogg: ", &format!("/a.ogg: , /round-{round}.ogg: "));
        reload(&balancer, &more).await;
        let after = Scrape::of(&balancer).await;
        for (series, value) in before.counters() {
            if let Some(now) = after.series.get(series) {
                assert!(*now >= value, "{series} went from {value} to {now}");
            }
        }
        before = after;
    }
    assert_eq!(before.value("redirects_total{stream=\"/a.ogg\",server=\"one\"}"), Some(2.0));
    assert_eq!(before.value("config_reloads_total{result=\"ok\"}"), Some(5.0));
}

#[tokio::test]
async fn nothing_a_client_sends_makes_a_series() {
    let relay = Relay::builder().mount("/a.ogg", 3).start().unwrap();
    let balancer = Balancer::start(&one(&relay)).await;
    let before = Scrape::of(&balancer).await;
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..1_000 {
        let [path, agent, host] = [(); 3].map(|()| format!("{:x}", rng.u128(..)));
        let method = rng.choice(["GET", "HEAD", "POST", "BREW"]).unwrap();
        let request = format!(
            "{method} /{path}?{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n\
             Referer: http://{host}/\r\nConnection: close\r\n\r\n"
        );
        let answer: Answer = raw(balancer.public, &request).await;
        assert!([404, 405].contains(&answer.status), "{answer:?}");
    }
    let after = Scrape::of(&balancer).await;
    let names = |scrape: &Scrape| scrape.series.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_odd_requests_make_no_series() {
    const CLIENTS: u64 = 4;
    const ROUNDS: u64 = 250;
    const AT_ONCE: u64 = 100;
    let relay = Relay::builder().mount("/a.ogg", 3).start().unwrap();
    let balancer = Balancer::start(&one(&relay)).await;
    let before = Scrape::of(&balancer).await;
    let clients = (0..CLIENTS).map(|seed| {
        let public = balancer.public;
        tokio::spawn(async move {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut wire = Wire::to(public).await;
            for _ in 0..ROUNDS {
                let mut requests = String::new();
                for _ in 0..AT_ONCE {
                    let [path, agent, host] = [(); 3].map(|()| rng.u64(..));
                    write!(
                        requests,
                        "GET /{path:x}?{path:x} HTTP/1.1\r\nHost: {host:x}.example\r\n\
                         User-Agent: {agent:x}\r\nX-{agent:x}: {host:x}\r\n\r\n"
                    )
                    .unwrap();
                }
                wire.send(requests).await;
                for _ in 0..AT_ONCE {
                    assert_eq!(wire.answer().await.status, 404);
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let after = Scrape::of(&balancer).await;
    let unknown = after.value("requests_total{outcome=\"unknown_path\"}");
    assert_eq!(unknown, Some((CLIENTS * ROUNDS * AT_ONCE) as f64));
    let names = |scrape: &Scrape| scrape.series.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
    let size = balancer.admin_get("/metrics").await.body.len();
    println!("{} series in {size} bytes before and after 100000 requests", after.series.len());
}

#[tokio::test]
async fn ten_thousand_mounts_of_a_relay_make_no_series() {
    let relay = Relay::builder().mount("/a.ogg", 3).start().unwrap();
    let yaml = one(&relay).replace("interval: 1h", "interval: 50ms");
    let balancer = Balancer::start(&yaml).await;
    let before = Scrape::of(&balancer).await;
    let size = balancer.admin_get("/metrics").await.body.len();
    let mut document = "<slots version=\"1\">\n".to_owned();
    for number in 0..10_000 {
        writeln!(document, "<mount name=\"/{number}.ogg\" listeners=\"1\" active=\"1\"/>").unwrap();
    }
    document += "<mount name=\"/a.ogg\" listeners=\"2\" max_listeners=\"3\" active=\"1\"/></slots>";
    relay.answer_stats_with(200, &document);
    let listeners = "icecast_balancer_mount_listeners{stream=\"/a.ogg\",server=\"one\"}";
    eventually("the document is read to its end", async || {
        balancer.metric(listeners).await == Some(2.0)
    })
    .await;
    let after = Scrape::of(&balancer).await;
    let names = |scrape: &Scrape| scrape.series.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
    let now = balancer.admin_get("/metrics").await.body.len();
    println!("{} series; {size} bytes before, {now} with 10000 mounts", after.series.len());
    assert!(now < size + 200, "{now}");
    assert!(!balancer.admin_get("/").await.body.contains("/9999.ogg"));
}

#[tokio::test]
async fn connections_are_told_apart_by_whether_a_request_is_under_way() {
    let relay = Relay::builder().mount("/a.ogg", 3).start().unwrap();
    let balancer = Balancer::start(&one(&relay)).await;
    let idle = "icecast_balancer_connections{state=\"idle\"}";
    let silent = tokio::net::TcpStream::connect(balancer.public).await.unwrap();
    eventually("it is counted", async || balancer.metric(idle).await == Some(1.0)).await;
    drop(silent);
    eventually("it is forgotten", async || balancer.metric(idle).await == Some(0.0)).await;
}

#[tokio::test]
async fn the_digest_of_the_configuration_is_the_one_that_sha256sum_prints() {
    let relay = Relay::builder().mount("/a.ogg", 3).start().unwrap();
    let balancer = Balancer::start(&one(&relay)).await;
    let output = std::process::Command::new("sha256sum").arg(balancer.config()).output().unwrap();
    let digest = String::from_utf8(output.stdout).unwrap();
    let digest = digest.split(' ').next().unwrap();
    let scrape = Scrape::of(&balancer).await;
    assert_eq!(scrape.value(&format!("config_info{{sha256=\"{digest}\"}}")), Some(1.0));
}

#[tokio::test]
async fn names_that_look_like_the_format_itself_stay_inside_their_label() {
    let relay = Relay::builder().mount("/a.ogg", 3).start().unwrap();
    let yaml = format!(
        "{SELDOM}servers: {{one: '{}'}}\nstreams: {{'/a.ogg': , '/%22%5C%7D%20x.ogg': }}\n",
        relay.url()
    );
    let balancer = Balancer::start(&yaml).await;
    let scrape = Scrape::of(&balancer).await;
    assert_eq!(scrape.value(r#"stream_up{stream="/\"\\} x.ogg"}"#), Some(0.0));
}

/// Whether a scrape has series of single mounts.
async fn tells_mounts(balancer: &Balancer, path: &str) -> bool {
    let text = balancer.admin_get(path).await.body;
    let has = |metric: &str| text.contains(&format!("\nicecast_balancer_{metric}{{"));
    let tells = has("mount_up");
    assert_eq!(has("redirects_total"), tells, "{path}");
    let says = format!("\nicecast_balancer_mount_series {}\n", u8::from(tells));
    assert!(text.contains(&says), "{path}");
    assert!(has("stream_up") && has("stream_requests_total") && has("server_up"), "{path}");
    tells
}

#[tokio::test]
async fn mounts_have_no_series_of_their_own_where_nobody_wants_them_or_they_are_too_many() {
    let configuration = |servers: usize| {
        let mut yaml = "servers:\n".to_owned();
        for server in 0..servers {
            writeln!(yaml, "  r{server}: {{url: 'http://r{server}.example', state: disabled}}")
                .unwrap();
        }
        yaml.push_str("streams:\n");
        (0..100).for_each(|stream| writeln!(yaml, "  /s{stream}:").unwrap());
        yaml
    };
    for (servers, by_default) in [(200, true), (201, false)] {
        let balancer = Balancer::start(&configuration(servers)).await;
        assert_eq!(tells_mounts(&balancer, "/metrics").await, by_default, "{servers}");
        assert!(tells_mounts(&balancer, "/metrics?mounts=all").await, "{servers}");
        assert!(!tells_mounts(&balancer, "/metrics?mounts=none").await, "{servers}");
    }
}
