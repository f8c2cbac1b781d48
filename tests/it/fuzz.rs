//! The corpora of the fuzz targets: whatever was once worth trying must hold on every run.

// What the targets check is written once, for them and for here.
#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "it is the library of another crate, too")]
mod checks;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue};
use icecast_balancer::forwarded::{Introduction, Origin, Peer};
use icecast_balancer::icecast::{Activity, Limit, MountReport, Report};

/// Holds the program to its promises for one input.
type Check = fn(&[u8]);

/// Every target with the function that it calls.
const TARGETS: &[(&str, Check)] = &[
    ("admin_xml", checks::statistics::admin_xml),
    ("config", checks::config::config),
    ("doors", checks::doors::doors),
    ("feed", checks::feed::feed),
    ("forwarded", checks::forwarded::forwarded),
    ("proxy_header", checks::forwarded::proxy_header),
    ("query", checks::redirect::query),
    ("redirect", checks::redirect::head),
    ("shoutcast", checks::statistics::shoutcast),
    ("slots_xml", checks::statistics::slots_xml),
    ("status_json", checks::statistics::status_json),
];

/// More would make the tests slow and the repository large.
const MOST_FILES: usize = 300;
const MOST_BYTES: u64 = 8 * 1024;

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

/// The names in a folder without their extensions, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: std::path::PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn every_input_of_the_corpora_holds() {
    for (target, check) in TARGETS {
        let corpus = folder("corpus").join(target);
        let mut count = 0;
        for entry in fs::read_dir(&corpus).unwrap() {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            assert!(input.len() as u64 <= MOST_BYTES, "{} is too large", path.display());
            // Its message has been printed by then; this says which input it was.
            assert!(catch_unwind(|| check(&input)).is_ok(), "{}", path.display());
            count += 1;
        }
        assert!((10..=MOST_FILES).contains(&count), "{count} inputs for {target}");
    }
}

#[test]
fn of_the_corpus_of_doors_most_is_answered_at_once() {
    let inputs = fs::read_dir(folder("corpus").join("doors")).unwrap();
    let inputs: Vec<_> = inputs.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    let at_once = inputs.iter().filter(|input| checks::doors::is_answered_at_once(input)).count();
    assert!(at_once > inputs.len() / 2, "{at_once} of {}", inputs.len());
}

#[test]
fn every_target_has_its_corpus_and_is_tried_here() {
    let here: Vec<_> = TARGETS.iter().map(|(target, _)| *target).collect();
    assert_eq!(names(&folder("fuzz_targets")), here);
    assert_eq!(names(&folder("corpus")), here);
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for target in here {
        assert!(manifest.contains(&format!("name = \"{target}\"\n")), "{target} is not built");
        // Without its words a fuzzer does not even begin.
        let words = folder("dictionaries").join(format!("{target}.dict"));
        assert!(words.is_file(), "{} is missing", words.display());
    }
}

/// Whether a check notices what it is told.
fn is_noticed(check: impl FnOnce() + std::panic::UnwindSafe) -> bool {
    catch_unwind(check).is_err()
}

#[test]
fn a_location_that_was_not_configured_would_be_noticed() {
    let check = |location: &'static str, query: Option<&'static str>| {
        let bases = ["http://relay.example.org:8000/a".to_owned()];
        is_noticed(move || checks::redirect::assert_configured(location, &bases, query))
    };
    assert!(!check("http://relay.example.org:8000/a", None));
    assert!(!check("http://relay.example.org:8000/a?x=1", Some("x=1")));
    for forged in [
        "http://evil.example.org/a",
        "https://relay.example.org:8000/a",
        "http://relay.example.org:8001/a",
        "http://relay.example.org:8000/b",
        "http://relay.example.org:8000/a?x=2",
        "http://relay.example.org:8000/a?x=1\r\nSet-Cookie: y",
        "http://relay.example.org:8000/a#x",
    ] {
        assert!(check(forged, Some("x=1")), "{forged}");
    }
}

