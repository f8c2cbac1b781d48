//! The time of day, for people and for Prometheus. Nothing is decided by it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now.
pub fn now() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that tells the time")]
    SystemTime::now()
}

/// Seconds since 1970.
pub fn unix_now() -> f64 {
    now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
