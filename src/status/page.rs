//! The status as a page: plain HTML that reads on a phone, needs no script and loads nothing.

use std::fmt::{self, Write};

use super::{MountStatus, PatternStatus, ServerStatus, Status, StreamStatus};

/// The content security policy the page needs: its own style and nothing else.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; \
                          base-uri 'none'; form-action 'none'";

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--bad:#c62828;--good:#2e7d32}\
@media(prefers-color-scheme:dark){:root{--bad:#ff8a80;--good:#a5d6a7}}\
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:72rem;padding:1rem}\
h1{font-size:1.4rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}\
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line)}\
.n{text-align:right;font-variant-numeric:tabular-nums}\
.bad{color:var(--bad);font-weight:600}.good{color:var(--good)}\
pre{overflow-x:auto;padding:1rem;border:1px solid var(--bad)}meter{width:8rem}";

/// The page; it asks the browser to load it anew every five seconds.
pub fn page(status: &Status) -> Result<String, fmt::Error> {
    let mut html = String::with_capacity(8 * 1024);
    write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"refresh\" content=\"5\">\
         <title>icecast-balancer</title><style>{STYLE}</style></head><body><main>\
         <h1>icecast-balancer</h1>"
    )?;
    config(&mut html, status)?;
    html.write_str("<h2>Streams</h2>")?;
    for stream in &status.streams {
        write_stream(&mut html, stream)?;
    }
    write_servers(&mut html, &status.servers)?;
    html.write_str("</main></body></html>\n")?;
    Ok(html)
}

fn config(html: &mut String, status: &Status) -> fmt::Result {
    let config = &status.config;
    let short = config.sha256.get(..12).unwrap_or(&config.sha256);
    write!(
        html,
        "<p>Version {}, up for {} s, configuration <code>{short}</code></p>",
        status.version,
        status.uptime_seconds.round(),
    )?;
    if let Some(refused) = &config.refused {
        write!(
            html,
            "<p class=\"bad\">The configuration on disk is refused; the one before is in force.</p>\
             <pre>{}</pre>",
            Text(refused)
        )?;
    }
    if !config.restart_required.is_empty() {
        let keys = config.restart_required.join(", ");
        write!(html, "<p class=\"bad\">A restart is needed for: {}</p>", Text(&keys))?;
    }
    for warning in &config.warnings {
        write!(html, "<p>Note: {}</p>", Text(warning))?;
    }
    Ok(())
}

fn write_stream(html: &mut String, stream: &StreamStatus) -> fmt::Result {
    if let Some(pattern) = &stream.pattern {
        return write_pattern(html, stream, pattern);
    }
    let (class, word) = if stream.up { ("good", "up") } else { ("bad", "no slot") };
    write!(
        html,
        "<h3>{} <span class=\"{class}\">{word}</span>, {} free{}{}</h3><div class=\"wide\"><table>\
         <tr><th>Relay<th>Mount<th class=\"n\">Listeners<th class=\"n\">On their way\
         <th class=\"n\">Limit<th class=\"n\">Free<th>In use<th class=\"n\">Sent<th>Remark</tr>",
        Text(&stream.path),
        Count(stream.free),
        Waiting(stream.waiting),
        Fallbacks(stream.fallbacks),
    )?;
    for mount in &stream.mounts {
        write_mount(html, mount)?;
    }
    html.write_str("</table></div>")
}

/// Streams of a pattern that the page shows; the JSON has all of them.
pub(super) const SHOWN: usize = 200;

/// A pattern: a line for each of its streams.
fn write_pattern(html: &mut String, entry: &StreamStatus, pattern: &PatternStatus) -> fmt::Result {
    let (class, word) = if entry.up { ("good", "up") } else { ("bad", "no slot") };
    let count = pattern.found;
    write!(
        html,
        "<h3>{} <span class=\"{class}\">{word}</span>, {count} of at most {} streams, {} free{}</h3>",
        Text(&entry.path),
        pattern.max_streams,
        Count(entry.free),
        Waiting(entry.waiting),
    )?;
    if pattern.left_out > 0 {
        write!(
            html,
            "<p class=\"bad\">Its relays list more mounts than it may have streams: {} are left out \
             (<code>max_streams</code>)</p>",
            pattern.left_out
        )?;
    }
    html.write_str(
        "<div class=\"wide\"><table><tr><th>Stream<th>State<th>Relays<th class=\"n\">Listeners\
         <th class=\"n\">On their way<th class=\"n\">Free<th class=\"n\">Sent</tr>",
    )?;
    for stream in &pattern.streams {
        write_found(html, stream)?;
    }
    html.write_str("</table></div>")?;
    match count.saturating_sub(pattern.streams.len()) {
        0 => Ok(()),
        more => write!(html, "<p>And {more} more: <a href=\"/api/v1/status\">all of them</a></p>"),
    }
}

