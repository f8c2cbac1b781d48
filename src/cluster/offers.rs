//! What one replica is about to lend others, and what of it they do not know yet.

use std::collections::HashMap;
use std::sync::Arc;

use crate::slots::Moment;
use crate::state::Snapshot;

use super::message::{Found, Loan, Place, Wants};

/// What is withheld for others until the engine has taken it. Where nobody says whether it has, and where
/// this is dropped, it counts as taken.
#[derive(Debug, Default)]
pub(super) struct Offers {
    snapshot: Option<Arc<Snapshot>>,
    offers: Vec<Offer>,
}

#[derive(Debug)]
pub(super) struct Offer {
    pub(super) to: String,
    pub(super) loan: Loan,
    /// Where it is withheld, and until when it is lent, by our own clock. `None`: somebody lent it to us,
    /// and it is theirs to remember.
    pub(super) ours: Option<(Found, Moment)>,
}

impl Offers {
    /// What is withheld of a snapshot's accounts.
    pub(super) fn new(snapshot: &Arc<Snapshot>, offers: Vec<Offer>) -> Self {
        Self { snapshot: Some(Arc::clone(snapshot)), offers }
    }

    /// What is lent, and to whom.
    pub(super) fn loans(&self) -> Vec<(String, Loan)> {
        self.offers.iter().map(|offer| (offer.to.clone(), offer.loan.clone())).collect()
    }

    /// Whether nothing is lent.
    pub(super) fn is_empty(&self) -> bool {
        self.offers.is_empty()
    }

    /// How many slots of mounts are lent.
    pub(super) fn slots(&self) -> u64 {
        let seats = self.offers.iter().filter(|offer| offer.loan.place.is_seats());
        seats.map(|offer| offer.loan.units).sum()
    }

    /// Parts with what the engine has taken, as it says of each; the rest is ours again, or, if it was
    /// lent to us, nobody's.
    pub(super) fn settle(&mut self, taken: &[bool]) {
        let Some(snapshot) = self.snapshot.take() else { return };
        for (place, offer) in self.offers.drain(..).enumerate() {
            let Some((at, until)) = offer.ours else { continue };
            let is_taken = taken.get(place).copied().unwrap_or(true);
            if let Some(account) = at.account(&snapshot) {
                let taken = if is_taken { offer.loan.units } else { 0 };
                account.lent(offer.loan.units, taken, until);
            }
        }
    }
}

impl Drop for Offers {
    fn drop(&mut self) {
        self.settle(&[]);
    }
}

/// What others were lent and do not count among what they have left, as they had not heard of it when they said
/// so. Whoever forgets it lends the same again.
#[derive(Debug, Default)]
pub(super) struct Unheard {
    loans: HashMap<String, Vec<Loaned>>,
}

#[derive(Debug)]
struct Loaned {
    place: Place,
    units: u64,
    /// The last of the borrower's wants that do not count it, as soon as the engine has it.
    until: Option<u64>,
}

impl Unheard {
    /// Enters what goes with the next beat.
    pub(super) fn add(&mut self, offers: &Offers) {
        for Offer { to, loan, .. } in &offers.offers {
            let loaned = Loaned { place: loan.place.clone(), units: loan.units, until: None };
            self.loans.entry(to.clone()).or_default().push(loaned);
        }
    }

    /// Enters that all of it was with the beat that has brought these wants.
    pub(super) fn sent(&mut self, wants: &[(String, Wants)]) {
        self.loans.retain(|name, _| wants.iter().any(|(other, _)| other == name));
        for (name, wants) in wants {
            let Some(loans) = self.loans.get_mut(name) else { continue };
            for loan in loans.iter_mut() {
                // With their next beat they say what they had before it, and hear of this.
                loan.until.get_or_insert(wants.number.saturating_add(1));
            }
            loans.retain(|loan| loan.until >= Some(wants.number));
        }
    }

    /// Units of an account.
    pub(super) fn units(&self, name: &str, place: &Place) -> u64 {
        let loans = self.loans.get(name).into_iter().flatten();
        loans.filter(|loan| loan.place == *place).map(|loan| loan.units).sum()
    }

    /// Knows nothing of anybody.
    pub(super) fn clear(&mut self) {
        self.loans.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(number: u64) -> Vec<(String, Wants)> {
        vec![("1.0".to_owned(), Wants { number, wants: Vec::new() })]
    }

    #[test]
    fn what_is_lent_counts_as_theirs_until_they_have_told_so_themselves() {
        let loan = Loan::read("17\t5\tseats\ta\thttp://a/\t/x").unwrap();
        let (place, mut unheard) = (loan.place.clone(), Unheard::default());
        let offer = Offer { to: "1.0".to_owned(), loan, ours: None };
        unheard.sent(&wants(6));
        unheard.add(&Offers { snapshot: None, offers: vec![offer] });
        // It goes with the beat that brings the seventh of their wants. The eighth may be on its way by then.
        let mut told = |number| {
            unheard.sent(&wants(number));
            unheard.units("1.0", &place)
        };
        assert_eq!([7, 7, 8, 9, 8].map(&mut told), [5, 5, 5, 0, 0]);
        assert_eq!(unheard.units("2.0", &place), 0);
    }
}
