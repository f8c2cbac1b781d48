//! A log that is written to a pipe which nobody reads any more.

use std::time::Duration;

use crate::balancer::Balancer;
use crate::client::{Client, Ending, Rates};
use crate::options::Options;
use crate::station::{STREAM, Station, config};
use crate::support::lab::Lab;

use super::{Fault, Finding};

/// Bytes by which the balancer may grow meanwhile: its queues are bounded.
const GROWTH: u64 = 32 * 1024 * 1024;

/// How many players come in a second, and for how many seconds at most, until pipe and queues are
/// full and lines are dropped.
const FILLING: f64 = 5_000.0;
const LONGEST: usize = 10;

const DROPPED: &str = "icecast_balancer_log_lines_dropped_total";

pub(super) struct Unread {
    balancer: Balancer,
    /// Bytes of memory at first, and the most since.
    memory: (u64, u64),
    _station: Station,
}

impl Unread {
    pub(super) fn prepare(lab: &Lab, options: &Options) -> Result<Self, String> {
        if !Balancer::knows(options, "--access-log") {
            return Err("not in this build: it has no --access-log".to_owned());
        }
        let station = Station::start(8, None);
        let config = config("", &station.urls(), &[STREAM]);
        let balancer = Balancer::start(lab, options, &config, &["--access-log", "-"]);
        let memory = balancer.memory();
        Ok(Self { balancer, memory: (memory, memory), _station: station })
    }

    fn dropped(&self) -> f64 {
        self.balancer.sum(DROPPED, "")
    }
}

impl Fault for Unread {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn begin(&mut self) {
        self.balancer.read_output(false);
        let (rates, client) = (Rates { fresh: 0.0, kept: FILLING }, Client::new());
        let before = self.dropped();
        for _ in 0..LONGEST {
            let (to, second) = (self.balancer.address(), Duration::from_secs(1));
            // It is not measured what became of them; if they are not served, the next are not.
            client.play(to, STREAM, rates, second, Ending::Abrupt);
            if self.dropped() > before {
                break;
            }
        }
    }

    fn end(&mut self) {
        self.memory.1 = self.memory.1.max(self.balancer.memory());
        self.balancer.read_output(true);
    }

    fn findings(&self) -> Vec<Finding> {
        let dropped = self.dropped();
        let (before, most) = self.memory;
        let growth = most.saturating_sub(before);
        let mebibytes = growth as f64 / 1024.0 / 1024.0;
        vec![
            Finding { text: format!("{dropped} lines dropped, and counted"), good: dropped > 0.0 },
            Finding { text: format!("memory grew by {mebibytes:.1} MiB"), good: growth <= GROWTH },
        ]
    }
}
