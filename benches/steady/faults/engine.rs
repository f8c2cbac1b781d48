//! The engine between balancers hangs, or is dead.

use std::time::Duration;

use crate::balancer::Balancer;
use crate::options::Options;
use crate::station::{STREAM, Station, config};
use crate::support::engine::Engine;
use crate::support::lab::Lab;
use crate::support::process::eventually;

use super::{Fault, Finding};

const ENGINE_UP: &str = "icecast_balancer_cluster_engine_up";

/// So many slots that half of them, one replica's share, last for any number of rounds.
const SLOTS: u64 = 10_000_000;

/// What becomes of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Hangs,
    Dies,
}

pub(super) struct Gone {
    balancer: Balancer,
    engine: Engine,
    how: How,
    /// In how many rounds it was missed, and in how many not.
    missed: usize,
    unnoticed: usize,
    _station: Station,
}

impl Gone {
    pub(super) fn prepare(how: How, lab: &Lab, options: &Options) -> Self {
        let (station, engine) = (Station::start(8, Some(SLOTS)), Engine::start(lab));
        let head = format!("cluster: {{replicas: 2, engine: '{}'}}\n", engine.url());
        let config = config(&head, &station.urls(), &[STREAM]);
        let balancer = Balancer::start(lab, options, &config, &[]);
        let gone = Self { balancer, engine, how, missed: 0, unnoticed: 0, _station: station };
        gone.wait_until_it_is_up();
        gone
    }

    fn wait_until_it_is_up(&self) {
        eventually("the engine is up", Duration::from_secs(20), || {
            (self.balancer.metric(ENGINE_UP) > 0.5).then_some(())
        });
    }
}

impl Fault for Gone {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn begin(&mut self) {
        match self.how {
            How::Hangs => self.engine.hang(),
            How::Dies => self.engine.kill(),
        }
    }

    fn end(&mut self) {
        if self.balancer.metric(ENGINE_UP) > 0.5 {
            self.unnoticed += 1;
        } else {
            self.missed += 1;
        }
        match self.how {
            How::Hangs => self.engine.go_on(),
            How::Dies => self.engine.begin_empty(),
        }
        self.wait_until_it_is_up();
    }

    fn findings(&self) -> Vec<Finding> {
        let Self { missed, unnoticed, .. } = self;
        let text =
            format!("the engine was known to be down in {missed} rounds, unnoticed in {unnoticed}");
        vec![Finding { text, good: *missed > 0 && *unnoticed == 0 }]
    }
}
