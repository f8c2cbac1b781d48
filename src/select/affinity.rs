//! Policy `client_hash`: the same listener to the same server.

use crate::affinity::Key;
use crate::fleet::{Policy, StreamId};
use crate::player::Client;
use crate::state::Snapshot;

use super::Candidate;

/// Whether listeners are to come back to where they were.
pub(super) fn is_wanted(snapshot: &Snapshot) -> bool {
    matches!(snapshot.fleet.balance.policy, Policy::ClientHash(_))
}

/// The first of `candidates`, which are in the order of their mounts, in the order that is the
/// client's own; `None` for nobody in particular.
///
/// The configured weights count and not what doubt or a slow start leaves of them: an order that
/// moved with every look would be none.
pub(super) fn first(
    snapshot: &Snapshot,
    stream: StreamId,
    client: Client,
    key: Key,
    candidates: &[Candidate],
) -> Option<Candidate> {
    let mut left = candidates.iter().peekable();
    lots(snapshot, stream, client, key)?
        .enumerate()
        .filter_map(|(at, lot)| Some((lot, left.next_if(|candidate| candidate.at == at)?)))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| *candidate)
}

/// The lot of each mount of `stream`; the greater, the earlier in the client's order.
pub(super) fn lots(
    snapshot: &Snapshot,
    stream: StreamId,
    client: Client,
    key: Key,
) -> Option<impl Iterator<Item = f64>> {
    let audience = key.audience(client.address?, &snapshot.fleet.streams.get(stream)?.path);
    let mounts = snapshot.mounts(stream);
    Some(mounts.map(move |mount| audience.lot(&mount.server.name, mount.config.weight)))
}

#[cfg(test)]
mod tests;
