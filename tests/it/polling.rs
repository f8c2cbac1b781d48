//! What the balancer learns from looking at relays, and what it makes of relays that fail.

mod stub;

use serde_json::Value;

use crate::relay::Relay;
use crate::relay::state::Source;
use crate::relay::stats::Document;
use crate::support::{Balancer, Player, eventually, number, servers, servers_with};

use stub::Stub;

/// Looks every few milliseconds, so that nobody waits.
const BUSY: &str = "poll: {interval: 20ms, fast_interval: 20ms, slow_start: 0s}\n";

const STREAM: &str = "streams: {/saal1.ogg: }\n";

/// A balancer that looks often at these relays, each with `settings`, for the stream `/saal1.ogg`.
async fn watching(relays: &[&Relay], settings: &str) -> Balancer {
    Balancer::start(&format!("{BUSY}{}{STREAM}", servers_with(relays, settings))).await
}

fn relay(limit: u64) -> Relay {
    Relay::builder().mount("/saal1.ogg", limit).start().unwrap()
}

/// The first (for most tests: the only) server of the status.
async fn server(balancer: &Balancer) -> Value {
    balancer.status().await["servers"][0].clone()
}

/// The first (for most tests: the only) mount of the first stream.
async fn mount(balancer: &Balancer) -> Value {
    balancer.status().await["streams"][0]["mounts"][0].clone()
}

/// How many looks at `r0` ended like this.
async fn polls(balancer: &Balancer, result: &str) -> f64 {
    let labels = format!("{{server=\"r0\",result=\"{result}\"}}");
    balancer.metric(&format!("icecast_balancer_server_polls_total{labels}")).await.unwrap()
}

async fn until_polled(balancer: &Balancer, result: &str) {
    eventually(&format!("a look ends with {result}"), async || polls(balancer, result).await > 0.0)
        .await;
}

/// Waits until so many more looks were begun; the last but one has then been entered.
async fn until_polled_again(relay: &Relay, times: u64) {
    let before = relay.polls();
    eventually("the relay is looked at again", async || relay.polls() >= before + times).await;
}

mod sources {
    //! Each statistics document, and the choice among them.

    use super::*;

    #[tokio::test]
    async fn slots_tells_listeners_and_limit() {
        let relay = Relay::builder().only(Document::Slots).mount("/saal1.ogg", 50).start().unwrap();
        relay.hold_listeners("/saal1.ogg", 7);
        let balancer = watching(&[&relay], "stats: {source: slots}").await;
        assert_eq!(server(&balancer).await["source"], "slots");
        let mount = mount(&balancer).await;
        assert_eq!((number(&mount, "/listeners"), number(&mount, "/max_listeners")), (7, 50));
        assert_eq!(number(&mount, "/free"), 50 - 2 - 7);
    }

    #[tokio::test]
    async fn load_xsl_of_2010_tells_free_slots() {
        let relay = Relay::builder().only(Document::Load).mount("/saal1.ogg", 50).start().unwrap();
        relay.hold_listeners("/saal1.ogg", 7);
        let balancer = watching(&[&relay], "stats: {source: slots}").await;
        assert_eq!(server(&balancer).await["source"], "load.xsl");
        assert_eq!(number(&mount(&balancer).await, "/free"), 50 - 2 - 7);
    }

    #[tokio::test]
    async fn admin_tells_listeners_and_limit_to_who_has_the_password() {
        let relay = Relay::builder()
            .only(Document::Admin)
            .admin("boss", "hackme")
            .mount("/saal1.ogg", 50)
            .start()
            .unwrap();
        relay.hold_listeners("/saal1.ogg", 7);
        let account = "stats: {source: admin, username: boss, password: hackme}";
        let balancer = watching(&[&relay], account).await;
        assert_eq!(server(&balancer).await["source"], "admin");
        let mount = mount(&balancer).await;
        assert_eq!((number(&mount, "/listeners"), number(&mount, "/max_listeners")), (7, 50));
    }

