//! Numbers as relays write them: the table in `docs/relays.md`, as code.

use super::Limit;

/// More than this many listeners is no count but a fault. Sums over all mounts of a relay stay far
/// from where numbers end.
const MOST_LISTENERS: i64 = 1 << 32;

/// More bytes than this is a fault: metrics could not tell them apart.
const MOST_BYTES: i64 = 1 << 53;

/// Reads `listeners` or `clients`; `None` where the text is no believable count.
pub(super) fn count(text: &str) -> Option<u64> {
    integer(text).filter(|number| *number <= MOST_LISTENERS).map(|n| n.max(0).unsigned_abs())
}

/// Reads the bytes that a source has sent; `None` where the text is no believable count.
pub(super) fn bytes(text: &str) -> Option<u64> {
    integer(text).filter(|number| *number <= MOST_BYTES).map(|n| n.max(0).unsigned_abs())
}

/// Reads `max_listeners`, which means something only beside a known count of `listeners`: a
/// [`Limit::Listeners`] without one would promise that many *further* listeners.
pub(super) fn limit(text: &str, listeners: Option<u64>) -> Limit {
    // icecast-kh writes -1 where a mount has settings and no limit.
    if matches!(text.trim(), "unlimited" | "-1") {
        return Limit::Unlimited;
    }
    match (listeners, integer(text).filter(|number| *number >= 0).and_then(|_| count(text))) {
        (Some(_), Some(most)) => Limit::Listeners(most),
        _ => Limit::Unknown,
    }
}

/// Reads the free slots of `load.xsl`: the difference of the limit and the listeners, which is not
/// a number where there is no limit.
pub(super) fn free(text: &str) -> Limit {
    match text.trim() {
        "NaN" | "unlimited" => Limit::Unlimited,
        number => count(number).map_or(Limit::Unknown, Limit::Listeners),
    }
}

fn integer(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_NUMBERS: [&str; 15] = [
        "",
        " ",
        "-",
        "unknown",
        "NaN",
        "inf",
        "-inf",
        "Infinity",
        "1e308",
        "1.5",
        "0x1f",
        "12abc",
        "1 2",
        "18446744073709551617",
        "4294967297",
    ];

    #[test]
    fn whole_numbers_are_counts() {
        for text in ["12", " 12 ", "\n12\t", "012", "+12"] {
            assert_eq!(count(text), Some(12), "{text:?}");
        }
        assert_eq!(count("4294967296"), Some(1 << 32));
    }

    #[test]
    fn a_source_may_have_sent_more_bytes_than_a_relay_has_listeners() {
        assert_eq!(bytes("9007199254740992"), Some(1 << 53));
        assert_eq!(bytes("9007199254740993"), None);
    }

    #[test]
    fn negative_listeners_are_none() {
        assert_eq!(count("-5"), Some(0));
        assert_eq!(count("-0"), Some(0));
    }

    #[test]
    fn what_is_no_number_is_no_count() {
        for text in NO_NUMBERS.into_iter().chain(["unlimited"]) {
            assert_eq!(count(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_limit_is_a_number_or_the_word_for_none() {
        assert_eq!(limit(" 12 ", Some(3)), Limit::Listeners(12));
        assert_eq!(limit("0", Some(3)), Limit::Listeners(0));
        assert_eq!(limit("unlimited", Some(3)), Limit::Unlimited);
        assert_eq!(limit("-1", Some(3)), Limit::Unlimited);
    }

    #[test]
    fn an_absurd_limit_is_unknown() {
        for text in NO_NUMBERS.into_iter().chain(["-5"]) {
            assert_eq!(limit(text, Some(3)), Limit::Unknown, "{text:?}");
        }
    }

    #[test]
    fn a_limit_without_listeners_is_not_taken_for_free_slots() {
        assert_eq!(limit("100", None), Limit::Unknown);
        assert_eq!(limit("unlimited", None), Limit::Unlimited);
    }

    #[test]
    fn free_slots_that_are_not_a_number_are_unlimited() {
        assert_eq!(free("NaN"), Limit::Unlimited);
        assert_eq!(free("unlimited"), Limit::Unlimited);
    }

    #[test]
    fn free_slots_below_zero_are_none() {
        assert_eq!(free("-3"), Limit::Listeners(0));
        assert_eq!(free(" 12 "), Limit::Listeners(12));
    }

    #[test]
    fn absurd_free_slots_are_unknown() {
        for text in NO_NUMBERS.into_iter().filter(|text| *text != "NaN") {
            assert_eq!(free(text), Limit::Unknown, "{text:?}");
        }
    }
}
