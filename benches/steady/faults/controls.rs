//! What shows that the measurement itself can be trusted: a fault that is none, and one that no
//! measurement may miss.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::balancer::Balancer;
use crate::options::Options;
use crate::station::{STREAM, Station, config};
use crate::support::lab::Lab;

use super::{Again, Fault, Finding};

/// How long the balancer is stopped, and how often.
const PAUSE: Duration = Duration::from_millis(20);
const EACH: Duration = Duration::from_millis(200);

/// Nothing happens.
pub(super) struct Nothing {
    balancer: Arc<Balancer>,
    _station: Station,
}

/// The balancer does nothing at all for a moment, again and again.
pub(super) struct Pauses {
    quiet: Nothing,
    pausing: Option<Again>,
}

impl Nothing {
    pub(super) fn prepare(lab: &Lab, options: &Options) -> Self {
        let station = Station::start(8, None);
        let config = config("", &station.urls(), &[STREAM]);
        let balancer = Arc::new(Balancer::start(lab, options, &config, &[]));
        Self { balancer, _station: station }
    }
}

impl Fault for Nothing {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn begin(&mut self) {}

    fn end(&mut self) {}

    fn findings(&self) -> Vec<Finding> {
        Vec::new()
    }
}

impl Pauses {
    pub(super) fn prepare(lab: &Lab, options: &Options) -> Self {
        Self { quiet: Nothing::prepare(lab, options), pausing: None }
    }
}

impl Fault for Pauses {
    fn balancer(&self) -> &Balancer {
        &self.quiet.balancer
    }

    fn begin(&mut self) {
        let balancer = Arc::clone(&self.quiet.balancer);
        self.pausing = Some(Again::each(EACH, move || {
            balancer.signal(Signal::STOP);
            thread::sleep(PAUSE);
            balancer.signal(Signal::CONT);
        }));
    }

    fn end(&mut self) {
        self.pausing = None;
    }

    fn findings(&self) -> Vec<Finding> {
        Vec::new()
    }
}
