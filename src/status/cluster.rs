//! What is known of the other balancers, and of the engine between them.

use serde::Serialize;

use crate::slots::Moment;
use crate::state::{Snapshot, State};

/// The balancers that share the relays with this one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterStatus {
    /// How many there are, as configured.
    pub replicas: u64,
    /// The engine through which they lend one another slots; absent: each has its share alone.
    pub engine: Option<EngineStatus>,
    /// Those that the engine knows, or knew last, this one included.
    pub members: Vec<MemberStatus>,
    /// Slots of mounts that this one has lent to others, and that may lie unspent there.
    pub lent: u64,
    /// Slots of mounts that others have lent to this one, and that are not spent.
    pub borrowed: u64,
    /// Slots of mounts lent since the start.
    pub lent_total: u64,
    /// Slots of mounts borrowed since the start.
    pub borrowed_total: u64,
}

/// The engine between them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EngineStatus {
    /// Its host and port.
    pub address: String,
    /// Whether it answers.
    pub up: bool,
    /// Why it does not.
    pub trouble: Option<String>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemberStatus {
    /// Its process, by a name that no other has.
    pub name: String,
    /// Its machine, as that calls itself.
    pub host: String,
    /// The beginning of the SHA-256 of its configuration.
    pub config: String,
    /// Seconds since the engine heard of it.
    pub age_seconds: f64,
    /// Whether it is the one that is asked.
    #[serde(rename = "self")]
    pub is_self: bool,
}

impl ClusterStatus {
    /// What is known as of `now`; `None` where a balancer is alone.
    pub(super) fn of(state: &State, snapshot: &Snapshot, now: Moment) -> Option<Self> {
        let (fleet, members) = (&snapshot.fleet, &state.members);
        if fleet.replicas <= 1 && fleet.engine.is_none() {
            return None;
        }
        let engine = fleet.engine.as_ref().map(|engine| EngineStatus {
            address: engine.to_string(),
            up: members.is_engine_up(),
            trouble: members.trouble(),
        });
        let known = if engine.is_some() { members.all() } else { Vec::new() };
        let known = known.into_iter().map(|member| MemberStatus {
            name: member.name,
            host: member.host,
            config: member.config,
            age_seconds: now.saturating_sub(member.heard).as_secs_f64(),
            is_self: member.is_self,
        });
        let (lent, borrowed) =
            if engine.is_some() { on_loan(snapshot, now) } else { Default::default() };
        Some(Self {
            replicas: fleet.replicas,
            engine,
            members: known.collect(),
            lent,
            borrowed,
            lent_total: members.lent.get(),
            borrowed_total: members.borrowed.get(),
        })
    }

    /// Whether nothing has changed since but that time went by.
    pub(crate) fn is_as(&self, before: &Self) -> bool {
        let timeless = |cluster: &Self| {
            let mut cluster = cluster.clone();
            cluster.members.iter_mut().for_each(|member| member.age_seconds = 0.0);
            cluster
        };
        timeless(self) == timeless(before)
    }
}

/// Slots of all mounts that are lent, and that are borrowed.
fn on_loan(snapshot: &Snapshot, now: Moment) -> (u64, u64) {
    let servers = 0..snapshot.fleet.servers.len();
    let mounts = servers.flat_map(|server| snapshot.listed(server));
    mounts.fold((0, 0), |(lent, borrowed): (u64, u64), mount| {
        let seats = &mount.slots.seats;
        (lent.saturating_add(seats.away(now)), borrowed.saturating_add(seats.borrowed()))
    })
}
