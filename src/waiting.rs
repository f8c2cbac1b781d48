//! The usher of the waiting room: hands out to those who wait what a look found free.

use crate::fleet::StreamId;
use crate::player::Client;
use crate::queue::{Call, Invitation};
use crate::select::{Decision, admission, assign};
use crate::slots::Moment;
use crate::state::{Snapshot, State};

/// Hands out to those who wait what is free now.
pub fn usher(state: &State, now: Moment) {
    let snapshot = state.load_full();
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
