//! The other balancers: who is there, how the engine is, and how many slots are on loan.

use maud::{Markup, html};

use crate::status::{ClusterStatus, Severity};

use super::marks::{Count, ago, sign};

/// The section; nothing where a balancer is alone.
pub(super) fn section(cluster: Option<&ClusterStatus>) -> Markup {
    let Some(cluster) = cluster else { return html! {} };
    html! {
        section #cluster aria-labelledby="cluster-title" {
            h2 #cluster-title { "Balancers" }
            dl.facts {
                div { dt { "Replicas" } dd { (replicas(cluster)) } }
                @if let Some(engine) = &cluster.engine {
                    div { dt { "Engine" } dd {
                        @if engine.up {
                            (sign(None)) " " code { (engine.address) } " answers"
                        } @else {
                            (sign(Some(Severity::Warning))) " " code { (engine.address) } " "
                            span.reason.warning {
                                "does not answer"
                                @if let Some(why) = &engine.trouble { ": " (why) }
                            }
                        }
                    } }
                    div { dt { "Lent" } dd { (loans(cluster.lent, cluster.lent_total)) } }
                    div { dt { "Borrowed" } dd { (loans(cluster.borrowed, cluster.borrowed_total)) } }
                }
            }
            @if !cluster.members.is_empty() { (members(cluster)) }
        }
    }
}

fn replicas(cluster: &ClusterStatus) -> Markup {
    html! {
        @if cluster.engine.is_some() {
            (Count(cluster.members.len() as u64)) " of " (Count(cluster.replicas)) " known"
        } @else {
            (Count(cluster.replicas)) ", each with its share of what is free"
        }
    }
}

fn loans(now: u64, total: u64) -> Markup {
    html! { (Count(now)) " slots now, " (Count(total)) " since the start" }
}

fn members(cluster: &ClusterStatus) -> Markup {
    let ours = cluster.members.iter().find(|member| member.is_self).map(|member| &member.config);
    html! {
        table.members {
            caption { "Those that the engine knows, or knew last." }
            thead {
                tr {
                    th scope="col" { "Balancer" }
                    th scope="col" { "Configuration" }
                    th.n scope="col" { "Heard of" }
                    th.wide scope="col" { "Process" }
                }
            }
            tbody {
                @for member in &cluster.members {
                    tr data-key=(member.name) {
                        th scope="row" {
                            @if member.host.is_empty() { "–" } @else { (member.host) }
                            @if member.is_self { " " span.remark { "this one" } }
                        }
                        td {
                            code { (member.config) }
                            @if ours.is_some_and(|ours| *ours != member.config) {
                                " " span.reason.warning { "another" }
                            }
                        }
                        td.n { (ago(member.age_seconds)) }
                        td.wide { code { (member.name) } }
                    }
                }
            }
        }
    }
}
