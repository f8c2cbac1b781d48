//! Each statistics document, and the choice among them.

use serde_json::Value;

use crate::relay::Relay;
use crate::relay::stats::Document;
use crate::support::{Balancer, eventually, number, servers};

use super::{BUSY, mount, relay, server, until_polled, watching};

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
    let relay = Relay::builder().admin("admin", "hackme").mount("/saal1.ogg", 50).start().unwrap();
    let balancer = watching(&[&relay], "stats: {password: hackme}").await;
    assert_eq!(server(&balancer).await["source"], "slots");
    assert!(relay.requests().iter().all(|request| request.target == "/slots.xsl"));
}

#[tokio::test]
async fn when_a_document_is_withdrawn_the_next_best_is_read() {
    let relay = Relay::builder().admin("admin", "hackme").mount("/saal1.ogg", 50).start().unwrap();
    let balancer = watching(&[&relay], "stats: {password: hackme}").await;
    for (withdrawn, next) in
        [(Document::Slots, "admin"), (Document::Admin, "load.xsl"), (Document::Load, "status-json")]
    {
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
    eventually("slots.xsl is found", async || server(&balancer).await["source"] == "slots").await;
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
    let relay = Relay::builder().admin("admin", "hackme").mount("/saal1.ogg", 50).start().unwrap();
    let balancer = watching(&[&relay], "stats: {source: admin, password: hunter2}").await;
    until_polled(&balancer, "unauthorized").await;
    let server = server(&balancer).await;
    let trouble = server["trouble"].as_str().unwrap();
    assert!(trouble.contains("/admin/stats answers 401"), "{trouble}");
    assert!(trouble.contains("stats.password"), "{trouble}");
    assert!(!trouble.contains("hunter2"), "{trouble}");
}
