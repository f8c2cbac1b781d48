//! How many connections the limit of open files leaves room for.
//!
//! Whoever lets players take the last file descriptor cannot look at relays, answer operators or
//! read the configuration any more, so some are kept for that.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::debug;

/// What the program itself has open: log, runtimes, signals, ports, the watch on the configuration.
const OWN: usize = 32;

/// Kept for operators and for reading files.
const OPERATORS: usize = 16;

/// Kept for each relay: a look, the feed, an address that is tried beside another.
const EACH_RELAY: usize = 3;

/// The files that this process may have open; `None` if there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors(Option<usize>);

impl Descriptors {
    /// Raises the limit as far as the system lets a process do that itself, and tells it.
    pub fn raised() -> Self {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            debug!(%error, "the limit of open files stays as it is");
        }
        let current = getrlimit(Resource::Nofile).current;
        Self(current.and_then(|limit| usize::try_from(limit).ok()))
    }

    /// The limit.
    pub fn limit(self) -> Option<usize> {
        self.0
    }

    /// The most connections of players beside looks at so many relays. A limit that is too small
    /// for both is shared.
    pub fn connections(self, relays: usize) -> usize {
        let Some(limit) = self.0 else { return usize::MAX };
        let others = relays.saturating_mul(EACH_RELAY).saturating_add(OWN + OPERATORS);
        limit.saturating_sub(others).max(limit / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn players_leave_descriptors_for_everything_else() {
        assert_eq!(Descriptors(Some(1024)).connections(10), 1024 - 48 - 30);
        assert_eq!(Descriptors(Some(64)).connections(1), 16, "of too few they get a quarter");
        assert_eq!(Descriptors(None).connections(10), usize::MAX);
        assert_eq!(Descriptors(Some(1024)).connections(usize::MAX), 256);
    }

    #[test]
    fn the_limit_is_what_it_may_be_raised_to() {
        assert_eq!(Descriptors::raised(), Descriptors::raised());
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
