//! What of `/api/v1/status` is shown. Whatever else a balancer tells, of an older or a newer version,
//! is no matter.

use serde::Deserialize;

/// What a balancer tells of itself.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct View {
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) uptime_seconds: f64,
    pub(super) config: Config,
    pub(super) cluster: Option<Cluster>,
    pub(super) streams: Vec<Stream>,
    pub(super) servers: Vec<Server>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Config {
    #[serde(default)]
    pub(super) sha256: String,
    /// Seconds since 1970.
    #[serde(default)]
    pub(super) loaded_unix: f64,
    pub(super) refused: Option<String>,
    #[serde(default)]
    pub(super) restart_required: Vec<String>,
    #[serde(default)]
    pub(super) warnings: Vec<String>,
    #[serde(default = "yes")]
    pub(super) watching: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Cluster {
    #[serde(default)]
    pub(super) replicas: u64,
    pub(super) engine: Option<Engine>,
    #[serde(default)]
    pub(super) members: Vec<Member>,
    #[serde(default)]
    pub(super) lent: u64,
    #[serde(default)]
    pub(super) borrowed: u64,
    #[serde(default)]
    pub(super) lent_total: u64,
    #[serde(default)]
    pub(super) borrowed_total: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Engine {
    pub(super) address: String,
    #[serde(default)]
    pub(super) up: bool,
    pub(super) trouble: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Member {
    pub(super) name: String,
    #[serde(default)]
    pub(super) host: String,
    #[serde(default)]
    pub(super) config: String,
    #[serde(default)]
    pub(super) age_seconds: f64,
    #[serde(default, rename = "self")]
    pub(super) is_self: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Stream {
    pub(super) path: String,
    #[serde(default)]
    pub(super) up: bool,
    pub(super) free: Option<u64>,
    #[serde(default)]
    pub(super) waiting: u64,
    #[serde(default)]
    pub(super) fallbacks: u64,
    #[serde(default)]
    pub(super) mounts: Vec<Mount>,
    #[serde(default)]
    pub(super) mounts_left_out: u64,
    pub(super) pattern: Option<Pattern>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Pattern {
    #[serde(default)]
    pub(super) found: u64,
    #[serde(default)]
    pub(super) left_out: u64,
    #[serde(default)]
    pub(super) streams: Vec<Stream>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Mount {
    pub(super) server: String,
    #[serde(rename = "mount")]
    pub(super) path: String,
    pub(super) listeners: Option<u64>,
    pub(super) max_listeners: Option<u64>,
    #[serde(default)]
    pub(super) reserved: u64,
    pub(super) free: Option<u64>,
    #[serde(default)]
    pub(super) lent: u64,
    #[serde(default)]
    pub(super) borrowed: u64,
    #[serde(default)]
    pub(super) candidate: bool,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Server {
    pub(super) name: String,
    #[serde(default)]
    pub(super) state: String,
    #[serde(default)]
    pub(super) health: String,
    pub(super) source: Option<String>,
    pub(super) live: Option<bool>,
    pub(super) age_seconds: Option<f64>,
    pub(super) clients: Option<u64>,
    #[serde(default)]
    pub(super) reserved: u64,
    pub(super) max_listeners: Option<u64>,
    #[serde(default)]
    pub(super) lent: u64,
    #[serde(default)]
    pub(super) borrowed: u64,
    pub(super) trouble: Option<String>,
}

fn yes() -> bool {
    true
}
