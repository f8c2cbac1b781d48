//! The status as text of 80 columns.

mod cluster;

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use super::super::table::{Align, Cell, Table, Tone, age, count, harmless, wrapped};
use super::view::{Config, Mount, Server, Stream, View};

/// One page.
pub(super) struct Page<'a> {
    pub(super) view: &'a View,
    pub(super) coloured: bool,
    /// Without what changes at every look: how long ago things were.
    pub(super) is_still: bool,
}

const MOUNTS: [(&str, Align); 6] = [
    ("RELAY", Align::Left),
    ("SLOTS", Align::Left),
    ("USED", Align::Right),
    ("HELD", Align::Right),
    ("LIMIT", Align::Right),
    ("FREE", Align::Right),
];

const SERVERS: [(&str, Align); 7] = [
    ("RELAY", Align::Left),
    ("HEALTH", Align::Left),
    ("SOURCE", Align::Left),
    ("AGE", Align::Right),
    ("CLIENTS", Align::Right),
    ("HELD", Align::Right),
    ("LIMIT", Align::Right),
];

/// How many of a pattern's streams are shown.
const MOST_FOUND: usize = 20;

/// How long a bar is.
const BAR: u64 = 20;

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        for stream in &self.view.streams {
            self.stream(f, stream)?;
        }
        self.servers(f)?;
        self.cluster(f)
    }
}

impl Page<'_> {
    fn paint(&self, tone: Tone, text: &str) -> String {
        tone.paint(text, self.coloured)
    }

    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let View { version, uptime_seconds, config, .. } = self.view;
        let name = self.paint(Tone::Heading, "icecast-balancer");
        write!(f, "{name} {}", harmless(version))?;
        if !self.is_still {
            write!(f, ", up for {}", age(*uptime_seconds))?;
        }
        let sha: String = config.sha256.chars().take(12).collect();
        writeln!(f, "\nconfiguration {} of {}", harmless(&sha), time(config.loaded_unix))?;
        self.config(f, config)
    }

    fn config(&self, f: &mut fmt::Formatter<'_>, config: &Config) -> fmt::Result {
        let mut say = |tone: Tone, text: &str| {
            wrapped(&harmless(text), 80)
                .iter()
                .try_for_each(|line| writeln!(f, "{}", self.paint(tone, line)))
        };
        if !config.restart_required.is_empty() {
            let keys = config.restart_required.join(", ");
            say(Tone::Warning, &format!("a restart is needed for: {keys}"))?;
        }
        if !config.watching {
            say(Tone::Warning, "changes of the file are noticed within ten seconds only")?;
        }
        for warning in &config.warnings {
            say(Tone::Warning, &format!("warning: {warning}"))?;
        }
        if let Some(refused) = &config.refused {
            say(Tone::Bad, "The configuration on disk is refused; the one before is in force:")?;
            for line in refused.lines() {
                writeln!(f, "  {}", harmless(line))?;
            }
        }
        Ok(())
    }

    fn stream(&self, f: &mut fmt::Formatter<'_>, stream: &Stream) -> fmt::Result {
        let (word, tone) = if stream.up { ("up", Tone::Good) } else { ("down", Tone::Bad) };
        let free = stream.free.map_or_else(|| "no limit".to_owned(), |free| format!("{free} free"));
        let mut facts = vec![free];
        if stream.waiting > 0 {
            facts.push(format!("{} waiting", stream.waiting));
        }
        if stream.fallbacks > 0 {
            facts.push(format!("{} sent to its fallback", stream.fallbacks));
        }
        if stream.mounts_left_out > 0 {
            facts.push(format!("{} relays not shown", stream.mounts_left_out));
        }
        if let Some(pattern) = &stream.pattern {
            facts.push(format!("{} found", pattern.found));
            if pattern.left_out > 0 {
                facts.push(format!("{} left out", pattern.left_out));
            }
        }
        let path = self.paint(Tone::Heading, &harmless(&stream.path));
        writeln!(f, "\n{path} {}, {}", self.paint(tone, word), facts.join(", "))?;
        if !stream.mounts.is_empty() {
            let mut table = Table::new(&MOUNTS);
            for mount in &stream.mounts {
                table.row(cells(mount), remarks(mount, &stream.path));
            }
            f.write_str(&table.show(self.coloured))?;
        }
        let Some(pattern) = &stream.pattern else { return Ok(()) };
        for found in pattern.streams.iter().take(MOST_FOUND) {
            self.stream(f, found)?;
        }
        match pattern.streams.len().saturating_sub(MOST_FOUND) {
            0 => Ok(()),
            more => writeln!(f, "\nand {} more of {}", more, harmless(&stream.path)),
        }
    }

    fn servers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&SERVERS);
        for server in &self.view.servers {
            let (health, tone) = health(server);
            let age = match server.age_seconds {
                _ if self.is_still => "–".to_owned(),
                Some(seconds) => age(seconds),
                None => "never".to_owned(),
            };
            let cells = vec![
                Cell::new(&*server.name),
                Cell::new(health).tone(tone),
                Cell::new(server.source.as_deref().unwrap_or("–")),
                Cell::new(age),
                Cell::number(server.clients),
                Cell::number(Some(server.reserved)),
                limit(server.max_listeners),
            ];
            let feed = (server.live == Some(false)).then_some("its feed is not connected");
            let remarks = server.trouble.as_deref().into_iter().chain(feed);
            let remarks = remarks.map(|text| Cell::new(text).tone(Tone::Warning));
            table.row(cells, remarks.chain(loans(server.lent, server.borrowed)).collect());
        }
        let relays = count(self.view.servers.len(), "relay", "relays");
        write!(f, "\n{}\n{}", self.paint(Tone::Heading, &relays), table.show(self.coloured))
    }
}

