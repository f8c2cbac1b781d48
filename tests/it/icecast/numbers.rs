//! The table in `docs/relays.md` of what a relay's numbers mean, held against every document.

use std::fs;
use std::path::Path;

use super::*;

/// What the table says of one number.
struct Row {
    written: String,
    listeners: String,
    limit: String,
    free: String,
}

fn table() -> Vec<Row> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/relays.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("## What a relay's numbers mean").expect("the section");
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).collect();
    let rows = rows.into_iter().map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').collect();
        let written = cells[0].split('`').nth(1).expect("a number between backquotes");
        let [listeners, limit, free] = [1, 2, 3].map(|cell| cells[cell].trim().to_owned());
        Row { written: written.to_owned(), listeners, limit, free }
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() >= 20, "the table is there");
    rows
}

fn told_count(count: Option<u64>) -> String {
    count.map_or_else(|| "not told".to_owned(), |count| count.to_string())
}

fn told_limit(limit: Limit) -> String {
    match limit {
        Listeners(limit) => limit.to_string(),
        Unlimited => "unlimited".to_owned(),
        Unknown => "not told".to_owned(),
    }
}

fn only(report: &Report) -> &MountReport {
    assert_eq!(report.mounts.len(), 1);
    &report.mounts[0]
}

#[test]
fn every_document_reads_numbers_as_the_table_says() {
    for Row { written, listeners, limit, free } in table() {
        let document =
            format!("<slots clients='{written}'><mount name='/a' listeners='{written}'/></slots>");
        let report = slots(document.as_bytes()).unwrap();
        assert_eq!(told_count(only(&report).listeners), listeners, "slots: {written:?}");
        assert_eq!(told_count(report.clients), listeners, "clients: {written:?}");

        let document =
            format!("<slots><mount name='/a' listeners='3' max_listeners='{written}'/></slots>");
        let report = slots(document.as_bytes()).unwrap();
        assert_eq!(told_limit(only(&report).limit), limit, "limit of slots: {written:?}");

        let document = format!(
            "<icestats><clients>{written}</clients><source mount='/a'>\
             <listeners>{written}</listeners></source></icestats>"
        );
        let report = admin(document.as_bytes()).unwrap();
        assert_eq!(told_count(only(&report).listeners), listeners, "admin: {written:?}");
        assert_eq!(told_count(report.clients), listeners, "clients of admin: {written:?}");

        let document = format!(
            "<icestats><source mount='/a'><listeners>3</listeners>\
             <max_listeners>{written}</max_listeners></source></icestats>"
        );
        let report = admin(document.as_bytes()).unwrap();
        assert_eq!(told_limit(only(&report).limit), limit, "limit of admin: {written:?}");

        let document = format!("<load><mount name='/a'>{written}</mount></load>");
        let report = slots(document.as_bytes()).unwrap();
        assert_eq!(told_limit(only(&report).limit), free, "load: {written:?}");

        // Icecast writes what looks like a number without quotes, and everything else with them.
        for value in [format!("\"{written}\""), written.clone()] {
            let document = format!(
                "{{\"icestats\":{{\"source\":{{\"listenurl\":\"http://h/a\",\
                 \"listeners\":{value}}}}}}}"
            );
            let report = status_json(document.as_bytes()).unwrap();
            assert_eq!(told_count(only(&report).listeners), listeners, "json: {value:?}");
        }
    }
}

#[test]
fn a_number_given_twice_costs_its_mount_alone() {
    let document = b"<slots><mount name='/a' listeners='1' listeners='2'/>\
        <mount name='/b' listeners='3'/></slots>";
    assert_eq!(only(&slots(document).unwrap()).name, "/b");
}
