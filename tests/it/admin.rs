//! The admin port: health, status, page, and who may have the configuration read.

use std::fs;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::life::program::Program;
use crate::relay::Relay;
use crate::support::{Answer, Balancer, PORTS, eventually, raw};

fn yaml(relay: &Relay) -> String {
    format!("servers: {{one: '{}'}}\nstreams: {{/a.ogg: }}\n", relay.url())
}

async fn simple() -> (Relay, Balancer) {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    let balancer = Balancer::start(&yaml(&relay)).await;
    (relay, balancer)
}

async fn ask(balancer: &Balancer, method: &str, path: &str, headers: &str) -> Answer {
    let host = if headers.contains("Host:") { "" } else { "Host: localhost\r\n" };
    let headers = format!("{host}{headers}");
    let request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    raw(balancer.admin, &request).await
}

#[tokio::test]
async fn healthz_says_that_the_process_serves() {
    let (_relay, balancer) = simple().await;
    let answer = balancer.admin_get("/healthz").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
}

#[tokio::test]
async fn it_is_not_ready_before_every_server_was_asked_but_after_five_seconds_it_is() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    relay.hang();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("balancer.yaml");
    let yaml = yaml(&relay);
    fs::write(&file, format!("{PORTS}poll: {{timeout: 1h}}\n{yaml}")).unwrap();
    let program = Program::start(&file, &[]).await;
    let answer = program.admin_get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body, "starting: one has not been asked yet\n");
    eventually("ready", async || program.admin_get("/readyz").await.status == 200).await;
}

#[tokio::test]
async fn relays_that_are_down_do_not_make_it_unready() {
    let (relay, balancer) = simple().await;
    relay.stop().await;
    balancer.until_health("one", "down").await;
    assert_eq!(balancer.admin_get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_server_that_is_disabled_is_not_waited_for() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    let yaml = format!(
        "servers: {{one: '{}', off: {{url: 'http://127.0.0.1:9', state: disabled}}}}\n\
         streams: {{/a.ogg: }}\n",
        relay.url()
    );
    let balancer = Balancer::start(&yaml).await;
    let uptime = balancer.status().await["uptime_seconds"].as_f64().unwrap();
    assert!(uptime < 5.0, "ready only after {uptime} s");
}

#[tokio::test]
async fn it_is_not_ready_while_it_stops() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("balancer.yaml");
    fs::write(&file, format!("{PORTS}{}", yaml(&relay))).unwrap();
    let program = Program::start(&file, &[]).await;
    // Half a request keeps it from ending at once.
    let mut half = TcpStream::connect(program.public).await.unwrap();
    half.write_all(b"GET /a.ogg HT").await.unwrap();
    eventually("the half request is there", async || {
        program.admin_get("/metrics").await.body.contains("connections{state=\"idle\"} 1")
    })
    .await;
    program.signal("TERM");
    program.until_logged("stopping").await;
    let answer = program.admin_get("/readyz").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "stopping\n"));
}

