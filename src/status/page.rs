//! The page for operators: what is wrong at the top, then streams, relays and the configuration.
//!
//! Here it is rendered, and nowhere else. Without a script it is loaded anew every ten seconds; the
//! script asks for the same page as soon as something has changed, and puts in what differs. Whoever
//! wrote what stands on it, a relay or a file, it is text: the templates escape all that they are
//! given, and the policy lets no script run and no style hold but the two files beside this one.
//!
//! It is bounded, whatever is configured: streams and relays come in pages, and of the mounts of a
//! stream or what is found under a pattern only the first are shown where there are many.

mod cluster;
mod marks;
mod relays;
mod streams;
mod view;

use maud::{DOCTYPE, Markup, html};

use super::trouble::{Kind, Severity, Trouble};
use super::{Condition, Overview, StreamLine, Totals};
use crate::clock::unix_now;

use marks::{Count, ago, date};

pub use view::View;

/// The content security policy that the page needs: its own files, and answers of this very port.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                          connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                          base-uri 'none'";

/// Troubles that stand at the top; the others are beside their streams and relays.
const MOST_TROUBLES: usize = 12;

/// A file that the page needs: its content type and its content.
pub fn file(path: &str) -> Option<(&'static str, &'static str)> {
    match path {
        "/style.css" => Some(("text/css; charset=utf-8", include_str!("page/style.css"))),
        "/live.js" => Some(("text/javascript; charset=utf-8", include_str!("page/live.js"))),
        "/icon.svg" => Some(("image/svg+xml", include_str!("page/icon.svg"))),
        _ => None,
    }
}

/// The page, as somebody wants to see it.
pub fn page(overview: &Overview, view: &View) -> String {
    let verdict = Verdict::of(overview);
    let page = html! {
        (DOCTYPE)
        html lang="en" data-version=(env!("CARGO_PKG_VERSION")) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (verdict.title(&overview.totals)) "icecast-balancer" }
                link rel="icon" href="icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="style.css";
                script src="live.js" defer {}
                noscript { meta http-equiv="refresh" content="10"; }
            }
            body {
                a.skip href="#streams" { "To the streams" }
                header {
                    h1 { "icecast-balancer" }
                    p #live role="status" hidden {}
                }
                main #main {
                    (whats_wrong(overview, &verdict))
                    (sums(&overview.totals))
                    (search(view))
                    (streams::table(overview, view))
                    (relays::table(overview, view))
                    (cluster::section(overview.cluster.as_ref()))
                    (configuration(overview))
                }
                (foot(overview))
            }
        }
    };
    page.into_string()
}

/// All of it in one word.
enum Verdict {
    Well,
    Served,
    AtRisk,
    TurnedAway,
}

impl Verdict {
    fn of(overview: &Overview) -> Self {
        let turns_away =
            |line: &StreamLine| matches!(line.state, Condition::Full | Condition::Unreachable);
        match (overview.totals.critical, overview.totals.warnings) {
            (0, 0) => Self::Well,
            (0, _) => Self::Served,
            _ if overview.streams.iter().any(turns_away) => Self::TurnedAway,
            _ => Self::AtRisk,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Self::Well => "good",
            Self::Served => "warning",
            Self::AtRisk | Self::TurnedAway => "critical",
        }
    }

    /// In front of the name in the browser's list of pages.
    fn title(&self, totals: &Totals) -> String {
        match self {
            Self::Well => String::new(),
            Self::Served => format!("△ {} · ", totals.warnings),
            Self::AtRisk | Self::TurnedAway => format!("▲ {} · ", totals.critical),
        }
    }

    fn words(&self, totals: &Totals) -> String {
        let things = match totals.warnings {
            1 => "one thing wants a look".to_owned(),
            count => format!("{count} things want a look"),
        };
        let and = if totals.warnings == 0 { String::new() } else { format!(", and {things}") };
        match self {
            Self::Well => "All is well".to_owned(),
            Self::Served => format!("Players are served; {things}"),
            Self::AtRisk => format!("Players are at risk{and}"),
            Self::TurnedAway => format!("Players are turned away{and}"),
        }
    }
}

