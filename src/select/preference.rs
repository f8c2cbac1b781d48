//! Whose listeners a server would rather have, and for how long it gets its way.
//!
//! A server that prefers somebody comes first for them, but not until it is full while its
//! siblings are empty: a lone relay of a region with many listeners would be. So it is preferred
//! while it has plenty of room, or is no fuller than those who would have to help; beyond that it
//! is one of them, and the policy spreads listeners over all.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::fleet::{Clients, Family, Server, StreamId};
use crate::player::Client;
use crate::state::Snapshot;

use super::{Candidate, Rank, Reason, Trust, Verdict};

/// What a server thinks of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preference {
    /// It is for such listeners, and has its fair share of them yet to come.
    Preferred,
    /// It is for everybody.
    Neutral,
    /// It is for others.
    Other,
}

impl Preference {
    /// Its name for programs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Preferred => "preferred",
            Self::Neutral => "neutral",
            Self::Other => "other",
        }
    }
}

/// Beyond this share of its slots a preferred server is compared with the others.
const PLENTY: f64 = 0.75;

/// So many times as many listeners as the others have, for its weight, a preferred server without a
/// limit may have.
const AHEAD: f64 = 2.0;

/// So few listeners flood nobody, whatever others have.
const FEW: u64 = 10;

/// What `server` thinks of `client`; of nobody in particular it thinks nothing.
pub(super) fn preference(server: &Server, client: Client) -> Result<Preference, Reason> {
    let Some(address) = client.address else { return Ok(Preference::Neutral) };
    if let Some(family) = server.ip
        && family != Family::of(address)
    {
        return Err(Reason::OnlyBy(family));
    }
    match &server.clients {
        None => Ok(Preference::Neutral),
        Some(clients) if clients.include(address, client.country) => Ok(Preference::Preferred),
        Some(Clients { only: true, .. }) => Err(Reason::ForOthers),
        Some(_) => Ok(Preference::Other),
    }
}

/// What is equal for clients whom the same servers of `stream` would take; `None` where every
/// server takes everybody.
pub fn admission(snapshot: &Snapshot, stream: StreamId, client: Client) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let mut chosen = false;
    let config = snapshot.fleet.streams.get(stream);
    for mount in snapshot.mounts(stream) {
        let https_only = config.is_some_and(|stream| stream.keeps_https_from(mount.server));
        chosen |= https_only;
        (https_only && client.https).hash(&mut hasher);
        let only = mount.server.clients.as_ref().is_some_and(|clients| clients.only);
        chosen |= mount.server.ip.is_some() || only;
        preference(mount.server, client).is_ok().hash(&mut hasher);
    }
    chosen.then(|| hasher.finish())
}

/// Lets servers that have had their fair share be like those they would spare.
pub(super) fn temper(verdicts: &mut [Verdict]) {
    let mut company: Option<Company> = None;
    for at in 0..verdicts.len() {
        let Some(Verdict::Candidate(candidate)) = verdicts.get(at).copied() else { continue };
        if candidate.rank.preference != Preference::Preferred {
            continue;
        }
        let company = match company {
            Some(known) if known.peers == peers(candidate.rank) => known,
            _ => *company.insert(Company::of(verdicts, peers(candidate.rank))),
        };
        if let Some(others) = company.others
            && others.should_help(&candidate)
            && let Some(Verdict::Candidate(candidate)) = verdicts.get_mut(at)
        {
            candidate.rank.preference = others.preference;
            candidate.had_its_share = true;
        }
    }
}

/// What weighs more than preference; it decides among candidates that are equal in this.
type Peers = (bool, bool, Trust, u32);

fn peers(rank: Rank) -> Peers {
    (rank.beyond_limit, rank.leaves_tls, rank.trust, rank.tier)
}

/// Those who come next after the preferred ones among some peers.
#[derive(Clone, Copy)]
struct Company {
    peers: Peers,
    /// `None`: there is nobody else.
    others: Option<Others>,
}

/// The next best, in sum.
#[derive(Clone, Copy)]
struct Others {
    preference: Preference,
    load: u64,
    weight: f64,
    /// Shares in use of those that have a limit, and how many these are.
    shares: (f64, f64),
}

impl Company {
    fn of(verdicts: &[Verdict], among: Peers) -> Self {
        let mut others: Option<Others> = None;
        let candidates = verdicts.iter().filter_map(Verdict::candidate);
        for candidate in candidates.filter(|candidate| peers(candidate.rank) == among) {
            let preference = candidate.rank.preference;
            if preference == Preference::Preferred {
                continue;
            }
            let sum = match &mut others {
                Some(sum) if sum.preference < preference => continue,
                Some(sum) if sum.preference == preference => sum,
                _ => others.insert(Others::none(preference)),
            };
            sum.add(candidate);
        }
        Self { peers: among, others }
    }
}

impl Others {
    fn none(preference: Preference) -> Self {
        Self { preference, load: 0, weight: 0.0, shares: (0.0, 0.0) }
    }

    fn add(&mut self, candidate: &Candidate) {
        self.load = self.load.saturating_add(candidate.load);
        self.weight += candidate.weight;
        if let Some(share) = candidate.share {
            self.shares = (self.shares.0 + share, self.shares.1 + 1.0);
        }
    }

    /// Whether `preferred` has had its fair share.
    fn should_help(&self, preferred: &Candidate) -> bool {
        match preferred.share {
            Some(share) => share >= PLENTY && clearly_more(share * self.shares.1, self.shares.0),
            None => {
                preferred.load > FEW
                    && preferred.load as f64 * self.weight
                        > AHEAD * self.load as f64 * preferred.weight
            }
        }
    }
}

/// Whether one share is larger than another by more than rounding makes it.
fn clearly_more(one: f64, other: f64) -> bool {
    one - other > 1e-9
}

#[cfg(test)]
mod tests;
