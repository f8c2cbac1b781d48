//! What an account lends and borrows, step by step; `model` tries what happens at once.

use super::*;

/// What two replicas have half of each.
fn shared(slots: u64) -> Terms {
    let sharing = Sharing::among(2, Duration::from_secs(15), SETTLE, LOANS_LAST);
    Terms { sharing, ..limited(slots) }
}

fn half_of(slots: u64) -> Account {
    Account::new(shared(slots))
}

/// The same, after a look that has seen nobody.
fn seen_half_of(slots: u64) -> Account {
    let account = half_of(slots);
    look(&account, 1.0);
    account
}

/// A look that sees nobody.
fn look(account: &Account, second: f64) {
    account.mark(at(second));
    account.observe(at(second), Some(0), 0, None, SETTLE);
}

/// How many of so many players get a slot.
fn take(account: &Account, players: u64) -> u64 {
    let taken = (0..players).take_while(|_| account.claim(1)).count() as u64;
    account.commit(taken);
    taken
}

#[test]
fn what_is_withheld_is_given_to_nobody_and_what_is_not_lent_is_ours_again() {
    let account = seen_half_of(20);
    assert_eq!((account.lendable(), account.free()), (10, Some(10)));
    assert_eq!(account.withhold(4), 4);
    assert_eq!((account.lendable(), account.free()), (6, Some(6)));
    account.lent(4, 3, at(4.0));
    assert_eq!((account.lendable(), account.free()), (7, Some(7)));
    assert_eq!([3.9, 4.0].map(|second| account.away(at(second))), [3, 0]);
    assert_eq!(account.withhold(100), 7);
    assert_eq!((account.withhold(1), take(&account, 1)), (0, 0));
    // Nobody parts with more than was withheld.
    account.lent(7, 9, at(5.0));
    assert_eq!((account.away(at(4.9)), account.free()), (7, Some(0)));
}

#[test]
fn who_is_beyond_its_limit_or_refused_by_its_relay_has_nothing_to_lend() {
    let account = seen_half_of(2);
    assert!(account.claim_beyond(3));
    account.commit(3);
    assert_eq!((account.lendable(), account.withhold(1)), (0, 0));
    let account = seen_half_of(20);
    account.shut();
    assert_eq!((account.lendable(), account.withhold(1)), (0, 0));
}

#[test]
fn who_is_alone_or_has_seen_nothing_has_nothing_to_lend() {
    let account = half_of(20);
    account.borrow(5, at(3.0));
    assert_eq!((account.lendable(), account.withhold(1)), (0, 0));
    let account = Account::new(limited(20));
    look(&account, 1.0);
    assert_eq!((account.free(), account.lendable(), account.withhold(1)), (Some(20), 0, 0));
}

#[test]
fn what_was_borrowed_is_spent_first_and_never_lent_as_our_own() {
    let account = seen_half_of(20);
    account.borrow(5, at(3.0));
    assert_eq!((account.free(), account.borrowed(), account.lendable()), (Some(15), 5, 10));
    assert_eq!(take(&account, 3), 3);
    assert_eq!((account.free(), account.borrowed(), account.lendable()), (Some(12), 2, 10));
    assert_eq!(account.end_loans(at(2.9)), 0);
    assert_eq!(account.end_loans(at(3.0)), 2);
    assert_eq!((account.free(), account.borrowed(), account.lendable()), (Some(10), 0, 10));
}

#[test]
fn what_was_borrowed_is_passed_on_with_its_end_and_counts_as_promised() {
    let account = seen_half_of(20);
    assert_eq!(account.pass_on(1), None);
    account.borrow(5, at(4.0));
    account.borrow(3, at(3.0));
    // The batch that ends last, and no other in one step.
    assert_eq!(account.pass_on(2), Some((2, at(4.0))));
    assert_eq!((account.free(), account.borrowed(), account.lendable()), (Some(16), 6, 10));
    assert_eq!(account.pass_on(9), Some((3, at(4.0))));
    assert_eq!(take(&account, 1), 1);
    assert_eq!(account.pass_on(9), Some((2, at(3.0))));
    assert_eq!((account.free(), account.borrowed(), account.lendable()), (Some(10), 0, 10));
    assert_eq!((account.pass_on(9), account.reserved(), account.away(at(2.0))), (None, 8, 0));
    // No listeners of ours.
    assert_eq!(account.newly_promised(), 1);
    // Whoever is sent beyond the limit takes what was borrowed as well.
    account.borrow(2, at(5.0));
    assert!(account.claim_beyond(12));
    assert_eq!(account.pass_on(1), None);
}

#[test]
fn what_has_ended_is_overdue_until_it_is_off_the_books() {
    let account = seen_half_of(20);
    assert!(!account.is_overdue(at(1_000_000.0)));
    account.borrow(5, at(3.0));
    assert_eq!([2.9, 3.0, 3.1].map(|second| account.is_overdue(at(second))), [false, true, true]);
    account.end_loans(at(3.0));
    assert!(!account.is_overdue(at(3.1)));
}

#[test]
fn what_is_promised_to_listeners_is_told_once_and_what_is_lent_never() {
    let account = seen_half_of(20);
    assert_eq!(take(&account, 3), 3);
    assert_eq!([(); 2].map(|()| account.newly_promised()), [3, 0]);
    let withheld = account.withhold(4);
    account.lent(withheld, withheld, at(4.0));
    assert_eq!(take(&account, 2), 2);
    assert_eq!([(); 2].map(|()| account.newly_promised()), [2, 0]);
}

#[test]
fn who_becomes_one_of_several_before_its_first_look_gives_nothing_away() {
    let account = Account::new(limited(20));
    account.adopt(shared(20));
    assert_eq!(take(&account, 1), 0);
    look(&account, 1.0);
    assert_eq!(take(&account, 20), 10);
}
