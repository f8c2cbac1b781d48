//! The picture: processor time for each request, server by server, under the loads that matter.

use std::fmt::Write as _;

use crate::figures::{Figures, Spread};
use crate::load::{KEEP, KEEP_PLAYER, Load, NEW, WRK};
use crate::page::page;
use crate::server::Peer;

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 24.0;
/// What stands above the panels.
const HEAD: f64 = 74.0;
const PANEL: (f64, f64) = (444.0, 208.0);
const GAP: f64 = 24.0;
/// Within a panel: where bars begin, how long the longest is, where the first is, and from each to
/// the next.
const BARS: (f64, f64, f64, f64) = (222.0, 150.0, 58.0, 25.0);

const STYLE: &str = "
  .ours { fill: #218bff }
  .bare { fill: #8c959f }
  .peer { fill: #bf8700 }
  .range { stroke: #1f2328; stroke-width: 1.5 }
  .good { font-weight: 600; fill: #1f2328 }
  @media (prefers-color-scheme: dark) {
    .ours { fill: #4493f8 }
    .bare { fill: #656c76 }
    .peer { fill: #d29922 }
    .range { stroke: #f0f6fc }
    .good { fill: #f0f6fc }
  }
";

pub(crate) fn draw(figures: &Figures) -> String {
    let loads = [
        (&KEEP, "connections kept"),
        (&KEEP_PLAYER, "connections kept, a player's headers"),
        (&NEW, "a connection for each request"),
        (&WRK, "the same, asked after it is accepted (wrk)"),
    ];
    let height = HEAD + 2.0 * PANEL.1 + GAP + MARGIN;
    let mut drawn = format!(
        "<text class=\"title\" x=\"{MARGIN}\" y=\"34\">Processor time of a redirect</text>\n\
         <text x=\"{MARGIN}\" y=\"56\">µs of the server for each request, shorter is better; medians, and \
         the range of {} rounds; everything on one core</text>\n",
        figures.rounds()
    );
    for (at, (load, title)) in loads.into_iter().enumerate() {
        let (column, row) = ((at % 2) as f64, (at / 2) as f64);
        let (x, y) = (MARGIN + column * (PANEL.0 + GAP), HEAD + row * (PANEL.1 + GAP));
        writeln!(drawn, "<g transform=\"translate({x} {y})\">").unwrap();
        panel(&mut drawn, figures, load, title);
        drawn.push_str("</g>\n");
    }
    let shown = "Processor time of one redirect: icecast-balancer, nginx, HAProxy and a server that does nothing";
    page(shown, STYLE, (WIDTH, height), &drawn)
}

fn panel(drawn: &mut String, figures: &Figures, load: &Load, title: &str) {
    writeln!(
        drawn,
        "<rect class=\"panel\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n\
         <text class=\"name\" x=\"14\" y=\"26\">{title}</text>",
        PANEL.0, PANEL.1
    )
    .unwrap();
    let bars: Vec<(Peer, Spread)> = load
        .peers
        .iter()
        .filter_map(|peer| Some((*peer, figures.of(load, *peer, |sample| sample.cpu)?)))
        .collect();
    let most = bars.iter().map(|(_, cpu)| cpu.most).fold(0.0, f64::max);
    for (at, (peer, cpu)) in bars.iter().enumerate() {
        let (left, longest, top, step) = BARS;
        let y = top + step * at as f64;
        let x = |micros: f64| left + longest * micros / most;
        let (class, weight) = match peer {
            Peer::Ours => ("ours", "good"),
            Peer::Bare => ("bare", ""),
            _ => ("peer", ""),
        };
        let name = peer.title().replace(['*', '`'], "");
        let name = name.strip_suffix(", one answer for all").unwrap_or(&name);
        writeln!(
            drawn,
            "<text class=\"small {weight}\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>\
             <rect class=\"{class}\" x=\"{left}\" y=\"{}\" width=\"{:.1}\" height=\"14\" rx=\"2\"/>\
             <path class=\"range\" d=\"M{:.1} {y}H{:.1}\"/>\
             <text class=\"small {weight}\" x=\"{:.1}\" y=\"{}\">{:.2}</text>",
            left - 8.0,
            y + 4.0,
            y - 7.0,
            longest * cpu.median / most,
            x(cpu.least),
            x(cpu.most),
            x(cpu.most) + 8.0,
            y + 4.0,
            cpu.median,
        )
        .unwrap();
    }
}
