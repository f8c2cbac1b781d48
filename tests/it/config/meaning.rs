//! What a good configuration means.

use std::time::Duration;

use icecast_balancer::config::source::Sources;
use icecast_balancer::fleet::compile::compile;
use icecast_balancer::fleet::{
    Fallback, Fleet, Headroom, Panic, Policy, Proxies, ServerState, StatsSource, Stream, WhenFull,
};

use super::{bad, good, messages, outside};

const MINIMAL: &str = "
servers:
  vienna: http://vienna.example.org:8000
  berlin: http://berlin.example.org:8000
streams:
  /saal1.ogv:
";

fn locations(stream: &Stream) -> Vec<&str> {
    stream.mounts.iter().map(|mount| mount.location.to_str().unwrap()).collect()
}

fn with_streams(streams: &str) -> Fleet {
    good(&format!("servers: {{vienna: 'http://v', berlin: 'http://b'}}\nstreams:\n{streams}"))
}

#[test]
fn every_server_carries_a_stream_without_a_body() {
    assert_eq!(
        locations(&good(MINIMAL).streams[0]),
        ["http://vienna.example.org:8000/saal1.ogv", "http://berlin.example.org:8000/saal1.ogv"]
    );
}

#[test]
fn settings_that_are_absent_have_the_documented_defaults() {
    let fleet = good(MINIMAL);
    assert_eq!(fleet.listen, ["[::]:8000".parse().unwrap()]);
    assert_eq!(fleet.admin, "127.0.0.1:9090".parse().unwrap());
    assert!(fleet.admin_token.is_none());
    assert_eq!(fleet.proxies, Proxies::default());
    assert_eq!(fleet.poll.interval, Duration::from_secs(2));
    assert_eq!(fleet.poll.fast_interval, Duration::from_millis(500));
    assert_eq!(fleet.poll.timeout, Duration::from_secs(2));
    assert_eq!(fleet.poll.stale_after, Duration::from_secs(15));
    assert_eq!((fleet.poll.rise, fleet.poll.fall), (2, 3));
    assert_eq!(fleet.poll.slow_start, Duration::from_secs(30));
    assert_eq!(fleet.balance.policy, Policy::LeastUsed);
    assert_eq!(fleet.balance.settle, Duration::from_secs(5));
    assert_eq!(fleet.balance.headroom, Headroom::Auto);
    assert_eq!(fleet.balance.panic, Panic::Open);
    assert_eq!(fleet.limits.max_connections, 50_000);
    assert_eq!(fleet.limits.header_timeout, Duration::from_secs(5));
}

#[test]
fn the_reference_shows_the_defaults() {
    let reference = good(include_str!("../../../balancer.yaml"));
    let minimal = good(MINIMAL);
    assert_eq!(reference.listen, minimal.listen);
    assert_eq!(reference.admin, minimal.admin);
    assert_eq!(reference.proxies, minimal.proxies);
    assert_eq!(reference.poll, minimal.poll);
    assert_eq!(reference.balance, minimal.balance);
    assert_eq!(reference.limits, minimal.limits);
}

#[test]
fn servers_that_are_absent_in_detail_have_the_documented_defaults() {
    let fleet = good(MINIMAL);
    let server = &fleet.servers[0];
    assert_eq!(server.http_url, server.url);
    assert_eq!(server.stats.url, server.url);
    assert_eq!(server.stats.source, StatsSource::Auto);
    assert_eq!(server.state, ServerState::Active);
    assert_eq!((server.max_listeners, server.max_bandwidth), (None, None));
    let mount = &fleet.streams[0].mounts[0];
    assert_eq!((mount.weight, mount.tier, mount.bitrate), (1, 0, 0));
    assert_eq!(mount.max_listeners, None);
}

#[test]
fn servers_and_streams_keep_the_order_of_the_file() {
    let fleet = good("servers: {z: 'http://z', a: 'http://a'}\nstreams: {/z: , /b: , /a: }");
    let servers: Vec<_> = fleet.servers.iter().map(|server| server.name.as_str()).collect();
    let streams: Vec<_> = fleet.streams.iter().map(|stream| stream.path.as_str()).collect();
    assert_eq!((servers, streams), (vec!["z", "a"], vec!["/z", "/b", "/a"]));
}

