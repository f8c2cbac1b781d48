//! `explain`: why a running balancer would send a player where it would.

use url::Url;

use crate::cli::{Explain, TableFormat};
use crate::explanation::{Explanation, Limit, MountVerdict, StageFacts, percent};

use super::admin::AdminPort;
use super::table::{Align, Cell, Table, Tone, age, harmless, wrapped};
use super::{Done, wait_for};

const PATH: &str = "/api/v1/explain";

const COLUMNS: [(&str, Align); 9] = [
    ("RELAY", Align::Left),
    ("VERDICT", Align::Left),
    ("FREE", Align::Right),
    ("USED", Align::Right),
    ("HELD", Align::Right),
    ("LIMIT", Align::Right),
    ("FROM", Align::Left),
    ("KEPT", Align::Right),
    ("AGE", Align::Right),
];

/// Asks the balancer and tells what it says.
pub fn explain(arguments: &Explain, coloured: bool) -> Done {
    match wait_for(ask(arguments)) {
        Ok(Ok(explanation)) => match arguments.format {
            TableFormat::Human => Done::told(told(&explanation, coloured), 0),
            TableFormat::Json => Done::json(&explanation, 0),
        },
        Ok(Err(why)) | Err(why) => Done::failed(why),
    }
}

async fn ask(arguments: &Explain) -> Result<Explanation, String> {
    let (path, by_https) = wanted(&arguments.path);
    let client = arguments.client.map(|client| client.to_string());
    let mut parameters = vec![("stream", &*path)];
    parameters.extend(client.as_deref().map(|client| ("client", client)));
    parameters.extend((arguments.https || by_https).then_some(("https", "true")));
    parameters.extend(arguments.agent.as_deref().map(|agent| ("agent", agent)));
    AdminPort::at(&arguments.admin.admin)?.read(PATH, &parameters).await
}

/// The path that is meant, also by the whole URL that a listener has, and whether that is https.
fn wanted(written: &str) -> (String, bool) {
    match Url::parse(written) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            (url.path().to_owned(), url.scheme() == "https")
        }
        _ => (written.to_owned(), false),
    }
}

/// The explanation for people.
fn told(explanation: &Explanation, coloured: bool) -> String {
    let client = &explanation.client;
    let scheme = if client.https { "https" } else { "http" };
    let who: Vec<&str> = [client.address.as_deref(), client.country.as_deref()]
        .into_iter()
        .chain([client.family.as_deref().filter(|_| client.country.is_none())])
        .flatten()
        .chain([scheme])
        .chain((client.slots > 1).then_some("a player that takes two slots"))
        .collect();
    let alias = (explanation.asked != explanation.stream)
        .then(|| format!(" (asked for {})", harmless(&explanation.asked)));
    let mut text = format!(
        "{}{} for {}\n",
        Tone::Heading.paint(&harmless(&explanation.stream), coloured),
        alias.unwrap_or_default(),
        if client.address.is_some() {
            who.join(", ")
        } else {
            format!("anybody, {}", who.join(", "))
        },
    );
    let answer = &explanation.answer;
    let tone = match (&*answer.outcome, answer.fallback || answer.overflow) {
        ("redirected", false) => Tone::Good,
        ("redirected", true) | ("waits", _) => Tone::Warning,
        _ => Tone::Bad,
    };
    for line in wrapped(&harmless(&answer.text), 80) {
        text += &tone.paint(&line, coloured);
        text.push('\n');
    }
    if let Some(location) = &answer.location {
        text.extend([&harmless(location), "\n"]);
    }
    let mut rules = format!("policy {}, when full: {}", explanation.policy, explanation.when_full);
    if let Some(server) = &client.came_from {
        rules.extend(["; was sent to ", &harmless(server), " a moment ago"]);
    }
    text.extend([&*Tone::Faint.paint(&rules, coloured), "\n"]);
    for stage in &explanation.stages {
        text.push('\n');
        if explanation.stages.len() > 1 {
            let outcome = stage.refusal.as_deref().unwrap_or("has a place");
            let heading = format!("{}: {outcome}", harmless(&stage.stream));
            text.extend([&*Tone::Heading.paint(&heading, coloured), "\n"]);
        }
        text += &table(stage, coloured);
    }
    if let Some(pattern) = &explanation.pattern {
        let (path, servers) = (harmless(&pattern.path), pattern.servers.join(", "));
        let left_out = match pattern.left_out {
            0 => String::new(),
            some => format!("; {some} more are left out: raise max_streams"),
        };
        let line = format!(
            "{path}: {} of at most {} streams are found on {servers}{left_out}",
            pattern.found, pattern.max_streams
        );
        text.push('\n');
        for line in wrapped(&line, 80) {
            text.extend([&*line, "\n"]);
        }
    }
    text
}

