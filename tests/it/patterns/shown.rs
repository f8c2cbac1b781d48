//! What operators are shown of streams that were found.

use crate::relay::Relay;
use crate::support::{Balancer, eventually, number, servers};

use super::{BUSY, talks, watching};

/// The value of a series of the pattern.
async fn value(balancer: &Balancer, series: &str) -> Option<f64> {
    balancer.metric(&format!("icecast_balancer_{series}")).await
}

#[tokio::test]
async fn the_metrics_of_a_pattern_are_the_sums_of_its_streams() {
    let relays = [talks(&["/talks/a.ogg", "/talks/b.ogg"]), talks(&["/talks/b.ogg"])];
    relays[0].hold_listeners("/talks/a.ogg", 3);
    relays[0].hold_listeners("/talks/b.ogg", 4);
    let yaml = format!(
        "{BUSY}balance: {{headroom: 0, settle: 1h}}\n{}streams: {{/talks/*: }}\n",
        servers(&[&relays[0], &relays[1]])
    );
    let balancer = Balancer::start(&yaml).await;
    let r0 = "{stream=\"/talks/*\",server=\"r0\"}";
    let r1 = "{stream=\"/talks/*\",server=\"r1\"}";
    for (series, expected) in [
        (format!("mount_up{r0}"), 1.0),
        (format!("mount_listeners{r0}"), 7.0),
        (format!("mount_max_listeners{r0}"), 20.0),
        (format!("mount_free_slots{r0}"), 13.0),
        (format!("mount_reserved_slots{r0}"), 0.0),
        (format!("mount_listeners{r1}"), 0.0),
        (format!("mount_free_slots{r1}"), 10.0),
        (format!("redirects_total{r1}"), 0.0),
        ("stream_up{stream=\"/talks/*\"}".to_owned(), 1.0),
        ("stream_free_slots{stream=\"/talks/*\"}".to_owned(), 23.0),
        ("pattern_streams{stream=\"/talks/*\"}".to_owned(), 2.0),
        ("pattern_left_out_mounts{stream=\"/talks/*\"}".to_owned(), 0.0),
    ] {
        assert_eq!(value(&balancer, &series).await, Some(expected), "{series}");
    }
    for _ in 0..3 {
        assert_eq!(balancer.get("/talks/a.ogg").await.status, 302);
    }
    assert_eq!(balancer.get("/talks/none.ogg").await.status, 503);
    assert_eq!(value(&balancer, &format!("redirects_total{r0}")).await, Some(3.0));
    assert_eq!(value(&balancer, &format!("mount_reserved_slots{r0}")).await, Some(3.0));
    let outcome = |outcome: &str| {
        format!("stream_requests_total{{stream=\"/talks/*\",outcome=\"{outcome}\"}}")
    };
    assert_eq!(value(&balancer, &outcome("redirected")).await, Some(3.0));
    assert_eq!(value(&balancer, &outcome("offline")).await, Some(1.0));

    relays[0].remove_mount("/talks/a.ogg");
    relays[0].remove_mount("/talks/b.ogg");
    let up = format!("mount_up{r0}");
    eventually("they are gone", async || value(&balancer, &up).await == Some(0.0)).await;
    assert_eq!(value(&balancer, &format!("mount_listeners{r0}")).await, None);
    assert_eq!(value(&balancer, &format!("mount_free_slots{r0}")).await, Some(0.0));
    assert_eq!(value(&balancer, &format!("redirects_total{r0}")).await, Some(3.0));
}

#[tokio::test]
async fn a_relays_own_limit_bounds_what_its_streams_have_free_together() {
    let relay =
        Relay::builder().mount("/talks/a.ogg", 10).mount("/talks/b.ogg", 10).start().unwrap();
    let yaml = format!(
        "{BUSY}balance: {{headroom: 0}}\nservers: {{r0: {{url: '{}', max_listeners: 13}}}}\nstreams: {{/talks/*: }}\n",
        relay.url()
    );
    let balancer = Balancer::start(&yaml).await;
    let free = value(&balancer, "stream_free_slots{stream=\"/talks/*\"}").await;
    let left = number(&balancer.status().await, "/servers/0/free");
    assert!(left < 13, "sources and looks count");
    assert_eq!(free, Some(f64::from(u32::try_from(left).unwrap())));
    assert_eq!(number(&balancer.status().await, "/streams/0/free"), left);
}

#[tokio::test]
async fn the_json_has_all_streams_and_the_page_a_few_and_two_hundred_where_they_are_alone() {
    let names: Vec<String> = (0..250).map(|n| format!("/talks/{n:03}.ogg")).collect();
    let relay = talks(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let balancer = watching(&[&relay], "/talks/*: , /other.ogg: ").await;
    assert_eq!(balancer.get("/talks/007.ogg").await.status, 302);
    let status = balancer.status().await;
    assert_eq!(status["streams"].as_array().unwrap().len(), 2);
    assert_eq!(status["streams"][0]["path"], "/talks/*");
    assert_eq!(status["streams"][0]["mounts"].as_array().unwrap().len(), 0);
    assert!(status["streams"][1].get("pattern").is_none());
    let pattern = &status["streams"][0]["pattern"];
    let streams = pattern["streams"].as_array().unwrap();
    assert_eq!((streams.len(), number(pattern, "/max_streams")), (250, 2_000));
    assert_eq!(streams[7]["path"], "/talks/007.ogg");
    assert_eq!(number(&streams[7], "/mounts/0/redirects"), 1);
    assert_eq!(number(&streams[8], "/mounts/0/redirects"), 0);
    let rows = async |query: &str| {
        let page = balancer.admin_get(&format!("/{query}")).await.body;
        (page.matches("<tr data-key=\"/talks/").count(), page)
    };
    eventually("the page shows the first of them", async || {
        let (count, page) = rows("").await;
        count == 12
            && page.contains("250 of at most 2,000 streams")
            && page.contains("and 238 more")
    })
    .await;
    let alone = "?stream=%2Ftalks%2F%2A";
    let (count, page) = rows(alone).await;
    assert_eq!(count, 200, "{page}");
    assert!(
        page.contains("1–200 of 250") && !page.contains("<tbody data-key=\"/other.ogg\">"),
        "{page}"
    );
    let (count, page) = rows(&format!("{alone}&page=2")).await;
    assert!(count == 50 && page.contains("/talks/249.ogg"), "{page}");
    let (count, page) = rows("?q=TALKS/24").await;
    assert!(count == 10 && !page.contains("/talks/250.ogg"), "{page}");
    let (count, page) = rows("?stream=%2Ftalks%2F007.ogg").await;
    assert!(count == 0 && page.contains("<tr data-key=\"r0\">"), "{page}");
}
