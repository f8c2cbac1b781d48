//! The waiting room's door and its usher: who is held until a slot frees, and who gets what a look
//! found free.

use std::time::Duration;

use crate::fleet::{StreamId, WhenFull};
use crate::player::Client;
use crate::queue::{Call, Invitation, Place};
use crate::select::{Decision, admission, assign};
use crate::slots::Moment;
use crate::state::{Snapshot, State};

/// Whether somebody waits for `stream` whom this player would overtake.
pub fn is_behind(snapshot: &Snapshot, stream: StreamId, client: Client) -> bool {
    let https_apart = snapshot.fleet.streams.get(stream).is_some_and(|s| !s.leaves_tls);
    snapshot.queue(stream).is_some_and(|queue| queue.is_before(client, https_apart))
}

/// How long a player of `stream` is held until a slot frees; `None`: it is not, or there is no room
/// left for it to wait in.
pub fn patience(snapshot: &Snapshot, stream: StreamId) -> Option<Duration> {
    let WhenFull::Wait(patience) = snapshot.fleet.streams.get(stream)?.when_full else {
        return None;
    };
    (snapshot.queue(stream)?.waiting() < most(snapshot)).then_some(patience)
}

/// Takes a place for a player of `stream`, if there is one; with it goes how long it is held.
pub fn enter(snapshot: &Snapshot, stream: StreamId, client: Client) -> Option<(Place, Duration)> {
    let patience = patience(snapshot, stream)?;
    Some((snapshot.queue(stream)?.enter(client, most(snapshot))?, patience))
}

/// So many may wait: they must leave connections for those who need not.
fn most(snapshot: &Snapshot) -> usize {
    snapshot.fleet.limits.max_connections / 2
}

/// Hands out to those who wait what is free now.
pub fn usher(state: &State, now: Moment) {
    let snapshot = state.load_full();
    // Every look comes here, and streams may be many.
    if snapshot.waiting() == 0 {
        return;
    }
    for (id, ..) in snapshot.streams() {
        if let Some(queue) = snapshot.queue(id)
            && queue.waiting() > 0
        {
            let mut rng = fastrand::Rng::new();
            queue.serve(
                |client| admission(&snapshot, id, client),
                |client| call(&snapshot, id, client, now, &mut rng),
            );
        }
    }
}

/// Decides for one player of the queue, as for one that has just come.
fn call(
    snapshot: &Snapshot,
    stream: StreamId,
    client: Client,
    now: Moment,
    rng: &mut fastrand::Rng,
) -> Call {
    match assign(snapshot, stream, client, now, rng, true) {
        Decision::Mount(mount) => {
            mount.redirects.increment();
            let location = mount.config.location(client.https).clone();
            Ok(Invitation { location, server: Some((*mount.server.name).into()) })
        }
        Decision::Elsewhere(url) => Ok(Invitation { location: url.clone(), server: None }),
        Decision::Refused(refusal) => Err(refusal),
    }
}