    #[tokio::test]
    async fn the_admin_password_may_stand_in_a_file() {
        let relay = Relay::builder()
            .only(Document::Admin)
            .admin("admin", "hack me")
            .mount("/saal1.ogg", 50)
            .start()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hack me\n").unwrap();
        let account = format!("stats: {{source: admin, password_file: '{}'}}", file.display());
        let balancer = watching(&[&relay], &account).await;
        assert_eq!(server(&balancer).await["source"], "admin");
    }

    #[tokio::test]
    async fn the_password_is_sent_to_no_other_document() {
        let relay = Relay::builder()
            .only(Document::StatusJson)
            .admin("admin", "hackme")
            .mount("/saal1.ogg", 50)
            .start()
            .unwrap();
        let balancer = watching(&[&relay], "stats: {password: hackme}").await;
        assert_eq!(server(&balancer).await["source"], "status-json");
        let told: Vec<_> = relay
            .requests()
            .into_iter()
            .filter(|request| request.head.to_lowercase().contains("authorization"))
            .map(|request| request.target)
            .collect();
        assert!(told.iter().all(|target| target == "/admin/stats"), "{told:?}");
    }

    #[tokio::test]
    async fn status_json_tells_listeners_and_no_limit() {
        let relay =
            Relay::builder().only(Document::StatusJson).mount("/saal1.ogg", 50).start().unwrap();
        relay.hold_listeners("/saal1.ogg", 7);
        let balancer = watching(&[&relay], "stats: {source: status-json}").await;
        assert_eq!(server(&balancer).await["source"], "status-json");
        let mount = mount(&balancer).await;
        assert_eq!(number(&mount, "/listeners"), 7);
        assert_eq!((&mount["max_listeners"], &mount["free"]), (&Value::Null, &Value::Null));
    }

    #[tokio::test]
    async fn where_the_relay_tells_no_limit_the_configured_one_holds() {
        let relay =
            Relay::builder().only(Document::StatusJson).mount("/saal1.ogg", 50).start().unwrap();
        let streams = "streams: {/saal1.ogg: {mounts: {r0: {max_listeners: 1}}}}\n";
        let balancer = Balancer::start(&format!("{BUSY}{}{streams}", servers(&[&relay]))).await;
        assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
        assert_eq!(balancer.get("/saal1.ogg").await.status, 503);
    }

    #[tokio::test]
    async fn of_all_documents_slots_is_chosen() {
        let relay =
            Relay::builder().admin("admin", "hackme").mount("/saal1.ogg", 50).start().unwrap();
        let balancer = watching(&[&relay], "stats: {password: hackme}").await;
        assert_eq!(server(&balancer).await["source"], "slots");
        assert!(relay.requests().iter().all(|request| request.target == "/slots.xsl"));
    }

    #[tokio::test]
    async fn when_a_document_is_withdrawn_the_next_best_is_read() {
        let relay =
            Relay::builder().admin("admin", "hackme").mount("/saal1.ogg", 50).start().unwrap();
        let balancer = watching(&[&relay], "stats: {password: hackme}").await;
        for (withdrawn, next) in [
            (Document::Slots, "admin"),
            (Document::Admin, "load.xsl"),
            (Document::Load, "status-json"),
        ] {
            relay.withdraw(withdrawn);
            eventually(next, async || server(&balancer).await["source"] == next).await;
            assert_eq!(server(&balancer).await["health"], "up");
        }
    }

    #[tokio::test]
    async fn a_better_document_is_found_when_it_is_installed() {
        let relay =
            Relay::builder().only(Document::StatusJson).mount("/saal1.ogg", 50).start().unwrap();
        let balancer = watching(&[&relay], "").await;
        assert_eq!(server(&balancer).await["source"], "status-json");
        relay.offer(Document::Slots);
        eventually("slots.xsl is found", async || server(&balancer).await["source"] == "slots")
            .await;
    }

