//! What `balancer.yaml` means: checked, cross-linked, immutable streams, servers and mounts.
//!
//! A [`Fleet`] exists only if nothing was wrong with its configuration, so nobody who holds one
//! checks anything again. Servers and streams are referred to by their index in the fleet.

pub mod address;
pub mod changes;
mod clients;
pub mod compile;
mod engine;
pub mod patterns;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use http::HeaderValue;
use secrecy::SecretString;
use url::Url;

use crate::affinity::Key;
use crate::country::Database;
use crate::network::Networks;
use crate::tls::Identity;

pub use clients::{By, Clients, Family};
pub use engine::{Address, Engine, Whereabouts};

use patterns::{PatternId, Patterns};

/// Everything one configuration means.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Where players are served.
    pub listen: Vec<SocketAddr>,
    /// Where operators are served.
    pub admin: SocketAddr,
    /// How players are served by https.
    pub tls: Option<Tls>,
    /// The bearer token that `POST` needs from other hosts; without one, only loopback may post.
    pub admin_token: Option<SecretString>,
    /// Where players reach us, no trailing slash in its path; `None`: they know.
    pub public_url: Option<Url>,
    /// Whether whoever asks is given the list of streams, as Icecast's slaves want it.
    pub streamlist: bool,
    /// Whose word is believed about who asks.
    pub proxies: Proxies,
    /// How relays are asked.
    pub poll: Poll,
    /// How listeners are distributed.
    pub balance: Balance,
    /// How many balancers give away the same slots, this one included.
    pub replicas: u64,
    /// What they lend one another slots through, if they do.
    pub engine: Option<Engine>,
    /// Which address is in which country; `None` where no server asks.
    pub countries: Option<Arc<Database>>,
    /// What one peer, and all of them, may take.
    pub limits: Limits,
    /// The relays, in the file's order.
    pub servers: Vec<Server>,
    /// Their places, by name.
    pub places: HashMap<String, ServerId>,
    /// The streams, in the file's order; behind them those that were found under its patterns.
    pub streams: Vec<Arc<Stream>>,
    /// Every path and alias that is written, percent-decoded, with the stream it belongs to.
    pub paths: Paths,
    /// The patterns among the streams, and what was found under them.
    pub patterns: Patterns,
    /// What works, but deserves a word to the operator; one line each.
    pub warnings: Vec<String>,
}

/// A server's place in [`Fleet::servers`].
pub type ServerId = usize;

/// A stream's place in [`Fleet::streams`].
pub type StreamId = usize;

/// Streams by the paths that the operator wrote. Anybody may ask for any path, and nobody but the
/// operator puts one in: a hash that is quick will do.
pub type Paths = HashMap<String, StreamId, RandomState>;

/// `tls:` of the configuration.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Where players are served by https.
    pub listen: Vec<SocketAddr>,
    /// The certificate and its key.
    pub identity: Identity,
}

/// `trusted_proxies` and `proxy_protocol` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Where proxies are whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted: Networks,
    /// Whether connections from there begin with a PROXY header.
    pub proxy_header: bool,
}

/// `poll:` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// How often a relay is asked.
    pub interval: Duration,
    /// How often it is asked while that matters more.
    pub fast_interval: Duration,
    /// Connecting and the whole answer.
    pub timeout: Duration,
    /// Older numbers are not believed.
    pub stale_after: Duration,
    /// Good polls until a relay that was down is up.
    pub rise: u32,
    /// Bad polls in a row until a relay is down.
    pub fall: u32,
    /// Over how long a recovered relay is filled.
    pub slow_start: Duration,
}

/// `balance:` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// Who gets the next listener among those that could.
    pub policy: Policy,
    /// How long a redirect holds a slot until the relay's own count must show it.
    pub settle: Duration,
    /// Slots kept free on each mount.
    pub headroom: Headroom,
    /// What happens when nothing is known for certain.
    pub panic: Panic,
}

/// `balance.policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Of two drawn by weight, the one with the smaller share of its slots in use.
    LeastUsed,
    /// Drawn in proportion to free slots × weight.
    MostFree,
    /// Drawn in proportion to weight alone.
    WeightedRandom,
    /// The first with room in an order that is the listener's own.
    ClientHash(Key),
}

