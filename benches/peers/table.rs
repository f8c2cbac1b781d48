//! All of it as Markdown.

use std::fmt::Write as _;

use crate::figures::{Figures, Memory, Sample};
use crate::goals::{self, Goal};
use crate::load::Load;
use crate::server::Peer;

pub(crate) fn render(figures: &Figures, goals: &[Goal]) -> String {
    let mut text = String::new();
    for load in Load::ALL {
        one_load(&mut text, figures, load);
    }
    if let Some((ahead, sound)) = goals::soundness(figures) {
        let word = if sound { "steady enough" } else { "VOID: the machine was disturbed" };
        let (low, high) = ahead.middle;
        writeln!(
            text,
            "{} rounds. nginx / bare epoll on kept connections: {ahead}, in half of all rounds {low:.2} – {high:.2}. \
             Other programs and the hypervisor took {:.0} % of a core at most: {word}.\n",
            figures.rounds(),
            figures.besides * 100.0
        )
        .unwrap();
    }
    instructions(&mut text, figures);
    memory(&mut text, figures);
    reloads(&mut text, figures);
    text.push_str("| goal | found | wanted | |\n| --- | ---: | ---: | --- |\n");
    for goal in goals {
        let word = if goal.is_kept() { "ok" } else { "MISSED" };
        let found = if goal.found.least < goal.found.most {
            goal.found.to_string()
        } else {
            format!("{:.2}", goal.found.median)
        };
        writeln!(text, "| {} | {found} | {} | {word} |", goal.what, goal.bound).unwrap();
    }
    text
}

fn one_load(text: &mut String, figures: &Figures, load: &Load) {
    let measured = |peer: &&Peer| figures.of(load, **peer, |sample| sample.cpu).is_some();
    if !load.peers.iter().any(|peer| measured(&peer)) {
        return;
    }
    writeln!(
        text,
        "**{}**\n\n| server | processor time | nginx / it | requests per second | p50 | p99 |\n\
         | --- | ---: | ---: | ---: | ---: | ---: |",
        load.title
    )
    .unwrap();
    for peer in load.peers.iter().filter(measured) {
        let median = |figure: fn(&Sample) -> f64| {
            figures.of(load, *peer, figure).map_or(0.0, |spread| spread.median)
        };
        let ratio = figures.ratio(load, (Peer::NginxReturn, *peer), |sample| sample.cpu);
        writeln!(
            text,
            "| {} | {:.2} µs | {} | {:.0} | {:.0} µs | {:.0} µs |",
            peer.title(),
            median(|sample| sample.cpu),
            ratio.map_or_else(String::new, |ratio| ratio.to_string()),
            median(|sample| sample.rate),
            median(|sample| sample.p50),
            median(|sample| sample.p99),
        )
        .unwrap();
    }
    text.push('\n');
}

fn instructions(text: &mut String, figures: &Figures) {
    if figures.instructions.is_empty() {
        return;
    }
    text.push_str("| instructions in user space | ours | nginx | ours / nginx |\n");
    text.push_str("| --- | ---: | ---: | ---: |\n");
    for load in Load::ALL {
        let of = |peer| figures.instructions.get(&(load.key, peer)).copied();
        if let (Some(ours), Some(nginx)) = (of(Peer::Ours), of(Peer::NginxReturn)) {
            let ratio = ours / nginx;
            let title = load.title.split(", client").next().unwrap_or(load.title);
            writeln!(text, "| {title} | {ours:.0} | {nginx:.0} | {ratio:.2} |").unwrap();
        }
    }
    let calls = figures.calls.iter().filter(|(_, times)| **times >= 0.005);
    let calls: Vec<_> = calls.map(|(name, times)| format!("`{name}` {times:.2}")).collect();
    writeln!(
        text,
        "\nSystem calls of ours, a connection for each request: {}.\n",
        calls.join(", ")
    )
    .unwrap();
}

fn memory(text: &mut String, figures: &Figures) {
    if figures.memory.is_empty() {
        return;
    }
    text.push_str("| memory (RSS) | idle | 10,000 kept connections | 2 s after them |\n");
    text.push_str("| --- | ---: | ---: | ---: |\n");
    let told = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let perhaps = |bytes: Option<u64>| bytes.map_or_else(String::new, told);
    for Memory { who, idle, full, after } in &figures.memory {
        let (full, after) = (perhaps(*full), perhaps(*after));
        writeln!(text, "| {who} | {} | {full} | {after} |", told(*idle)).unwrap();
    }
    text.push('\n');
}

fn reloads(text: &mut String, figures: &Figures) {
    if figures.reloads.is_empty() {
        return;
    }
    text.push_str(
        "| reloads | | in a second | requests meanwhile | failed | processor time, reloading / quiet |\n",
    );
    text.push_str("| --- | --- | ---: | ---: | ---: | ---: |\n");
    for reload in &figures.reloads {
        let cpu = reload.cpu.map_or_else(String::new, |cpu| cpu.to_string());
        let (who, how) = (reload.who, &reload.how);
        let (often, requests, failed) = (reload.each_second, reload.requests, reload.failed);
        writeln!(text, "| {who} | {how} | {often:.1} | {requests} | {failed} | {cpu} |").unwrap();
    }
    text.push('\n');
}
