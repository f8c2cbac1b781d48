//! Single values: text, numbers, durations, rates and addresses.
//!
//! Every reader takes an [`Entry`] and gives `None` after it has reported what is wrong with it.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::fields::{Entry, kind};
use crate::config::findings::Findings;
use crate::config::source::At;
use crate::config::suggest::{closest, shown};
use crate::config::yaml::{Kind, Scalar, Value};
use crate::network::{Network, NotANetwork};

/// No interval or deadline of ours is longer.
const MAX_DURATION: Duration = Duration::from_secs(60 * 60);

/// Text, in quotes or not.
pub(super) fn text(entry: &Entry<'_>, findings: &mut Findings) -> Option<String> {
    let scalar = scalar(entry, findings)?;
    let problem = if scalar.kind != Kind::Text {
        ("must be text, and YAML reads it as something else", "put it in quotes")
    } else if scalar.text.is_empty() {
        ("is empty text", "give it a value, or remove the line")
    } else if scalar.text.contains(char::is_control) {
        ("contains a control character or a line break", "write it on one line")
    } else {
        return Some(scalar.text.clone());
    };
    findings.problem(entry.node.span, format!("`{}` {}", entry.name, problem.0), problem.1);
    None
}

/// The path of a file on this machine.
pub(super) fn file(entry: &Entry<'_>, findings: &mut Findings) -> Option<PathBuf> {
    text(entry, findings).map(PathBuf::from)
}

/// `true` or `false`.
pub(super) fn boolean(entry: &Entry<'_>, findings: &mut Findings) -> Option<bool> {
    let scalar = scalar(entry, findings)?;
    let Kind::Boolean(value) = scalar.kind else {
        let message = format!("`{}` must be true or false: {}", entry.name, shown(&scalar.text));
        findings.problem(entry.node.span, message, "write true or false, without quotes");
        return None;
    };
    Some(value)
}

/// A value that is written as one of several words.
pub(super) trait Choice: Copy + 'static {
    /// Each word with what it means.
    const WORDS: &'static [(&'static str, Self)];
}

/// The words of a choice.
pub(super) fn words<T: Choice>() -> Vec<&'static str> {
    T::WORDS.iter().map(|(word, _)| *word).collect()
}

/// One of several words.
pub(super) fn choice<T: Choice>(entry: &Entry<'_>, findings: &mut Findings) -> Option<T> {
    let scalar = scalar(entry, findings)?;
    if let Some((_, choice)) = T::WORDS.iter().find(|(word, _)| *word == scalar.text) {
        return Some(*choice);
    }
    let words = words::<T>();
    let help = match closest(&scalar.text, words.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("write one of: {}", words.join(", ")),
    };
    let message = format!("`{}` cannot be {}", entry.name, shown(&scalar.text));
    findings.problem(entry.node.span, message, help);
    None
}

/// A whole number in digits.
pub(super) fn count(
    entry: &Entry<'_>,
    range: RangeInclusive<u64>,
    findings: &mut Findings,
) -> Option<u64> {
    let scalar = scalar(entry, findings)?;
    let digits = scalar.text.bytes().all(|byte| byte.is_ascii_digit());
    let number = scalar.text.parse::<u64>().ok().filter(|_| digits);
    let (least, most) = (*range.start(), *range.end());
    let shown = shown(&scalar.text);
    let (wrong, help) = match (scalar.kind, number) {
        (Kind::Integer, Some(number)) if range.contains(&number) => return Some(number),
        (Kind::Text, Some(number)) if number.to_string() == scalar.text => {
            (format!("must be a number, and is the text {shown}"), "remove the quotes".to_owned())
        }
        (Kind::Integer | Kind::Float, _) if number.is_some() || scalar.text.starts_with('-') => {
            let wrong = format!("is out of range: {}", scalar.text);
            (wrong, format!("write a number from {least} to {most}"))
        }
        _ => {
            let wrong = format!("must be a whole number: {shown}");
            (wrong, format!("write digits only, from {least} to {most}, for example 500"))
        }
    };
    findings.problem(entry.node.span, format!("`{}` {wrong}", entry.name), help);
    None
}

/// A time with its unit, longer than nothing and at most an hour.
pub(super) fn duration(entry: &Entry<'_>, findings: &mut Findings) -> Option<Duration> {
    let duration = duration_or_zero(entry, findings)?;
    if duration.is_zero() {
        let message = format!("`{}` must be longer than 0", entry.name);
        findings.problem(entry.node.span, message, "write for example 500ms or 2s");
        return None;
    }
    Some(duration)
}