/// `balance.headroom`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headroom {
    /// Two slots, but at most a tenth of the mount's.
    Auto,
    /// This many slots.
    Slots(u64),
}

/// `when_full` of a stream, or of `balance` where the stream has none: what becomes of its players
/// when every mount that is present is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// 503 at once.
    Reject,
    /// Hold the request until a slot frees, for so long at most; then 503.
    Wait(Duration),
    /// Send it to the least used mount, beyond its limit.
    Overflow,
    /// Send it to the fallback; 503 where there is none, or it is full as well.
    Fallback,
}

/// `balance.panic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panic {
    /// Send listeners to relays that may work.
    Open,
    /// Refuse.
    Closed,
}

/// `limits:` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections of players at one time.
    pub max_connections: usize,
    /// Of these, connections of one address, or of one /64 of IPv6.
    pub per_client: usize,
    /// From a request's first moment to the end of its head.
    pub header_timeout: Duration,
}

/// An Icecast server that listeners are sent to.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its name in the configuration, the logs and the metrics.
    pub name: String,
    /// Where players are sent that came by https; no trailing slash in its path.
    pub url: Url,
    /// Where players are sent that came by plain http; [`Server::url`] unless configured.
    pub http_url: Url,
    /// The relay's own `<limits><clients>`, shared by all of its mounts; `None`: unlimited.
    pub max_listeners: Option<u64>,
    /// What its uplink carries, in bits per second.
    pub max_bandwidth: Option<u64>,
    /// How many listeners it can let in per second; a crowd is sent no faster.
    pub max_joins_per_second: u64,
    /// Whether it gets new listeners.
    pub state: ServerState,
    /// Whose listeners it is for; `None`: everybody's, and nobody's more than others'.
    pub clients: Option<Clients>,
    /// The only address family that it can be reached by; `None`: both.
    pub ip: Option<Family>,
    /// Where and how its statistics are read.
    pub stats: Stats,
}

/// `state` of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    /// Gets listeners.
    Active,
    /// Keeps those it has, gets no more; still polled.
    Draining,
    /// Neither gets listeners nor is polled.
    Disabled,
}

/// `stats:` of a server.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Which document is read.
    pub source: StatsSource,
    /// The relay as the balancer reaches it; no trailing slash in its path.
    pub url: Url,
    /// Icecast's admin account.
    pub credentials: Option<Credentials>,
}

/// `stats.source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatsSource {
    /// The best of the documents that the relay offers.
    Auto,
    /// The same, with the `STATS` feed beside it, which says when to look.
    Live,
    /// Our stylesheet `slots.xsl`, or the `load.xsl` of 2010.
    Slots,
    /// `/admin/stats`, behind the admin password.
    Admin,
    /// `/status-json.xsl`, which tells no limits.
    StatusJson,
    /// What SHOUTcast tells, in version 2 or 1.
    Shoutcast,
    /// Nothing but whether its mounts answer, as any web server tells. Nobody is counted.
    Probe,
}

/// A user and a password.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user's name.
    pub username: String,
    /// Never printed: its type sees to that.
    pub password: SecretString,
}

/// What players ask for.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Its path, percent-decoded, which is also its name in logs and metrics.
    pub path: String,
    /// Where it can be heard, in the configuration's order; at most one mount per server.
    pub mounts: Vec<Mount>,
    /// Where listeners go when no mount is present.
    pub fallback: Option<Fallback>,
    /// What becomes of its players when it is full.
    pub when_full: WhenFull,
    /// Whether players that came by https may be sent to plain http: where they must, since none of
    /// its servers has an https URL, or where those that have one are full.
    pub leaves_tls: bool,
    /// How it came to be.
    pub origin: Origin,
}

/// How a stream came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The configuration names it.
    Named,
    /// It is the entry of a pattern: it has no mounts, and stands for what is not found.
    Pattern(PatternId),
    /// It was found under a pattern.
    Found(PatternId),
}

