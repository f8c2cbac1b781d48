//! What `balancer.yaml` says: typed as it is written, with the position of everything in it.
//!
//! `read` goes through all of it and collects what is wrong instead of stopping at the first
//! mistake; a value that was wrong is `None` here, like one that is not there, and its problem is
//! among the `Findings`. What the values mean together is the business of [`crate::fleet`].

pub mod keys;
pub mod source;

mod choices;
mod decode;
mod engine;
mod fields;
pub(crate) mod findings;
mod secrets;
mod streams;
pub(crate) mod suggest;
mod urls;
mod values;
mod yaml;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::config::findings::Findings;
use crate::config::source::{At, Sources, Span};
use crate::country::Country;
use crate::network::Network;

pub(crate) use engine::EngineUrl;

/// The whole file.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where a problem of the whole configuration is shown.
    pub(crate) start: Span,
    pub(crate) listen: Option<Vec<At<SocketAddr>>>,
    pub(crate) admin: Option<At<SocketAddr>>,
    pub(crate) admin_token_file: Option<At<PathBuf>>,
    pub(crate) public_url: Option<At<Url>>,
    pub(crate) streamlist: Option<At<bool>>,
    pub(crate) tls: Option<Tls>,
    pub(crate) trusted_proxies: Option<Vec<At<Network>>>,
    /// Also where they could not be read.
    pub(crate) trusted_proxies_are_written: bool,
    pub(crate) proxy_protocol: Option<At<bool>>,
    pub(crate) poll: Poll,
    pub(crate) balance: Balance,
    pub(crate) limits: Limits,
    pub(crate) cluster: Option<Cluster>,
    /// `None`: there is no such key, or what is there is no mapping.
    pub(crate) servers: Section<Server>,
    pub(crate) streams: Section<Stream>,
}

/// `servers:` or `streams:` of all files.
#[derive(Debug)]
pub(crate) struct Section<T> {
    /// The first such key.
    pub(crate) key: Option<Span>,
    /// In the order of the files, each name once.
    pub(crate) items: Vec<T>,
}

/// `tls:`
#[derive(Debug)]
pub(crate) struct Tls {
    /// Where the section begins.
    pub(crate) key: Span,
    pub(crate) listen: Option<Vec<At<SocketAddr>>>,
    /// The file as written.
    pub(crate) certificate: Option<At<PathBuf>>,
    /// The file as written.
    pub(crate) private_key: Option<At<PathBuf>>,
}

/// `poll:`
#[derive(Debug, Default)]
pub(crate) struct Poll {
    pub(crate) interval: Option<At<Duration>>,
    pub(crate) fast_interval: Option<At<Duration>>,
    pub(crate) timeout: Option<At<Duration>>,
    pub(crate) stale_after: Option<At<Duration>>,
    pub(crate) rise: Option<At<u32>>,
    pub(crate) fall: Option<At<u32>>,
    pub(crate) slow_start: Option<At<Duration>>,
}

/// `balance:`
#[derive(Debug, Default)]
pub(crate) struct Balance {
    pub(crate) policy: Option<At<Policy>>,
    pub(crate) settle: Option<At<Duration>>,
    pub(crate) headroom: Option<At<Headroom>>,
    pub(crate) when_full: Option<At<WhenFull>>,
    pub(crate) wait: Option<At<Duration>>,
    pub(crate) panic: Option<At<Panic>>,
    pub(crate) geoip: Option<At<PathBuf>>,
    /// As written: `${NAME}` is still in it.
    pub(crate) salt: Option<At<SecretString>>,
}

/// `balance.policy`
#[derive(Debug, Clone, Copy)]
pub(crate) enum Policy {
    LeastUsed,
    MostFree,
    WeightedRandom,
    ClientHash,
}

/// `balance.headroom`
#[derive(Debug, Clone, Copy)]
pub(crate) enum Headroom {
    Auto,
    Slots(u64),
}

/// `when_full` of `balance` or of a stream
#[derive(Debug, Clone, Copy)]
pub(crate) enum WhenFull {
    Reject,
    Wait,
    Overflow,
    Fallback,
}

/// `balance.panic`
#[derive(Debug, Clone, Copy)]
pub(crate) enum Panic {
    Open,
    Closed,
}

/// `limits:`
#[derive(Debug, Default)]
pub(crate) struct Limits {
    pub(crate) max_connections: Option<At<usize>>,
    pub(crate) per_client: Option<At<usize>>,
    pub(crate) header_timeout: Option<At<Duration>>,
}

/// `cluster:`
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Where the section begins.
    pub(crate) key: Span,
    pub(crate) replicas: Option<At<u64>>,
    /// Also where it could not be read.
    pub(crate) replicas_are_written: bool,
    pub(crate) engine: Option<At<EngineUrl>>,
    /// Also where it could not be read.
    pub(crate) engine_is_written: bool,
    pub(crate) username: Option<At<String>>,
    /// The file as written.
    pub(crate) password_file: Option<At<PathBuf>>,
    /// Also where it could not be read.
    pub(crate) password_is_written: bool,
    pub(crate) key_prefix: Option<At<String>>,
}