#[test]
fn players_are_sent_to_the_http_url_unless_they_came_by_https() {
    let fleet = good(
        "servers: {v: {url: 'https://v:8443', http_url: 'http://v:8000'}}\nstreams: {/a.ogg: }",
    );
    assert_eq!(fleet.servers[0].url.as_str(), "https://v:8443/");
    assert_eq!(locations(&fleet.streams[0]), ["http://v:8000/a.ogg"]);
    let mount = &fleet.streams[0].mounts[0];
    assert_eq!(mount.location(false), "http://v:8000/a.ogg");
    assert_eq!(mount.location(true), "https://v:8443/a.ogg");
}

#[test]
fn a_path_prefix_of_a_server_goes_before_the_mount() {
    let fleet = good("servers: {v: 'http://v/ice/cast/'}\nstreams: {/a.ogg: }");
    assert_eq!(locations(&fleet.streams[0]), ["http://v/ice/cast/a.ogg"]);
}

#[test]
fn mounts_are_percent_encoded_in_the_location() {
    let fleet = with_streams("  \"/Größe %25 a+b'c.ogg\":\n    servers: [vienna]");
    assert_eq!(fleet.streams[0].path, "/Größe % a+b'c.ogg");
    assert_eq!(locations(&fleet.streams[0]), ["http://v/Gr%C3%B6%C3%9Fe%20%25%20a+b%27c.ogg"]);
}

#[test]
fn a_mount_takes_what_it_does_not_say_from_its_server() {
    let fleet = good(
        "
servers:
  vienna: {url: 'http://v', weight: 3, tier: 1}
  berlin: {url: 'http://b', weight: 3, tier: 1}
streams:
  /a.ogg:
    mounts:
      vienna: /v.ogg
      berlin: {max_listeners: 50, weight: 2, tier: 0}
",
    );
    let [vienna, berlin] = &fleet.streams[0].mounts[..] else { panic!("two mounts") };
    assert_eq!((vienna.path.as_str(), vienna.weight, vienna.tier), ("/v.ogg", 3, 1));
    assert_eq!((berlin.path.as_str(), berlin.weight, berlin.tier), ("/a.ogg", 2, 0));
    assert_eq!((vienna.max_listeners, berlin.max_listeners), (None, Some(50)));
}

#[test]
fn a_bitrate_counts_only_where_the_bandwidth_is_limited() {
    let fleet = good(
        "
servers:
  vienna: {url: 'http://v', max_bandwidth: 1Gbps}
  berlin: http://b
streams:
  /a.ogg: {bitrate: 1.2Mbps}
",
    );
    assert_eq!(fleet.servers[0].max_bandwidth, Some(1_000_000_000));
    let bitrates: Vec<_> = fleet.streams[0].mounts.iter().map(|mount| mount.bitrate).collect();
    assert_eq!(bitrates, [1_200_000, 0]);
}

#[test]
fn paths_and_aliases_lead_to_their_stream() {
    let fleet = with_streams("  /a.ogg: {aliases: [/a, /b%20c]}\n  /d.ogg:");
    assert_eq!(fleet.stream_at("/a.ogg"), Some(0));
    assert_eq!(fleet.stream_at("/a"), Some(0));
    assert_eq!(fleet.stream_at("/b c"), Some(0));
    assert_eq!(fleet.stream_at("/d.ogg"), Some(1));
    assert_eq!(fleet.stream_at("/b%20c"), None);
}

#[test]
fn a_fallback_is_a_stream_by_its_path_or_its_alias() {
    let fleet = with_streams(
        "  /a.ogg: {fallback: /c}\n  /b.ogg: {fallback: /c.ogg}\n  /c.ogg: {aliases: [/c]}",
    );
    assert!(matches!(fleet.streams[0].fallback, Some(Fallback::Stream(2))));
    assert!(matches!(fleet.streams[1].fallback, Some(Fallback::Stream(2))));
}

#[test]
fn a_fallback_is_an_absolute_url() {
    let fleet = with_streams("  /a.ogg: {fallback: 'https://example.org/x.ogg?a=b'}");
    let Some(Fallback::Url(url)) = &fleet.streams[0].fallback else { panic!("no URL") };
    assert_eq!(url, "https://example.org/x.ogg?a=b");
}

#[test]
fn two_streams_may_lead_to_one_fallback_that_leads_on() {
    let fleet = with_streams(
        "  /a.ogg: {fallback: /c.ogg}\n  /b.ogg: {fallback: /c.ogg}\n  /c.ogg: {fallback: /d.ogg}\n  \
         /d.ogg:",
    );
    assert!(matches!(fleet.streams[2].fallback, Some(Fallback::Stream(3))));
}