    #[tokio::test]
    async fn a_document_that_was_asked_for_is_not_replaced_by_another() {
        let relay = relay(50);
        let balancer = watching(&[&relay], "stats: {source: status-json}").await;
        relay.withdraw(Document::StatusJson);
        until_polled(&balancer, "http_status").await;
        assert!(relay.requests().iter().all(|request| request.target == "/status-json.xsl"));
    }

    #[tokio::test]
    async fn a_wrong_password_is_told_as_such() {
        let relay =
            Relay::builder().admin("admin", "hackme").mount("/saal1.ogg", 50).start().unwrap();
        let balancer = watching(&[&relay], "stats: {source: admin, password: hunter2}").await;
        until_polled(&balancer, "unauthorized").await;
        let server = server(&balancer).await;
        let trouble = server["trouble"].as_str().unwrap();
        assert!(trouble.contains("/admin/stats answers 401"), "{trouble}");
        assert!(trouble.contains("stats.password"), "{trouble}");
        assert!(!trouble.contains("hunter2"), "{trouble}");
    }
}

mod faults {
    //! Relays that fail, each in its way.

    use super::*;

    #[tokio::test]
    async fn a_relay_at_its_global_limit_is_full_and_not_down() {
        for settings in ["", "max_listeners: 1000"] {
            let relay = Relay::builder().clients(50).mount("/saal1.ogg", 100).start().unwrap();
            let balancer = watching(&[&relay], settings).await;
            let polled_well = polls(&balancer, "ok").await;
            // With its source, these are all the clients it takes; even a look is one too many.
            relay.hold_listeners("/saal1.ogg", 49);
            until_polled(&balancer, "http_status").await;
            let answer = balancer.get("/saal1.ogg").await;
            assert_eq!(answer.status, 503, "{settings}");
            assert!(answer.body.starts_with("full: "), "{}", answer.body);
            until_polled_again(&relay, 10).await;
            let server = server(&balancer).await;
            assert_eq!(server["health"], "up");
            assert!(server["trouble"].as_str().unwrap().contains("full"), "{server}");
            assert_eq!(
                balancer.metric("icecast_balancer_server_up{server=\"r0\"}").await,
                Some(1.0)
            );

            relay.hold_listeners("/saal1.ogg", 30);
            eventually("it is looked at well again", async || {
                polls(&balancer, "ok").await > polled_well && mount(&balancer).await["free"] == 68
            })
            .await;
            let player = Player::follow(balancer.get("/saal1.ogg").await.location()).await;
            assert_eq!(player.status, 200);
        }
    }

    #[tokio::test]
    async fn a_relay_that_stays_full_stays_up() {
        let relay = Relay::builder().clients(50).mount("/saal1.ogg", 100).start().unwrap();
        let impatient = "poll: {interval: 20ms, fast_interval: 20ms, stale_after: 100ms}\n";
        let balancer = Balancer::start(&format!("{impatient}{}{STREAM}", servers(&[&relay]))).await;
        relay.hold_listeners("/saal1.ogg", 49);
        until_polled(&balancer, "http_status").await;
        eventually("it has been full for longer than numbers are believed", async || {
            let lasted = polls(&balancer, "http_status").await;
            lasted > 10.0
        })
        .await;
        let up = balancer.metric("icecast_balancer_server_up{server=\"r0\"}").await;
        assert_eq!(up, Some(1.0));
        let answer = balancer.get("/saal1.ogg").await;
        assert!(answer.body.starts_with("full: "), "{}", answer.body);
    }

    #[tokio::test]
    async fn a_relay_that_is_full_at_the_very_first_look_is_full_and_not_down() {
        let relay = Relay::builder().clients(1).mount("/saal1.ogg", 100).start().unwrap();
        let balancer = watching(&[&relay], "").await;
        assert_eq!(server(&balancer).await["health"], "up");
        let answer = balancer.get("/saal1.ogg").await;
        assert_eq!(answer.status, 503);
        assert!(answer.body.starts_with("full: "), "{}", answer.body);
    }