/// A path on a server.
#[derive(Debug, Clone)]
pub struct Mount {
    /// The server it is on.
    pub server: ServerId,
    /// The path there, percent-decoded, as the relay's statistics name it.
    pub path: String,
    /// The absolute URL that players are sent to that came by plain http: ready to be a `Location`.
    pub location: HeaderValue,
    /// The one for players that came by https; itself https only if the server's URL is.
    pub https_location: HeaderValue,
    /// The configuration's own ceiling for this mount.
    pub max_listeners: Option<u64>,
    /// Bits per second one listener takes from the server's [`Server::max_bandwidth`]; zero where
    /// the server has none.
    pub bitrate: u64,
    /// Its share compared with the others', at least 1.
    pub weight: u32,
    /// Used only when every mount of a lower tier is full or down.
    pub tier: u32,
}

/// Where listeners go when their stream has no mount.
#[derive(Debug, Clone)]
pub enum Fallback {
    /// Another stream of ours.
    Stream(StreamId),
    /// An absolute URL elsewhere.
    Url(HeaderValue),
}

impl Server {
    /// Whether players that come by https can stay with it.
    pub fn speaks_tls(&self) -> bool {
        self.url.scheme() == "https"
    }
}

impl Fallback {
    /// Whether players that come by https stay with it there, as far as it is known here: another
    /// stream has its own rule.
    fn keeps_tls(&self) -> bool {
        match self {
            Self::Stream(_) => true,
            Self::Url(url) => url.as_bytes().starts_with(b"https:"),
        }
    }
}

impl Stream {
    /// Whether it is the entry of a pattern.
    pub fn is_pattern(&self) -> bool {
        matches!(self.origin, Origin::Pattern(_))
    }

    /// Whether it was found under a pattern.
    pub fn is_found(&self) -> bool {
        matches!(self.origin, Origin::Found(_))
    }

    /// Whether players that came by https are not sent to this server.
    pub fn keeps_https_from(&self, server: &Server) -> bool {
        !self.leaves_tls && !server.speaks_tls()
    }

    /// Where a listener goes when no mount is present: one who came by https not to plain http,
    /// unless the stream says so.
    pub fn fallback_for(&self, https: bool) -> Option<&Fallback> {
        self.fallback.as_ref().filter(|next| !https || self.leaves_tls || next.keeps_tls())
    }
}

impl Mount {
    /// The absolute URL for players that came by https, or by plain http.
    pub fn location(&self, https: bool) -> &HeaderValue {
        if https { &self.https_location } else { &self.location }
    }
}

impl Proxies {
    /// Whether connections from this address begin with a PROXY header.
    pub fn introduce(&self, from: IpAddr) -> bool {
        self.proxy_header && self.trusted.contain(from)
    }
}

impl ServerState {
    /// Its name in the configuration, the status and the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
        }
    }
}

impl Stats {
    /// Whether the relay's `STATS` feed is heard as well.
    pub fn is_live(&self) -> bool {
        self.source == StatsSource::Live
    }

    /// Whether a look can tell how many listen.
    pub fn counts_listeners(&self) -> bool {
        self.source != StatsSource::Probe
    }
}

impl Policy {
    /// Its name in the configuration.
    pub fn label(self) -> &'static str {
        match self {
            Self::LeastUsed => "least_used",
            Self::MostFree => "most_free",
            Self::WeightedRandom => "weighted_random",
            Self::ClientHash(_) => "client_hash",
        }
    }
}

impl WhenFull {
    /// Its name in the configuration and the status.
    pub fn label(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Wait(_) => "wait",
            Self::Overflow => "overflow",
            Self::Fallback => "fallback",
        }
    }
}

impl Headroom {
    /// How many of `limit` slots are kept free.
    pub fn of(self, limit: u64) -> u64 {
        match self {
            Self::Auto => (limit / 10).min(2),
            Self::Slots(slots) => slots,
        }
    }
}

impl Fleet {
    /// The server called `name`.
    pub fn server_named(&self, name: &str) -> Option<ServerId> {
        self.places.get(name).copied()
    }
}