#[test]
fn a_list_that_begins_elsewhere_would_be_noticed() {
    let head = |host: &str| {
        http::Request::get("/a.m3u?x=1").header("host", host).body(()).unwrap().into_parts().0
    };
    let is_own = |url: &str, host: &str| checks::lists::is_own(url, &head(host), "/ä", Some("x=1"));
    assert!(is_own("http://radio.example/%C3%A4?x=1", "radio.example"));
    for (forged, host) in [
        ("http://radio.example/%C3%A4?x=1", "radio.example:80"),
        ("http://evil.example/%C3%A4?x=1", "radio.example"),
        ("http://radio.example.evil/%C3%A4?x=1", "radio.example"),
        ("https://radio.example/%C3%A4?x=1", "radio.example"),
        ("http://radio.example/%C3%A4?x=2", "radio.example"),
        ("http://radio.example/%C3%A4", "radio.example"),
        ("http://radio.example/%C3%A4#?x=1", "radio.example"),
        ("http://radio.example/b?x=1", "radio.example"),
        ("http://radio.example/ä?x=1", "radio.example"),
        ("http://me@radio.example/%C3%A4?x=1", "me@radio.example"),
    ] {
        assert!(!is_own(forged, host), "{forged} {host}");
    }
}

#[test]
fn a_report_out_of_bounds_would_be_noticed() {
    let mount = |name: &str, listeners| MountReport {
        name: name.to_owned(),
        listeners: Some(listeners),
        limit: Limit::Unknown,
        activity: Activity::Active,
        bytes: None,
    };
    let check = |mounts: Vec<MountReport>| {
        is_noticed(move || checks::statistics::assert_bounds(&Report { clients: None, mounts }))
    };
    assert!(!check(vec![mount("/a", 1), mount("/b", 1)]));
    assert!(check(vec![mount("/a", 1), mount("/a", 1)]));
    assert!(check(vec![mount("a", 1)]));
    assert!(check(vec![mount("/a", (1 << 32) + 1)]));
}

#[test]
fn to_believe_a_forged_word_would_be_noticed() {
    let peer = Peer::of_socket("127.0.0.1:4711".parse().unwrap());
    let check = |list: &'static str, address: &'static str, https| {
        let headers = [("x-forwarded-for", list), ("x-forwarded-proto", "https, http")];
        let headers = headers
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let found = Origin { address: address.parse().unwrap(), https };
        is_noticed(|| checks::forwarded::assert_told(found, peer, &HeaderMap::from_iter(headers)))
    };
    assert!(!check("9.9.9.9, 198.51.100.7, 10.0.0.2", "198.51.100.7", false));
    assert!(!check("9.9.9.9, unknown", "127.0.0.1", false));
    for (list, address, https) in [
        ("9.9.9.9, 198.51.100.7", "9.9.9.9", false),
        ("9.9.9.9, unknown", "9.9.9.9", false),
        ("198.51.100.7", "127.0.0.1", false),
        ("198.51.100.7, 10.0.0.2", "10.0.0.2", false),
        ("10.0.0.1, 10.0.0.2", "10.0.0.2", false),
        ("198.51.100.7", "192.0.2.1", false),
        ("198.51.100.7", "::ffff:198.51.100.7", false),
        ("198.51.100.7", "198.51.100.7", true),
    ] {
        assert!(check(list, address, https), "{address} in {list}");
    }
}

#[test]
fn a_proxy_header_that_is_misread_would_be_noticed() {
    const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 80\r\n";
    let frame = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], b"\xc0\0\x02\x01abcd\xdc\x04\0P"];
    for header in [LINE, &frame.concat()] {
        let told = |length, source: &str, https| {
            let told = Introduction { length, source: source.parse().ok(), https };
            is_noticed(|| checks::forwarded::assert_introduced(told, header))
        };
        let length = header.len();
        assert!(!told(length, "192.0.2.1:56324", false));
        assert!(told(length - 1, "192.0.2.1:56324", false));
        assert!(told(length, "192.0.2.2:56324", false));
        assert!(told(length, "192.0.2.1:80", false));
        assert!(told(length, "192.0.2.1:56324", true));
    }
}