fn cells(mount: &Mount) -> Vec<Cell> {
    let tone = match (mount.candidate, mount.free) {
        (false, _) | (true, Some(0)) => Tone::Bad,
        (true, _) if mount.reason.is_some() => Tone::Warning,
        (true, _) => Tone::Good,
    };
    vec![
        Cell::new(&*mount.server),
        Cell::new(bar(mount)).tone(tone),
        Cell::number(mount.listeners),
        Cell::number(Some(mount.reserved)),
        limit(mount.max_listeners),
        match mount.free {
            None if mount.candidate => Cell::new("any"),
            free => Cell::number(free),
        },
    ]
}

fn limit(slots: Option<u64>) -> Cell {
    slots.map_or_else(|| Cell::new("none"), |slots| Cell::number(Some(slots)))
}

/// `██████▒░░░`: in use, promised, and neither. Without a limit there is nothing to be a share of.
fn bar(mount: &Mount) -> String {
    let Some(limit) = mount.max_listeners.filter(|limit| *limit > 0) else {
        return String::new();
    };
    let used = mount.listeners.unwrap_or(0);
    let taken = used.saturating_add(mount.reserved);
    // One in use shows, and so does one that is free.
    let part = |share: u64| match share {
        0 => 0,
        share if share >= limit => BAR,
        share => (share.saturating_mul(BAR) / limit).clamp(1, BAR - 1),
    };
    let (used, taken) = (part(used), part(taken));
    let repeat = |text: &str, times: u64| text.repeat(usize::try_from(times).unwrap_or_default());
    let held = taken.saturating_sub(used);
    repeat("█", used) + &repeat("▒", held) + &repeat("░", BAR - used - held)
}

fn remarks(mount: &Mount, stream: &str) -> Vec<Cell> {
    let place = (mount.path != stream).then(|| Cell::new(format!("mount {}", mount.path)));
    let reason = mount.reason.as_deref().map(|reason| {
        let (word, tone) =
            if mount.candidate { ("", Tone::Warning) } else { ("passed over: ", Tone::Bad) };
        Cell::new(format!("{word}{reason}")).tone(tone)
    });
    place.into_iter().chain(reason).chain(loans(mount.lent, mount.borrowed)).collect()
}

/// What is lent to other balancers, and what is borrowed from them.
fn loans(lent: u64, borrowed: u64) -> Option<Cell> {
    let parts = [(lent, "lent to other balancers"), (borrowed, "borrowed from other balancers")];
    let parts = parts.into_iter().filter(|(slots, _)| *slots > 0);
    let parts: Vec<_> = parts.map(|(slots, what)| format!("{slots} {what}")).collect();
    (!parts.is_empty()).then(|| Cell::new(parts.join(", ")))
}

fn health(server: &Server) -> (&str, Tone) {
    match (&*server.state, &*server.health) {
        ("active", health @ "up") => (health, Tone::Good),
        ("active", health @ "down") => (health, Tone::Bad),
        ("active" | "", health) => (health, Tone::Warning),
        (state, _) => (state, Tone::Faint),
    }
}

/// A time of day, by the clocks of the world.
fn time(unix: f64) -> String {
    let since = Duration::try_from_secs_f64(unix).unwrap_or_default();
    let at = UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH);
    humantime::format_rfc3339_seconds(at).to_string().replace('T', " ").replace('Z', " UTC")
}

#[cfg(test)]
mod tests;
