//! The mounts of one document: which of them a [`Report`] keeps.

use std::collections::HashSet;

use super::{MountReport, Report};

/// More mounts than any relay has; what follows them is dropped.
const MOST_MOUNTS: usize = 20_000;

/// Bytes of a mount's name; a longer one is dropped.
const LONGEST_NAME: usize = 1024;

/// Among so few, a name is sooner found by looking at each.
const FEW: usize = 16;

/// The mounts found so far.
#[derive(Default)]
pub(super) struct Listing {
    mounts: Vec<MountReport>,
    /// Their names, if they are more than a few.
    names: HashSet<String>,
}

impl Listing {
    /// Keeps `mount`, unless its name is none, is known already, or the listing is full.
    pub(super) fn add(&mut self, mount: MountReport) {
        let is_name = mount.name.starts_with('/') && mount.name.len() <= LONGEST_NAME;
        if is_name && self.mounts.len() < MOST_MOUNTS && self.is_new(&mount.name) {
            self.mounts.push(mount);
        }
    }

    fn is_new(&mut self, name: &str) -> bool {
        if self.mounts.len() < FEW {
            return self.mounts.iter().all(|mount| mount.name != name);
        }
        if self.names.is_empty() {
            self.names.extend(self.mounts.iter().map(|mount| mount.name.clone()));
        }
        self.names.insert(name.to_owned())
    }

    /// The report of a relay that has `clients` altogether.
    pub(super) fn into_report(self, clients: Option<u64>) -> Report {
        Report { clients, mounts: self.mounts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::icecast::{Activity, Limit};

    fn mount(name: impl Into<String>, listeners: u64) -> MountReport {
        MountReport {
            name: name.into(),
            listeners: Some(listeners),
            limit: Limit::Unlimited,
            activity: Activity::Active,
            bytes: None,
        }
    }

    fn kept(mounts: impl IntoIterator<Item = MountReport>) -> Vec<MountReport> {
        let mut listing = Listing::default();
        for mount in mounts {
            listing.add(mount);
        }
        listing.into_report(None).mounts
    }

    #[test]
    fn the_first_of_two_equal_names_stays() {
        assert_eq!(kept([mount("/a", 1), mount("/a", 2)]), [mount("/a", 1)]);
    }

    #[test]
    fn of_any_number_of_mounts_the_first_of_two_equal_names_stays() {
        for count in [1, FEW as u64 - 1, FEW as u64, FEW as u64 + 1, 100] {
            let all = || (0..count).map(|number| mount(format!("/{number}"), number));
            let again = all().map(|same| MountReport { listeners: Some(99), ..same });
            assert_eq!(kept(all().chain(again)), kept(all()));
            assert_eq!(kept(all()).len() as u64, count);
        }
    }

    #[test]
    fn a_name_without_a_slash_is_dropped() {
        assert_eq!(kept([mount("a", 1), mount("", 2), mount(" /a", 3)]), []);
    }

    #[test]
    fn a_name_may_have_1024_bytes_and_no_more() {
        let longest = format!("/{}", "x".repeat(1023));
        let longer = format!("{longest}x");
        assert_eq!(kept([mount(longer, 1), mount(&longest, 2)]), [mount(&longest, 2)]);
    }

    #[test]
    fn what_follows_the_first_20_000_mounts_is_dropped() {
        let mounts = kept((0..20_001).map(|number| mount(format!("/{number}"), number)));
        assert_eq!(mounts.len(), 20_000);
        assert_eq!(mounts.last().unwrap().name, "/19999");
    }
}