    #[tokio::test]
    async fn a_full_relay_leaves_its_players_to_the_others() {
        let full = Relay::builder().clients(1).mount("/saal1.ogg", 100).start().unwrap();
        let other = relay(100);
        let balancer = watching(&[&full, &other], "").await;
        for _ in 0..20 {
            let answer = balancer.get("/saal1.ogg").await;
            assert!(answer.location().starts_with(&other.url()));
        }
    }

    #[tokio::test]
    async fn a_hung_relay_delays_neither_another_look_nor_a_redirect() {
        let (hung, other) = (relay(1_000), relay(1_000));
        let patient = "poll: {interval: 20ms, fast_interval: 20ms, timeout: 1h}\n";
        let yaml = format!("{patient}{}{STREAM}", servers(&[&hung, &other]));
        let balancer = Balancer::start(&yaml).await;
        hung.hang();
        until_polled_again(&other, 3).await;
        let hung_since = hung.polls();
        until_polled_again(&other, 20).await;
        for _ in 0..50 {
            assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
        }
        assert!(hung.polls() <= hung_since + 1, "it is asked once and waited for");
    }

    #[tokio::test]
    async fn a_relay_that_hangs_is_doubted_and_then_down() {
        let relay = relay(10);
        let patient = "poll: {interval: 20ms, fast_interval: 20ms, timeout: 50ms}\n";
        let balancer = Balancer::start(&format!("{patient}{}{STREAM}", servers(&[&relay]))).await;
        relay.hang();
        balancer.until_health("r0", "doubtful").await;
        balancer.until_health("r0", "down").await;
        assert!(polls(&balancer, "timeout").await >= 3.0);
        let server = server(&balancer).await;
        assert!(server["trouble"].as_str().is_some_and(|trouble| !trouble.is_empty()), "{server}");
    }

    #[tokio::test]
    async fn a_relay_that_refuses_connections_gets_nobody_from_the_first_refusal_on() {
        let (gone, other) = (relay(1_000), relay(1_000));
        let slow_to_judge = "poll: {interval: 20ms, fast_interval: 20ms, fall: 1000}\n";
        let yaml = format!("{slow_to_judge}{}{STREAM}", servers(&[&gone, &other]));
        let balancer = Balancer::start(&yaml).await;
        gone.stop().await;
        until_polled(&balancer, "connect").await;
        assert_eq!(server(&balancer).await["health"], "doubtful", "far from down");
        for _ in 0..50 {
            assert!(balancer.get("/saal1.ogg").await.location().starts_with(&other.url()));
        }
    }

    #[tokio::test]
    async fn a_relay_is_down_only_after_fall_bad_looks() {
        let relay = relay(10);
        let poll = "poll: {interval: 20ms, fast_interval: 20ms, fall: 7}\n";
        let balancer = Balancer::start(&format!("{poll}{}{STREAM}", servers(&[&relay]))).await;
        relay.answer_stats_with(500, "");
        balancer.until_health("r0", "down").await;
        assert!(polls(&balancer, "http_status").await >= 7.0);
    }

    #[tokio::test]
    async fn a_relay_is_up_again_only_after_rise_good_looks() {
        let relay = relay(10);
        let poll = "poll: {interval: 20ms, fast_interval: 20ms, rise: 7, slow_start: 0s}\n";
        let balancer = Balancer::start(&format!("{poll}{}{STREAM}", servers(&[&relay]))).await;
        relay.stop().await;
        balancer.until_health("r0", "down").await;
        let good_before = polls(&balancer, "ok").await;
        relay.restart().unwrap();
        balancer.until_health("r0", "up").await;
        assert!(polls(&balancer, "ok").await >= good_before + 7.0);
        assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
    }

    #[tokio::test]
    async fn a_relay_that_comes_back_is_filled_gradually() {
        let relay = relay(100);
        let poll = "poll: {interval: 20ms, fast_interval: 20ms, slow_start: 1h}\n";
        let balancer = Balancer::start(&format!("{poll}{}{STREAM}", servers(&[&relay]))).await;
        relay.stop().await;
        balancer.until_health("r0", "down").await;
        relay.restart().unwrap();
        balancer.until_health("r0", "recovering").await;
        assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
    }

