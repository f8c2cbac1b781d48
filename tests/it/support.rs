//! What the tests are told with: a balancer, relays and players.

mod fleet;
pub(crate) mod hostile;
pub(crate) mod mmdb;
mod player;
pub(crate) mod private;
pub(crate) mod tls;
mod wire;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use icecast_balancer::app::{App, Runtimes};
use icecast_balancer::reload::{self, ReloadHandle};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub(crate) use fleet::{number, servers, servers_with};
pub(crate) use player::{Answer, Player, raw};
pub(crate) use wire::{Wire, first_answer};

/// The longest wait for anything; a test that needs it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A balancer that runs in this process, on ports of its own, with its file in a folder of its own.
pub(crate) struct Balancer {
    pub(crate) public: SocketAddr,
    /// Where players are served by https, if they are.
    tls: Option<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) reload: ReloadHandle,
    config: PathBuf,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
    _folder: Option<TempDir>,
}

/// The lines that every test's configuration begins with.
pub(crate) const PORTS: &str = "listen: '127.0.0.1:0'\nadmin: '127.0.0.1:0'\n";

impl Balancer {
    /// Starts with this configuration (its ports are added) and waits until it is ready.
    pub(crate) async fn start(yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("balancer.yaml");
        std::fs::write(&config, format!("{PORTS}{yaml}")).expect("a file can be written");
        Self::start_with(&config, Some(folder), true).await
    }

    /// The same, without the fast door: hyper reads every request.
    pub(crate) async fn start_without_fast_door(yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("balancer.yaml");
        std::fs::write(&config, format!("{PORTS}{yaml}")).expect("a file can be written");
        Self::start_with(&config, Some(folder), false).await
    }

    /// Starts with the configuration at a path and waits until it is ready.
    pub(crate) async fn start_at(config: &Path) -> Self {
        Self::start_with(config, None, true).await
    }

    async fn start_with(config: &Path, folder: Option<TempDir>, fast_door: bool) -> Self {
        let loaded = reload::load(config).unwrap_or_else(|problems| panic!("{problems}"));
        let app = App::bind(config.to_path_buf(), loaded).expect("free ports");
        let app = app.with_fast_door(fast_door);
        let stop = CancellationToken::new();
        let here = Runtimes { public: vec![Handle::current()], control: Handle::current() };
        let mut balancer = Self {
            public: app.public_addresses()[0],
            tls: app.tls_addresses().first().copied(),
            admin: app.admin_address().expect("a bound port"),
            reload: app.reload_handle(),
            config: config.to_path_buf(),
            stop: stop.clone(),
            running: None,
            _folder: folder,
        };
        balancer.running = Some(tokio::spawn(async move {
            app.run(here, stop.cancelled_owned()).await.expect("it ends when told to");
        }));
        eventually("the balancer is ready", async || {
            balancer.admin_get("/readyz").await.status == 200
        })
        .await;
        balancer
    }

    /// Where players are served by https.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.tls.expect("a configuration with `tls`")
    }

    /// Where the configuration stands.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// Writes a new configuration (ports are added) in place.
    pub(crate) fn edit(&self, yaml: &str) {
        std::fs::write(&self.config, format!("{PORTS}{yaml}")).expect("a file can be written");
    }

    /// What a player that asks for `target` is told.
    pub(crate) async fn get(&self, target: &str) -> Answer {
        raw(self.public, &format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
            .await
    }

    /// What the admin port tells.
    pub(crate) async fn admin_get(&self, path: &str) -> Answer {
        raw(self.admin, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
            .await
    }

    /// The status as JSON.
    pub(crate) async fn status(&self) -> Value {
        serde_json::from_str(&self.admin_get("/api/v1/status").await.body).expect("JSON")
    }

    /// The value of one series of `/metrics`, written as Prometheus prints it; `None` if absent.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.admin_get("/metrics").await.body;
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    /// Waits until the balancer thinks this of a server (`up`, `down`, …).
    pub(crate) async fn until_health(&self, server: &str, health: &str) {
        eventually(&format!("{server} is {health}"), async || {
            let status = self.status().await;
            let servers = status["servers"].as_array().cloned().unwrap_or_default();
            servers.iter().any(|known| known["name"] == server && known["health"] == health)
        })
        .await;
    }

    /// Ends it as a signal would, and waits for its end.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.await.expect("it ends well");
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Waits until `condition` holds; fails with `what` if that takes too long.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "this never came true: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
