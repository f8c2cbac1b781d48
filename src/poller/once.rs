//! One look at one server, for who asks what would be seen without a balancer that runs.
//!
//! It is the look that a balancer takes, with what belongs to it and a balancer never needs: whether
//! the password is right that no look has used, and whether players would find the door open.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use url::{Host, Url};

use crate::counters::PollResult;
use crate::fleet::{Family, Server, StatsSource};
use crate::icecast::Report;
use crate::slots::Listed;

use super::exchange::Question;
use super::eye::{AsConfigured, Eye as _};
use super::fetch::{self, Failure, Seen};
use super::{fairly, lag};

/// What came of one look.
#[derive(Debug)]
pub struct Glance {
    /// How long it took.
    pub took: Duration,
    /// What it saw.
    pub seen: Result<Sight, Trouble>,
    /// Whether the admin password is right, if there is one and the look did not need it.
    pub password: Option<Result<(), Trouble>>,
    /// What is odd about the server though it answers well.
    pub remark: Option<String>,
}

/// What a look saw.
#[derive(Debug)]
pub enum Sight {
    /// Its numbers, and the name of the document they come from.
    Report {
        /// What it saw.
        report: Report,
        /// Where it saw it.
        source: &'static str,
    },
    /// The server's word that it serves as many clients as it may.
    Full,
}

/// Why nothing was seen.
#[derive(Debug)]
pub struct Trouble {
    /// Its kind.
    pub result: PollResult,
    /// Why, and where it is known, what to do.
    pub why: String,
}

/// Looks at a server as its configuration says, at the `mounts` that some stream uses there. Takes
/// `limit`, and as long again where a password is tried.
pub async fn glance(server: &Server, mounts: &[Listed<'_>], limit: Duration) -> Glance {
    let mut eye = AsConfigured::default();
    let began = Instant::now();
    let seen = lag::within(limit, eye.look(server, mounts, limit)).await;
    let took = began.elapsed();
    let seen = fairly(seen, &server.stats.url).map_err(Trouble::from);
    let seen = seen.map(|seen| match seen {
        Seen::Report { report, source } => Sight::Report { report, source },
        Seen::Full => Sight::Full,
    });
    let password = match &seen {
        Ok(Sight::Report { source, .. }) if is_untried(server, source) => {
            Some(fetch::try_password(server, limit).await.map_err(Trouble::from))
        }
        _ => None,
    };
    Glance { took, seen, password, remark: eye.remark(server) }
}

/// Whether a look that read this document has not shown whether the password is right.
fn is_untried(server: &Server, source: &str) -> bool {
    let is_used = matches!(server.stats.source, StatsSource::Auto | StatsSource::Live);
    is_used && server.stats.credentials.is_some() && source != fetch::ADMIN
}

/// Whether anything answers at a URL that players are sent to. Whatever it answers is good.
pub async fn knock(url: &Url, limit: Duration) -> Result<(), Trouble> {
    match timeout(limit, Question::of(url).ask()).await {
        Ok(Ok(_answer)) => Ok(()),
        Ok(Err(broken)) => Err(Failure::of(&broken, url.as_str()).into()),
        Err(_elapsed) => Err(Failure::late(url).into()),
    }
}

/// The address families that the host of a URL has addresses of.
pub async fn families(url: &Url, limit: Duration) -> io::Result<Vec<Family>> {
    let addresses: Vec<IpAddr> = match url.host() {
        Some(Host::Ipv4(address)) => vec![address.into()],
        Some(Host::Ipv6(address)) => vec![address.into()],
        Some(Host::Domain(name)) => {
            let found = timeout(limit, tokio::net::lookup_host((name, 0))).await;
            let found = found.map_err(|_elapsed| io::ErrorKind::TimedOut)??;
            found.map(|address| address.ip()).collect()
        }
        None => Vec::new(),
    };
    let mut families: Vec<Family> = addresses.into_iter().map(Family::of).collect();
    families.sort_unstable();
    families.dedup();
    Ok(families)
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self { result: failure.result, why: failure.to_string() }
    }
}