    #[tokio::test]
    async fn statistics_over_1_mib_are_too_large() {
        let relay = relay(10);
        let balancer = watching(&[&relay], "").await;
        let page = format!("<slots>{}</slots>", " ".repeat(1 << 20));
        relay.answer_stats_with(200, &page);
        until_polled(&balancer, "too_large").await;
        balancer.until_health("r0", "down").await;
    }

    #[tokio::test]
    async fn statistics_of_almost_1_mib_are_read() {
        let relay = relay(10);
        let balancer = watching(&[&relay], "").await;
        let mount = r#"<mount name="/saal1.ogg" listeners="3" max_listeners="9" active="1"/>"#;
        let page = format!("<slots>{}{mount}</slots>", " ".repeat((1 << 20) - 200));
        relay.answer_stats_with(200, &page);
        eventually("they are read", async || super::mount(&balancer).await["listeners"] == 3).await;
    }

    #[tokio::test]
    async fn an_html_page_with_status_200_is_no_statistics() {
        let relay = relay(10);
        let balancer = watching(&[&relay], "").await;
        relay.answer_stats_with(200, "<!DOCTYPE html><html><body>parked</body></html>");
        until_polled(&balancer, "malformed").await;
        eventually("it is doubted", async || server(&balancer).await["health"] != "up").await;
        assert_eq!(mount(&balancer).await["presence"], "active", "what was known stays");
    }

    #[tokio::test]
    async fn statistics_that_redirect_are_not_followed() {
        let elsewhere = relay(10);
        let location = format!("{}/slots.xsl", elsewhere.url());
        let head = format!("HTTP/1.0 302 Found\r\nLocation: {location}\r\n\r\n");
        let stub = Stub::answering(head.into_bytes()).await;
        let balancer = Balancer::start(&stub.config(BUSY, STREAM)).await;
        until_polled(&balancer, "http_status").await;
        assert_eq!(elsewhere.polls(), 0);
    }

    #[tokio::test]
    async fn an_answer_without_an_end_costs_no_more_than_the_timeout() {
        let stub = Stub::dripping(b"HTTP/1.0 200 OK\r\n\r\n<slots>".to_vec()).await;
        let poll = "poll: {interval: 20ms, fast_interval: 20ms, timeout: 100ms}\n";
        let balancer = Balancer::start(&stub.config(poll, STREAM)).await;
        until_polled(&balancer, "timeout").await;
    }

    #[tokio::test]
    async fn bytes_that_are_not_http_are_malformed() {
        let stub = Stub::answering(b"\x16\x03\x01 not HTTP\r\n\r\n".to_vec()).await;
        let balancer = Balancer::start(&stub.config(BUSY, STREAM)).await;
        until_polled(&balancer, "malformed").await;
    }

    #[tokio::test]
    async fn a_head_without_an_end_is_malformed() {
        let head = b"HTTP/1.0 200 OK\r\n".to_vec();
        let endless = [head, b"X-Header: evil\r\n".repeat(100_000)].concat();
        let stub = Stub::answering(endless).await;
        let balancer = Balancer::start(&stub.config(BUSY, STREAM)).await;
        until_polled(&balancer, "malformed").await;
    }
}

mod mounts {
    //! What becomes of mounts, and of who listens to them.

    use super::*;

    #[tokio::test]
    async fn a_mount_that_is_removed_is_offline_at_the_next_look() {
        let relay = relay(10);
        let balancer = watching(&[&relay], "").await;
        assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
        relay.remove_mount("/saal1.ogg");
        until_polled_again(&relay, 2).await;
        let answer = balancer.get("/saal1.ogg").await;
        assert_eq!(answer.status, 503);
        assert!(answer.body.starts_with("offline: "), "{}", answer.body);

        relay.add_mount("/saal1.ogg", Some(10));
        until_polled_again(&relay, 2).await;
        assert_eq!(balancer.get("/saal1.ogg").await.status, 302);
    }

