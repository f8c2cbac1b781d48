//! The table of streams, each with the mounts that it has, or with what was found under it.

use maud::{Markup, html};

use crate::fleet::patterns::Pattern;
use crate::fleet::{Mount, Stream};
use crate::status::overview::{FoundLine, Overview, StreamLine};
use crate::status::{MountStatus, Severity, StreamStatus};

use super::marks::{Count, bar, lending, limited, sign, sign_of_rest, told, wide};
use super::pages;
use super::view::View;

/// Streams on one page.
const STREAMS: usize = 50;

/// Mounts of a stream, or streams of a pattern, that stand among other streams.
const FEW: usize = 12;

/// The same on a page of its own.
const MANY: usize = 200;

/// Relays that are named beside a stream that was found.
const NAMED: usize = 6;

/// The table, as far as somebody wants to see it.
pub(super) fn table(overview: &Overview, view: &View) -> Markup {
    let found = alone_and_found(overview, view);
    let lines: Vec<&StreamLine> = match &view.stream {
        Some(path) => {
            let named = overview.streams.iter().filter(|line| line.path == *path);
            named.chain(&found).collect()
        }
        None => chosen(overview, view),
    };
    let at = if view.stream.is_some() { 0 } else { view.streams };
    let shown = lines.iter().skip(at * STREAMS).take(STREAMS);
    html! {
        section aria-labelledby="streams" {
            h2 #streams tabindex="-1" { "Streams" }
            @if lines.is_empty() {
                p { "There is no such stream." }
            } @else {
                table.streams {
                    caption {
                        "Under each stream the relays that carry it, and why one gets no listeners. "
                        "In use are listeners and those on their way."
                    }
                    thead {
                        tr {
                            th scope="col" { "Stream, relay" }
                            th.use scope="col" { "In use" }
                            th.n scope="col" { "Listeners" }
                            th.n.wide scope="col" { "On their way" }
                            th.n.wide scope="col" { "Limit" }
                            th.n scope="col" { "Free" }
                            th.n.wide scope="col" { "Sent" }
                        }
                    }
                    @for line in shown { (body(overview, line, view)) }
                }
            }
            @if view.stream.is_none() {
                (pages(lines.len(), STREAMS, at, "streams", |at| view.at_streams(at).link()))
            }
        }
    }
}

/// The only stream that is wanted, if it was found under a pattern: overviews have no line for it.
fn alone_and_found(overview: &Overview, view: &View) -> Option<StreamLine> {
    let snapshot = &overview.snapshot;
    let id = snapshot.fleet.stream_at(view.stream.as_deref()?)?;
    let stream = snapshot.fleet.streams.get(id).filter(|stream| stream.is_found())?;
    Some(StreamLine::of(snapshot, id, stream, overview.now))
}

/// The streams that are looked for: by their names, by those that were found under them, or by
/// their relays.
fn chosen<'a>(overview: &'a Overview, view: &View) -> Vec<&'a StreamLine> {
    let fleet = &overview.snapshot.fleet;
    let servers: Vec<bool> = fleet.servers.iter().map(|it| view.looks_for(&it.name)).collect();
    let on_one = |mount: &Mount| servers.get(mount.server) == Some(&true);
    let is_chosen = |line: &&StreamLine| {
        let Some(stream) = fleet.streams.get(line.id) else { return false };
        let pattern = fleet.pattern_of(stream);
        let mounts = pattern.map_or(&stream.mounts, |pattern| &pattern.mounts);
        let is_looked_for = view.looks_for(&line.path)
            || mounts.iter().any(on_one)
            || pattern
                .is_some_and(|it| found(overview, it).any(|(_, it)| view.looks_for(&it.path)));
        is_looked_for && (!view.trouble || is_odd(line))
    };
    overview.streams.iter().filter(is_chosen).collect()
}

/// Whether anything about a stream is not as it should be.
fn is_odd(line: &StreamLine) -> bool {
    line.state.severity().is_some()
        || !line.passed_over.is_empty()
        || line.pattern.as_ref().is_some_and(|it| it.down > 0 || it.left_out > 0)
}