#[tokio::test]
async fn the_status_tells_what_is_true() {
    let relay = Relay::builder().mount("/a.ogg", 5).clients(20).start().unwrap();
    relay.hold_listeners("/a.ogg", 2);
    let settings = "poll: {interval: 1h, fast_interval: 1h, stale_after: 1h}\n\
                    balance: {headroom: 0, settle: 1h}\n";
    let balancer = Balancer::start(&format!("{settings}{}", yaml(&relay))).await;
    balancer.get("/a.ogg").await.location();
    let status = balancer.status().await;
    let mount = &status["streams"][0]["mounts"][0];
    assert_eq!(
        (&mount["listeners"], &mount["reserved"], &mount["max_listeners"], &mount["free"]),
        (&2.into(), &1.into(), &5.into(), &2.into()),
        "{mount}"
    );
    assert_eq!((&mount["presence"], &mount["redirects"]), (&"active".into(), &1.into()));
    let server = &status["servers"][0];
    assert_eq!((&server["up"], &server["source"]), (&true.into(), &"slots".into()), "{server}");
    assert_eq!(status["streams"][0]["up"], true);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn the_page_shows_streams_relays_and_slots() {
    let (relay, balancer) = simple().await;
    relay.hold_listeners("/a.ogg", 4);
    eventually("the page counts", async || {
        let page = balancer.admin_get("/").await.body;
        let row = page.split("<tr data-key=\"one\">").nth(1).unwrap_or_default();
        let row: Vec<&str> = row.split("</tr>").next().unwrap_or_default().split("<td").collect();
        // In use, listeners, on their way, limit, free.
        page.contains("<code>/a.ogg</code>")
            && row.len() > 5
            && row[1].contains("80 %")
            && row[2].ends_with(">4</td>")
            && row[3].ends_with(">0</td>")
            && row[4].ends_with(">5</td>")
            && row[5].ends_with(">1</td>")
    })
    .await;
}

#[tokio::test]
async fn the_page_may_run_its_own_script_and_load_its_own_files_alone() {
    let (_relay, balancer) = simple().await;
    let answer = balancer.admin_get("/").await;
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    for rule in
        ["script-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
    {
        assert!(policy.contains(rule), "{rule}: {policy}");
    }
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.body.matches("<script").count(), 1, "{}", answer.body);
    assert!(answer.body.contains("<script src=\"live.js\" defer></script>"), "{}", answer.body);
    for forbidden in ["style=", " onclick", " onload", "http-equiv=\"Content"] {
        assert!(!answer.body.contains(forbidden), "{forbidden}: {}", answer.body);
    }
}

#[tokio::test]
async fn what_the_page_loads_is_there() {
    let (_relay, balancer) = simple().await;
    let page = balancer.admin_get("/").await.body;
    for (file, content_type) in [
        ("live.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ] {
        assert!(page.contains(&format!("=\"{file}\"")), "{file}: {page}");
        let answer = balancer.admin_get(&format!("/{file}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.body.len() > 100, "{file}");
    }
}

#[tokio::test]
async fn without_a_script_the_page_comes_anew_and_shows_all_there_is() {
    let (_relay, balancer) = simple().await;
    let page = balancer.admin_get("/").await.body;
    assert!(page.contains("<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>"));
    assert!(page.contains("<form id=\"search\" action=\".\" method=\"get\">"), "{page}");
}

#[tokio::test]
async fn hostile_names_are_inert_on_the_page() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    let url = relay.url();
    let yaml = format!(
        "servers: {{one: '{url}'}}\nstreams:\n  '/%3Cscript%3Ealert(1)%3C/script%3E':\n    \
         mounts: {{one: '/%22%3E%3Cimg%20src=x%20onerror=alert(2)%3E'}}\n"
    );
    let balancer = Balancer::start(&yaml).await;
    let page = balancer.admin_get("/").await.body;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert!(page.contains("/&quot;&gt;&lt;img src=x onerror=alert(2)&gt;"), "{page}");
    assert!(!page.contains("<script>") && !page.contains("<img"), "{page}");
}

#[tokio::test]
async fn what_a_relay_says_of_its_trouble_is_inert_on_the_page() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    relay.answer_stats_with(200, "<script>alert(1)</script>");
    let balancer = Balancer::start(&yaml(&relay)).await;
    let page = balancer.admin_get("/").await.body;
    assert!(!page.contains("<script>"), "{page}");
}

#[tokio::test]
async fn the_diagnostics_of_a_refused_configuration_are_on_the_page() {
    let (_relay, balancer) = simple().await;
    balancer.edit("streams: {'/<b>': 7}\n");
    assert_eq!(ask(&balancer, "POST", "/-/reload", "").await.status, 422);
    let page = balancer.admin_get("/").await.body;
    assert!(page.contains("The configuration on disk is refused"), "{page}");
    assert!(page.contains("balancer.yaml:"), "{page}");
    assert!(page.contains("/&lt;b&gt;") && !page.contains("<b>"), "{page}");
}

#[tokio::test]
async fn a_post_from_this_host_needs_no_token() {
    let (_relay, balancer) = simple().await;
    assert_eq!(ask(&balancer, "POST", "/-/reload", "").await.status, 200);
}

#[tokio::test]
async fn a_post_that_a_web_site_made_a_browser_send_is_refused() {
    let (_relay, balancer) = simple().await;
    for origin in ["http://evil.example", "null", "http://127.0.0.1:9090"] {
        let answer = ask(&balancer, "POST", "/-/reload", &format!("Origin: {origin}\r\n")).await;
        assert_eq!(answer.status, 401, "{origin}");
    }
}

/// A balancer whose admin token is `open sesame`.
async fn with_token() -> (Relay, Balancer, tempfile::TempDir) {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "open sesame\n").unwrap();
    let yaml = format!("admin_token_file: '{}'\n{}", token.display(), yaml(&relay));
    (relay, Balancer::start(&yaml).await, folder)
}

#[tokio::test]
async fn the_right_token_opens() {
    let (_relay, balancer, _folder) = with_token().await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let header = format!("Authorization: {scheme} open sesame\r\nOrigin: http://x\r\n");
        assert_eq!(ask(&balancer, "POST", "/-/reload", &header).await.status, 200, "{scheme}");
    }
}

