//! A storm of changes of the configuration, each of which is put in force.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::balancer::Balancer;
use crate::options::Options;
use crate::station::{STREAM, Station, config};
use crate::support::lab::Lab;

use super::{Again, Fault, Finding};

/// How often the file changes.
const EACH: Duration = Duration::from_millis(200);

/// Streams besides the one that is asked for.
const OTHERS: usize = 99;

/// The reloads that were put in force, and those that were not.
const IN_FORCE: &str = "icecast_balancer_config_reloads_total{result=\"ok\"}";
const REFUSED: &str = "icecast_balancer_config_reloads_total{result=\"rejected\"}";

pub(super) struct Reload {
    balancer: Arc<Balancer>,
    config: String,
    storm: Option<Again>,
    written: Arc<std::sync::atomic::AtomicUsize>,
    _station: Station,
}

impl Reload {
    pub(super) fn prepare(lab: &Lab, options: &Options) -> Self {
        let station = Station::start(8, None);
        let mut config = config("", &station.urls(), &[STREAM]);
        for other in 0..OTHERS {
            writeln!(config, "  /talk{other}.ogg: {{fallback: {STREAM}, bitrate: 128kbps}}")
                .unwrap();
        }
        let balancer = Arc::new(Balancer::start(lab, options, &config, &[]));
        Self { balancer, config, storm: None, written: Arc::default(), _station: station }
    }
}

impl Fault for Reload {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn begin(&mut self) {
        let (balancer, config) = (Arc::clone(&self.balancer), self.config.clone());
        let written = Arc::clone(&self.written);
        self.storm = Some(Again::each(EACH, move || {
            let number = written.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            // A stream comes with each change, and that of the change before goes.
            balancer.configure(&format!("{config}  /change{number}.ogg:\n"));
        }));
    }

    fn end(&mut self) {
        self.storm = None;
    }

    fn findings(&self) -> Vec<Finding> {
        let (applied, refused) = (self.balancer.metric(IN_FORCE), self.balancer.metric(REFUSED));
        let written = self.written.load(std::sync::atomic::Ordering::Relaxed);
        let text = format!("{written} changes, {applied} reloads in force, {refused} refused");
        vec![Finding { text, good: applied > 0.0 && refused == 0.0 }]
    }
}
