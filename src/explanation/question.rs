//! What is asked: which stream, and for whom; and what is wrong with a question.

use std::fmt;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use crate::config::suggest::{closest, did_you_mean, shown};
use crate::fleet::{Fleet, StreamId};
use crate::player::Client;
use crate::slots::Moment;
use crate::state::{Snapshot, State};

/// A stream and a player, as an operator names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    asked: String,
    address: Option<IpAddr>,
    https: bool,
    agent: String,
}

/// Why a question has no answer, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mistake {
    /// It is no question.
    Malformed(String),
    /// There is no such stream.
    UnknownStream(String),
}

/// What can be said of a stream and a player.
const PARAMETERS: [&str; 4] = ["stream", "client", "https", "agent"];

/// So many names are compared with one that is unknown: patterns may have thousands of streams.
const MOST_COMPARED: usize = 1_000;

impl Question {
    /// Reads the query of a request.
    pub fn read(query: &str) -> Result<Self, Mistake> {
        let mut question = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if seen.iter().any(|seen| *seen == name) {
                return Err(malformed(format!("{} is given twice", shown(&name))));
            }
            seen.push(name.to_string());
            match &*name {
                "stream" => question.asked = value.into_owned(),
                "client" => question.address = address(&value)?,
                "https" => question.https = yes_or_no(&value)?,
                "agent" => question.agent = value.into_owned(),
                _ => {
                    let names = PARAMETERS.into_iter();
                    let help = did_you_mean(&name, "parameters", names);
                    return Err(malformed(format!("unknown parameter {}; {help}", shown(&name))));
                }
            }
        }
        if question.asked.is_empty() {
            let example = "/api/v1/explain?stream=/saal1.ogv&client=192.0.2.7";
            return Err(malformed(format!("which stream? Ask for instance {example}")));
        }
        Ok(question)
    }

    /// What was asked for.
    pub fn asked(&self) -> &str {
        &self.asked
    }

    /// The stream that a player would get who asks for this path, written as in the configuration or as
    /// in a URL.
    pub(super) fn stream(&self, fleet: &Fleet) -> Result<StreamId, Mistake> {
        let decoded = percent_decode_str(&self.asked).decode_utf8_lossy();
        let found = fleet.stream_at(&self.asked).or_else(|| fleet.stream_at(&decoded));
        let found = found.or_else(|| fleet.pattern_at(&self.asked));
        found.ok_or_else(|| self.unknown_stream(fleet))
    }

    fn unknown_stream(&self, fleet: &Fleet) -> Mistake {
        let names = fleet.streams.iter().take(MOST_COMPARED).map(|stream| stream.path.as_str());
        let mut aliases: Vec<&str> = fleet.paths.keys().map(String::as_str).collect();
        aliases.sort_unstable();
        let alias = closest(&self.asked, aliases.iter().copied().take(MOST_COMPARED));
        let help = match (closest(&self.asked, names.clone()), alias) {
            (None, Some(alias)) => format!("did you mean {}?", shown(alias)),
            _ => did_you_mean(&self.asked, "streams", names),
        };
        Mistake::UnknownStream(format!("there is no stream {}; {help}", shown(&self.asked)))
    }

    /// The player, as the public port would see it at `now`.
    pub(super) fn client(
        &self,
        state: &State,
        snapshot: &Snapshot,
        stream: StreamId,
        now: Moment,
    ) -> Client {
        let agent = self.agent.as_bytes();
        let client = Client { https: self.https, ..Client::ANY.with_agent(agent) };
        let Some(address) = self.address else { return client };
        let visitor = state.recent.visitor(address, agent, stream);
        let came_from = state.recent.last(visitor, now);
        Client { came_from, ..client.at(address, &snapshot.fleet) }
    }
}

/// An address; none at all is nobody in particular.
fn address(text: &str) -> Result<Option<IpAddr>, Mistake> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_not_one| {
        malformed(format!(
            "client: {} is no IP address such as 192.0.2.7 or 2001:db8::7",
            shown(text)
        ))
    })
}

fn yes_or_no(text: &str) -> Result<bool, Mistake> {
    match text {
        "" | "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(malformed(format!("https: {} is neither true nor false", shown(text)))),
    }
}

fn malformed(why: String) -> Mistake {
    Mistake::Malformed(why)
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Malformed(why) | Self::UnknownStream(why)) = self;
        f.write_str(why)
    }
}

impl std::error::Error for Mistake {}