/// One of `servers:`
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: At<String>,
    pub(crate) url: Option<At<Url>>,
    pub(crate) http_url: Option<At<Url>>,
    pub(crate) max_listeners: Option<At<u64>>,
    pub(crate) max_bandwidth: Option<At<u64>>,
    pub(crate) max_joins_per_second: Option<At<u64>>,
    pub(crate) weight: Option<At<u32>>,
    pub(crate) tier: Option<At<u32>>,
    pub(crate) state: Option<At<State>>,
    pub(crate) clients: Option<Clients>,
    pub(crate) ip: Option<At<Family>>,
    pub(crate) stats: Stats,
}

/// `state` of a server
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Active,
    Draining,
    Disabled,
}

/// `ip` of a server
#[derive(Debug, Clone, Copy)]
pub(crate) enum Family {
    Any,
    V4,
    V6,
}

/// `clients` of a server
#[derive(Debug, Default)]
pub(crate) struct Clients {
    pub(crate) countries: Option<At<Vec<At<Country>>>>,
    pub(crate) networks: Option<At<Vec<At<Network>>>>,
    pub(crate) only: Option<At<bool>>,
}

/// `stats:` of a server
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) source: Option<At<StatsSource>>,
    pub(crate) url: Option<At<Url>>,
    pub(crate) username: Option<At<String>>,
    pub(crate) password: Option<Password>,
}

/// `stats.source`
#[derive(Debug, Clone, Copy)]
pub(crate) enum StatsSource {
    Auto,
    Live,
    Slots,
    StatusJson,
    Admin,
    Shoutcast,
    Probe,
}

/// `stats.password` or `stats.password_file`
#[derive(Debug)]
pub(crate) enum Password {
    /// As written: `${NAME}` is still in it.
    Written(At<SecretString>),
    /// The file as written.
    File(At<PathBuf>),
}

/// One of `streams:`
#[derive(Debug)]
pub(crate) struct Stream {
    /// As written.
    pub(crate) name: At<String>,
    /// Percent-decoded.
    pub(crate) path: Option<String>,
    /// Whether it stands for every mount under a prefix.
    pub(crate) is_pattern: bool,
    pub(crate) max_streams: Option<At<usize>>,
    pub(crate) mounts: Mounts,
    pub(crate) bitrate: Option<At<u64>>,
    /// Also where it could not be read.
    pub(crate) bitrate_is_written: bool,
    pub(crate) aliases: Vec<At<String>>,
    pub(crate) fallback: Option<At<Fallback>>,
    pub(crate) when_full: Option<At<WhenFull>>,
    pub(crate) wait: Option<At<Duration>>,
    pub(crate) https_to_http: Option<At<HttpsToHttp>>,
}

/// `https_to_http` of a stream
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpsToHttp {
    Never,
    NoHttpsRelay,
    WhenFull,
}

/// Which servers carry a stream
#[derive(Debug)]
pub(crate) enum Mounts {
    /// All of them, or those of `servers`, or those spelled out in `mounts`.
    Every,
    These(Vec<Mount>),
    /// Whatever was meant, it could not be read.
    Unreadable,
}

/// One of `mounts:` or of a stream's `servers:`
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) server: At<String>,
    pub(crate) path: Option<At<String>>,
    pub(crate) max_listeners: Option<At<u64>>,
    pub(crate) weight: Option<At<u32>>,
    pub(crate) tier: Option<At<u32>>,
}

/// `fallback` of a stream
#[derive(Debug)]
pub(crate) enum Fallback {
    /// A path of another stream, percent-decoded.
    Path(String),
    /// Somewhere else.
    Url(Url),
}

/// Reads all files. `None` if one of them is no YAML, so that what the others refer to is unknown.
pub(crate) fn read(sources: &Sources) -> (Option<Config>, Findings) {
    let mut findings = Findings::new(sources);
    let mut files = Vec::new();
    let mut complete = true;
    for (index, source) in sources.iter().enumerate() {
        let start = Span { source: index, start: 0, end: 0 };
        match yaml::parse(source.text(), index) {
            Ok(root) if matches!(root.value, yaml::Value::Map(_)) => {
                hide_passwords(&root, &mut findings);
                files.push((start, root));
            }
            Ok(root) => {
                let message = match root.value {
                    yaml::Value::Null => "the file is empty",
                    _ => "this is not a mapping of keys to values",
                };
                let help = "a configuration has at least `servers:` and `streams:`";
                findings.problem(start, message, help);
                complete = false;
            }
            Err(malformed) => {
                findings.problem(malformed.span, malformed.message, malformed.help);
                complete = false;
            }
        }
    }
    let config = decode::config(&files, &mut findings);
    (config.filter(|_| complete), findings)
}

/// What YAML itself takes for passwords: the look at the bare text cannot see through escapes and
/// anchors.
fn hide_passwords(node: &yaml::Node, findings: &mut Findings) {
    match &node.value {
        yaml::Value::Null | yaml::Value::Scalar(_) => {}
        yaml::Value::List(list) => list.iter().for_each(|item| hide_passwords(item, findings)),
        yaml::Value::Map(map) => {
            for (key, value) in map {
                let secret = match &key.value {
                    yaml::Value::Scalar(scalar) => secrets::is_secret(&scalar.text),
                    _ => false,
                };
                if secret && matches!(value.value, yaml::Value::Scalar(_)) {
                    findings.hide(value.span);
                }
                hide_passwords(value, findings);
            }
        }
    }
}
