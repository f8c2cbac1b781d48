use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use url::Url;

use super::*;
use crate::config::source::Sources;
use crate::fleet::compile::{Nothing, compile};

fn fleet(streams: &str) -> Fleet {
    let servers = "servers: {vienna: 'http://v:8000', berlin: 'http://b:8000/radio'}";
    let sources = Sources::new("balancer.yaml", format!("{servers}\nstreams:\n{streams}\n"));
    compile(&sources, &Nothing).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The fleet with these mounts found, each written as `vienna /talks/a.ogg`.
fn found(fleet: &Fleet, finds: &[&str]) -> Fleet {
    let find = |find: &&'static str| -> Find<'static> {
        let (server, mount) = find.split_once(' ').unwrap();
        Find { server: fleet.server_named(server).unwrap(), mount }
    };
    // They are literals, all of them.
    let finds: Vec<&'static str> =
        finds.iter().map(|find| -> &'static str { String::leak((*find).to_owned()) }).collect();
    fleet.clone().with_found(finds.iter().map(find), fleet)
}

/// Each stream that was found, with where its players are sent.
fn streams(fleet: &Fleet) -> Vec<String> {
    let found = fleet.streams.iter().filter(|stream| stream.is_found());
    let shown = found.map(|stream| {
        let mounts = stream.mounts.iter().map(|mount| mount.location.to_str().unwrap());
        format!("{}: {}", stream.path, mounts.collect::<Vec<_>>().join(" "))
    });
    shown.collect()
}

const TALKS: &str = "  /talks/*:";

#[test]
fn what_is_listed_under_the_prefix_is_a_stream_where_it_is_listed() {
    let fleet = fleet(TALKS);
    let fleet = found(
        &fleet,
        &[
            "vienna /talks/a.ogg",
            "berlin /talks/a.ogg",
            "vienna /talks/x/b.ogg",
            "vienna /other.ogg",
        ],
    );
    assert_eq!(
        streams(&fleet),
        [
            "/talks/a.ogg: http://v:8000/talks/a.ogg http://b:8000/radio/talks/a.ogg",
            "/talks/x/b.ogg: http://v:8000/talks/x/b.ogg",
        ]
    );
    assert_eq!(fleet.stream_at("/talks/a.ogg"), Some(1));
    assert_eq!(fleet.stream_at("/talks/x/b.ogg"), Some(2));
    assert_eq!(fleet.stream_at("/talks/c.ogg"), None);
}

#[test]
fn who_asks_for_what_nobody_lists_asks_the_pattern() {
    let fleet = found(&fleet(TALKS), &["vienna /talks/a.ogg"]);
    assert_eq!(fleet.pattern_at("/talks/c.ogg"), Some(0));
    for path in ["/talks/", "/talks", "/talk", "/", "/other/talks/a.ogg"] {
        assert_eq!(fleet.pattern_at(path), None, "{path}");
    }
}

#[test]
fn each_server_may_have_a_prefix_of_its_own_and_terms() {
    let fleet = fleet(
        "  /talks/*:\n    mounts: {vienna: /talks/*, berlin: {mount: /relay/t/*, max_listeners: 7, weight: 3, tier: 1}}",
    );
    let fleet = found(
        &fleet,
        &[
            "vienna /talks/a.ogg",
            "berlin /relay/t/a.ogg",
            "berlin /talks/b.ogg",
            "vienna /relay/t/c.ogg",
        ],
    );
    assert_eq!(
        streams(&fleet),
        ["/talks/a.ogg: http://v:8000/talks/a.ogg http://b:8000/radio/relay/t/a.ogg"]
    );
    let berlin = &fleet.streams[1].mounts[1];
    assert_eq!((&*berlin.path, berlin.max_listeners), ("/relay/t/a.ogg", Some(7)));
    assert_eq!((berlin.weight, berlin.tier), (3, 1));
}

#[test]
fn only_the_servers_of_a_pattern_make_its_streams() {
    let fleet = fleet("  /talks/*: {servers: [berlin]}\n  /x.ogg:");
    let fleet = found(&fleet, &["vienna /talks/a.ogg", "berlin /talks/b.ogg"]);
    assert_eq!(streams(&fleet), ["/talks/b.ogg: http://b:8000/radio/talks/b.ogg"]);
}

#[test]
fn a_stream_that_is_spelled_out_wins_and_so_does_its_alias() {
    let fleet = fleet("  /talks/*:\n  /talks/a.ogg:\n  /b.ogg: {aliases: [/talks/b.ogg]}");
    let fleet =
        found(&fleet, &["vienna /talks/a.ogg", "vienna /talks/b.ogg", "vienna /talks/c.ogg"]);
    assert_eq!(streams(&fleet), ["/talks/c.ogg: http://v:8000/talks/c.ogg"]);
    assert_eq!(fleet.stream_at("/talks/a.ogg"), Some(1));
    assert_eq!(fleet.stream_at("/talks/b.ogg"), Some(2));
}

#[test]
fn a_longer_prefix_wins_whoever_lists_the_mount() {
    let fleet = fleet("  /*:\n  /talks/*: {servers: [vienna]}\n  /talks/old/*:");
    let mounts =
        ["berlin /talks/a.ogg", "vienna /talks/b.ogg", "berlin /talks/old/c.ogg", "berlin /d.ogg"];
    let fleet = found(&fleet, &mounts);
    assert_eq!(
        streams(&fleet),
        [
            "/d.ogg: http://b:8000/radio/d.ogg",
            "/talks/b.ogg: http://v:8000/talks/b.ogg",
            "/talks/old/c.ogg: http://b:8000/radio/talks/old/c.ogg",
        ]
    );
    assert_eq!(fleet.pattern_at("/favicon.ico"), Some(0));
    assert_eq!(fleet.pattern_at("/talks/a.ogg"), Some(1), "not the one that is for everything");
    assert_eq!(fleet.pattern_at("/talks/old/x"), Some(2));
}

#[test]
fn an_alias_is_another_prefix_of_the_same_streams() {
    let fleet = found(&fleet("  /talks/*: {aliases: [/t/*]}"), &["vienna /talks/a.ogg"]);
    assert_eq!(fleet.stream_at("/t/a.ogg"), fleet.stream_at("/talks/a.ogg"));
    assert_eq!(fleet.stream_at("/t/a.ogg"), Some(1));
    assert_eq!(fleet.pattern_at("/t/b.ogg"), Some(0));
    // What servers list is not known by the alias.
    assert_eq!(streams(&found(&fleet, &["vienna /t/a.ogg"])), [""; 0]);
}

#[test]
fn the_keys_of_a_pattern_hold_for_each_of_its_streams() {
    let fleet = fleet("  /talks/*: {fallback: /pause.ogg}\n  /pause.ogg:");
    let fleet = found(&fleet, &["vienna /talks/a.ogg"]);
    assert!(matches!(fleet.streams[2].fallback, Some(crate::fleet::Fallback::Stream(1))));
}

#[test]
fn a_name_is_encoded_by_ourselves() {
    let fleet = found(
        &fleet(TALKS),
        &["vienna /talks/a b%41\u{fc}\"<>'.ogg", "vienna /talks/@evil.example:80"],
    );
    assert_eq!(
        streams(&fleet),
        [
            "/talks/@evil.example:80: http://v:8000/talks/@evil.example:80",
            "/talks/a b%41\u{fc}\"<>'.ogg: http://v:8000/talks/a%20b%2541%C3%BC%22%3C%3E%27.ogg",
        ]
    );
}

#[test]
fn no_name_is_taken_that_could_be_read_as_another() {
    for odd in [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        ".",
        "..",
        "a/../b",
        "../a",
        "a/.",
        "*",
        "a/*",
        "a?b",
        "a#b",
        "a\\b",
        "a\0b",
        "a\r\nb",
        "a\x1bb",
        "a\x7fb",
        "a\u{85}b",
        "a\u{202e}b",
        "a\u{200b}b",
        "a\u{2028}b",
        "\u{feff}a",
    ] {
        assert!(!is_name(odd), "{odd:?}");
    }
    for good in
        ["a", "a.ogg", "a/b/c.ogg", "...", "a b", "Gr\u{f6}\u{df}e", "a*b", "a:b", "a@b", "%2e%2e"]
    {
        assert!(is_name(good), "{good:?}");
    }
}

#[test]
fn there_are_never_more_streams_than_the_pattern_may_have() {
    let fleet = fleet("  /talks/*: {max_streams: 3}\n  /more/*:");
    let many: Vec<String> = (0..10).map(|n| format!("vienna /talks/{n}")).collect();
    let mut finds: Vec<&str> = many.iter().map(String::as_str).collect();
    finds.extend(["berlin /talks/z", "berlin /more/z"]);
    let fleet = found(&fleet, &finds);
    // The first two are the entries of the patterns themselves; all others are compared by name below.
    let paths: Vec<_> = fleet.streams.iter().skip(2).map(|stream| &*stream.path).collect();
    assert_eq!(paths, ["/talks/0", "/talks/1", "/talks/z", "/more/z"]);
    let left_out: Vec<_> =
        fleet.patterns.iter().map(|(_, p)| (p.left_out(), p.is_full())).collect();
    assert_eq!(left_out, [(8, true), (0, false)]);
}

#[test]
fn a_stream_that_stays_is_not_made_again() {
    let first = found(&fleet(TALKS), &["vienna /talks/a", "vienna /talks/b"]);
    let finds = [("vienna", "/talks/a"), ("vienna", "/talks/b"), ("berlin", "/talks/b")];
    let finds =
        finds.map(|(server, mount)| Find { server: first.server_named(server).unwrap(), mount });
    let next = first.clone().with_found(finds, &first);
    assert!(Arc::ptr_eq(&first.streams[1], &next.streams[1]));
    assert!(!Arc::ptr_eq(&first.streams[2], &next.streams[2]), "it has a mount more");
    assert_eq!(next.streams[2].mounts.len(), 2);
}

#[test]
fn another_configuration_makes_its_streams_anew() {
    let first = found(&fleet(TALKS), &["vienna /talks/a"]);
    let other = fleet("  /talks/*: {mounts: {vienna: {mount: /talks/*, weight: 9}}}\n  /x:");
    let find = Find { server: 0, mount: "/talks/a" };
    let next = other.with_found([find], &first);
    assert_eq!(next.streams[2].mounts[0].weight, 9);
}

proptest! {
    /// Whatever a relay lists: players are sent to that relay, to that very mount, or not at all.
    #[test]
    fn a_name_never_leads_elsewhere(rest in r"([ -~]|\\PC|[./%@:\x00-\x1f]){1,40}") {
        let name = format!("/talks/{rest}");
        let fleet = fleet(TALKS);
        let find = Find { server: 1, mount: &name };
        let found = fleet.clone().with_found([find], &fleet);
        if let Some(stream) = found.streams.get(1) {
            let url = Url::parse(stream.mounts[0].location.to_str().unwrap()).unwrap();
            prop_assert_eq!(url.origin(), fleet.servers[1].url.origin());
            prop_assert_eq!((url.query(), url.fragment()), (None, None));
            let path = percent_decode_str(url.path()).decode_utf8().unwrap();
            prop_assert_eq!(path, format!("/radio{name}"));
        } else {
            prop_assert!(!is_name(&rest));
        }
    }
}