fn found<'a>(
    overview: &'a Overview,
    pattern: &Pattern,
) -> impl Iterator<Item = (usize, &'a Stream)> + use<'a> {
    let streams = &overview.snapshot.fleet.streams;
    pattern.streams().filter_map(|id| Some((id, &**streams.get(id)?)))
}

/// A stream and what belongs to it.
fn body(overview: &Overview, line: &StreamLine, view: &View) -> Markup {
    let snapshot = &overview.snapshot;
    let Some(stream) = snapshot.fleet.streams.get(line.id) else { return html! {} };
    let rows = if let Some(pattern) = snapshot.fleet.pattern_of(stream)
        && line.pattern.is_some()
    {
        found_rows(overview, pattern, line, view)
    } else {
        let status = StreamStatus::of(snapshot, line.id, stream, overview.now);
        mount_rows(line, status.mounts, view)
    };
    html! {
        tbody data-key=(line.path) {
            tr.stream {
                th scope="rowgroup" { div.who {
                    (sign(line.state.severity()))
                    span {
                        a href=(View::of_stream(&line.path).link()) { code { (line.path) } }
                        " " (remarks(line))
                    }
                } }
                (numbers(line))
            }
            (rows)
        }
    }
}

fn remarks(line: &StreamLine) -> Markup {
    html! {
        @if let Some(severity) = line.state.severity() {
            span.reason.(if severity == Severity::Critical { "critical" } else { "warning" }) {
                (line.state.words())
            } " "
        }
        span.remark {
            @match &line.pattern {
                Some(FoundLine { found, max_streams, .. }) => {
                    (Count(*found as u64)) " of at most " (Count(*max_streams as u64)) " streams"
                }
                None => { (line.candidates) " of " (line.mounts) " relays" }
            }
            @if line.waiting > 0 { ", " (Count(line.waiting as u64)) " waiting" }
            @if line.fallbacks > 0 { ", " (Count(line.fallbacks)) " sent to the fallback" }
        }
    }
}

fn numbers(line: &StreamLine) -> Markup {
    let all = line.free.map(|free| free.saturating_add(line.used()));
    html! {
        (used(line.listeners.unwrap_or(0), line.reserved, all))
        td.n.nil[line.listeners.is_none()] { (told(line.listeners)) }
        (wide(line.reserved))
        td.n.wide {}
        td.n { (limited(line.free, true)) }
        (wide(line.redirects))
    }
}

/// How much of it is in use, in a picture and in per cent.
pub(super) fn used(there: u64, on_the_way: u64, all: Option<u64>) -> Markup {
    let used = u128::from(there.saturating_add(on_the_way));
    html! {
        td.use {
            @match all {
                Some(all) if all > 0 => {
                    (bar(there, on_the_way, all))
                    span { (used.saturating_mul(100) / u128::from(all)) " %" }
                }
                _ => span.nil { "–" },
            }
        }
    }
}

/// Rows for the mounts of a stream. Where there are more than are shown, those come first that are
/// not as they should be.
fn mount_rows(line: &StreamLine, mut mounts: Vec<MountStatus>, view: &View) -> Markup {
    let alone = view.stream.is_some();
    let (per, at) = if alone { (MANY, view.streams) } else { (FEW, 0) };
    let count = mounts.len();
    if count > per {
        // Stable: otherwise the configuration's order.
        mounts.sort_by_key(|mount| mount.candidate && mount.reason.is_none());
    }
    let in_tiers = mounts.iter().any(|mount| mount.tier > 0);
    let rest = count.saturating_sub(per);
    html! {
        @for mount in mounts.iter().skip(at * per).take(per) {
            (mount_row(line, mount, in_tiers))
        }
        @if alone && rest > 0 {
            tr.more { td colspan="7" {
                (pages(count, per, at, "relays", |at| view.at_streams(at).link()))
            } }
        } @else if rest > 0 {
            tr.more { td colspan="7" {
                a href=(View::of_stream(&line.path).link()) { "and " (Count(rest as u64)) " more" }
                ": " (line.candidates) " of " (line.mounts) " could take a player"
                @for (reason, count) in &line.passed_over { ", " (count) " " (reason) }
            } }
        }
    }
}

fn mount_row(line: &StreamLine, mount: &MountStatus, in_tiers: bool) -> Markup {
    let listeners = mount.listeners.unwrap_or(0);
    let known = listeners.saturating_add(mount.reserved);
    let all = mount.max_listeners.or(mount.free.map(|free| free.saturating_add(known)));
    let is_there = matches!(mount.presence, "active" | "idle");
    let is_at_rest = matches!(mount.reason.as_deref(), Some("draining" | "disabled"));
    html! {
        tr data-key=(mount.server) {
            th scope="row" { div.who {
                @if is_at_rest {
                    (sign_of_rest())
                } @else if mount.reason.is_some() {
                    (sign(Some(Severity::Warning)))
                } @else {
                    (sign(None))
                }
                span {
                    (mount.server)
                    @if let Some(reason) = &mount.reason {
                        " " span.reason.(if is_at_rest { "rest" } else { "warning" }) { (reason) }
                    }
                    @if mount.mount != line.path { " " code.remark { (mount.mount) } }
                    @if in_tiers { " " span.remark { "tier " (mount.tier) } }
                    @if mount.weight != 1 { " " span.remark { "weight " (mount.weight) } }
                    (lending(mount.lent, mount.borrowed))
                }
            } }
            (used(listeners, mount.reserved, all))
            td.n.nil[mount.listeners.is_none()] { (told(mount.listeners)) }
            (wide(mount.reserved))
            td.n.wide.nil[!is_there] { (limited(mount.max_listeners, is_there)) }
            td.n.nil[!mount.candidate] { (limited(mount.free, mount.candidate)) }
            (wide(mount.redirects))
        }
    }
}

/// Rows for the streams that were found under a pattern.
fn found_rows(overview: &Overview, pattern: &Pattern, line: &StreamLine, view: &View) -> Markup {
    let alone = view.stream.is_some();
    let (per, at) = if alone { (MANY, view.streams) } else { (FEW, 0) };
    let is_looked_for = |(_, stream): &(usize, &Stream)| view.looks_for(&stream.path);
    // Where only its relays were looked for, all that was found is theirs.
    let by_name = found(overview, pattern).any(|it| is_looked_for(&it));
    let all = || found(overview, pattern).filter(|it| !by_name || is_looked_for(it));
    let count = all().count();
    let rest = count.saturating_sub(per);
    html! {
        @for (id, stream) in all().skip(at * per).take(per) {
            (found_row(overview, id, stream))
        }
        @if alone && rest > 0 {
            tr.more { td colspan="7" {
                (pages(count, per, at, "streams", |at| view.at_streams(at).link()))
            } }
        } @else if rest > 0 {
            tr.more { td colspan="7" {
                a href=(View { filter: view.filter.clone(), ..View::of_stream(&line.path) }.link()) {
                    "and " (Count(rest as u64)) " more"
                }
            } }
        }
    }
}

fn found_row(overview: &Overview, id: usize, stream: &Stream) -> Markup {
    let snapshot = &overview.snapshot;
    let line = StreamLine::of(snapshot, id, stream, overview.now);
    let mounts = StreamStatus::of(snapshot, id, stream, overview.now).mounts;
    html! {
        tr data-key=(line.path) {
            th scope="row" { div.who {
                (sign(line.state.severity()))
                span {
                    a href=(View::of_stream(&line.path).link()) { code { (line.path) } }
                    @if line.state.severity().is_some() {
                        " " span.reason.warning { (line.state.words()) }
                    }
                    " " span.remark {
                        @for (at, mount) in mounts.iter().take(NAMED).enumerate() {
                            @if at > 0 { ", " }
                            (mount.server)
                            @if let Some(reason) = &mount.reason { " (" (reason) ")" }
                        }
                        @if mounts.len() > NAMED { " and " (mounts.len() - NAMED) " more" }
                    }
                }
            } }
            (numbers(&line))
        }
    }
}
