//! Icecast 2.5 and icecast-kh, as their source says that they write: none was run for this. The
//! documents follow `stats.c` of 2.5.0-rc2 and of kh's master branch of November 2023.

use super::*;

const PUBLIC_2_5: &[u8] = include_bytes!("../../fixtures/icecast/publicstats-2.5.xml");
const STATS_2_5: &[u8] = include_bytes!("../../fixtures/icecast/stats-2.5.xml");
const STATUS_JSON_2_5: &[u8] = include_bytes!("../../fixtures/icecast/status-json-2.5.json");
const STATS_KH: &[u8] = include_bytes!("../../fixtures/icecast/stats-kh.xml");

fn sending(bytes: u64, mount: MountReport) -> MountReport {
    MountReport { bytes: Some(bytes), ..mount }
}

#[test]
fn icecast_2_5_tells_everybody_its_listeners_and_no_limit() {
    let report = admin(PUBLIC_2_5).unwrap();
    let expected =
        [mount("/on-demand.ogg", 0, Unknown, Idle), mount("/radio.ogg", 3, Unknown, Active)];
    assert_eq!((report.clients, &*report.mounts), (None, &expected[..]));
}

/// Its own stylesheet made this of [`STATS_2_5`].
#[test]
fn the_status_json_of_icecast_2_5_is_read_as_that_of_2_4() {
    let report = status_json(STATUS_JSON_2_5).unwrap();
    let expected =
        [mount("/on-demand.ogg", 0, Unknown, Idle), mount("/radio.ogg", 3, Unknown, Active)];
    assert_eq!(report.mounts, expected);
}

#[test]
fn icecast_2_5_tells_its_admin_its_limits_and_a_comment_forges_none() {
    let report = admin(STATS_2_5).unwrap();
    let expected = [
        mount("/on-demand.ogg", 0, Unlimited, Idle),
        sending(4711, mount("/radio.ogg", 3, Listeners(50), Active)),
    ];
    assert_eq!((report.clients, &*report.mounts), (Some(6), &expected[..]));
}

#[test]
fn icecast_kh_tells_its_admin_its_limits_and_means_none_by_minus_one() {
    let report = admin(STATS_KH).unwrap();
    let expected = [
        sending(4711, mount("/limited.mp3", 3, Listeners(50), Active)),
        mount("/on-demand.mp3", 0, Unlimited, Idle),
        sending(1000, mount("/unlimited.mp3", 1, Unlimited, Active)),
    ];
    assert_eq!((report.clients, &*report.mounts), (Some(6), &expected[..]));
}
