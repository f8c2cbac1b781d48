//! The words of all values that are one of several.

use crate::config::values::Choice;
use crate::config::{Family, HttpsToHttp, Panic, Policy, State, StatsSource, WhenFull};

impl Choice for Policy {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("least_used", Self::LeastUsed),
        ("most_free", Self::MostFree),
        ("weighted_random", Self::WeightedRandom),
        ("client_hash", Self::ClientHash),
    ];
}

impl Choice for WhenFull {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("reject", Self::Reject),
        ("wait", Self::Wait),
        ("overflow", Self::Overflow),
        ("fallback", Self::Fallback),
    ];
}

impl Choice for Panic {
    const WORDS: &'static [(&'static str, Self)] =
        &[("open", Self::Open), ("closed", Self::Closed)];
}

impl Choice for State {
    const WORDS: &'static [(&'static str, Self)] =
        &[("active", Self::Active), ("draining", Self::Draining), ("disabled", Self::Disabled)];
}

impl Choice for Family {
    const WORDS: &'static [(&'static str, Self)] =
        &[("any", Self::Any), ("4", Self::V4), ("6", Self::V6)];
}

impl Choice for StatsSource {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("live", Self::Live),
        ("slots", Self::Slots),
        ("status-json", Self::StatusJson),
        ("admin", Self::Admin),
        ("shoutcast", Self::Shoutcast),
        ("probe", Self::Probe),
    ];
}

impl Choice for HttpsToHttp {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("never", Self::Never),
        ("no_https_relay", Self::NoHttpsRelay),
        ("when_full", Self::WhenFull),
    ];
}