#[tokio::test]
async fn a_wrong_token_does_not_open_even_from_this_host() {
    let (_relay, balancer, _folder) = with_token().await;
    for token in ["open", "open sesame!", "", "Open sesame", "open sesam"] {
        let header = format!("Authorization: Bearer {token}\r\n");
        let answer = ask(&balancer, "POST", "/-/reload", &header).await;
        assert_eq!(answer.status, 401, "{token:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
}

#[tokio::test]
async fn a_new_token_in_the_file_replaces_the_old_one() {
    let (_relay, balancer, folder) = with_token().await;
    fs::write(folder.path().join("token"), "changed\n").unwrap();
    let new = "Authorization: Bearer changed\r\n";
    eventually("the new token opens", async || {
        ask(&balancer, "POST", "/-/reload", new).await.status == 200
    })
    .await;
    let old = "Authorization: Bearer open sesame\r\n";
    assert_eq!(ask(&balancer, "POST", "/-/reload", old).await.status, 401);
}

#[tokio::test]
async fn reload_cannot_be_got_by_following_a_link() {
    let (_relay, balancer) = simple().await;
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        let answer = ask(&balancer, method, "/-/reload", "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
}

#[tokio::test]
async fn nothing_else_takes_a_post() {
    let (_relay, balancer) = simple().await;
    for path in ["/", "/metrics", "/api/v1/status", "/nothing"] {
        let answer = ask(&balancer, "POST", path, "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let (_relay, balancer) = simple().await;
    for path in ["/nothing", "/metrics/", "//metrics", "/../metrics", "/api/v1/"] {
        assert_eq!(balancer.admin_get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_query_changes_nothing() {
    let (_relay, balancer) = simple().await;
    assert_eq!(balancer.admin_get("/healthz?x=1").await.status, 200);
}

#[tokio::test]
async fn a_head_is_answered_without_a_body() {
    let (_relay, balancer) = simple().await;
    for path in ["/", "/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/events"] {
        let answer = ask(&balancer, "HEAD", path, "").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
    }
}

/// A name that somebody has pointed at this host, so that a browser here takes pages of that name
/// and our answers for one site. It sends no foreign `Origin` then.
#[tokio::test]
async fn a_post_under_a_name_of_somebody_else_is_refused() {
    let (_relay, balancer) = simple().await;
    for host in ["evil.example", "evil.example:9090", "localhost.evil.example", ""] {
        let answer = ask(&balancer, "POST", "/-/reload", &format!("Host: {host}\r\n")).await;
        assert!([400, 401].contains(&answer.status), "{host:?}: {answer:?}");
    }
    for host in ["localhost:9090", "127.0.0.1", "[::1]:9090"] {
        let answer = ask(&balancer, "POST", "/-/reload", &format!("Host: {host}\r\n")).await;
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[tokio::test]
async fn prometheus_and_operators_may_look_by_any_name() {
    let (_relay, balancer) = simple().await;
    for path in ["/", "/metrics", "/healthz", "/readyz", "/api/v1/status"] {
        let answer = ask(&balancer, "GET", path, "Host: balancer.example.org:9090\r\n").await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[tokio::test]
async fn the_right_token_opens_by_any_name() {
    let (_relay, balancer, _folder) = with_token().await;
    let headers = "Host: balancer.example.org\r\nAuthorization: Bearer open sesame\r\n";
    assert_eq!(ask(&balancer, "POST", "/-/reload", headers).await.status, 200);
}

/// Every path of the admin port, and ways to write them that somebody might fall for.
fn admin_paths() -> Vec<String> {
    let mut paths = Vec::new();
    let live = ["/api/v1/events", "/live.js"];
    for path in ["/", "/metrics", "/healthz", "/readyz", "/api/v1/status", "/-/reload"]
        .into_iter()
        .chain(live)
    {
        let escaped = path.replace('m', "%6D").replace('h', "%68").replace('-', "%2D");
        let (slash, upper) = (format!("{path}/"), path.to_uppercase());
        let odd =
            [escaped, slash, upper, format!("/{path}"), format!("/.{path}"), format!("{path}?x")];
        paths.push(path.to_owned());
        paths.extend(odd);
        paths.push(format!("/a.ogg/..{path}"));
        paths.push(format!("http://127.0.0.1:9090{path}"));
    }
    paths
}

#[tokio::test]
async fn no_request_to_the_public_port_reaches_anything_of_the_admin_port() {
    let (_relay, balancer) = simple().await;
    let admin = balancer.admin;
    for path in admin_paths() {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE"] {
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
            let answer = raw(balancer.public, &request).await;
            let status = answer.status;
            assert!([400, 404, 405].contains(&status), "{method} {path}: {answer:?}");
            for word in ["icecast_balancer_", "sha256", "ready", "unchanged", "reloaded"] {
                assert!(!answer.body.contains(word), "{method} {path}: {answer:?}");
            }
        }
    }
    let reloads = "icecast_balancer_config_reloads_total{result=\"unchanged\"}";
    assert_eq!(balancer.metric(reloads).await, Some(0.0));
}

#[tokio::test]
async fn of_the_admin_port_only_a_post_to_reload_does_anything() {
    let (_relay, balancer) = simple().await;
    // Events have no end; they are read elsewhere.
    for path in admin_paths().into_iter().filter(|path| !path.contains("events")) {
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            ask(&balancer, method, &path, "").await;
        }
        if !path.ends_with("/-/reload") && !path.contains("/-/reload?") {
            let answer = ask(&balancer, "POST", &path, "").await;
            assert!(answer.status >= 400, "POST {path}: {answer:?}");
        }
    }
    let reloads = "icecast_balancer_config_reloads_total{result=\"unchanged\"}";
    assert_eq!(balancer.metric(reloads).await, Some(0.0));
}

#[tokio::test]
async fn silent_and_half_sent_connections_keep_operators_out_for_seconds_at_most() {
    let (_relay, balancer) = simple().await;
    let mut held = Vec::new();
    for number in 0..300 {
        let mut socket = TcpStream::connect(balancer.admin).await.unwrap();
        if number % 2 == 0 {
            // It may have been turned away already.
            drop(socket.write_all(b"GET /metrics HT").await);
        }
        held.push(socket);
    }
    eventually("an operator is answered", async || {
        balancer.admin_get("/healthz").await.status == 200
    })
    .await;
    drop(held);
}

#[tokio::test]
async fn a_body_without_end_is_not_read() {
    let (_relay, balancer) = simple().await;
    let headers = "Content-Length: 1000000000000\r\n\r\n".to_owned() + &"x".repeat(1 << 20);
    let answer = ask(&balancer, "POST", "/-/reload", &headers).await;
    assert!([0, 200].contains(&answer.status), "{answer:?}");
    assert_eq!(balancer.admin_get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_start_warns_of_an_admin_port_that_others_reach_and_of_no_other() {
    let relay = Relay::builder().mount("/a.ogg", 5).start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, token) = (folder.path().join("balancer.yaml"), folder.path().join("token"));
    fs::write(&token, "open sesame\n").unwrap();
    let words = "without admin_token_file POST is for this host alone";
    for (admin, with_token, warned) in
        [("0.0.0.0:0", false, true), ("0.0.0.0:0", true, false), ("127.0.0.1:0", false, false)]
    {
        let ports = PORTS.replace("admin: '127.0.0.1:0'", &format!("admin: '{admin}'"));
        let token = if with_token { "admin_token_file: token\n" } else { "" };
        fs::write(&file, format!("{ports}{token}{}", yaml(&relay))).unwrap();
        let program = Program::start(&file, &[]).await;
        assert_eq!(program.log().contains(words), warned, "{}", program.log());
    }
}

#[tokio::test]
async fn the_public_port_knows_no_path_of_the_admin_port() {
    let (_relay, balancer) = simple().await;
    for path in ["/", "/metrics", "/healthz", "/readyz", "/api/v1/status", "/-/reload"] {
        assert_eq!(balancer.get(path).await.status, 404, "{path}");
    }
    let post = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(balancer.public, post).await.status, 405);
}