    #[tokio::test]
    async fn a_mount_on_demand_that_nobody_woke_comes_after_one_that_plays() {
        let idle = Relay::builder().on_demand("/saal1.ogg", Some(100)).start().unwrap();
        let playing = relay(100);
        let balancer = watching(&[&idle, &playing], "").await;
        assert_eq!(mount(&balancer).await["presence"], "idle");
        for _ in 0..20 {
            assert!(balancer.get("/saal1.ogg").await.location().starts_with(&playing.url()));
        }
    }

    #[tokio::test]
    async fn a_mount_on_demand_is_woken_where_no_other_plays() {
        let idle = Relay::builder().on_demand("/saal1.ogg", Some(100)).start().unwrap();
        let balancer = watching(&[&idle], "").await;
        let player = Player::follow(balancer.get("/saal1.ogg").await.location()).await;
        assert_eq!(player.status, 200);
        eventually("it plays", async || mount(&balancer).await["presence"] == "active").await;
    }

    #[tokio::test]
    async fn a_mount_on_demand_whose_master_is_dead_is_listed_all_the_same() {
        let dead = Relay::builder().on_demand("/saal1.ogg", Some(100)).start().unwrap();
        dead.set_source("/saal1.ogg", Source::Dead);
        let playing = relay(3);
        let balancer = watching(&[&dead, &playing], "").await;
        for _ in 0..3 {
            assert!(balancer.get("/saal1.ogg").await.location().starts_with(&playing.url()));
        }
        // Nobody can know that it is dead before somebody has tried.
        assert!(balancer.get("/saal1.ogg").await.location().starts_with(&dead.url()));
    }

    #[tokio::test]
    async fn listeners_who_came_past_the_balancer_are_seen() {
        let relay = relay(10);
        let balancer = watching(&[&relay], "").await;
        relay.hold_listeners("/saal1.ogg", 10);
        eventually("they are seen", async || mount(&balancer).await["listeners"] == 10).await;
        assert_eq!(balancer.get("/saal1.ogg").await.status, 503);
        let labels = "{stream=\"/saal1.ogg\",server=\"r0\"}";
        let series = format!("icecast_balancer_mount_listeners{labels}");
        assert_eq!(balancer.metric(&series).await, Some(10.0));
    }

    #[tokio::test]
    async fn a_limit_that_the_relay_lowers_holds_from_the_next_look() {
        let relay = relay(10);
        let balancer = watching(&[&relay], "").await;
        relay.set_limit("/saal1.ogg", Some(0));
        eventually("it is seen", async || mount(&balancer).await["max_listeners"] == 0).await;
        assert_eq!(balancer.get("/saal1.ogg").await.status, 503);
    }

    #[tokio::test]
    async fn a_relay_that_stops_telling_its_limit_keeps_the_one_it_told() {
        let relay = relay(10);
        let balancer = watching(&[&relay], "").await;
        relay.withdraw(Document::Slots);
        relay.withdraw(Document::Load);
        eventually("status-json is read", async || {
            server(&balancer).await["source"] == "status-json"
        })
        .await;
        assert_eq!(number(&mount(&balancer).await, "/max_listeners"), 10);
    }

    #[tokio::test]
    async fn a_relay_whose_statistics_stand_still_is_not_filled_beyond_its_slots() {
        let relay = relay(10);
        let unsettled = "balance: {settle: 1h}\n";
        let yaml = format!("{BUSY}{unsettled}{}{STREAM}", servers(&[&relay]));
        let balancer = Balancer::start(&yaml).await;
        relay.freeze_stats();
        let mut sent = 0;
        for _ in 0..20 {
            sent += u32::from(balancer.get("/saal1.ogg").await.status == 302);
        }
        assert_eq!(sent, 10 - 1, "one slot is kept free");
    }
}

mod looks {
    //! Which relays are looked at, and how.

