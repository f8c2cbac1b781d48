//! How far something is, for somebody who waits before a terminal.

use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

/// What ends sooner needs no word.
const PATIENCE: Duration = Duration::from_secs(1);

/// Quicker than this nobody reads.
const PAUSE: Duration = Duration::from_millis(100);

/// Letters of the bar.
const WIDTH: usize = 32;

/// A line that is written over and over, and is gone when this is dropped.
pub(super) struct Progress<W: Write> {
    what: &'static str,
    began: Instant,
    shown: Option<Instant>,
    /// `None`: nobody is there to see it.
    to: Option<W>,
}

impl Progress<io::Stderr> {
    /// On standard error, where that is a terminal.
    pub(super) fn on_stderr(what: &'static str) -> Self {
        let stderr = io::stderr();
        let to = stderr.is_terminal().then_some(stderr);
        Self { what, began: Instant::now(), shown: None, to }
    }
}

impl<W: Write> Progress<W> {
    /// So much of it is done, as a share of 1.
    pub(super) fn tell(&mut self, share: f64, now: Instant) {
        let Some(to) = &mut self.to else { return };
        let waited = now.saturating_duration_since(self.began) >= PATIENCE;
        let new = self.shown.is_none_or(|shown| now.saturating_duration_since(shown) >= PAUSE);
        if waited && new {
            self.shown = Some(now);
            // A terminal that takes nothing changes nothing of what is done.
            drop(write!(to, "\r{} [{}] {:3.0} %", self.what, bar(share), share * 100.0));
            drop(to.flush());
        }
    }
}

impl<W: Write> Drop for Progress<W> {
    fn drop(&mut self) {
        if let (Some(to), Some(_)) = (&mut self.to, self.shown) {
            drop(write!(to, "\r\x1b[K"));
            drop(to.flush());
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a small number"
)]
fn bar(share: f64) -> String {
    let done = ((share * WIDTH as f64) as usize).min(WIDTH);
    format!("{}{}", "#".repeat(done), ".".repeat(WIDTH - done))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(at: &[(u64, f64)], is_terminal: bool) -> String {
        let mut written = Vec::new();
        let began = Instant::now();
        let to = is_terminal.then_some(&mut written);
        let mut progress = Progress { what: "playing", began, shown: None, to };
        for (millis, share) in at {
            progress.tell(*share, began + Duration::from_millis(*millis));
        }
        drop(progress);
        String::from_utf8(written).expect("UTF-8")
    }

    #[test]
    fn what_is_over_within_a_second_is_not_told() {
        assert_eq!(told(&[(10, 0.1), (999, 0.9)], true), "");
    }

    #[test]
    fn what_takes_longer_is_told_now_and_then_and_leaves_no_trace() {
        let line = "\rplaying [########........................]  25 %";
        assert_eq!(
            told(&[(1000, 0.25), (1050, 0.26), (1100, 0.25)], true),
            format!("{line}{line}\r\x1b[K")
        );
    }

    #[test]
    fn nothing_is_told_where_nobody_looks() {
        assert_eq!(told(&[(5000, 0.5)], false), "");
    }
}
