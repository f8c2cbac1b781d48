//! What is wrong, the worst first, in words for somebody who was woken by it.

use serde::Serialize;

use crate::fleet::ServerId;
use crate::state::{Snapshot, State};

use super::overview::{Condition, StreamLine};
use super::{ClusterStatus, ConfigStatus, ServerStatus};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub kind: Kind,
    /// The path of the stream, or the name of the server; absent where it is about neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is wrong, and what becomes of players.
    pub text: String,
}

/// How much something matters; worse ones come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Players are turned away who should be served, or soon will be.
    Critical,
    /// Players are served, but something wants to be looked at.
    Warning,
}

/// What something is about, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// This program's own network.
    Network,
    /// A stream.
    Stream,
    /// A server.
    Server,
    /// The other balancers, or the engine between them.
    Cluster,
    /// The configuration.
    Config,
}

/// Everything that is wrong, the worst first.
pub(super) fn troubles(
    state: &State,
    snapshot: &Snapshot,
    config: &ConfigStatus,
    cluster: Option<&ClusterStatus>,
    servers: &[ServerStatus],
    streams: &[StreamLine],
) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    if state.network_hold() {
        let text = "Most relays stopped answering at once: our own network is taken to be at fault, \
                    and players are sent by what was known before";
        troubles.push(Trouble::about(Kind::Network, None, Severity::Critical, text));
    }
    troubles.extend(streams.iter().flat_map(of_stream));
    troubles.extend(servers.iter().enumerate().filter_map(|(id, server)| {
        let text = of_server(snapshot, id, server)?;
        Some(Trouble::about(Kind::Server, Some(&server.name), Severity::Warning, text))
    }));
    troubles.extend(cluster.into_iter().flat_map(of_cluster));
    troubles.extend(of_config(config));
    // Stable: of two that matter as much, the configuration's order decides.
    troubles.sort_by_key(|trouble| (trouble.severity, trouble.kind));
    troubles
}

fn of_stream(stream: &StreamLine) -> impl Iterator<Item = Trouble> {
    let about =
        |severity, text: String| Trouble::about(Kind::Stream, Some(&stream.path), severity, text);
    let own = stream.state.severity().map(|severity| about(severity, words(stream)));
    let pattern = stream.pattern.as_ref();
    let down = pattern.filter(|pattern| pattern.down > 0 && stream.up).map(|pattern| {
        let text =
            format!("{} of its {} streams are on no relay with room", pattern.down, pattern.found);
        about(Severity::Warning, text)
    });
    let left_out = pattern.filter(|pattern| pattern.left_out > 0).map(|pattern| {
        let text = format!(
            "its relays list more mounts than it may have streams: {} are left out (max_streams)",
            pattern.left_out
        );
        about(Severity::Warning, text)
    });
    [own, down, left_out].into_iter().flatten()
}

/// What is wrong with a stream, and what becomes of its players.
fn words(stream: &StreamLine) -> String {
    match stream.state {
        Condition::Up | Condition::Empty => String::new(),
        Condition::NearlyFull => {
            let free = stream.free.unwrap_or(0);
            let all = free.saturating_add(stream.used());
            format!("nearly full: {free} of {all} slots are free")
        }
        Condition::BeyondLimits => {
            "full: players are sent to relays beyond their limits".to_owned()
        }
        Condition::Guess => "nothing is known for certain: a few players at a time are sent to \
                             relays that may be well"
            .to_owned(),
        Condition::Fallback => "players are sent to its fallback".to_owned(),
        Condition::Full if stream.when_full == "wait" => {
            let waiting = stream.waiting;
            format!("full: players wait for a slot, {waiting} now, and are then refused")
        }
        Condition::Full => "full: players are refused".to_owned(),
        Condition::Offline => "offline: no relay that answers has it. Is its source on?".to_owned(),
        Condition::Unreachable => {
            "unreachable: none of its relays answers, players are refused".to_owned()
        }
    }
}

/// What is wrong with a server, in words; `None`: nothing.
pub(super) fn of_server(
    snapshot: &Snapshot,
    id: ServerId,
    server: &ServerStatus,
) -> Option<String> {
    let because = server.trouble.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    let misses_arrivals = || snapshot.server(id).is_some_and(|slots| slots.misses_arrivals());
    Some(match server.health {
        _ if server.state == "disabled" => return None,
        "down" => format!("down{because}"),
        "doubtful" => format!("in doubt{because}"),
        "probation" => "on probation: it went down and came back too often".to_owned(),
        "unknown" => format!("not heard of yet{because}"),
        _ if !server.up => format!("its numbers are old and not believed{because}"),
        _ if misses_arrivals() => "listeners who are sent there do not arrive".to_owned(),
        _ if server.live == Some(false) => {
            "its live feed is lost: it is polled all the same".to_owned()
        }
        _ => server.trouble.clone()?,
    })
}

fn of_cluster(cluster: &ClusterStatus) -> impl Iterator<Item = Trouble> {
    let about = |text: String| Trouble::about(Kind::Cluster, None, Severity::Warning, text);
    let engine = cluster.engine.as_ref();
    let down = engine.filter(|engine| !engine.up).map(|engine| {
        let because = engine.trouble.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
        let address = &engine.address;
        about(format!(
            "The engine {address} does not answer{because}: no slots are lent between balancers"
        ))
    });
    let (known, most) = (cluster.members.len() as u64, cluster.replicas);
    let too_many = (known > most).then(|| {
        about(format!(
            "There are {known} balancers, and cluster.replicas is {most}: slots can be given away twice"
        ))
    });
    let first = cluster.members.first();
    let others =
        cluster.members.iter().any(|it| first.is_some_and(|first| first.config != it.config));
    let unlike = others.then(|| about("Not all balancers have the same configuration".to_owned()));
    [down, too_many, unlike].into_iter().flatten()
}

fn of_config(config: &ConfigStatus) -> impl Iterator<Item = Trouble> {
    let about = |text: String| Trouble::about(Kind::Config, None, Severity::Warning, text);
    let refused = config.refused.as_ref().map(|_| {
        about("The configuration on disk is refused; the one before is in force".to_owned())
    });
    let restart = (!config.restart_required.is_empty())
        .then(|| about(format!("A restart is needed for: {}", config.restart_required.join(", "))));
    let blind = (!config.watching).then(|| {
        about("Changes of the configuration are noticed only every ten seconds".to_owned())
    });
    [refused, restart, blind].into_iter().flatten()
}

impl Trouble {
    fn about(kind: Kind, name: Option<&str>, severity: Severity, text: impl Into<String>) -> Self {
        Self { severity, kind, name: name.map(ToOwned::to_owned), text: text.into() }
    }
}
