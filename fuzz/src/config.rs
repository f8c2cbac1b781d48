//! `balancer.yaml`: every problem has its place in the text and tells no secret, and what is taken
//! holds together.

use std::io;
use std::path::Path;

use http::Uri;
use icecast_balancer::config::source::Sources;
use icecast_balancer::fleet::changes::Changes;
use icecast_balancer::fleet::compile::{Outside, compile};
use icecast_balancer::fleet::{Fallback, Fleet};
use icecast_balancer::problem::{Place, Problem, Problems};
use icecast_balancer::state::Snapshot;
use url::Url;

/// Stands in texts for a password.
const SECRET: &str = "S3CRET";

/// What the environment and every file hold.
const OUTSIDE_SECRET: &str = "from-somewhere-else";

/// Any environment variable and any file there may be.
struct Anything;

impl Outside for Anything {
    fn variable(&self, _: &str) -> Option<String> {
        Some(OUTSIDE_SECRET.to_owned())
    }

    fn secret(&self, _: &Path) -> io::Result<String> {
        Ok(OUTSIDE_SECRET.to_owned())
    }
}

/// Any text as a configuration.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = || compile(&Sources::new("balancer.yaml", text), &Anything);
    match read() {
        Err(problems) => assert_problems(text, &problems),
        Ok(fleet) => {
            assert_holds_together(&fleet);
            assert!(read().is_ok_and(|again| {
                let changes = Changes::between(&fleet, &again);
                changes == Changes::default()
            }));
            let first = Snapshot::first(fleet, String::new());
            if let Ok(again) = read() {
                assert_eq!(first.successor(again, String::new()).digest, "");
            }
        }
    }
}

/// Holds what is told of a refused text to its promises.
fn assert_problems(text: &str, problems: &Problems) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let count = problems.iter().count();
    assert!((1..=1_000).contains(&count), "{count} problems");
    problems.iter().for_each(|problem| assert_place(text, problem));

    let human = problems.human(false);
    let printable = |c: char| c == '\n' || !c.is_control();
    assert!(human.chars().all(printable), "control characters for a terminal: {human:?}");
    let json = problems.json();
    let objects: Vec<serde_json::Value> = serde_json::from_str(&json).expect("JSON");
    assert_eq!(objects.len(), count);
    let github = problems.github();
    let commands = github.lines().filter(|line| line.starts_with("::error ")).count();
    assert_eq!((commands, github.lines().count()), (count, count), "one command a line");

    for told in [&human, &problems.human(true), &json, &github] {
        assert!(!told.contains(OUTSIDE_SECRET), "a secret from elsewhere is shown: {told}");
        if only_passwords_are_secret(text) {
            assert!(!told.contains(SECRET), "a password is shown: {told}");
        }
    }
}

/// Whether [`SECRET`] stands nowhere in `text` but as the value of a `password` on its line.
fn only_passwords_are_secret(text: &str) -> bool {
    text.match_indices(SECRET).all(|(at, _)| {
        let before = text.get(..at).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        line.trim_start_matches(' ') == "password: "
    })
}

fn assert_place(text: &str, problem: &Problem) {
    let Problem { message, place: Place { file, spot }, help } = problem;
    assert!(!message.is_empty() && help.as_ref().is_none_or(|help| !help.is_empty()));
    assert_eq!(file, "balancer.yaml");
    let Some(spot) = spot else { panic!("a problem without a place: {message}") };
    let before = text.get(..spot.span.start).expect("a problem begins in the text");
    assert!(text.get(spot.span.clone()).is_some(), "a problem ends in the text: {spot:?}");
    let line = before.rsplit('\n').next().unwrap_or_default();
    assert_eq!(spot.line, before.matches('\n').count() + 1, "{spot:?}");
    assert_eq!(spot.column, line.chars().count() + 1, "{spot:?}");
    let marked = spot.excerpt.get(spot.marked.clone());
    assert!(marked.is_some_and(|marked| !marked.is_empty()), "a mark of nothing: {spot:?}");
}

/// Holds a fleet to what those who use it never check again.
fn assert_holds_together(fleet: &Fleet) {
    assert!(!fleet.servers.is_empty() && !fleet.streams.is_empty());
    assert!(fleet.poll.fast_interval <= fleet.poll.interval);
    for (name, server) in fleet.servers.iter().map(|server| (&server.name, server)) {
        assert!(!name.is_empty());
        for url in [&server.url, &server.http_url, &server.stats.url] {
            assert!(["http", "https"].contains(&url.scheme()) && url.has_host(), "{url}");
            assert!(url.username().is_empty() && url.password().is_none(), "{url}");
        }
    }
    for (path, stream) in &fleet.paths {
        assert!(path.starts_with('/') && *stream < fleet.streams.len(), "{path:?}");
    }
    for (id, stream) in fleet.streams.iter().enumerate() {
        assert_eq!(fleet.stream_at(&stream.path), Some(id));
        for mount in &stream.mounts {
            assert!(mount.weight > 0);
            let server = &fleet.servers[mount.server];
            let location = mount.location.to_str().expect("ASCII");
            assert_url(location);
            let parsed = Url::parse(location).expect("a URL");
            assert_eq!(parsed.origin(), server.http_url.origin(), "{location}");
        }
        assert_fallback_ends(fleet, id);
    }
}

/// Holds a `Location` that was made of the configuration to what a header and a player take.
fn assert_url(location: &str) {
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
    let uri: Uri = location.parse().unwrap_or_else(|error| panic!("{location}: {error}"));
    assert!(uri.host().is_some_and(|host| !host.is_empty()), "{location}");
}

fn assert_fallback_ends(fleet: &Fleet, start: usize) {
    let mut at = start;
    for _ in 0..=fleet.streams.len() {
        match &fleet.streams[at].fallback {
            Some(Fallback::Stream(next)) => at = *next,
            Some(Fallback::Url(url)) => return assert_url(url.to_str().expect("ASCII")),
            None => return,
        }
    }
    panic!("the fallbacks of {} never end", fleet.streams[start].path);
}