#[test]
fn every_circle_of_fallbacks_is_reported_once() {
    let problems = bad("
servers: {v: 'http://v'}
streams:
  /in.ogg: {fallback: /a.ogg}
  /a.ogg: {fallback: /b.ogg}
  /b.ogg: {fallback: /a.ogg}
  /c.ogg: {fallback: /c.ogg}
");
    assert_eq!(
        messages(&problems),
        [
            "the fallbacks go in a circle: /a.ogg → /b.ogg → /a.ogg",
            "the fallbacks go in a circle: /c.ogg → /c.ogg",
        ]
    );
}

#[test]
fn one_address_and_a_list_of_them_are_understood() {
    let listen = |text: &str| good(&format!("listen: {text}\n{MINIMAL}")).listen;
    assert_eq!(listen("127.0.0.1:80"), ["127.0.0.1:80".parse().unwrap()]);
    assert_eq!(
        listen("['127.0.0.1:80', '[::1]:80']"),
        ["127.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap()]
    );
}

#[test]
fn an_unused_server_deserves_a_word() {
    let fleet = with_streams("  /a.ogg: {servers: [vienna]}");
    assert_eq!(fleet.warnings, ["balancer.yaml:1:31: server \"berlin\" is used by no stream"]);
}

#[test]
fn a_stream_without_an_active_server_deserves_a_word() {
    let fleet = good("servers: {v: {url: 'http://v', state: draining}}\nstreams: {/a.ogg: }");
    assert_eq!(fleet.servers[0].state, ServerState::Draining);
    assert_eq!(
        fleet.warnings,
        [
            "balancer.yaml:2:11: stream \"/a.ogg\": none of its servers is active, nobody is sent to it"
        ]
    );
}

#[test]
fn several_files_add_up() {
    let sources = Sources::new("conf/a.yaml", "servers: {v: 'http://v'}\nstreams: {/a.ogg: }")
        .and("conf/b.yaml", "servers: {b: 'http://b'}\nstreams: {/b.ogg: }\npoll: {rise: 1}");
    let fleet = compile(&sources, &outside()).unwrap();
    assert_eq!((fleet.servers.len(), fleet.streams.len(), fleet.poll.rise), (2, 2, 1));
    assert_eq!(fleet.streams[0].mounts.len(), 2);
}

#[test]
fn what_two_files_define_is_one_problem_that_names_both_places() {
    let sources =
        Sources::new("a.yaml", "servers: {v: 'http://v'}\nstreams: {/a: }\npoll: {rise: 1}")
            .and("b.yaml", "servers: {v: 'http://v'}\nstreams: {/a: }\npoll: {fall: 1}");
    let problems = compile(&sources, &outside()).unwrap_err();
    let found: Vec<_> =
        problems.iter().map(|problem| format!("{}: {}", problem.place, problem.message)).collect();
    assert_eq!(
        found,
        [
            "b.yaml:1:11: \"v\" is there twice, first at a.yaml:1:11",
            "b.yaml:2:11: \"/a\" is there twice, first at a.yaml:2:11",
            "b.yaml:3:1: \"poll\" is there twice, first at a.yaml:3:1",
        ]
    );
}

#[test]
fn a_file_that_does_not_parse_hides_no_mistake_in_another_and_invents_none() {
    let sources = Sources::new("a.yaml", "servers: [\n")
        .and("b.yaml", "streams: {/a: {servers: [v]}}\npoll: {rise: 0}");
    let problems = compile(&sources, &outside()).unwrap_err();
    let files: Vec<_> = problems.iter().map(|problem| problem.place.to_string()).collect();
    assert_eq!(files, ["a.yaml:1:10", "b.yaml:2:14"], "{problems}");
}

#[test]
fn a_server_that_is_wrong_is_still_known_to_streams() {
    let problems = bad("servers: {v: nonsense}\nstreams: {/a: {servers: [v]}}");
    assert_eq!(messages(&problems).len(), 1, "{problems}");
}

#[test]
fn an_aliased_mistake_is_reported_once() {
    let problems = bad("
servers: {v: 'http://v'}
streams:
  /a: &a {bitrate: fast}
  /b: *a
  /c: {<<: *a}
");
    assert_eq!(messages(&problems).len(), 1, "{problems}");
}

#[test]
fn a_stream_says_what_becomes_of_its_players_when_it_is_full_or_the_default_holds() {
    let fleet = good(
        "balance: {when_full: wait, wait: 3s}
servers: {v: 'http://v'}
streams:
  /a:
  /b: {wait: 5s}
  /c: {when_full: reject}
  /d: {when_full: overflow}
  /e: {when_full: fallback, fallback: /a}
",
    );
    let three = WhenFull::Wait(Duration::from_secs(3));
    let five = WhenFull::Wait(Duration::from_secs(5));
    let expected = [three, five, WhenFull::Reject, WhenFull::Overflow, WhenFull::Fallback];
    assert_eq!(fleet.streams.iter().map(|stream| stream.when_full).collect::<Vec<_>>(), expected);
    assert_eq!(fleet.warnings, [""; 0]);
    let fleet = with_streams("  /a: {when_full: wait}\n  /b:");
    assert_eq!(fleet.streams[0].when_full, WhenFull::Wait(Duration::from_secs(8)));
    assert_eq!(fleet.streams[1].when_full, WhenFull::Reject);
}

#[test]
fn what_has_no_effect_when_a_stream_is_full_deserves_a_word() {
    let fleet = good(
        "balance: {when_full: fallback}
servers: {v: 'http://v'}
streams:
  /a: {wait: 5s}
  /b: {when_full: wait, wait: 20s}
",
    );
    assert_eq!(
        fleet.warnings,
        [
            "balancer.yaml:5:31: some players hang up before a `wait` of 20s ends; all of them sit \
             through 9s",
            "balancer.yaml:4:14: stream \"/a\": its `wait` has no effect, since its `when_full` is \
             fallback",
            "balancer.yaml:1:22: `when_full: fallback`: no stream has a `fallback`: who asks for a \
             full one is refused",
        ]
    );
}

#[test]
fn a_wait_longer_than_players_wait_deserves_a_word() {
    let fleet = |wait| {
        good(&format!("balance: {{wait: {wait}}}\nservers: {{v: 'http://v'}}\nstreams: {{/a: }}"))
    };
    assert_eq!(fleet("8s").warnings, [""; 0]);
    let warnings = fleet("10s").warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("balancer.yaml:1:17: some players hang up"), "{warnings:?}");
}

#[test]
fn nobody_is_trusted_unless_the_file_says_so() {
    let proxies = good(MINIMAL).proxies;
    assert!(!proxies.trusted.contain("127.0.0.1".parse().unwrap()));
    assert!(!proxies.introduce("127.0.0.1".parse().unwrap()));
}

#[test]
fn trusted_proxies_are_networks_and_addresses() {
    let fleet = good(&format!("trusted_proxies: [10.0.0.0/8, '::1']\n{MINIMAL}"));
    for (address, trusted) in
        [("10.9.9.9", true), ("::ffff:10.9.9.9", true), ("11.0.0.0", false), ("::1", true)]
    {
        let address = address.parse().unwrap();
        assert_eq!(fleet.proxies.trusted.contain(address), trusted, "{address}");
        assert!(!fleet.proxies.introduce(address), "{address}");
    }
}

#[test]
fn only_trusted_proxies_begin_with_a_proxy_header() {
    let fleet = good(&format!("trusted_proxies: [10.0.0.0/8]\nproxy_protocol: true\n{MINIMAL}"));
    assert!(fleet.proxies.introduce("10.0.0.7".parse().unwrap()));
    assert!(!fleet.proxies.introduce("192.0.2.7".parse().unwrap()));
}

#[test]
fn a_list_of_proxies_that_cannot_be_read_is_one_problem() {
    let problems = bad(&format!("trusted_proxies: [x]\nproxy_protocol: true\n{MINIMAL}"));
    assert_eq!(messages(&problems), ["`trusted_proxies` is not a network: \"x\""]);
}

#[test]
fn trust_in_everybody_deserves_a_word() {
    for network in ["0.0.0.0/0", "::/0"] {
        let warnings = good(&format!("trusted_proxies: ['{network}']\n{MINIMAL}")).warnings;
        let expected = format!(
            "balancer.yaml:1:19: `trusted_proxies` has everybody in {network}: whoever asks can say \
             that it is somebody else"
        );
        assert_eq!(warnings, [expected]);
    }
}