/// A time with its unit, at most an hour.
pub(super) fn duration_or_zero(entry: &Entry<'_>, findings: &mut Findings) -> Option<Duration> {
    let scalar = scalar(entry, findings)?;
    let number = scalar.text.parse::<f64>().is_ok_and(f64::is_finite);
    let (wrong, help) = match humantime::parse_duration(&scalar.text) {
        _ if number => {
            let number = &scalar.text;
            let help = format!("write {number}s for seconds, or {number}ms for milliseconds");
            (format!("has no unit: {number}"), help)
        }
        Ok(duration) if duration <= MAX_DURATION => return Some(duration),
        Ok(_) => (format!("is too long: {}", shown(&scalar.text)), "write at most 1h".to_owned()),
        Err(_) => (
            format!("is not a duration: {}", shown(&scalar.text)),
            "write a number and ms, s, m or h, for example 500ms or 2s".to_owned(),
        ),
    };
    findings.problem(entry.node.span, format!("`{}` {wrong}", entry.name), help);
    None
}

/// Bits per second.
pub(super) fn rate(entry: &Entry<'_>, findings: &mut Findings) -> Option<u64> {
    let scalar = scalar(entry, findings)?;
    let unit_at = scalar.text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = scalar.text.split_at(unit_at.unwrap_or(scalar.text.len()));
    let wrong = match rate_in_bits(number, unit.trim_start()) {
        Ok(rate) => return Some(rate),
        Err(wrong) => wrong,
    };
    let message = match wrong {
        RateError::Malformed => format!("`{}` is not a rate", entry.name),
        RateError::Unit => format!("`{}` has no unit of bits per second", entry.name),
        RateError::Range => format!("`{}` is not between 1bps and 1000Tbps", entry.name),
    };
    let help = "write bits (not bytes) per second as bps, kbps, Mbps or Gbps, for example 1200kbps";
    findings.problem(entry.node.span, format!("{message}: {}", shown(&scalar.text)), help);
    None
}

/// Why a rate is none.
#[derive(Debug, PartialEq, Eq)]
enum RateError {
    Malformed,
    Unit,
    Range,
}

fn rate_in_bits(number: &str, unit: &str) -> Result<u64, RateError> {
    // `B` is the sign of bytes, which is eight times as much.
    let power: u32 = match (unit.get(..1).unwrap_or_default(), unit.get(1..).unwrap_or_default()) {
        ("b", "ps") => 0,
        ("k" | "K", "bps") => 3,
        ("m" | "M", "bps") => 6,
        ("g" | "G", "bps") => 9,
        ("t" | "T", "bps") => 12,
        _ => return Err(RateError::Unit),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 {
        return Err(RateError::Malformed);
    }
    let number = |digits: &str| digits.parse::<u128>().map_err(|_| RateError::Malformed);
    let parts = number(&format!("{fraction:0<9}"))? * 10_u128.pow(power) / 1_000_000_000;
    let rate = number(whole)?.checked_mul(10_u128.pow(power)).ok_or(RateError::Range)? + parts;
    u64::try_from(rate)
        .ok()
        .filter(|rate| (1..=1_000_000_000_000_000).contains(rate))
        .ok_or(RateError::Range)
}

/// An IP address and a port.
pub(super) fn address(entry: &Entry<'_>, findings: &mut Findings) -> Option<SocketAddr> {
    let scalar = scalar(entry, findings)?;
    if let Ok(address) = scalar.text.parse() {
        return Some(address);
    }
    let text = scalar.text.trim_start_matches(['*', ':']);
    let help = if text.parse::<u16>().is_ok() {
        format!("write \"[::]:{text}\" for all addresses, or \"127.0.0.1:{text}\" for this host")
    } else if let Some(port) = text.strip_prefix("localhost:") {
        format!("write \"127.0.0.1:{port}\" or \"[::1]:{port}\"")
    } else if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        format!("add the port: \"{}\"", SocketAddr::new(address, 8000))
    } else {
        "write an IP address and a port, for example \"[::]:8000\" or \"127.0.0.1:9090\"".into()
    };
    let message = format!("`{}` is not an address: {}", entry.name, shown(&scalar.text));
    findings.problem(entry.node.span, message, help);
    None
}

