//! `probe`: every relay asked once, as the balancer would, and held against the configuration.

mod compare;
mod relay;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use url::Url;

use crate::cli::{Probe, TableFormat};
use crate::config::suggest::{did_you_mean, shown};
use crate::fleet::{Fleet, Server, ServerId, ServerState};
use crate::poller::{families, glance, knock};
use crate::reload;
use crate::state::Snapshot;

use super::table::{Table, Tone, count};
use super::{Done, FAILED, wait_for};

use compare::{Door, Look};
use relay::Relay;

/// So many relays are asked at one time: enough for a large station, few for a small machine.
const AT_ONCE: usize = 16;

/// What came of it all.
#[derive(Debug, Serialize)]
struct Probed {
    /// Whether every relay is as the configuration says.
    well: bool,
    /// The relays, in the configuration's order.
    servers: Vec<Relay>,
}

/// Asks the relays and tells what they said.
pub fn probe(arguments: &Probe, coloured: bool) -> Done {
    let loaded = match reload::load_once(&arguments.config) {
        Ok(loaded) => loaded,
        Err(problems) => return Done::bad([problems], coloured),
    };
    let servers = match chosen(&loaded.fleet, &arguments.servers) {
        Ok(servers) => servers,
        Err(why) => return Done::refused(why),
    };
    let snapshot = Arc::new(Snapshot::first(loaded.fleet, loaded.digest));
    let servers = match wait_for(ask_all(&snapshot, servers)) {
        Ok(servers) => servers,
        Err(why) => return Done::failed(why),
    };
    let probed = Probed { well: servers.iter().all(Relay::is_well), servers };
    let code = if probed.well { 0 } else { FAILED };
    match arguments.format {
        TableFormat::Human => Done::told(probed.told(coloured), code),
        TableFormat::Json => Done::json(&probed, code),
    }
}

/// The servers that are named, or all.
fn chosen(fleet: &Fleet, names: &[String]) -> Result<Vec<ServerId>, String> {
    if names.is_empty() {
        return Ok((0..fleet.servers.len()).collect());
    }
    let find = |name: &String| {
        fleet.server_named(name).ok_or_else(|| {
            let known = fleet.servers.iter().map(|server| server.name.as_str());
            let help = did_you_mean(name, "servers", known);
            format!("unknown server {}; {help}", shown(name))
        })
    };
    names.iter().map(find).collect()
}

/// Asks a few at a time; what they said comes in the order of the servers.
async fn ask_all(snapshot: &Arc<Snapshot>, servers: Vec<ServerId>) -> Vec<Relay> {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut asking = JoinSet::new();
    for (place, server) in servers.into_iter().enumerate() {
        let (snapshot, turns) = (Arc::clone(snapshot), Arc::clone(&turns));
        asking.spawn(async move {
            let _turn = turns.acquire().await;
            (place, ask(&snapshot, server).await)
        });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().filter_map(|(_, relay)| relay).collect()
}

/// Asks one server, unless the balancer would not ask it either. Takes twice `poll.timeout` at most.
async fn ask(snapshot: &Snapshot, id: ServerId) -> Option<Relay> {
    let server = snapshot.fleet.servers.get(id)?;
    if server.state == ServerState::Disabled {
        return Some(Relay::not_asked(server));
    }
    let limit = snapshot.fleet.poll.timeout;
    let mounts = snapshot.listed(id);
    let (glance, doors) = tokio::join!(glance(server, &mounts, limit), doors(server, limit));
    Some(Relay::of(&snapshot.fleet, id, server, &Look { glance, doors }))
}

/// Where players are sent, and whether they would be let in there.
async fn doors(server: &Server, limit: Duration) -> Vec<Door> {
    let mut doors: Vec<Door> = Vec::new();
    for url in [&server.url, &server.http_url] {
        if doors.iter().all(|door| door.url != *url) {
            doors.push(door(url, server, limit).await);
        }
    }
    doors
}

async fn door(url: &Url, server: &Server, limit: Duration) -> Door {
    // A look has just been there.
    let is_known = url.origin() == server.stats.url.origin();
    let (families, knocked) = tokio::join!(families(url, limit / 2), async {
        if is_known { Ok(()) } else { knock(url, limit / 2).await }
    });
    Door { url: url.clone(), families: families.map_err(|error| error.to_string()), knocked }
}

impl Probed {
    fn told(&self, coloured: bool) -> String {
        let mut table = Table::new(&relay::COLUMNS);
        for relay in &self.servers {
            table.row(relay.cells(), relay.remarks());
        }
        let bad = self.servers.iter().filter(|relay| !relay.is_well()).count();
        let all = count(self.servers.len(), "relay", "relays");
        let (tone, summary) = match bad {
            0 => (Tone::Good, format!("{all}: as the configuration says")),
            1 => (Tone::Bad, format!("{all}: 1 is not as it should be")),
            bad => (Tone::Bad, format!("{all}: {bad} are not as they should be")),
        };
        format!("{}\n{}\n", table.show(coloured), tone.paint(&summary, coloured))
    }
}
