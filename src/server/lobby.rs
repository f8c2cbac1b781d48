//! Where connections wait for their next request, and who calls them when they have waited too long
//! or the port is closed.
//!
//! A timer for each of them, and an ear of its own for a stop, would cost as much as a redirect. So
//! the connections of a listener share a list that is gone through when the first of them may have
//! to go, and no more often than every [`MOMENT`].

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The lobby of one listener.
#[derive(Debug, Default)]
pub(super) struct Lobby {
    seats: Mutex<Seats>,
    taken: Notify,
    closed: AtomicBool,
}

/// Who waits.
#[derive(Debug, Default)]
struct Seats {
    all: Vec<Option<Guest>>,
    free: Vec<usize>,
}

/// How somebody who waits is called, and when it may have to go. Whoever is answered meanwhile stays
/// longer, which it says when it is called.
#[derive(Debug)]
struct Guest {
    waker: Waker,
    until: Instant,
}

/// A place in the lobby, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    lobby: &'a Lobby,
    at: usize,
}

/// So late may anybody be called.
const MOMENT: Duration = Duration::from_millis(100);

/// The list is gone through at least so often: who comes later may have to go sooner.
const ROUND: Duration = Duration::from_secs(1);

impl Lobby {
    /// Takes a seat for whoever is woken so, and is to be called at `until`.
    pub(super) fn enter(&self, waker: &Waker, until: Instant) -> Seat<'_> {
        let guest = Some(Guest { waker: waker.clone(), until });
        let mut seats = self.seats();
        if let Some(at) = seats.free.pop()
            && let Some(seat) = seats.all.get_mut(at)
        {
            *seat = guest;
            return Seat { lobby: self, at };
        }
        seats.all.push(guest);
        let at = seats.all.len() - 1;
        // Nobody goes through an empty list.
        if at == 0 {
            self.taken.notify_one();
        }
        Seat { lobby: self, at }
    }

    /// Nobody shall wait here any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
        for guest in self.seats().all.iter().flatten() {
            guest.waker.wake_by_ref();
        }
    }

    /// Whether that is so.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Calls who has waited too long, for as long as this is awaited.
    pub(super) async fn watch(&self) {
        loop {
            let now = Instant::now();
            match self.call(now) {
                Some(first) => sleep_until(first.clamp(now + MOMENT, now + ROUND)).await,
                None => self.taken.notified().await,
            }
        }
    }

    /// Calls those whose time has come; tells when the first may have to go.
    fn call(&self, now: Instant) -> Option<Instant> {
        let mut seats = self.seats();
        if seats.free.len() == seats.all.len() {
            // What a crowd took is given back.
            *seats = Seats::default();
        }
        let guests = seats.all.iter().flatten();
        for guest in guests.clone().filter(|guest| guest.until <= now) {
            guest.waker.wake_by_ref();
        }
        guests.map(|guest| guest.until).min()
    }

    /// Nothing is half done where somebody broke.
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat<'_> {
    /// Whoever sits here is to be called then, and not before.
    pub(super) fn stay(&self, until: Instant) {
        if let Some(Some(guest)) = self.lobby.seats().all.get_mut(self.at) {
            guest.until = until;
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut seats = self.lobby.seats();
        seats.free.push(self.at);
        if let Some(seat) = seats.all.get_mut(self.at) {
            *seat = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn bell() -> (Arc<Bell>, Waker) {
        let bell = Arc::new(Bell::default());
        (Arc::clone(&bell), Waker::from(bell))
    }

    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn whoever_has_waited_too_long_is_called_and_nobody_else() {
        let (lobby, now) = (Lobby::default(), Instant::now());
        let ((early, early_waker), (late, late_waker)) = (bell(), bell());
        let first = lobby.enter(&early_waker, now + LIMIT);
        let _second = lobby.enter(&late_waker, now + 2 * LIMIT);
        let calls = || [&early, &late].map(|bell| bell.0.load(Relaxed));
        assert_eq!(lobby.call(now), Some(now + LIMIT));
        assert_eq!(calls(), [0, 0]);
        lobby.call(now + LIMIT);
        assert_eq!(calls(), [1, 0]);
        first.stay(now + 3 * LIMIT);
        assert_eq!(lobby.call(now + LIMIT), Some(now + 2 * LIMIT));
        assert_eq!(calls(), [1, 0]);
    }

    #[test]
    fn everybody_hears_that_it_is_closed() {
        let lobby = Lobby::default();
        let (bell, waker) = bell();
        let _seats = [(); 3].map(|()| lobby.enter(&waker, Instant::now() + LIMIT));
        assert!(!lobby.is_closed());
        lobby.close();
        assert!(lobby.is_closed());
        assert_eq!(bell.0.load(Relaxed), 3);
    }

    #[test]
    fn a_seat_that_is_left_is_taken_again_and_nothing_is_kept_of_a_crowd() {
        let (lobby, now) = (Lobby::default(), Instant::now());
        let (_bell, waker) = bell();
        let mut seats: Vec<_> = (0..100).map(|_| lobby.enter(&waker, now + LIMIT)).collect();
        seats.truncate(50);
        seats.extend((0..50).map(|_| lobby.enter(&waker, now + LIMIT)));
        assert_eq!(lobby.seats().all.len(), 100);
        drop(seats);
        assert_eq!(lobby.call(now), None);
        assert_eq!(lobby.seats().all.capacity(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_called_in_time_whenever_they_come() {
        let lobby = Lobby::default();
        let ((_, patient), (bell, hasty)) = (bell(), bell());
        let playing = async {
            // Long after the watch began on nobody.
            tokio::time::sleep(10 * LIMIT).await;
            let _patient = lobby.enter(&patient, Instant::now() + LIMIT);
            tokio::time::sleep(MOMENT).await;
            // It may have to go before the other.
            let (short, came) = (Duration::from_millis(1), Instant::now());
            let _hasty = lobby.enter(&hasty, came + short);
            while bell.0.load(Relaxed) == 0 {
                tokio::time::sleep(short).await;
            }
            came.elapsed()
        };
        let late = tokio::select! {
            () = lobby.watch() => Duration::MAX,
            late = playing => late,
        };
        assert!(late <= ROUND + MOMENT, "after {late:?}");
    }
}