/// One address or a list of them.
pub(super) fn addresses(entry: &Entry<'_>, findings: &mut Findings) -> Option<Vec<At<SocketAddr>>> {
    if !matches!(entry.node.value, Value::List(_)) {
        let value = address(entry, findings)?;
        return Some(vec![At { value, span: entry.node.span }]);
    }
    list(entry, findings, address)
}

/// A list with at least one item; `None` if one of them is wrong.
pub(super) fn list<T>(
    entry: &Entry<'_>,
    findings: &mut Findings,
    mut read: impl FnMut(&Entry<'_>, &mut Findings) -> Option<T>,
) -> Option<Vec<At<T>>> {
    let items = items(entry, findings)?;
    if items.is_empty() {
        let message = format!("`{}` is an empty list", entry.name);
        findings.problem(entry.node.span, message, "list at least one, or remove the key");
        return None;
    }
    let read: Vec<Option<At<T>>> = items
        .iter()
        .map(|item| read(item, findings).map(|value| At { value, span: item.node.span }))
        .collect();
    read.into_iter().collect()
}

/// What is in a list, which may be nothing.
pub(super) fn items<'a>(entry: &Entry<'a>, findings: &mut Findings) -> Option<Vec<Entry<'a>>> {
    let Value::List(list) = &entry.node.value else {
        let message = format!("`{}` must be a list, and is {}", entry.name, kind(entry.node));
        let help = match &entry.node.value {
            Value::Scalar(scalar) => format!("put brackets around it: [{}]", scalar.text),
            _ => "write [ … ] with commas".to_owned(),
        };
        findings.problem(entry.node.span, message, help);
        return None;
    };
    let item = |node| Entry { name: entry.name.clone(), key: entry.key, node };
    Some(list.iter().map(item).collect())
}

/// A network: `192.0.2.0/24`, or one address.
pub(super) fn network(entry: &Entry<'_>, findings: &mut Findings) -> Option<Network> {
    let scalar = scalar(entry, findings)?;
    let (wrong, help) = match scalar.text.parse() {
        Ok(network) => return Some(network),
        Err(NotANetwork::Within(network)) => {
            let address = scalar.text.split('/').next().unwrap_or_default();
            let help = format!("write \"{network}\", or \"{address}\" for this address alone");
            ("has an address within a network, and not the network's own", help)
        }
        Err(NotANetwork::Malformed) => {
            ("is not a network", "write for example 192.0.2.0/24 or \"2001:db8::/32\"".to_owned())
        }
    };
    let message = format!("`{}` {wrong}: {}", entry.name, shown(&scalar.text));
    findings.problem(entry.node.span, message, help);
    None
}

/// A value without parts.
pub(super) fn scalar<'a>(entry: &Entry<'a>, findings: &mut Findings) -> Option<&'a Scalar> {
    if let Value::Scalar(scalar) = &entry.node.value {
        return Some(scalar);
    }
    let message = format!("`{}` must be a single value, and is {}", entry.name, kind(entry.node));
    findings.problem(entry.node.span, message, "write one value after the colon");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_decimal_bits() {
        assert_eq!(rate_in_bits("1200", "kbps"), Ok(1_200_000));
        assert_eq!(rate_in_bits("1", "Gbps"), Ok(1_000_000_000));
        assert_eq!(rate_in_bits("1.5", "Mbps"), Ok(1_500_000));
        assert_eq!(rate_in_bits("64000", "bps"), Ok(64_000));
    }

    #[test]
    fn rates_in_bytes_or_without_a_unit_are_refused() {
        assert_eq!(rate_in_bits("1", "MBps"), Err(RateError::Unit));
        assert_eq!(rate_in_bits("1", "MB/s"), Err(RateError::Unit));
        assert_eq!(rate_in_bits("1200", ""), Err(RateError::Unit));
    }

    #[test]
    fn rates_that_are_no_numbers_are_refused() {
        assert_eq!(rate_in_bits("1.2.3", "kbps"), Err(RateError::Malformed));
        assert_eq!(rate_in_bits(".5", "kbps"), Err(RateError::Malformed));
        assert_eq!(rate_in_bits("0", "kbps"), Err(RateError::Range));
        assert_eq!(rate_in_bits(&"9".repeat(38), "Tbps"), Err(RateError::Range));
        assert_eq!(rate_in_bits(&"9".repeat(60), "Tbps"), Err(RateError::Malformed));
    }
}
