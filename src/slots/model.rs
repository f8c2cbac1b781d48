//! The ledger under many interleavings of a few threads, by shuttle.

use shuttle::sync::Arc;
use shuttle::{check_random, thread};

use super::{Account, Headroom, LOANS_LAST, Moment, Sharing, Terms};

/// The races here are two or three steps wide; a hundred would do.
const INTERLEAVINGS: usize = 10_000;

const SETTLE: Moment = Moment::from_secs(5);

fn account(slots: u64) -> Account {
    Account::new(Terms { max: Some(slots), headroom: Headroom::Slots(0), sharing: Sharing::ALONE })
}

/// One listener for two accounts, as `reserve` does it.
fn reserve(mount: &Account, server: &Account) -> bool {
    if !mount.claim(1) {
        return false;
    }
    if !server.claim(1) {
        mount.give_back(1);
        return false;
    }
    mount.commit(1);
    server.commit(1);
    true
}

/// A look at this second that counts so many, of whom so many are new.
fn look(account: &Account, second: u64, seen: u64, arrived: u64) {
    let began = Moment::from_secs(second);
    account.mark(began);
    account.observe(began, Some(seen), arrived, None, SETTLE);
}

#[test]
fn two_requests_never_get_the_same_last_slot() {
    check_random(
        || {
            let account = Arc::new(account(1));
            let other = Arc::clone(&account);
            let thread = thread::spawn(move || other.claim(1));
            let here = account.claim(1);
            let there = thread.join().unwrap();
            assert!(here != there, "one of them gets it, and only one");
        },
        INTERLEAVINGS,
    );
}

#[test]
fn a_slot_that_the_server_refuses_is_free_again() {
    check_random(
        || {
            let accounts = Arc::new((account(2), account(1)));
            let other = Arc::clone(&accounts);
            let thread = thread::spawn(move || reserve(&other.0, &other.1));
            let here = reserve(&accounts.0, &accounts.1);
            let there = thread.join().unwrap();
            assert!(here != there, "the server has one slot");
            assert_eq!(accounts.0.free(), Some(1));
            assert_eq!(accounts.1.free(), Some(0));
        },
        INTERLEAVINGS,
    );
}

#[test]
fn a_look_in_between_never_frees_what_was_just_promised() {
    check_random(
        || {
            let account = Arc::new(account(1));
            let other = Arc::clone(&account);
            // It sees nobody, and is old enough for everything before it to have settled.
            let thread = thread::spawn(move || look(&other, 100, 0, 0));
            let first = account.claim(1);
            if first {
                account.commit(1);
            }
            let second = account.claim(1);
            thread.join().unwrap();
            assert!(first && !second, "one slot, one listener on the way");
        },
        INTERLEAVINGS,
    );
}

#[test]
fn a_promise_taken_back_during_a_look_frees_nothing_twice() {
    check_random(
        || {
            let accounts = Arc::new((account(1), account(0)));
            let other = Arc::clone(&accounts);
            // The server has no slot, so this claims the mount's and gives it back.
            let thread = thread::spawn(move || reserve(&other.0, &other.1));
            accounts.0.mark(Moment::from_secs(1));
            assert!(!thread.join().unwrap());
            look(&accounts.0, 100, 0, 0);
            assert!(accounts.0.claim(1));
            accounts.0.commit(1);
            assert!(!accounts.0.claim(1), "what was taken back must not count as settled");
        },
        INTERLEAVINGS,
    );
}

#[test]
fn requests_during_a_look_that_sees_an_arrival_get_what_is_left() {
    check_random(
        || {
            let account = Arc::new(account(2));
            look(&account, 1, 0, 0);
            assert!(account.claim(1));
            account.commit(1);
            let other = Arc::clone(&account);
            let thread = thread::spawn(move || look(&other, 2, 1, 1));
            let granted = usize::from(account.claim(1)) + usize::from(account.claim(1));
            thread.join().unwrap();
            assert_eq!(granted, 1, "one of two slots is taken, seen or not");
        },
        INTERLEAVINGS,
    );
}

#[test]
fn who_is_sent_beyond_the_limit_gives_nobody_else_a_slot() {
    check_random(
        || {
            let account = Arc::new(account(1));
            let other = Arc::clone(&account);
            let thread = thread::spawn(move || {
                assert!(other.claim_beyond(1), "the relay refuses nobody");
                other.commit(1);
            });
            let granted = u64::from(account.claim(1)) + u64::from(account.claim(1));
            account.commit(granted);
            thread.join().unwrap();
            assert!(granted <= 1, "there is one slot");
            assert_eq!((account.reserved(), account.free()), (granted + 1, Some(0)));
        },
        INTERLEAVINGS,
    );
}

#[test]
fn a_look_during_an_overflow_neither_loses_nor_frees_what_was_promised() {
    check_random(
        || {
            let account = Arc::new(account(1));
            look(&account, 1, 1, 0);
            let other = Arc::clone(&account);
            // It is too young for anything to have settled, and sees nobody arrive.
            let thread = thread::spawn(move || look(&other, 2, 1, 0));
            assert!(account.claim_beyond(1));
            account.commit(1);
            let another = account.claim(1);
            thread.join().unwrap();
            assert!(!another, "nothing was free");
            assert_eq!((account.reserved(), account.load(), account.free()), (1, 2, Some(0)));
            // When both have gone, and a look has begun after the promise and one `settle` later, the
            // slot is free again, once.
            look(&account, 100, 0, 0);
            look(&account, 200, 0, 0);
            assert!(account.claim(1) && !account.claim(1));
        },
        INTERLEAVINGS,
    );
}

