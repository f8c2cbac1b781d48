//! The status again and again: redrawn in place on a terminal, printed anew where it changes
//! elsewhere.

use std::io::{self, Write};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use crossterm::{execute, queue};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::super::admin::AdminPort;
use super::super::table::{Tone, wrapped};
use super::look;
use super::page::Page;
use super::view::View;

/// How often it is drawn.
const INTERVAL: Duration = Duration::from_secs(1);

/// Shows the status until somebody interrupts it, or nobody reads any more.
pub(super) async fn until_interrupted(
    admin: &AdminPort,
    first: View,
    is_terminal: bool,
    coloured: bool,
) -> io::Result<()> {
    let mut interrupted = Interrupted::new()?;
    let mut display = Display::begin(is_terminal, coloured)?;
    let mut seen = Ok(first);
    let mut last_good = None;
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        match display.draw(seen.as_ref().ok().or(last_good.as_ref()), seen.as_ref().err()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            drawn => drawn?,
        }
        if let Ok(view) = seen {
            last_good = Some(view);
        }
        let next = async {
            ticks.tick().await;
            look(admin).await
        };
        seen = tokio::select! {
            () = interrupted.wait() => return Ok(()),
            next = next => next,
        };
    }
}

/// The signals that end it.
struct Interrupted {
    signals: [Signal; 3],
}

impl Interrupted {
    fn new() -> io::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self { signals: [interrupt?, terminate?, hangup?] })
    }

    async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Where it is shown.
enum Display {
    /// A terminal, whose own text comes back at the end.
    Screen { coloured: bool },
    /// A pipe or a file: what was printed last.
    Paper { last: String },
}

impl Display {
    fn begin(is_terminal: bool, coloured: bool) -> io::Result<Self> {
        if !is_terminal {
            return Ok(Self::Paper { last: String::new() });
        }
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(Self::Screen { coloured })
    }

    /// Shows what is known, and why nothing newer is.
    fn draw(&mut self, view: Option<&View>, trouble: Option<&String>) -> io::Result<()> {
        let coloured = matches!(self, Self::Screen { coloured: true });
        let is_still = matches!(self, Self::Paper { .. });
        let lines = trouble.map(|why| wrapped(why, 80)).unwrap_or_default();
        let trouble = lines.iter().map(|line| Tone::Bad.paint(line, coloured) + "\n");
        let mut text: String = trouble.collect();
        if let Some(view) = view {
            text += &Page { view, coloured, is_still }.to_string();
        }
        match self {
            Self::Screen { .. } => {
                let (columns, rows) = size();
                // In one piece, so that no half of it is ever seen.
                let mut out = Vec::new();
                queue!(out, BeginSynchronizedUpdate, MoveTo(0, 0))?;
                // What does not fit is left out: a line more would scroll.
                for (row, line) in (0..rows).zip(text.lines()) {
                    queue!(out, MoveTo(0, row))?;
                    out.extend_from_slice(clipped(line, columns).as_bytes());
                    queue!(out, Clear(ClearType::UntilNewLine))?;
                }
                queue!(out, Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
                let mut screen = io::stdout().lock();
                screen.write_all(&out)?;
                screen.flush()
            }
            Self::Paper { last } if *last == text => Ok(()),
            Self::Paper { last } => {
                let mut out = io::stdout().lock();
                if !last.is_empty() {
                    out.write_all(b"\n")?;
                }
                out.write_all(text.as_bytes())?;
                *last = text;
                out.flush()
            }
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Self::Screen { .. } = self {
            // A terminal that is gone needs nothing back.
            drop(execute!(io::stdout(), Show, LeaveAlternateScreen));
        }
    }
}

/// How many columns and rows there are; a terminal that does not know has what all have.
fn size() -> (u16, u16) {
    match terminal::size() {
        Ok((columns, rows)) if columns > 0 && rows > 0 => (columns, rows),
        _ => (80, 24),
    }
}

/// The first columns of a line; what sets colours takes none.
fn clipped(line: &str, columns: u16) -> String {
    let (mut clipped, mut left, mut is_code) = (String::new(), columns, false);
    for c in line.chars() {
        is_code |= c == '\x1b';
        if !is_code {
            let Some(fewer) = left.checked_sub(1) else { continue };
            left = fewer;
        }
        clipped.push(c);
        is_code &= c != 'm';
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_at_the_edge_and_its_colours_end() {
        assert_eq!(clipped("abc", 5), "abc");
        assert_eq!(clipped("abcdef", 3), "abc");
        assert_eq!(clipped("\x1b[31mabcdef\x1b[0mgh", 3), "\x1b[31mabc\x1b[0m");
        assert_eq!(clipped("äöü", 2), "äö");
    }
}
