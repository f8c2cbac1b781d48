//! One who is told: what comes next for it, as soon as there is room for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::edition::Edition;

/// Comes first: how many milliseconds to wait before coming back.
const RETRY: Bytes = Bytes::from_static(b"retry: 3000\n\n");

/// Says that nothing has changed, to programs and proxies that wait for something.
const HEARTBEAT: Bytes = Bytes::from_static(b": nothing has changed\n\n");

/// Comes last, where the program is told to stop.
const END: Bytes = Bytes::from_static(b"event: end\ndata: {\"reason\":\"stopping\"}\n\n");

/// A heartbeat comes after so long without anything else.
const SILENCE: Duration = Duration::from_secs(10);

/// A large event is handed over in pieces, so that no connection holds a copy of all of it.
const PIECE: usize = 16 * 1024;

/// Tells one who listens, until it goes, or until `stopping`.
pub(super) async fn tell(
    mut editions: watch::Receiver<Option<Arc<Edition>>>,
    pieces: mpsc::Sender<Bytes>,
    stopping: CancellationToken,
) {
    let telling = async {
        let mut known = 0;
        room(&pieces, &stopping).await?.send(RETRY);
        loop {
            let news = news(&mut editions, known, &stopping).await;
            if let News::Stopping = news {
                // A last word, if there is room for it.
                return pieces.try_send(END).ok();
            }
            // Only once there is room for it is it chosen, so that nothing old waits there.
            let room = room(&pieces, &stopping).await?;
            let newest = editions.borrow_and_update().clone();
            match newest.filter(|edition| edition.number > known) {
                Some(edition) => {
                    let event = edition.for_whom_knows(known);
                    known = edition.number;
                    tell_event(event, room, &pieces, &stopping).await?;
                }
                None => room.send(HEARTBEAT),
            }
        }
    };
    tokio::select! {
        () = pieces.closed() => {}
        _ended = telling => {}
    }
}

/// Why something is to be told.
enum News {
    /// There is a new edition.
    Edition,
    /// There was none for so long that this must be said.
    Nothing,
    Stopping,
}

async fn news(
    editions: &mut watch::Receiver<Option<Arc<Edition>>>,
    known: u64,
    stopping: &CancellationToken,
) -> News {
    let is_new = |newest: &Option<Arc<Edition>>| {
        newest.as_ref().is_some_and(|edition| edition.number > known)
    };
    tokio::select! {
        () = stopping.cancelled() => News::Stopping,
        _newest = editions.wait_for(is_new) => News::Edition,
        () = sleep(SILENCE) => News::Nothing,
    }
}

/// Room for one more piece, once the one before was taken; `None`: the end has come.
async fn room<'a>(
    pieces: &'a mpsc::Sender<Bytes>,
    stopping: &CancellationToken,
) -> Option<mpsc::Permit<'a, Bytes>> {
    tokio::select! {
        () = stopping.cancelled() => None,
        room = pieces.reserve() => room.ok(),
    }
}

async fn tell_event(
    mut event: Bytes,
    first: mpsc::Permit<'_, Bytes>,
    pieces: &mpsc::Sender<Bytes>,
    stopping: &CancellationToken,
) -> Option<()> {
    first.send(event.split_to(event.len().min(PIECE)));
    while !event.is_empty() {
        room(pieces, stopping).await?.send(event.split_to(event.len().min(PIECE)));
    }
    Some(())
}
