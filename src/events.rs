//! Tells of changes as they happen to those who want to be told: server-sent events.
//!
//! While somebody listens, one task looks at the board, twice a second at most, and where something
//! has changed makes an edition: all that there is to tell as one event, what changed as another.
//! Those who listen share its bytes. Each is told the changes if it knows the edition before, and
//! else everything anew; so whoever is slow misses editions, and costs nothing but its connection.

mod edition;
mod subscription;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::status::{Board, Broken};

use edition::Edition;

/// Where those who want to be told of changes are told.
#[derive(Debug)]
pub struct Events {
    board: Arc<Board>,
    newest: watch::Sender<Option<Arc<Edition>>>,
    /// Somebody has come.
    wanted: Notify,
    seats: Arc<Semaphore>,
    /// Cancelled when the program is told to stop.
    stopping: CancellationToken,
}

/// What somebody is told, piece by piece, until it is dropped.
pub type Telling = mpsc::Receiver<Bytes>;

/// Why somebody is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unheard {
    /// [`MOST`] are told already.
    Full,
    /// The program is about to end.
    Stopping,
}

/// So many are told at one time.
pub const MOST: usize = 32;

/// There is at most one edition within this time.
const PAUSE: Duration = Duration::from_millis(500);

/// Making editions takes at most one in so many parts of the time.
const SHARE: u32 = 10;

impl Events {
    /// Tells what is on `board`, until `stopping`.
    pub fn new(board: Arc<Board>, stopping: CancellationToken) -> Self {
        Self {
            board,
            newest: watch::Sender::default(),
            wanted: Notify::new(),
            seats: Arc::new(Semaphore::new(MOST)),
            stopping,
        }
    }

    /// Tells one more.
    pub fn subscribe(&self) -> Result<Telling, Unheard> {
        if self.stopping.is_cancelled() {
            return Err(Unheard::Stopping);
        }
        let seat = Arc::clone(&self.seats).try_acquire_owned().map_err(|_| Unheard::Full)?;
        let (pieces, telling) = mpsc::channel(1);
        let (editions, stopping) = (self.newest.subscribe(), self.stopping.clone());
        tokio::spawn(async move {
            subscription::tell(editions, pieces, stopping).await;
            drop(seat);
        });
        self.wanted.notify_one();
        Ok(telling)
    }

    /// Makes editions while anybody wants them, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.publish() => {}
        }
    }

    async fn publish(&self) {
        let mut last: Option<Arc<Edition>> = None;
        let mut number = 0;
        loop {
            while self.newest.receiver_count() == 0 {
                // What was known becomes old, and whoever comes next must not be told it.
                last = None;
                self.newest.send_replace(None);
                self.wanted.notified().await;
            }
            let began = Instant::now();
            match self.edition_after(last.clone(), number).await {
                Ok(None) => {}
                Ok(Some(edition)) => {
                    number = edition.number;
                    let edition = Arc::new(edition);
                    last = Some(Arc::clone(&edition));
                    self.newest.send_replace(Some(edition));
                }
                Err(error) => error!("there is nothing to tell of changes: {error}"),
            }
            sleep(PAUSE.max(began.elapsed() * (SHARE - 1))).await;
        }
    }

    /// The edition that follows; `None`: nothing has changed.
    async fn edition_after(
        &self,
        last: Option<Arc<Edition>>,
        number: u64,
    ) -> Result<Option<Edition>, Broken> {
        let overview = self.board.overview().await?;
        self.board.make(move |_| Edition::after(last.as_deref(), number, overview)).await
    }
}

#[cfg(test)]
mod tests;
