//! A deadline that knows whether we kept time ourselves.
//!
//! A program that was stopped, or that gets no processor, finds its deadlines over when it wakes,
//! and every relay late. That says nothing of the relays. So whoever waits here learns how late
//! the own timers were meanwhile.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How something ended that had a deadline.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Timed<T> {
    /// What came of it; `None`: the deadline.
    pub(super) done: Option<T>,
    /// How late our own timers were while it lasted, in sum.
    pub(super) late: Duration,
}

/// How often the own lateness is measured.
const TICK: Duration = Duration::from_millis(100);

/// Does `work`, but for no longer than `limit`.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Timed<T> {
    let mut work = pin!(work);
    let ends = Instant::now() + limit;
    let mut late = Duration::ZERO;
    loop {
        let planned = (Instant::now() + TICK).min(ends);
        let done = tokio::select! {
            biased;
            done = &mut work => Some(done),
            () = sleep_until(planned) => None,
        };
        let now = Instant::now();
        late += now.saturating_duration_since(planned);
        if done.is_some() || now >= ends {
            return Timed { done, late };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::thread;

    use tokio::time::{advance, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn what_ends_in_time_is_given_back() {
        let work = async {
            sleep(Duration::from_millis(1_950)).await;
            7
        };
        let timed = within(LIMIT, work).await;
        assert_eq!(timed.done, Some(7));
        assert!(timed.late < Duration::from_millis(50), "{timed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_ends_with_the_deadline() {
        let began = Instant::now();
        let timed = within(LIMIT, pending::<()>()).await;
        assert_eq!(timed.done, None);
        assert!(timed.late < Duration::from_millis(50), "{timed:?}");
        assert!(began.elapsed() < LIMIT + Duration::from_millis(50), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_passes_while_we_do_not_run_is_told() {
        let stopped = async {
            sleep(Duration::from_millis(500)).await;
            advance(Duration::from_secs(20)).await;
            pending::<()>().await;
        };
        let timed = within(LIMIT, stopped).await;
        assert_eq!(timed.done, None);
        assert!(timed.late >= Duration::from_secs(17), "{timed:?}");
    }

    #[tokio::test]
    async fn a_thread_that_is_held_up_is_told_though_it_catches_up() {
        let held_up = async {
            sleep(Duration::from_millis(10)).await;
            thread::sleep(Duration::from_millis(400));
        };
        let timed = within(LIMIT, held_up).await;
        assert_eq!(timed.done, Some(()));
        assert!(timed.late >= Duration::from_millis(250), "{timed:?}");
    }
}