    use super::*;

    #[tokio::test]
    async fn one_relay_is_never_looked_at_twice_at_once() {
        let stub = Stub::thinking().await;
        let yaml = stub.config(BUSY, STREAM);
        let balancer = Balancer::start(&yaml).await;
        // Each new configuration asks for a look at once.
        for number in 0..20 {
            balancer.edit(&format!("{yaml}limits: {{max_connections: {}}}\n", 1_000 + number));
            balancer.reload.reload().await.expect("a balancer that runs");
        }
        let seen = stub.asked();
        eventually("it is looked at more", async || stub.asked() >= seen + 5).await;
        assert_eq!(stub.most_at_once(), 1);
    }

    #[tokio::test]
    async fn a_disabled_server_is_left_alone() {
        let (disabled, other) = (relay(10), relay(10));
        let yaml = format!(
            "{BUSY}servers: {{off: {{url: '{}', state: disabled}}, on: '{}'}}\n{STREAM}",
            disabled.url(),
            other.url()
        );
        let balancer = Balancer::start(&yaml).await;
        until_polled_again(&other, 5).await;
        assert_eq!(disabled.polls(), 0);
        assert!(balancer.get("/saal1.ogg").await.location().starts_with(&other.url()));
    }

    #[tokio::test]
    async fn a_draining_server_is_looked_at_and_gets_nobody() {
        let (draining, other) = (relay(10), relay(10));
        let yaml = format!(
            "{BUSY}servers: {{drain: {{url: '{}', state: draining}}, on: '{}'}}\n{STREAM}",
            draining.url(),
            other.url()
        );
        let balancer = Balancer::start(&yaml).await;
        until_polled_again(&draining, 5).await;
        for _ in 0..5 {
            assert!(balancer.get("/saal1.ogg").await.location().starts_with(&other.url()));
        }
    }

    #[tokio::test]
    async fn an_idle_relay_is_asked_less_often_than_one_that_is_sent_players() {
        let (busy, idle) = (relay(1_000), Relay::builder().mount("/b.ogg", 10).start().unwrap());
        let poll = "poll: {interval: 1h, fast_interval: 20ms, stale_after: 1h}\n";
        let streams = "streams: {/saal1.ogg: {servers: [r0]}, /b.ogg: {servers: [r1]}}\n";
        let yaml = format!("{poll}{}{streams}", servers(&[&busy, &idle]));
        let balancer = Balancer::start(&yaml).await;
        // Nobody can tell the poller of the first player; a new configuration makes it look.
        balancer.get("/saal1.ogg").await;
        balancer.edit(&format!("{yaml}limits: {{max_connections: 1000}}\n"));
        balancer.reload.reload().await.expect("a balancer that runs");
        until_polled_again(&busy, 10).await;
        assert!(idle.polls() <= 2, "{}", idle.polls());
    }

    #[tokio::test]
    async fn a_relay_with_a_mount_that_is_nearly_full_is_asked_often() {
        let relay = relay(100);
        relay.hold_listeners("/saal1.ogg", 95);
        let poll = "poll: {interval: 1h, fast_interval: 20ms, stale_after: 1h}\n";
        let balancer = Balancer::start(&format!("{poll}{}{STREAM}", servers(&[&relay]))).await;
        until_polled_again(&relay, 5).await;
        balancer.stop().await;
    }

    #[tokio::test]
    async fn a_look_is_one_request_on_a_connection_of_its_own() {
        let relay = relay(10);
        let balancer = watching(&[&relay], "").await;
        until_polled_again(&relay, 3).await;
        let head = relay.requests().pop().unwrap().head.to_lowercase();
        assert!(head.starts_with("get /slots.xsl http/1.1\r\n"), "{head}");
        assert!(head.contains("connection: close\r\n"), "{head}");
        assert!(head.contains("user-agent: icecast-balancer/"), "{head}");
        assert!(!head.contains("accept-encoding"), "{head}");
        balancer.stop().await;
    }
}
