//! What in the configuration does not match a relay, by what one look at it saw.

use serde::Serialize;
use url::Url;

use crate::config::suggest::closest;
use crate::fleet::patterns::Pattern;
use crate::fleet::{Family, Fleet, Mount, Server, ServerId, Stream};
use crate::icecast::{Activity, Limit, MountReport, Report};
use crate::poller::{Glance, Sight, Trouble};

/// All that was seen of one relay.
pub(super) struct Look {
    pub(super) glance: Glance,
    pub(super) doors: Vec<Door>,
}

/// A URL that players are sent to.
pub(super) struct Door {
    pub(super) url: Url,
    /// The families of its host's addresses, or why there are none.
    pub(super) families: Result<Vec<Family>, String>,
    /// Whether anything answers there.
    pub(super) knocked: Result<(), Trouble>,
}

/// Something that is to be said of a relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// `error`: it is not as the configuration says. `note`: it works, and deserves a word.
    level: Level,
    /// Its name, for programs.
    pub(super) code: &'static str,
    /// What it is, and what to do.
    pub(super) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Error,
    Note,
}

/// A mount of a stream, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct MountFound {
    /// The stream.
    pub(super) stream: String,
    /// Its path on the relay.
    pub(super) mount: String,
    /// `active`, `idle`, `absent` or `unknown`.
    pub(super) presence: &'static str,
    /// Its listeners; `null`: nobody tells.
    pub(super) listeners: Option<u64>,
    /// The most that it may have, by the relay and the configuration; `null`: no limit is known.
    pub(super) limit: Option<u64>,
}

impl Finding {
    fn error(code: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Error, code, text: text.into() }
    }

    pub(super) fn note(code: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Note, code, text: text.into() }
    }

    pub(super) fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}

impl MountFound {
    /// Whether the relay has it.
    pub(super) fn is_there(&self) -> bool {
        matches!(self.presence, "active" | "idle")
    }
}

/// The mounts of a server's streams; of a pattern's those that its relay lists.
pub(super) fn mounts(fleet: &Fleet, id: ServerId, report: &Report) -> Vec<MountFound> {
    let named = named(fleet, id).map(|(stream, mount)| {
        found(stream.path.clone(), mount, report.mounts.iter().find(|seen| seen.name == mount.path))
    });
    let under_patterns = fleet.patterns.iter().flat_map(|(_, pattern)| {
        let listed = listed_under(fleet, pattern, id, report);
        listed.map(|(path, mount, seen)| MountFound {
            mount: seen.name.clone(),
            ..found(path, mount, Some(seen))
        })
    });
    named.chain(under_patterns).collect()
}

fn found(stream: String, mount: &Mount, seen: Option<&MountReport>) -> MountFound {
    let reported = seen.and_then(|seen| match seen.limit {
        // Where listeners are not told, the limit is of further ones.
        Limit::Listeners(limit) => Some(limit),
        Limit::Unlimited | Limit::Unknown => None,
    });
    MountFound {
        stream,
        mount: mount.path.clone(),
        presence: match seen.map(|seen| seen.activity) {
            None => "absent",
            Some(Activity::Active | Activity::Answers) => "active",
            Some(Activity::Idle) => "idle",
            Some(Activity::Unasked) => "unknown",
        },
        listeners: seen.and_then(|seen| seen.listeners),
        limit: mount.max_listeners.into_iter().chain(reported).min(),
    }
}

/// The streams that the configuration names, with their mounts on a server.
fn named(fleet: &Fleet, id: ServerId) -> impl Iterator<Item = (&Stream, &Mount)> {
    fleet.streams.iter().flat_map(move |stream| {
        let mounts = stream.mounts.iter().filter(move |mount| mount.server == id);
        mounts.map(move |mount| (&**stream, mount))
    })
}

/// The mounts that a relay lists under a pattern: the stream each would be, what the pattern's
/// mounts have in common there, and what was seen.
fn listed_under<'a>(
    fleet: &'a Fleet,
    pattern: &'a Pattern,
    id: ServerId,
    report: &'a Report,
) -> impl Iterator<Item = (String, &'a Mount, &'a MountReport)> {
    let common = pattern.place(id).and_then(|place| pattern.mounts.get(place));
    let entry = fleet.streams.get(pattern.stream);
    let prefix = entry.map_or("", |entry| entry.path.trim_end_matches('*'));
    let seen = common.into_iter().flat_map(move |common| {
        let wanted = report.mounts.iter().filter(move |seen| {
            fleet.wanting(id, &seen.name).any(|wanting| wanting.stream == pattern.stream)
        });
        wanted.map(move |seen| (common, seen))
    });
    seen.map(move |(common, seen)| {
        let rest = seen.name.strip_prefix(common.path.as_str()).unwrap_or(&seen.name);
        (format!("{prefix}{rest}"), common, seen)
    })
}

