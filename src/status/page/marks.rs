//! Small things that the page is made of: signs, numbers, bars, times.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use maud::{Markup, Render, html};

use crate::status::trouble::Severity;

/// A number, with a comma at each thousand.
pub(super) struct Count(pub(super) u64);

impl Render for Count {
    fn render_to(&self, to: &mut String) {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                to.push(',');
            }
            to.push(digit);
        }
    }
}

/// A cell with a number, which the narrowest screens have no room for. One that is nothing stands
/// back.
pub(super) fn wide(count: u64) -> Markup {
    html! { td.n.wide.nil[count == 0] { (Count(count)) } }
}

/// A number where somebody tells it.
pub(super) fn told(count: Option<u64>) -> Markup {
    html! { @match count { Some(count) => (Count(count)), None => "–" } }
}

/// A number where there is a limit, as far as that is known.
pub(super) fn limited(count: Option<u64>, is_known: bool) -> Markup {
    html! { @match count {
        Some(count) => (Count(count)),
        None if is_known => span title="unlimited" { "∞" },
        None => "–",
    } }
}

/// What is lent to other balancers and what is borrowed from them, where that is anything.
pub(super) fn lending(lent: u64, borrowed: u64) -> Markup {
    html! {
        @if lent > 0 { " " span.remark { (Count(lent)) " lent" } }
        @if borrowed > 0 { " " span.remark { (Count(borrowed)) " borrowed" } }
    }
}

/// What is wrong, by its shape as well as by its colour.
pub(super) fn sign(severity: Option<Severity>) -> Markup {
    let (class, shape) = match severity {
        Some(Severity::Critical) => ("critical", "▲"),
        Some(Severity::Warning) => ("warning", "△"),
        None => ("good", "●"),
    };
    html! { span.sign.(class) aria-hidden="true" { (shape) } }
}

/// One that is out of use, as it is meant to be.
pub(super) fn sign_of_rest() -> Markup {
    html! { span.sign.rest aria-hidden="true" { "○" } }
}

/// How much of what there is is in use: those who are there, and those on their way. It says in a
/// picture what the numbers beside it say.
pub(super) fn bar(there: u64, on_the_way: u64, all: u64) -> Markup {
    let permille = |count: u64| {
        let share = u128::from(count).saturating_mul(1000) / u128::from(all.max(1));
        u64::try_from(share).unwrap_or(1000).min(1000)
    };
    let used = permille(there.saturating_add(on_the_way));
    let there = permille(there);
    let class = match used {
        _ if all == 0 => "none",
        1000.. => "full",
        901.. => "tight",
        _ => "",
    };
    html! {
        svg.bar.(class) viewBox="0 0 1000 1" preserveAspectRatio="none" aria-hidden="true" {
            rect.all width="1000" height="1" {}
            rect.way width=(used) height="1" {}
            rect.there width=(there) height="1" {}
        }
    }
}

/// A length of time in one unit, for people.
pub(super) fn ago(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs_f64();
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _written = match seconds {
        ..10.0 => write!(text, "{seconds:.1} s"),
        ..120.0 => write!(text, "{seconds:.0} s"),
        ..7200.0 => write!(text, "{:.0} min", (seconds / 60.0).floor()),
        ..172_800.0 => write!(text, "{:.0} h", (seconds / 3600.0).floor()),
        _ => write!(text, "{:.0} days", (seconds / 86_400.0).floor()),
    };
    text
}

/// A moment, of which seconds since 1970 are known.
pub(super) fn date(unix: f64) -> Markup {
    let since = Duration::try_from_secs_f64(unix).unwrap_or_default();
    let moment = humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string();
    let words = moment.replace('T', " ").replace('Z', " UTC");
    html! { time datetime=(moment) { (words) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_told_apart() {
        let told = |count| Count(count).render().into_string();
        assert_eq!([0, 999, 1000, 1_234_567].map(told), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn times_are_told_in_the_unit_that_suits_them() {
        let times = [0.04, 9.4, 65.0, 3_599.0, 7_300.0, 90_000.0, 1e6, -1.0, f64::NAN];
        assert_eq!(
            times.map(ago),
            ["0.0 s", "9.4 s", "65 s", "59 min", "2 h", "25 h", "11 days", "0.0 s", "0.0 s"]
        );
    }

    #[test]
    fn a_bar_is_never_longer_than_there_is_room() {
        for (there, way, all) in [(5, 5, 4), (u64::MAX, u64::MAX, 1), (0, 0, 0), (1, 0, 0)] {
            let bar = bar(there, way, all).into_string();
            for width in bar.split("width=\"").skip(1) {
                let width: u64 = width.split('"').next().unwrap().parse().unwrap();
                assert!(width <= 1000, "{bar}");
            }
        }
    }

    #[test]
    fn a_moment_is_told_to_people_and_to_programs() {
        let expected = "<time datetime=\"2026-11-25T20:15:00Z\">2026-11-25 20:15:00 UTC</time>";
        assert_eq!(date(1_795_637_700.0).into_string(), expected);
    }
}
