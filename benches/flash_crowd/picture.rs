//! The picture: for each policy, the listeners of each relay over time, and who was let down.

use std::fmt::Write as _;
use std::time::Duration;

use crate::crowd::What;
use crate::door::Policy;
use crate::page::page;
use crate::scenario::{DRAINED, KILLED};
use crate::story::Story;

const WIDTH: f64 = 960.0;
const COLUMNS: usize = 2;
const MARGIN: f64 = 24.0;
/// What stands above the panels: the title and the legend.
const HEAD: f64 = 92.0;
const PANEL: (f64, f64) = (444.0, 236.0);
const GAP: f64 = 24.0;
/// The plot within its panel: what is left of it, above, and its size.
const PLOT: (f64, f64, f64, f64) = (34.0, 74.0, 396.0, 130.0);

const STYLE: &str = "
  .limit { stroke: #1f2328; stroke-dasharray: 5 3 }
  .relay { fill: none; stroke: #218bff; stroke-width: 1.5; opacity: .7 }
  .killed { fill: none; stroke: #8250df; stroke-width: 2.2 }
  .drained { fill: none; stroke: #1a7f37; stroke-width: 2.2 }
  .refused { stroke: #cf222e; stroke-width: 1.2 }
  .turned { stroke: #bf8700; stroke-width: 1.2 }
  .bad { fill: #cf222e; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .limit { stroke: #f0f6fc }
    .relay { stroke: #4493f8 }
    .killed { stroke: #ab7df8 }
    .drained { stroke: #3fb950 }
    .refused { stroke: #ff6a62 }
    .turned { stroke: #e3b341 }
    .bad { fill: #ff6a62 }
  }
";

/// Draws one panel for each policy.
pub(crate) fn draw(stories: &[(&'static Policy, Story)]) -> String {
    let rows = stories.len().div_ceil(COLUMNS) as f64;
    let height = HEAD + rows * (PANEL.1 + GAP) - GAP + MARGIN;
    let mut svg = String::new();
    head(&mut svg, stories);
    for (at, (policy, story)) in stories.iter().enumerate() {
        let (column, row) = ((at % COLUMNS) as f64, (at / COLUMNS) as f64);
        let x = MARGIN + column * (PANEL.0 + GAP);
        let y = HEAD + row * (PANEL.1 + GAP);
        writeln!(svg, "<g transform=\"translate({x} {y})\">").unwrap();
        panel(&mut svg, policy, story);
        svg.push_str("</g>\n");
    }
    let shown = "Listeners on each of eight relays while a crowd arrives, for each policy";
    page(shown, STYLE, (WIDTH, height), &svg)
}

fn head(svg: &mut String, stories: &[(&'static Policy, Story)]) {
    let Some((_, story)) = stories.first() else { return };
    writeln!(
        svg,
        "<text class=\"title\" x=\"{MARGIN}\" y=\"36\">The same crowds on the same {} Icecast relays \
         with {} slots each</text>",
        story.relays, story.slots_each
    )
    .unwrap();
    let turned_away = stories.iter().any(|(_, story)| story.figures().turned_away > 0.0);
    let legend = [
        ("relay", "a relay's listeners"),
        ("killed", "the one that dies"),
        ("drained", "the one drained"),
        ("limit", "its limit"),
        ("refused", "let down by a relay"),
        ("turned", "turned away by the balancer"),
    ];
    let mut x = MARGIN;
    for (class, name) in legend {
        if class == "turned" && !turned_away {
            continue;
        }
        let shape = match class {
            "refused" | "turned" => "M4 -10V2M9 -10V2M14 -10V2",
            _ => "M0 -4H18",
        };
        writeln!(
            svg,
            "<g transform=\"translate({x} 66)\"><path class=\"{class}\" d=\"{shape}\"/>\
             <text x=\"24\">{name}</text></g>"
        )
        .unwrap();
        x += 44.0 + 6.0 * name.len() as f64;
    }
}

fn panel(svg: &mut String, policy: &Policy, story: &Story) {
    let (left, top, wide, high) = PLOT;
    let (bottom, right) = (top + high, left + wide);
    let figures = story.figures();
    let down = figures.refused + figures.unanswered;
    let class = if down > 0.0 { "bad" } else { "small" };
    writeln!(
        svg,
        "<rect class=\"panel\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n\
         <text class=\"name\" x=\"14\" y=\"24\">{}</text>\n\
         <text class=\"small\" x=\"14\" y=\"42\">{:.0} play · <tspan class=\"{class}\">{down:.0} let \
         down by a relay</tspan> · {:.0} turned away</text>",
        PANEL.0, PANEL.1, policy.title, figures.played, figures.turned_away
    )
    .unwrap();

    let x = |at: Duration| left + wide * at.as_secs_f64() / story.end.as_secs_f64();
    // A little is left above the limit, for the line to be seen.
    let y = |listeners: f64| bottom - high * listeners / (story.slots_each as f64 * 1.06);

    for event in &story.events {
        let class = match event.what {
            What::TurnedAway | What::NotServed => "turned",
            what if what.is_refusal() => "refused",
            _ => continue,
        };
        let (x, from, until) = (x(event.at), top - 20.0, top - 8.0);
        writeln!(svg, "<path class=\"{class}\" d=\"M{x:.1} {from}V{until}\"/>").unwrap();
    }

    axes(svg, story, &x, &y);
    let ordinary = (0..story.relays).filter(|relay| ![KILLED, DRAINED].contains(relay));
    let lines = ordinary.map(|relay| (relay, "relay"));
    for (relay, class) in lines.chain([(DRAINED, "drained"), (KILLED, "killed")]) {
        let mut path = String::new();
        for (at, listeners) in story.listeners(relay) {
            let (x, y) = (x(at), y(listeners as f64));
            if path.is_empty() {
                write!(path, "M{x:.1} {y:.1}").unwrap();
            } else {
                write!(path, "H{x:.1}V{y:.1}").unwrap();
            }
        }
        writeln!(svg, "<path class=\"{class}\" d=\"{path}\"/>").unwrap();
    }
    let limit = y(story.slots_each as f64);
    writeln!(svg, "<path class=\"limit\" d=\"M{left} {limit:.1}H{right}\"/>").unwrap();
}

/// The axes, and what happened to relays.
fn axes(svg: &mut String, story: &Story, x: &impl Fn(Duration) -> f64, y: &impl Fn(f64) -> f64) {
    let (left, top, wide, high) = PLOT;
    let (bottom, right) = (top + high, left + wide);
    let half = story.slots_each / 2;
    for listeners in [0, half, story.slots_each] {
        let y = y(listeners as f64);
        writeln!(
            svg,
            "<path class=\"axis\" d=\"M{left} {y:.1}H{right}\"/>\
             <text class=\"small\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{listeners}</text>",
            left - 6.0,
            y + 4.0
        )
        .unwrap();
    }
    for second in (0..=story.end.as_secs()).step_by(3) {
        let x = x(Duration::from_secs(second));
        let unit = if second == 0 { " s" } else { "" };
        writeln!(
            svg,
            "<text class=\"small\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{second}{unit}</text>",
            bottom + 16.0
        )
        .unwrap();
    }
    let happenings = story.closures.iter().flat_map(|closure| {
        let begins = if closure.relay == KILLED { "dies" } else { "drained" };
        let back = (closure.until < story.end).then_some((closure.until, "back"));
        [Some((closure.from, begins)), back].into_iter().flatten()
    });
    for (at, name) in happenings {
        let x = x(at);
        // The first two stand close together: one to the left of its line, the other to the right.
        let (anchor, shift) = if name == "dies" { ("end", -4.0) } else { ("start", 4.0) };
        writeln!(
            svg,
            "<path class=\"axis\" d=\"M{x:.1} {top}V{bottom}\"/>\
             <text class=\"small\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{name}</text>",
            x + shift,
            bottom - 5.0
        )
        .unwrap();
    }
}