/// What is to be said of a server after this look at it.
pub(super) fn findings(fleet: &Fleet, id: ServerId, server: &Server, look: &Look) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &look.glance.seen {
        Ok(Sight::Report { report, .. }) => {
            of_mounts(fleet, id, report, &mut findings);
            of_limits(fleet, id, server, report, &mut findings);
        }
        Ok(Sight::Full) => findings.push(Finding::error(
            "full",
            "its client limit is reached, so that it refuses statistics as well: raise its \
             <limits><clients>, and ask again when it has room",
        )),
        Err(trouble) => findings.push(Finding::error(trouble.result.label(), &*trouble.why)),
    }
    if let Some(Err(trouble)) = &look.glance.password {
        let text = format!("stats.password is not accepted: {}", trouble.why);
        findings.push(Finding::error("password", text));
    }
    for door in &look.doors {
        of_door(server, door, &mut findings);
    }
    findings.extend(look.glance.remark.iter().map(|remark| Finding::note("odd", &**remark)));
    findings.sort_by_key(|finding| finding.level);
    findings
}

fn of_mounts(fleet: &Fleet, id: ServerId, report: &Report, findings: &mut Vec<Finding>) {
    for (stream, mount) in named(fleet, id) {
        let path = &mount.path;
        let of_stream =
            if stream.path == *path { String::new() } else { format!(" (stream {})", stream.path) };
        match report.mounts.iter().find(|seen| seen.name == *path) {
            None => {
                let listed = || report.mounts.iter().map(|seen| seen.name.as_str());
                let help = match closest(path, listed()) {
                    Some(name) => format!("it lists {name}: is that meant?"),
                    None if report.mounts.is_empty() => "it lists no mount at all".to_owned(),
                    None => "has its source connected, and under this name?".to_owned(),
                };
                let text = format!("mount {path}{of_stream} is not there; {help}");
                findings.push(Finding::error("mount_missing", text));
            }
            Some(MountReport { activity: Activity::Idle, .. }) => {
                let text = format!("mount {path}{of_stream} is on demand: no listener, no stream");
                findings.push(Finding::note("mount_idle", text));
            }
            Some(_) => {}
        }
    }
    for (_, pattern) in fleet.patterns.iter().filter(|(_, pattern)| pattern.place(id).is_some()) {
        if listed_under(fleet, pattern, id, report).next().is_none() {
            let path = fleet.streams.get(pattern.stream).map_or("", |entry| &entry.path);
            findings.push(Finding::note("pattern_empty", format!("no mount is listed for {path}")));
        }
    }
}

fn of_limits(
    fleet: &Fleet,
    id: ServerId,
    server: &Server,
    report: &Report,
    findings: &mut Vec<Finding>,
) {
    let mut unlimited = Vec::new();
    for (stream, mount) in named(fleet, id) {
        let seen = report.mounts.iter().find(|seen| seen.name == mount.path);
        let Some(seen) = seen else { continue };
        match (seen.limit, mount.max_listeners) {
            (Limit::Listeners(limit), Some(configured))
                if seen.listeners.is_some() && limit < configured =>
            {
                let text = format!(
                    "max_listeners of {} is {configured}, but the relay lets {limit} in: the \
                     smaller holds, correct one of them",
                    stream.path
                );
                findings.push(Finding::error("limit_above_relays", text));
            }
            (Limit::Unlimited | Limit::Unknown, None) => unlimited.push(&*mount.path),
            _ => {}
        }
    }
    if !unlimited.is_empty() && server.max_listeners.or(server.max_bandwidth).is_none() {
        let remedy = if server.stats.counts_listeners() {
            "install slots.xsl there, set <max-listeners> there, or max_listeners here"
        } else {
            "set max_listeners or max_bandwidth"
        };
        let text = format!("no limit is known of {}: {remedy}", unlimited.join(", "));
        findings.push(Finding::note("no_limit", text));
    }
    if let (Some(clients), Some(limit)) = (report.clients, server.max_listeners)
        && clients > limit
    {
        let text = format!("it has {clients} clients, more than its max_listeners {limit}");
        findings.push(Finding::error("more_than_max_listeners", text));
    }
}

fn of_door(server: &Server, door: &Door, findings: &mut Vec<Finding>) {
    let url = &door.url;
    if let Err(trouble) = &door.knocked {
        let text = format!("players are sent to {url}, and from here that fails: {}", trouble.why);
        findings.push(Finding::error("players_url", text));
    }
    match (&door.families, server.ip) {
        (Ok(families), Some(family)) if !families.contains(&family) => {
            let text = format!(
                "ip says {family}, but {} has no such address",
                url.host_str().unwrap_or_default()
            );
            findings.push(Finding::error("ip", text));
        }
        (Ok(families), None) if families.as_slice() == [Family::V6] => {
            let host = url.host_str().unwrap_or_default();
            let text = format!(
                "{host} has addresses of IPv6 only: set `ip: 6`, so that players that come by IPv4 \
                 are sent elsewhere"
            );
            findings.push(Finding::note("ip", text));
        }
        (Err(error), _) => {
            let host = url.host_str().unwrap_or_default();
            findings.push(Finding::error("no_address", format!("{host} has no address: {error}")));
        }
        (Ok(_), _) => {}
    }
}

#[cfg(test)]
mod tests;
