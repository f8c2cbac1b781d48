//! Statistics: whatever a relay sends, a report stays within its bounds and invents nothing.

use std::collections::HashSet;

use icecast_balancer::icecast::admin::admin;
use icecast_balancer::icecast::shoutcast::{ONLY_MOUNT, seven, statistics};
use icecast_balancer::icecast::slots::slots;
use icecast_balancer::icecast::status_json::status_json as read_status_json;
use icecast_balancer::icecast::{Limit, Malformed, MountReport, Report};

/// Larger numbers are no counts of listeners.
const MOST_LISTENERS: u64 = 1 << 32;

/// Larger numbers are no counts of bytes.
const MOST_BYTES: u64 = 1 << 53;

/// The output of `slots.xsl` or of `load.xsl`.
pub fn slots_xml(body: &[u8]) {
    check(slots, body, b"<mount");
}

/// `/admin/stats`.
pub fn admin_xml(body: &[u8]) {
    check(admin, body, b"<source");
}

/// `/status-json.xsl`.
pub fn status_json(body: &[u8]) {
    check(read_status_json, body, b"{");
}

/// What a SHOUTcast shows: `/statistics` of version 2, or `/7.html` of version 1.
pub fn shoutcast(body: &[u8]) {
    check(statistics, body, b"<STREAMPATH");
    check(seven, body, b"<");
    let Ok(report) = seven(body) else { return };
    let names: Vec<_> = report.mounts.iter().map(|mount| mount.name.as_str()).collect();
    assert!(names.is_empty() || names == [ONLY_MOUNT], "more than its only stream: {names:?}");
    // The title is the last, and anybody who plays something writes it.
    let forged = [body, b"</body><BODY>1,1,1,1,1,1,x<body>2,0,2,2,2,2,x"].concat();
    assert_eq!(seven(&forged), Ok(report), "a title changes the numbers");
}

/// Holds a parser to its promises. No mount can be without `marker` in the document.
fn check(parse: fn(&[u8]) -> Result<Report, Malformed>, body: &[u8], marker: &[u8]) {
    let result = parse(body);
    match &result {
        Ok(report) => {
            assert_bounds(report);
            let markers = body.windows(marker.len()).filter(|window| window == &marker).count();
            let mounts = report.mounts.len();
            assert!(mounts <= markers, "{mounts} mounts out of {markers} elements");
        }
        Err(Malformed(message)) => assert_sayable(message),
    }
    // White space around a document means nothing.
    assert_eq!(parse(&[b" \n", body, b"\r\n"].concat()), result, "with white space around it");
}

/// Holds a report to what those who read it rely on.
pub fn assert_bounds(report: &Report) {
    let mut names = HashSet::new();
    for mount in &report.mounts {
        let MountReport { name, listeners, limit, bytes, activity: _ } = mount;
        assert!(name.starts_with('/') && name.len() <= 1024, "an odd name: {name:?}");
        assert!(names.insert(name), "{name:?} is told twice");
        let limit = if let Limit::Listeners(most) = limit { *most } else { 0 };
        let most = listeners.unwrap_or(0).max(limit);
        assert!(most <= MOST_LISTENERS && bytes.unwrap_or(0) <= MOST_BYTES, "no count: {mount:?}");
    }
    assert!(report.mounts.len() <= 20_000);
    assert!(report.clients.is_none_or(|clients| clients <= MOST_LISTENERS));
}

/// A message goes into logs and onto the status page, and may quote a little of the document.
fn assert_sayable(message: &str) {
    assert!(message.len() < 1_000, "a novel of {} bytes", message.len());
    assert!(!message.contains(char::is_control), "control characters: {message:?}");
}
