//! Documents of great size. They are here to be finished at all: quadratic work would outlast the
//! patience of whoever runs the tests.

use icecast_balancer::icecast::Activity::{Active, Idle};
use icecast_balancer::icecast::Limit::{Listeners, Unknown};
use icecast_balancer::icecast::admin::admin;
use icecast_balancer::icecast::slots::slots;
use icecast_balancer::icecast::status_json::status_json;

use super::writers::{admin_xml, odd_status_json_text, slots_xml, status_json_text};
use super::{as_status_json_tells, mount};

#[test]
fn twenty_thousand_mounts_are_kept_and_the_rest_is_dropped() {
    let mounts: Vec<_> =
        (0..40_000).map(|n| mount(&format!("/{n}"), n, Listeners(n), Idle)).collect();
    let kept = Ok(mounts[..20_000].to_vec());
    assert_eq!(slots(slots_xml(&mounts).as_bytes()).map(|r| r.mounts), kept);
    assert_eq!(admin(admin_xml(&mounts).as_bytes()).map(|r| r.mounts), kept);
    let kept = Ok(as_status_json_tells(&mounts[..20_000]));
    let document = status_json_text(&mounts);
    assert_eq!(status_json(document.as_bytes()).map(|r| r.mounts), kept);
    let odd = odd_status_json_text(&mounts);
    assert_eq!(status_json(odd.as_bytes()).map(|r| r.mounts), kept);
}

#[test]
fn two_hundred_thousand_attributes_are_read() {
    let attributes: Vec<_> = (0..200_000).map(|n| format!("a{n}='1'")).collect();
    let attributes = attributes.join(" ");
    let document = format!("<slots><mount {attributes} name='/a' listeners='1'/></slots>");
    let mounts = slots(document.as_bytes()).unwrap().mounts;
    assert_eq!(mounts, [mount("/a", 1, Unknown, Active)]);
}

#[test]
fn depth_is_no_burden() {
    let elements = "<x>".repeat(1_000_000);
    assert!(slots(format!("<slots>{elements}</slots>").as_bytes()).is_ok());
    assert!(admin(format!("<icestats>{elements}</icestats>").as_bytes()).is_ok());
    for bracket in ["[", "{", "{\"x\":", "{\"x\":["] {
        let document = format!("{{\"icestats\":{}", bracket.repeat(1_000_000));
        assert!(status_json(document.as_bytes()).is_err(), "{bracket}");
    }
}

#[test]
fn beginnings_without_an_end_are_no_burden() {
    let beginnings =
        ["<", "<!--", "<![CDATA[", "<!", "<mount name='", "<mount name=\"/a", "<source ", "&"];
    for beginning in beginnings {
        let many = beginning.repeat(200_000);
        assert!(slots(format!("<slots>{many}</slots>").as_bytes()).is_ok(), "{beginning}");
        assert!(admin(format!("<icestats>{many}</icestats>").as_bytes()).is_ok());
    }
    for beginning in ["\"", "\\", "\"\\\"", "\"listenurl\":", "{\"listenurl\":\"://"] {
        let document = format!("{{\"icestats\":{}", beginning.repeat(200_000));
        assert!(status_json(document.as_bytes()).is_err(), "{beginning}");
    }
}