/// An account of which two replicas have half each, after a look that has seen nobody.
fn half_of(slots: u64) -> Account {
    let sharing = Sharing::among(2, Moment::from_secs(15), SETTLE, LOANS_LAST);
    let account = Account::new(Terms { max: Some(slots), headroom: Headroom::Slots(0), sharing });
    look(&account, 1, 0, 0);
    account
}

/// How many of so many get a slot.
fn take(account: &Account, players: u64) -> u64 {
    let given = |_: &u64| {
        let given = account.claim(1);
        if given {
            account.commit(1);
        }
        given
    };
    (0..players).filter(given).count() as u64
}

/// Fails, for instance, if what has ended may still be spent, if the bound is not worked out anew when
/// it ends, if it is not entered first who has spent it, or if a promise is no single step.
#[test]
fn what_was_borrowed_is_spent_once_and_never_after_its_end() {
    check_random(
        || {
            let account = Arc::new(half_of(4));
            let (one, other) = (Arc::clone(&account), Arc::clone(&account));
            let threads = [one, other].map(|it| thread::spawn(move || take(&it, 2)));
            account.borrow(1, Moment::from_secs(3));
            account.end_loans(Moment::from_secs(2));
            let ended = account.end_loans(Moment::from_secs(3));
            let given: u64 = threads.into_iter().map(|it| it.join().unwrap()).sum();
            let later = take(&account, 4);
            // Two of our own; and one that was borrowed, unless it ended unspent. Who was just being let in
            // when it ended may have it, for its lender does not take it back.
            let let_in = given == 3 && later == 0;
            assert!(let_in || given + later == 3 - ended, "{given}, then {later}; {ended} ended");
            assert_eq!((account.borrowed(), account.lendable()), (0, 0));
            // What was spent before it ends does not end.
            account.borrow(1, Moment::from_secs(5));
            let spent = take(&account, 1);
            assert_eq!(account.end_loans(Moment::from_secs(5)), 1 - spent);
        },
        INTERLEAVINGS,
    );
}

/// Fails, for instance, if what is withheld is not claimed, or claimed without asking whether it is there
/// still; if all of it is given back when a part was lent; or if nothing of it is.
#[test]
fn what_is_lent_is_given_to_no_listener_and_what_is_not_taken_is_ours_again() {
    check_random(
        || {
            let account = Arc::new(half_of(4));
            let other = Arc::clone(&account);
            let thread = thread::spawn(move || take(&other, 2));
            let withheld = account.withhold(2);
            let until = Moment::from_secs(3);
            account.lent(withheld, withheld.min(1), until);
            let lent = withheld.min(1);
            let given = thread.join().unwrap();
            assert!(given + lent <= 2, "{given} and {lent}");
            assert_eq!(account.away(Moment::from_secs(2)), lent);
            // All that is left is there, once.
            assert_eq!(take(&account, 4), 2 - given - lent);
        },
        INTERLEAVINGS,
    );
}

/// Fails, for instance, if what is passed on is not claimed first, if all that is claimed is not given back, or
/// if the bound is not worked out anew.
#[test]
fn what_is_passed_on_is_given_to_no_listener_and_the_rest_is_there_still() {
    check_random(
        || {
            let account = Arc::new(half_of(4));
            account.borrow(2, Moment::from_secs(3));
            let other = Arc::clone(&account);
            let thread = thread::spawn(move || take(&other, 3));
            let passed = account.pass_on(2).map_or(0, |(units, _)| units);
            let given = thread.join().unwrap();
            assert_eq!(given + take(&account, 5), 4 - passed, "{given}, {passed} passed on");
            assert_eq!((account.borrowed(), account.lendable()), (0, 0));
        },
        INTERLEAVINGS,
    );
}

/// Fails, for instance, if what is lent is not committed, or no promise of the lender's own; if it is taken
/// for listeners of its own; or if a look draws a share of what its own listeners are about to take.
#[test]
fn two_replicas_that_lend_and_give_away_at_once_give_away_each_slot_once() {
    check_random(
        || {
            let (lender, borrower) = (Arc::new(half_of(4)), Arc::new(half_of(4)));
            let players = [(&lender, 1), (&borrower, 3)].map(|(account, players)| {
                let account = Arc::clone(account);
                thread::spawn(move || take(&account, players))
            });
            let looking = Arc::clone(&lender);
            // It sees nobody: all are still on their way.
            let looks = thread::spawn(move || look(&looking, 2, 0, 0));
            let until = Moment::from_secs(4);
            let units = lender.withhold(2);
            borrower.borrow(units, until);
            lender.lent(units, units, until);
            borrower.end_loans(until);
            let given: u64 = players.into_iter().map(|it| it.join().unwrap()).sum();
            looks.join().unwrap();
            let later = take(&lender, 4) + take(&borrower, 4);
            assert!(given + later <= 4, "{given}, then {later}, of four");
            // When all have gone, each has its half again.
            for account in [&lender, &borrower] {
                look(account, 100, 0, 0);
                look(account, 200, 0, 0);
                assert_eq!((account.reserved(), take(account, 4)), (0, 2));
            }
        },
        INTERLEAVINGS,
    );
}