fn write_found(html: &mut String, stream: &StreamStatus) -> fmt::Result {
    let (class, word) = if stream.up { ("good", "up") } else { ("bad", "no slot") };
    let sum = |of: fn(&MountStatus) -> u64| stream.mounts.iter().map(of).sum::<u64>();
    write!(html, "<tr><td>{}<td class=\"{class}\">{word}<td>", Text(&stream.path))?;
    for (at, mount) in stream.mounts.iter().enumerate() {
        let class = if mount.candidate { "" } else { " class=\"bad\"" };
        let comma = if at == 0 { "" } else { ", " };
        let reason = Text(mount.reason.as_deref().unwrap_or_default());
        write!(html, "{comma}<span{class} title=\"{reason}\">{}</span>", Text(&mount.server))?;
    }
    write!(
        html,
        "<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}</tr>",
        Told(stream.mounts.iter().filter_map(|mount| mount.listeners).reduce(u64::saturating_add)),
        sum(|mount| mount.reserved),
        Count(stream.free),
        sum(|mount| mount.redirects),
    )
}

fn write_mount(html: &mut String, mount: &MountStatus) -> fmt::Result {
    write!(
        html,
        "<tr><td>{}<td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td>",
        Text(&mount.server),
        Text(&mount.mount),
        Told(mount.listeners),
        mount.reserved,
        Count(mount.max_listeners),
        Count(mount.free),
    )?;
    if let Some(max) = mount.max_listeners {
        let used = mount.listeners.unwrap_or(0).saturating_add(mount.reserved);
        write!(html, "<meter min=\"0\" max=\"{max}\" value=\"{used}\">{used} of {max}</meter>")?;
    }
    let class = if mount.candidate { "" } else { " class=\"bad\"" };
    let reason = Text(mount.reason.as_deref().unwrap_or_default());
    write!(html, "<td class=\"n\">{}<td{class}>{reason}</tr>", mount.redirects)
}

fn write_servers(html: &mut String, servers: &[ServerStatus]) -> fmt::Result {
    html.write_str(
        "<h2>Relays</h2><div class=\"wide\"><table><tr><th>Relay<th>State<th>Health<th>Known by\
         <th class=\"n\">Age<th class=\"n\">Clients<th class=\"n\">Limit\
         <th class=\"n\">Sent<th class=\"n\">Arrived<th>Remark</tr>",
    )?;
    for server in servers {
        let class = if server.up { "good" } else { "bad" };
        let age = server.age_seconds.map_or_else(|| "–".to_owned(), |age| format!("{age:.1} s"));
        write!(
            html,
            "<tr><td>{}<td>{}<td class=\"{class}\">{}<td>{}{}<td class=\"n\">{age}\
             <td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td>{}</tr>",
            Text(&server.name),
            server.state,
            server.health,
            Text(server.source.as_deref().unwrap_or("–")),
            if server.live == Some(false) { ", <span class=\"bad\">feed lost</span>" } else { "" },
            Told(server.clients),
            Count(server.max_listeners),
            server.redirected,
            Told(server.arrived),
            Text(server.trouble.as_deref().unwrap_or_default()),
        )?;
    }
    html.write_str("</table></div>")
}

/// Text from anywhere, inert.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// How many wait, if anybody does.
struct Waiting(usize);

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            waiting => write!(f, ", {waiting} waiting"),
        }
    }
}

/// A number where somebody tells it.
struct Told(Option<u64>);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(count) => count.fmt(f),
            None => f.write_str("–"),
        }
    }
}

/// How many were sent to the fallback, if anybody was.
struct Fallbacks(u64);

impl fmt::Display for Fallbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            sent => write!(f, ", {sent} sent to the fallback"),
        }
    }
}

/// A number where there is one, ∞ where there is no limit.
struct Count(Option<u64>);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(count) => count.fmt(f),
            None => f.write_str("∞"),
        }
    }
}