fn table(stage: &StageFacts, coloured: bool) -> String {
    let mut table = Table::new(&COLUMNS);
    let mut mounts: Vec<&MountVerdict> = stage.mounts.iter().collect();
    // Those who get the player first, then in the order in which they would.
    mounts.sort_by(|one, other| {
        let order = |mount: &MountVerdict| mount.place.unwrap_or(usize::MAX);
        let chance = |mount: &MountVerdict| mount.chance.unwrap_or(0.0);
        chance(other).total_cmp(&chance(one)).then_with(|| order(one).cmp(&order(other)))
    });
    for mount in mounts {
        let limit = tightest(mount);
        let age = mount.age_seconds.map_or_else(|| "never".to_owned(), age);
        let tone = if mount.stale { Tone::Warning } else { Tone::Plain };
        let cells = vec![
            Cell::new(&*mount.server),
            verdict(mount),
            if mount.verdict == "passed" { Cell::number(mount.free) } else { amount(mount.free) },
            Cell::number(limit.and_then(|limit| limit.used)),
            Cell::number(limit.map(|limit| limit.reserved)),
            amount(limit.and_then(|limit| limit.limit)),
            Cell::new(
                limit
                    .and_then(|limit| limit.from.as_deref())
                    .map_or("–", |from| if from == "configuration" { "config" } else { from }),
            ),
            Cell::number(limit.map(|limit| limit.headroom)),
            Cell::new(age).tone(tone),
        ];
        table.row(cells, remarks(mount, limit, &stage.stream));
    }
    if table.is_empty() {
        return "no relay lists it\n".to_owned();
    }
    table.show(coloured)
}

/// Slots; what has no limit has no number.
fn amount(slots: Option<u64>) -> Cell {
    slots.map_or_else(|| Cell::new("any"), |slots| Cell::number(Some(slots)))
}

fn verdict(mount: &MountVerdict) -> Cell {
    match (&*mount.verdict, mount.chance) {
        ("chosen", _) => Cell::new("chosen").tone(Tone::Good),
        ("possible", Some(chance)) => Cell::new(percent(chance)).tone(Tone::Good),
        ("next", _) => {
            let place = mount.place.map(|place| format!("next: {place}."));
            Cell::new(place.unwrap_or_else(|| "next".to_owned()))
        }
        ("passed", _) => Cell::new("passed").tone(Tone::Bad),
        (verdict, _) => Cell::new(verdict),
    }
}

/// The limit of listeners or clients that leaves least free; of equals the mount's own.
fn tightest(mount: &MountVerdict) -> Option<&Limit> {
    let counted = mount.limits.iter().filter(|limit| limit.unit != "bit/s");
    counted.min_by_key(|limit| limit.free.unwrap_or(u64::MAX))
}

/// What stands below a mount's row: why it is not chosen, and what is out of the ordinary.
fn remarks(mount: &MountVerdict, shown: Option<&Limit>, stream: &str) -> Vec<Cell> {
    let mut remarks = Vec::new();
    let mut say = |text: String, tone: Tone| remarks.push(Cell::new(text).tone(tone));
    if let Some(reason) = &mount.reason {
        let tone = if mount.verdict == "passed" { Tone::Bad } else { Tone::Warning };
        say(reason.text.clone(), tone);
    }
    if mount.mount != stream {
        say(format!("mount {}", mount.mount), Tone::Plain);
    }
    if let Some(limit) = shown.filter(|limit| limit.of == "server" && limit.limit.is_some()) {
        say(
            format!("the limit is the relay's as a whole, whose {} are counted", limit.unit),
            Tone::Plain,
        );
    }
    for limit in mount.limits.iter().filter(|limit| limit.unit == "bit/s") {
        let bits = |bits: Option<u64>| bits.map_or("any".to_owned(), |bits| bits.to_string());
        let (free, all) = (bits(limit.free), bits(limit.limit));
        say(format!("bandwidth: {free} of {all} bit/s free"), Tone::Plain);
    }
    if mount.limits.iter().any(|limit| limit.refuses) {
        say("the relay refuses everybody, looks included".to_owned(), Tone::Warning);
    }
    if (mount.tier, mount.weight) != (0, 1) {
        let left = mount.effective_weight.map(|left| format!(" (now {left:.2})"));
        let left = left.unwrap_or_default();
        say(format!("tier {}, weight {}{left}", mount.tier, mount.weight), Tone::Plain);
    }
    if mount.health != "up" {
        let more = match mount.probation_seconds {
            Some(seconds) => format!(" for another {}", age(seconds)),
            None if mount.allowance < 1.0 => {
                format!(": {} of its slots may be used so far", percent(mount.allowance))
            }
            None => String::new(),
        };
        say(format!("health: {}{more}", mount.health), Tone::Warning);
    }
    if let Some(preference) = mount.preference.as_deref().filter(|word| *word != "neutral") {
        let by = mount.preferred_by.as_deref().map(|by| format!(" by {by}"));
        say(format!("for such players: {preference}{}", by.unwrap_or_default()), Tone::Plain);
    }
    if mount.had_its_share {
        say("prefers such players, and has had its fair share of them".to_owned(), Tone::Plain);
    }
    if mount.arrivals_missing {
        let text = "listeners who are sent there do not arrive: half the weight";
        say(text.to_owned(), Tone::Warning);
    }
    if mount.stands_still {
        say("its source is connected and sends nothing".to_owned(), Tone::Warning);
    }
    remarks.extend(mount.trouble.iter().map(|trouble| Cell::new(&**trouble).tone(Tone::Warning)));
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_url_is_as_good_as_a_path() {
        assert_eq!(wanted("/a.ogg"), ("/a.ogg".to_owned(), false));
        assert_eq!(wanted("http://h:8000/a.ogg?x=1"), ("/a.ogg".to_owned(), false));
        assert_eq!(wanted("https://h/a.ogg"), ("/a.ogg".to_owned(), true));
        assert_eq!(wanted("a.ogg"), ("a.ogg".to_owned(), false));
    }
}
