//! The table of relays: how each is, how that is known, and how much of it is in use.

use maud::{Markup, html};

use crate::fleet::ServerId;
use crate::status::overview::Overview;
use crate::status::trouble::of_server;
use crate::status::{ServerStatus, Severity};

use super::marks::{ago, lending, limited, sign, sign_of_rest, told, wide};
use super::pages;
use super::streams::used;
use super::view::View;

/// Relays on one page.
const RELAYS: usize = 100;

/// The table, as far as somebody wants to see it.
pub(super) fn table(overview: &Overview, view: &View) -> Markup {
    let relays = chosen(overview, view);
    let shown = relays.iter().skip(view.relays * RELAYS).take(RELAYS);
    html! {
        section aria-labelledby="relays" {
            h2 #relays { "Relays" }
            @if relays.is_empty() {
                p { "There is no such relay." }
            } @else {
                table.relays {
                    caption { "How each relay is, and when it was last heard of." }
                    thead {
                        tr {
                            th scope="col" { "Relay" }
                            th.wide scope="col" { "Known by" }
                            th.n.wide scope="col" { "Heard of" }
                            th.use scope="col" { "In use" }
                            th.n scope="col" { "Clients" }
                            th.n.wide scope="col" { "Limit" }
                            th.n scope="col" { "Free" }
                            th.n.wide scope="col" { "Sent" }
                            th.n.wide scope="col" { "Arrived" }
                        }
                    }
                    tbody { @for (id, relay) in shown { (row(overview, *id, relay)) } }
                }
            }
            (pages(relays.len(), RELAYS, view.relays, "relays", |at| view.at_relays(at).link()))
        }
    }
}

/// The relays that are looked for: by their names or addresses, or those of the only stream.
fn chosen<'a>(overview: &'a Overview, view: &View) -> Vec<(ServerId, &'a ServerStatus)> {
    let fleet = &overview.snapshot.fleet;
    let only = view.stream.as_deref().map(|path| {
        let id = fleet.streams.iter().position(|stream| stream.path == path);
        let stream = id.and_then(|id| fleet.streams.get(id));
        let mounts = stream.map(|stream| match fleet.pattern_of(stream) {
            Some(pattern) if stream.is_pattern() => &pattern.mounts,
            _ => &stream.mounts,
        });
        let mut carries = vec![false; fleet.servers.len()];
        for mount in mounts.into_iter().flatten() {
            if let Some(carries) = carries.get_mut(mount.server) {
                *carries = true;
            }
        }
        carries
    });
    let is_chosen = |(id, relay): &(usize, &ServerStatus)| {
        if let Some(carries) = &only {
            return carries.get(*id) == Some(&true);
        }
        let is_looked_for = view.looks_for(&relay.name) || view.looks_for(&relay.url);
        is_looked_for && (!view.trouble || of_server(&overview.snapshot, *id, relay).is_some())
    };
    overview.servers.iter().enumerate().filter(is_chosen).collect()
}

fn row(overview: &Overview, id: ServerId, relay: &ServerStatus) -> Markup {
    let wrong = of_server(&overview.snapshot, id, relay);
    let is_at_rest = wrong.is_none() && relay.state != "active";
    let all = relay.max_listeners;
    html! {
        tr data-key=(relay.name) {
            th scope="row" { div.who {
                @if is_at_rest {
                    (sign_of_rest())
                } @else {
                    (sign(wrong.as_ref().map(|_| Severity::Warning)))
                }
                span {
                    (relay.name)
                    @if relay.state != "active" { " " span.reason.rest { (relay.state) } }
                    @match &wrong {
                        Some(wrong) => { " " span.reason.warning { (wrong) } }
                        None if relay.health != "up" && relay.state != "disabled" => {
                            " " span.remark { (relay.health) }
                        }
                        None => {}
                    }
                    (lending(relay.lent, relay.borrowed))
                    span.under {
                        code { (relay.url) }
                        @if relay.age_seconds.is_some() {
                            span.narrow { " " (source(relay)) ", " (heard(relay)) " ago" }
                        }
                    }
                }
            } }
            td.wide { (source(relay)) }
            td.n.wide { (heard(relay)) }
            (used(relay.clients.unwrap_or(0), relay.reserved, all))
            td.n.nil[relay.clients.is_none()] { (told(relay.clients)) }
            td.n.wide { (limited(relay.max_listeners, relay.up)) }
            td.n { (limited(relay.free, relay.up)) }
            (wide(relay.redirected))
            td.n.wide { (told(relay.arrived)) }
        }
    }
}

fn source(relay: &ServerStatus) -> Markup {
    html! {
        (relay.source.as_deref().unwrap_or("–"))
        @if relay.live == Some(false) { ", " span.reason.warning { "feed lost" } }
    }
}

fn heard(relay: &ServerStatus) -> String {
    relay.age_seconds.map_or_else(|| "–".to_owned(), ago)
}
