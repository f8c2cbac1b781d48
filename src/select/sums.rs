//! What the streams of a pattern come to on each of its servers.
//!
//! Names that relays choose are no labels of metrics, so the streams that were found are shown as
//! one: the pattern.

use crate::fleet::ServerId;
use crate::fleet::patterns::Pattern;
use crate::player::Client;
use crate::slots::{Moment, Presence};
use crate::state::{MountView, Snapshot};

use super::{Reason, Trust, Verdict, verdicts};

/// The mounts on one server of all streams of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The server.
    pub server: ServerId,
    /// Whether the server is up and lists one of them.
    pub up: bool,
    /// Whether the server lists one of them.
    listed: bool,
    /// Listeners on those that are listed; `None`: none is, or nobody tells.
    pub listeners: Option<u64>,
    /// Redirects that no look can have seen yet.
    pub reserved: u64,
    /// The most listeners they accept; `None`: there is none, or one has no limit.
    pub limit: Option<u64>,
    /// Slots of those that could take a listener, at most what is left of what they share; `None`:
    /// unlimited.
    pub free: Option<u64>,
    /// The most that is known of one that could take a listener; `None`: none could.
    pub best: Option<Trust>,
}

/// The sums of a pattern, in the order of its servers.
pub fn sums(snapshot: &Snapshot, pattern: &Pattern, now: Moment) -> Vec<Sum> {
    let mut sums: Vec<Sum> = pattern.mounts.iter().map(|mount| Sum::of(mount.server)).collect();
    for id in pattern.streams() {
        let mounts = snapshot.mounts(id).zip(verdicts(snapshot, id, Client::ANY, now));
        for (mount, verdict) in mounts {
            let place = pattern.place(mount.config.server);
            if let Some(sum) = place.and_then(|place| sums.get_mut(place)) {
                sum.add(snapshot, &mount, &verdict, now);
            }
        }
    }
    for (sum, common) in sums.iter_mut().zip(&pattern.mounts) {
        let Some(server) = snapshot.server(sum.server) else { continue };
        let bits = server.bandwidth.free().and_then(|free| free.checked_div(common.bitrate));
        sum.free = [sum.free, server.seats.free(), bits].into_iter().flatten().min();
        if sum.best.is_none() {
            sum.free = sum.free.map(|_| 0);
        }
    }
    sums
}

impl Sum {
    fn of(server: ServerId) -> Self {
        Self {
            server,
            up: false,
            listed: false,
            listeners: None,
            reserved: 0,
            limit: None,
            free: Some(0),
            best: None,
        }
    }

    fn add(&mut self, snapshot: &Snapshot, mount: &MountView<'_>, verdict: &Verdict, now: Moment) {
        let seats = &mount.slots.seats;
        if matches!(mount.slots.presence(), Presence::Active | Presence::Idle) {
            self.up |= mount.server_slots.is_up(now, snapshot.fleet.poll.stale_after);
            let told = self.listeners.into_iter().chain(seats.told());
            self.listeners = told.reduce(u64::saturating_add);
            self.limit = if self.listed {
                self.limit.zip(seats.limit()).map(|(sum, more)| sum.saturating_add(more))
            } else {
                seats.limit()
            };
            self.listed = true;
        }
        self.reserved = self.reserved.saturating_add(seats.reserved());
        match verdict {
            Verdict::Candidate(candidate) => {
                let trust = candidate.rank.trust;
                self.best = Some(self.best.map_or(trust, |best| best.min(trust)));
                self.free =
                    self.free.zip(candidate.free).map(|(sum, free)| sum.saturating_add(free));
            }
            Verdict::Passed(Reason::Guessed) => self.best = self.best.or(Some(Trust::Guess)),
            Verdict::Passed(_) => {}
        }
    }
}
