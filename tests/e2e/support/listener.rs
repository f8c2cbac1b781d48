//! A listener who is easy to watch: curl, following the redirect as a player does.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::lab::Lab;
use super::process::{Process, Program, eventually};

/// From then on there is no doubt that a stream flows, and not only its first burst.
const ENOUGH: u64 = 64_000;

/// Somebody who wants to listen.
pub(crate) struct Listener {
    /// Its `User-Agent`.
    pub(crate) name: String,
    folder: PathBuf,
    curl: Process,
}

/// What became of a listener's wish.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A relay answered 200; this is its address, up to the port.
    Plays(String),
    /// Nobody played: the last answer's status and body.
    Refused(u16, String),
}

impl Listener {
    /// Begins to ask for `url`, under the name `name`.
    pub(crate) fn start(lab: &Lab, name: &str, url: &str) -> Self {
        let folder = lab.folder(&format!("listener-{name}"), "nobody");
        let curl = Program::new("curl", "curl")
            .args(["-sSLN", "-A", name, "-D", "heads", "-o", "body", url])
            .start(&folder);
        Self { name: name.to_owned(), folder, curl }
    }

    /// Waits for the last answer, after all redirects.
    pub(crate) fn outcome(&mut self) -> Outcome {
        let what = format!("{} is answered", self.name);
        eventually(&what, Duration::from_secs(20), || {
            let heads = fs::read_to_string(self.folder.join("heads")).unwrap_or_default();
            let whole = heads.ends_with("\r\n\r\n");
            let last = heads.split("\r\n\r\n").filter(|head| !head.is_empty()).last()?;
            let status: u16 = last.split(' ').nth(1)?.parse().ok()?;
            match status {
                200 if whole => Some(Outcome::Plays(origin(&heads).to_owned())),
                400.. if self.curl.ended().is_some() => {
                    let body = fs::read_to_string(self.folder.join("body")).unwrap_or_default();
                    Some(Outcome::Refused(status, body))
                }
                _ => None,
            }
        })
    }

    /// Waits until so much has been heard that the stream really flows.
    pub(crate) fn hears(&self) {
        let what = format!("{} hears {ENOUGH} bytes", self.name);
        eventually(&what, Duration::from_secs(30), || (self.heard() >= ENOUGH).then_some(()));
    }

    /// How many bytes it has heard.
    pub(crate) fn heard(&self) -> u64 {
        fs::metadata(self.folder.join("body")).map_or(0, |body| body.len())
    }

    /// Whether, and how, it has been left alone by its relay.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.curl.ended()
    }

    /// Stops listening.
    pub(crate) fn leave(&mut self) {
        self.curl.stop_with(Signal::TERM);
    }
}

/// Scheme, host and port of the last `Location` in `heads`.
fn origin(heads: &str) -> &str {
    let location = heads
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| name.eq_ignore_ascii_case("location"))
        .map(|(_, value)| value.trim())
        .next_back()
        .unwrap_or_default();
    let path = location.match_indices('/').nth(2).map_or(location.len(), |(at, _)| at);
    location.split_at(path).0
}
