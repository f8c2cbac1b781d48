//! What came of a play as a picture: the load of each relay over time, what happened to it, and
//! when listeners were not served.
//!
//! The picture is one SVG file that needs nothing else, has a light and a dark form, and tells in
//! words what it shows. The same outcome is drawn the same.

use std::fmt::{self, Formatter};

use quick_xml::escape::escape;

use crate::slots::Moment;

use super::outcome::{Outcome, RelayOutcome};
use super::plan::EventKind;
use super::series::Series;

/// An outcome, drawn.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a>(pub &'a Outcome);

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 24.0;
/// What stands above the rows.
const HEAD: f64 = 92.0;
/// A row: a relay, or those who were not served.
const ROW: f64 = 76.0;
/// The plot within its row: what is left of it, above it, and its size.
const PLOT: (f64, f64, f64, f64) = (184.0, 10.0, 752.0, 56.0);
/// What stands below the rows: the times.
const FOOT: f64 = 40.0;
/// More letters of a name do not fit beside a plot.
const LONGEST_NAME: usize = 17;
/// More relays than these are told of in the description by their number alone.
const MOST_TOLD: usize = 12;

const STYLE: &str = "
  text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #57606a }
  .title { font-size: 17px; font-weight: 600; fill: #1f2328 }
  .name { font-size: 14px; font-weight: 600; fill: #1f2328 }
  .page { fill: #ffffff }
  .plot { fill: #f6f8fa; stroke: #d0d7de }
  .axis { stroke: #d0d7de }
  .load { fill: #218bff; fill-opacity: .25; stroke: #218bff; stroke-width: 1.5 }
  .limit { stroke: #1f2328; stroke-dasharray: 5 3 }
  .kill { stroke: #8250df; stroke-width: 2.2 }
  .drain { stroke: #1a7f37; stroke-width: 2.2 }
  .unserved { stroke: #cf222e; stroke-width: 2.4 }
  .bad { fill: #cf222e; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 }
    .title, .name { fill: #f0f6fc }
    .page { fill: #0d1117 }
    .plot { fill: #151b23; stroke: #3d444d }
    .axis { stroke: #3d444d }
    .load { fill: #4493f8; stroke: #4493f8 }
    .limit { stroke: #f0f6fc }
    .kill { stroke: #ab7df8 }
    .drain { stroke: #3fb950 }
    .unserved { stroke: #ff6a62 }
    .bad { fill: #ff6a62 }
  }
";

impl fmt::Display for Picture<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rows = self.0.servers.len() + usize::from(self.0.unserved() > 0);
        let height = HEAD + rows as f64 * ROW + FOOT;
        writeln!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             aria-labelledby=\"title desc\">\n\
             <title id=\"title\">Listeners on each relay over time</title>\n\
             <desc id=\"desc\">{}</desc>\n<style>{STYLE}</style>\n\
             <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>",
            escape(self.in_words()),
        )?;
        self.head(f)?;
        // Relays without a limit are drawn to one scale, so that they can be compared.
        let most = self.0.servers.iter().map(|server| server.peak).max().unwrap_or(0);
        for (row, server) in self.0.servers.iter().enumerate() {
            writeln!(f, "<g transform=\"translate(0 {})\">", HEAD + row as f64 * ROW)?;
            self.relay(f, row, server, most)?;
            writeln!(f, "</g>")?;
        }
        if self.0.unserved() > 0 {
            let row = self.0.servers.len();
            writeln!(f, "<g transform=\"translate(0 {})\">", HEAD + row as f64 * ROW)?;
            self.unserved(f)?;
            writeln!(f, "</g>")?;
        }
        self.times(f, height - FOOT + 12.0)?;
        writeln!(f, "</svg>")
    }
}

impl Picture<'_> {
    /// What it shows, for those who hear it.
    fn in_words(self) -> String {
        let mut told = vec![format!("{}.", self.summary())];
        for server in self.0.servers.iter().take(MOST_TOLD) {
            told.push(format!("{}: {} at {}.", server.name, peak(server), server.peak_at));
        }
        let more = self.0.servers.len().saturating_sub(MOST_TOLD);
        if more > 0 {
            told.push(format!("{more} more relays."));
        }
        for event in &self.0.events {
            let server = self.0.servers.get(event.server).map_or("", |server| &server.name);
            told.push(format!("{server} {} at {}.", what(event.kind), self.0.start.show(event.at)));
        }
        told.join(" ")
    }

    fn summary(self) -> String {
        let sum = |of: fn(&super::StreamOutcome) -> u64| self.0.streams.iter().map(of).sum::<u64>();
        let (asked, played) = (sum(|stream| stream.arrived), sum(|stream| stream.played));
        let unserved = match self.0.unserved() {
            0 => "nobody was refused".to_owned(),
            count => format!("{count} were not served"),
        };
        format!("{asked} asked, {played} played, {unserved}")
    }

    fn head(self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "<text class=\"title\" x=\"{MARGIN}\" y=\"36\">{}</text>", self.summary())?;
        let happened = |kind| self.0.events.iter().any(|event| event.kind == kind);
        let limited = self.0.servers.iter().any(|server| server.limit.is_some());
        let legend = [
            ("load", "listeners", "M0 -4H18", true),
            ("limit", "most by the configuration", "M0 -4H18", limited),
            ("drain", "drained", "M9 -12V2", happened(EventKind::Drain)),
            ("kill", "died", "M9 -12V2", happened(EventKind::Kill)),
            ("unserved", "not served", "M4 -10V2M9 -10V2M14 -10V2", self.0.unserved() > 0),
        ];
        let mut x = MARGIN;
        for (class, name, shape, _) in legend.into_iter().filter(|(.., shown)| *shown) {
            writeln!(
                f,
                "<g transform=\"translate({x} 66)\"><path class=\"{class}\" d=\"{shape}\"/>\
                 <text x=\"24\">{name}</text></g>"
            )?;
            x += 50.0 + 6.5 * name.len() as f64;
        }
        Ok(())
    }

    fn relay(
        self,
        f: &mut Formatter<'_>,
        row: usize,
        server: &RelayOutcome,
        most: u64,
    ) -> fmt::Result {
        let (left, top, wide, high) = PLOT;
        let (bottom, right) = (top + high, left + wide);
        frame(f, &server.name, &peak(server))?;
        let troubles = [
            (server.refused, "refused by it"),
            (server.thrown_out, "thrown out"),
            (server.found_dead, "found it dead"),
        ];
        // There is room for the first, which is the worst.
        if let Some((count, what)) = troubles.into_iter().find(|(count, _)| *count > 0) {
            writeln!(f, "<text class=\"bad\" x=\"{MARGIN}\" y=\"62\">{count} {what}</text>")?;
        }
        let scale = server.limit.map_or(most, |limit| limit.max(server.peak)).max(1);
        // A little is left above the highest, for its line to be seen.
        let y = |value: u64| bottom - high * value as f64 / (scale as f64 * 1.08);
        write!(f, "<path class=\"load\" d=\"M{left} {bottom}")?;
        steps(f, &server.load, left, wide, y)?;
        writeln!(f, "H{right}V{bottom}Z\"/>")?;
        if let Some(limit) = server.limit {
            writeln!(f, "<path class=\"limit\" d=\"M{left} {:.1}H{right}\"/>", y(limit))?;
        }
        for event in self.0.events.iter().filter(|event| event.server == row) {
            let (x, class) = (self.x(event.at), class(event.kind));
            writeln!(f, "<path class=\"{class}\" d=\"M{x:.1} {top}V{bottom}\"/>")?;
            // What happens late is named to the left of its line.
            let (anchor, shift) = if x > right - 80.0 { ("end", -6.0) } else { ("start", 6.0) };
            writeln!(
                f,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                x + shift,
                top + 26.0,
                what(event.kind)
            )?;
        }
        Ok(())
    }

    fn unserved(self, f: &mut Formatter<'_>) -> fmt::Result {
        let (left, top, wide, high) = PLOT;
        let bottom = top + high;
        let series = &self.0.unserved_over_time;
        frame(f, "not served", &format!("{} in all", self.0.unserved()))?;
        let waiting = self.0.waiting_at_the_end;
        if waiting > 0 {
            writeln!(f, "<text x=\"{MARGIN}\" y=\"62\">{waiting} waited to the end</text>")?;
        }
        let most = series.parts().max().unwrap_or(0).max(1);
        let part = wide / series.parts().count().max(1) as f64;
        for (at, count) in series.parts().enumerate().filter(|(_, count)| *count > 0) {
            let x = left + part * (at as f64 + 0.5);
            let y = bottom - (high - 6.0) * count as f64 / most as f64;
            writeln!(f, "<path class=\"unserved\" d=\"M{x:.1} {bottom}V{y:.1}\"/>")?;
        }
        Ok(())
    }

    /// The times below the plots.
    fn times(self, f: &mut Formatter<'_>, y: f64) -> fmt::Result {
        const PARTS: u32 = 4;
        for part in 0..=PARTS {
            let at = self.0.length * part / PARTS;
            let anchor = match part {
                0 => "start",
                PARTS => "end",
                _ => "middle",
            };
            let (x, time) = (self.x(at), self.0.start.show(at));
            writeln!(f, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{time}</text>")?;
        }
        Ok(())
    }

    fn x(self, at: Moment) -> f64 {
        PLOT.0 + PLOT.2 * self.0.share(at).min(1.0)
    }
}

/// A row's plot, still empty, and what stands to its left.
fn frame(f: &mut Formatter<'_>, name: &str, below: &str) -> fmt::Result {
    let (left, top, wide, high) = PLOT;
    let shown: String = match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    };
    writeln!(
        f,
        "<text class=\"name\" x=\"{MARGIN}\" y=\"26\">{}</text>\
         <text x=\"{MARGIN}\" y=\"44\">{below}</text>\n\
         <rect class=\"plot\" x=\"{left}\" y=\"{top}\" width=\"{wide}\" height=\"{high}\" rx=\"4\"/>",
        escape(shown),
    )
}

/// The steps of a number over time, from wherever the pen is.
fn steps(
    f: &mut Formatter<'_>,
    series: &Series,
    left: f64,
    wide: f64,
    y: impl Fn(u64) -> f64,
) -> fmt::Result {
    let part = wide / series.parts().count().max(1) as f64;
    let mut last = 0;
    for (at, value) in series.parts().enumerate() {
        if value != last {
            write!(f, "H{:.1}V{:.1}", left + part * at as f64, y(value))?;
            last = value;
        }
    }
    Ok(())
}

fn peak(server: &RelayOutcome) -> String {
    match server.limit {
        Some(limit) => format!("at most {} of {limit}", server.peak),
        None => format!("at most {}", server.peak),
    }
}

fn what(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Drain => "drained",
        EventKind::Kill => "died",
    }
}

fn class(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Drain => "drain",
        EventKind::Kill => "kill",
    }
}