fn whats_wrong(overview: &Overview, verdict: &Verdict) -> Markup {
    let shown = overview.troubles.iter().take(MOST_TROUBLES);
    let more = overview.troubles.len().saturating_sub(MOST_TROUBLES) + overview.unlisted();
    html! {
        section.verdict.(verdict.class()) aria-labelledby="verdict" {
            h2 #verdict { span role="status" { (verdict.words(&overview.totals)) } }
            @if !overview.troubles.is_empty() {
                ul.troubles {
                    @for trouble in shown { (line(trouble)) }
                    @if more > 0 {
                        li.more { a href="?trouble=1" { "and " (Count(more as u64)) " more" } }
                    }
                }
            }
            @if let Some(refused) = &overview.config.refused {
                details open {
                    summary {
                        "What is wrong with the configuration on disk"
                        @if let Some(at) = overview.config.refused_unix {
                            ", refused " (ago(unix_now() - at)) " ago"
                        }
                    }
                    pre tabindex="0" role="region" aria-label="Diagnostics" { (refused) }
                }
            }
        }
    }
}

fn line(trouble: &Trouble) -> Markup {
    html! {
        li.(severity_class(trouble.severity)) {
            (marks::sign(Some(trouble.severity)))
            span {
                @match (trouble.kind, trouble.name.as_deref()) {
                    (Kind::Stream, Some(path)) => {
                        a href=(View::of_stream(path).link()) { code { (path) } } " "
                    }
                    (Kind::Server, Some(name)) => {
                        a href=(View::searching(name).link()) { (name) } " "
                    }
                    _ => {}
                }
                (trouble.text)
            }
        }
    }
}

fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
    }
}

fn sums(totals: &Totals) -> Markup {
    html! {
        dl.sums {
            div { dt { "Listeners" } dd { (Count(totals.listeners)) } }
            div { dt { "On their way" } dd { (Count(totals.reserved)) } }
            @if totals.waiting > 0 {
                div { dt { "Waiting" } dd { (Count(totals.waiting as u64)) } }
            }
            div { dt { "Streams up" } dd { (of(totals.streams_up, totals.streams)) } }
            div { dt { "Relays up" } dd { (of(totals.servers_up, totals.servers)) } }
        }
    }
}

fn of(part: usize, all: usize) -> Markup {
    html! { (Count(part as u64)) small { " of " (Count(all as u64)) } }
}

fn search(view: &View) -> Markup {
    html! {
        search {
            form #search action="." method="get" {
                label for="q" { "Filter" }
                input #q name="q" type="search" value=(view.filter) maxlength="200"
                    placeholder="stream or relay" autocomplete="off" spellcheck="false";
                label.check {
                    input name="trouble" type="checkbox" value="1" checked[view.trouble];
                    " only what is wrong"
                }
                button { "Show" }
                @if !view.is_plain() { " " a href="." { "Show all" } }
            }
        }
    }
}

fn configuration(overview: &Overview) -> Markup {
    let config = &overview.config;
    let now = unix_now();
    html! {
        section #configuration aria-labelledby="configuration-title" {
            h2 #configuration-title { "Configuration" }
            dl.facts {
                div { dt { "In force" } dd {
                    "since " (date(config.loaded_unix)) ", " (ago(now - config.loaded_unix)) " ago"
                } }
                div { dt { "File" } dd { code { (config.file) } } }
                div { dt { "SHA-256" } dd { code.hash { (config.sha256) } } }
                div { dt { "Changes" } dd {
                    @if config.watching { "are noticed at once" } @else { "are noticed every ten seconds" }
                } }
            }
            @if !config.warnings.is_empty() {
                h3 { "Notes" }
                ul.notes {
                    @for warning in &config.warnings { li { (warning) } }
                }
            }
        }
    }
}

fn foot(overview: &Overview) -> Markup {
    html! {
        footer #foot {
            p {
                "Version " (env!("CARGO_PKG_VERSION"))
                ", running for " (ago(overview.now.as_secs_f64()))
            }
            nav aria-label="For programs" {
                a href="metrics" { "Metrics" } " "
                a href="api/v1/status" { "JSON" } " "
                a href="api/v1/events" { "Events" }
            }
        }
    }
}

/// Links to other pages of a list of `count`, of which `per` stand on one.
fn pages(
    count: usize,
    per: usize,
    at: usize,
    what: &str,
    link: impl Fn(usize) -> String,
) -> Markup {
    let last = count.saturating_sub(1) / per;
    html! {
        @if last > 0 {
            nav.pages aria-label={ "Pages of " (what) } {
                @if at > 0 { a rel="prev" href=(link(at - 1)) { "Previous" } " " }
                span {
                    (Count((at * per + 1) as u64)) "–" (Count(((at + 1) * per).min(count) as u64))
                    " of " (Count(count as u64))
                }
                @if at < last { " " a rel="next" href=(link(at + 1)) { "Next" } }
            }
        }
    }
}

#[cfg(test)]
mod tests;
