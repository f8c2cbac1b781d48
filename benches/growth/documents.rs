//! What relays tell: their statistics pages and feeds.

use std::fmt::Write as _;
use std::hint::black_box;

use icecast_balancer::icecast::{Report, admin, feed, slots, status_json};
use icecast_balancer::slots::{begin_look, record};

use crate::curve::{Curve, Promise, nanos_each};
use crate::world::{path, seen, state};

/// Mounts that are read in one measurement, however many are on a page.
const READ: usize = 60_000;

/// The curves.
pub(crate) fn curves() -> Vec<Curve> {
    vec![
        page("reading slots.xsl, for each mount", slots_page, |page| slots::slots(page).unwrap()),
        page("reading /admin/stats, for each mount", admin_page, |page| {
            admin::admin(page).unwrap()
        }),
        page("reading /status-json.xsl, for each mount", json_page, |page| {
            status_json::status_json(page).unwrap()
        }),
        ledger(),
        events(),
    ]
}

const PAGES: [usize; 4] = [10, 100, 1_500, 5_000];

/// Microseconds for each mount of a page.
fn page(
    title: &'static str,
    write: impl Fn(usize) -> String,
    read: impl Fn(&[u8]) -> Report + Copy + 'static,
) -> Curve {
    let mut curve = Curve::new(title, "µs", Promise::AtMost(1.5));
    for mounts in PAGES {
        let page = write(mounts);
        assert_eq!(read(page.as_bytes()).mounts.len(), mounts);
        curve = curve.at(mounts, mounts, move || {
            let each = nanos_each(READ / mounts, || {
                black_box(read(page.as_bytes()));
            });
            each / 1e3 / mounts as f64
        });
    }
    curve
}

fn slots_page(mounts: usize) -> String {
    let mut page = "<?xml version=\"1.0\"?>\n<slots version=\"1\" clients=\"7\">\n".to_owned();
    for mount in 0..mounts {
        let name = path(mount);
        let told = "listeners=\"17\" max_listeners=\"500\" active=\"1\" bytes=\"8589934592\"";
        writeln!(page, "<mount name=\"{name}\" {told}/>").unwrap();
    }
    page + "</slots>\n"
}

/// What Icecast 2.4 tells of a mount that is played by ffmpeg.
fn admin_page(mounts: usize) -> String {
    let mut page = "<?xml version=\"1.0\"?>\n<icestats><admin>icemaster@localhost</admin>\
        <clients>7</clients><sources>1</sources>\n"
        .to_owned();
    for mount in 0..mounts {
        let name = path(mount);
        writeln!(
            page,
            "<source mount=\"{name}\"><audio_info>bitrate=128</audio_info><genre>various</genre>\
             <listener_peak>40</listener_peak><listeners>17</listeners>\
             <listenurl>http://relay.example.org:8000{name}</listenurl>\
             <max_listeners>500</max_listeners><public>1</public>\
             <server_description>Unspecified description</server_description>\
             <server_name>Channel</server_name><server_type>application/ogg</server_type>\
             <slow_listeners>0</slow_listeners><source_ip>192.0.2.7</source_ip>\
             <stream_start_iso8601>2026-01-01T00:00:00+0000</stream_start_iso8601>\
             <title>Artist - A title</title><total_bytes_read>8589934592</total_bytes_read>\
             <total_bytes_sent>8589934592</total_bytes_sent>\
             <user_agent>Lavf/59.27.100</user_agent></source>"
        )
        .unwrap();
    }
    page + "</icestats>\n"
}

fn json_page(mounts: usize) -> String {
    let source = |mount| {
        let name = path(mount);
        format!(
            "{{\"audio_info\":\"bitrate=128\",\"genre\":\"various\",\"listener_peak\":40,\
             \"listeners\":17,\"listenurl\":\"http://relay.example.org:8000{name}\",\
             \"server_name\":\"Channel\",\"server_type\":\"application/ogg\",\
             \"title\":\"Artist - A title\",\"dummy\":null}}"
        )
    };
    let sources: Vec<_> = (0..mounts).map(source).collect();
    format!(
        "{{\"icestats\":{{\"admin\":\"icemaster@localhost\",\"source\":[{}]}}}}",
        sources.join(",")
    )
}

/// Microseconds that it takes to enter each mount of a look in the ledger.
fn ledger() -> Curve {
    let title = "entering a look in the ledger, for each mount";
    let mut curve = Curve::new(title, "µs", Promise::AtMost(1.5));
    for mounts in PAGES {
        let state = state((mounts, 1));
        let mounts_seen = (0..mounts).map(|mount| seen(&path(mount))).collect();
        let report = Report { clients: None, mounts: mounts_seen };
        curve = curve.at(mounts, mounts, move || {
            let snapshot = state.load_full();
            let server = snapshot.server(0).unwrap();
            let settle = snapshot.fleet.balance.settle;
            let each = nanos_each(READ / mounts, || {
                let listed = snapshot.listed(0);
                let look = begin_look(server, &listed, state.now());
                record(server, &listed, look, &report, settle);
            });
            each / 1e3 / mounts as f64
        });
    }
    curve
}

/// Nanoseconds of each event of a feed that tells of so many mounts in turn.
fn events() -> Curve {
    let mut curve = Curve::new("an event of a feed, by mounts", "ns", Promise::Power(0.3));
    for mounts in [10, 100, 1_000, 10_000] {
        let state = state((mounts, 1));
        let mut piece = String::new();
        for number in 0..READ {
            let name = path(number % mounts);
            writeln!(piece, "EVENT {name} listeners {}", number % 500).unwrap();
        }
        curve = curve.at(mounts, mounts, move || {
            let snapshot = state.load_full();
            let mut lines = feed::Lines::default();
            let mut known = 0_usize;
            let all = nanos_each(1, || {
                lines.read(piece.as_bytes(), |event| {
                    let feed::Event::Listeners { mount, .. } = event else { return };
                    known += usize::from(snapshot.mount_at(0, mount).is_some());
                });
            });
            assert_eq!(known, READ);
            all / READ as f64
        });
    }
    curve
}
