//! One relay as it was found: a row of the table, and what stands below it.

use serde::Serialize;

use crate::fleet::{Fleet, Server, ServerId};
use crate::poller::{Glance, Sight};

use super::super::table::{Align, Cell, Tone, age};
use super::compare::{Finding, Look, MountFound, findings, mounts};

pub(super) const COLUMNS: [(&str, Align); 7] = [
    ("RELAY", Align::Left),
    ("ANSWER", Align::Left),
    ("SOURCE", Align::Left),
    ("TIME", Align::Right),
    ("MOUNTS", Align::Right),
    ("USED", Align::Right),
    ("SLOTS", Align::Right),
];

/// A relay, what it said and what is to be said of it.
#[derive(Debug, Serialize)]
pub(super) struct Relay {
    name: String,
    /// Where it was asked.
    url: String,
    /// `active`, `draining` or `disabled`, as configured.
    state: &'static str,
    /// Whether it answered; `null`: it was not asked.
    reachable: Option<bool>,
    /// `ok`, `full`, `not asked`, or how it failed, as `server_polls_total` calls it.
    answer: &'static str,
    /// The statistics document that was found.
    source: Option<&'static str>,
    /// How long the look took.
    latency_seconds: Option<f64>,
    /// Clients of all kinds; `null`: nobody tells.
    clients: Option<u64>,
    /// The mounts of the configuration's streams there.
    mounts: Vec<MountFound>,
    /// How many mounts it lists, ours or not.
    listed: Option<usize>,
    /// Listeners on our mounts; `null`: nobody tells.
    listeners: Option<u64>,
    /// The most listeners that our mounts may have there; `null`: there is no limit, or nobody tells.
    slots: Option<u64>,
    findings: Vec<Finding>,
}

impl Relay {
    /// One that the balancer does not ask.
    pub(super) fn not_asked(server: &Server) -> Self {
        Self {
            name: server.name.clone(),
            url: server.stats.url.to_string(),
            state: server.state.label(),
            reachable: None,
            answer: "not asked",
            source: None,
            latency_seconds: None,
            clients: None,
            mounts: Vec::new(),
            listed: None,
            listeners: None,
            slots: None,
            findings: vec![Finding::note("disabled", "its state is `disabled`: it is not asked")],
        }
    }

    pub(super) fn of(fleet: &Fleet, id: ServerId, server: &Server, look: &Look) -> Self {
        let Glance { took, seen, .. } = &look.glance;
        let unseen = Self {
            reachable: Some(seen.is_ok()),
            answer: match seen {
                Ok(Sight::Report { .. }) => "ok",
                Ok(Sight::Full) => "full",
                Err(trouble) => trouble.result.label(),
            },
            latency_seconds: Some(took.as_secs_f64()),
            findings: findings(fleet, id, server, look),
            ..Self::not_asked(server)
        };
        let Ok(Sight::Report { report, source }) = seen else { return unseen };
        let mounts = mounts(fleet, id, report);
        // A mount that several streams have is one.
        let mut ours: Vec<&MountFound> = mounts.iter().filter(|mount| mount.is_there()).collect();
        ours.sort_by(|one, other| one.mount.cmp(&other.mount));
        ours.dedup_by(|one, other| one.mount == other.mount);
        let listeners = ours.iter().filter_map(|mount| mount.listeners);
        let slots = ours.iter().map(|mount| mount.limit).sum::<Option<u64>>();
        Self {
            source: Some(source),
            clients: report.clients,
            listed: Some(report.mounts.len()),
            listeners: listeners.reduce(u64::saturating_add),
            slots: slots.into_iter().chain(server.max_listeners).min().filter(|_| !ours.is_empty()),
            mounts,
            ..unseen
        }
    }

    /// Whether it is as the configuration says.
    pub(super) fn is_well(&self) -> bool {
        !self.findings.iter().any(Finding::is_error)
    }

    pub(super) fn cells(&self) -> Vec<Cell> {
        let tone = match (self.answer, self.is_well()) {
            ("not asked", _) => Tone::Faint,
            ("ok", true) => Tone::Good,
            ("ok", false) => Tone::Warning,
            _ => Tone::Bad,
        };
        let there = self.mounts.iter().filter(|mount| mount.is_there()).count();
        let is_seen = self.listed.is_some();
        vec![
            Cell::new(&*self.name),
            Cell::new(self.answer).tone(tone),
            Cell::new(self.source.unwrap_or("–")),
            Cell::new(self.latency_seconds.map_or_else(|| "–".to_owned(), latency)),
            Cell::new(match (is_seen, self.mounts.len()) {
                (false, _) => "–".to_owned(),
                (true, all) => format!("{there} of {all}"),
            }),
            Cell::number(self.listeners),
            match self.slots {
                None if is_seen && there > 0 => Cell::new("no limit"),
                slots => Cell::number(slots),
            },
        ]
    }

    pub(super) fn remarks(&self) -> Vec<Cell> {
        let remarks = self.findings.iter().map(|finding| {
            let (word, tone) =
                if finding.is_error() { ("error", Tone::Bad) } else { ("note", Tone::Warning) };
            Cell::new(format!("{word}: {}", finding.text)).tone(tone)
        });
        remarks.collect()
    }
}

fn latency(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1_000.0) } else { age(seconds) }
}
