//! Who looks at a server: the reader of its statistics, or who merely asks for its mounts.

use std::time::Duration;

use crate::fleet::{Server, StatsSource};
use crate::slots::Listed;

use super::fetch::{Failure, Fetcher, Seen};
use super::probe::Prober;

/// Whoever can look at one server.
pub(super) trait Eye: Send {
    /// Looks once, at the mounts that some stream uses; may take `timeout`.
    fn look(
        &mut self,
        server: &Server,
        mounts: &[Listed<'_>],
        timeout: Duration,
    ) -> impl Future<Output = Result<Seen, Failure>> + Send;

    /// What is odd about the server though it answers well.
    fn remark(&self, server: &Server) -> Option<String>;
}

/// Looks in the way that the configuration says, which a reload may change.
#[derive(Debug, Default)]
pub(super) struct AsConfigured {
    fetcher: Fetcher,
    prober: Prober,
}

impl Eye for AsConfigured {
    async fn look(
        &mut self,
        server: &Server,
        mounts: &[Listed<'_>],
        timeout: Duration,
    ) -> Result<Seen, Failure> {
        match server.stats.source {
            StatsSource::Probe => self.prober.look(server, mounts, timeout).await,
            _ => self.fetcher.look(server, mounts, timeout).await,
        }
    }

    fn remark(&self, server: &Server) -> Option<String> {
        match server.stats.source {
            StatsSource::Probe => self.prober.remark(server),
            _ => self.fetcher.remark(server),
        }
    }
}
