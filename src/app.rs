//! The composition root: takes the ports, starts every long-lived task, ends them all.
//!
//! Any task that ends uninvited ends the program with an error: half a balancer is worse than one
//! that its supervisor starts again.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::admin::Admin;
use crate::clock::unix_now;
use crate::cluster;
use crate::events::Events;
use crate::logs::AccessLog;
use crate::poller;
use crate::redirect::Redirector;
use crate::reload::{Loaded, ReloadHandle, Reloader};
use crate::server::{self, Connections, Descriptors, Speech};
use crate::state::{Snapshot, State};
use crate::status::Board;

/// A balancer whose ports are taken, not yet running.
#[derive(Debug)]
pub struct App {
    state: Arc<State>,
    reloader: Reloader,
    reload: ReloadHandle,
    public: Vec<TcpListener>,
    tls: Vec<TcpListener>,
    admin: TcpListener,
    log: Option<AccessLog>,
    fast_door: bool,
    descriptors: Descriptors,
}

/// The runtimes that work is divided between, so that neither side starves the other.
#[derive(Debug, Clone)]
pub struct Runtimes {
    /// Answer players: each has listeners of its own on every port, and the kernel shares the
    /// connections out. None at all is a mistake.
    pub public: Vec<Handle>,
    /// Polls, reloads and answers operators.
    pub control: Handle,
}

/// A port that cannot be taken.
#[derive(Debug)]
pub struct CannotListen {
    key: &'static str,
    address: SocketAddr,
    cause: io::Error,
}

/// How long a stop waits for the requests of players.
const PLAYERS_DRAIN: Duration = Duration::from_secs(10);

/// How long it then waits for those of operators. Supervisors seldom wait much longer than ten
/// seconds in all.
const OPERATORS_DRAIN: Duration = Duration::from_millis(400);

/// A task that ended before it was told to.
#[derive(Debug)]
pub struct Ended(&'static str);

impl App {
    /// Takes the ports of a configuration that was loaded from `path`.
    pub fn bind(path: PathBuf, loaded: Loaded) -> Result<Self, CannotListen> {
        let fleet = &loaded.fleet;
        let take = |key, address| {
            server::bind(address).map_err(|cause| CannotListen { key, address, cause })
        };
        let public = fleet.listen.iter().map(|address| take("listen", *address));
        let public = public.collect::<Result<_, _>>()?;
        let tls = fleet.tls.iter().flat_map(|tls| &tls.listen);
        let tls = tls.map(|address| take("tls.listen", *address)).collect::<Result<_, _>>()?;
        let admin = take("admin", fleet.admin)?;
        for warning in &fleet.warnings {
            warn!("{warning}");
        }
        if !fleet.admin.ip().is_loopback() && fleet.admin_token.is_none() {
            let admin = fleet.admin;
            warn!(
                "whoever reaches {admin} (admin) can look; without admin_token_file POST is for this host alone"
            );
        }
        let descriptors = Descriptors::raised();
        let room = descriptors.connections(fleet.servers.len());
        if room < fleet.limits.max_connections {
            warn!(
                "limits.max_connections is {}, but the limit of open files ({}) leaves room for \
                 {room}; raise it with LimitNOFILE= or ulimit -n, or lower max_connections",
                fleet.limits.max_connections,
                descriptors.limit().unwrap_or_default(),
            );
        }
        let state = Arc::new(State::new(Snapshot::first(loaded.fleet, loaded.digest)));
        state.note_reload(|reloads| {
            reloads.file = path.display().to_string();
            reloads.last_success_unix = unix_now();
            reloads.watching = true;
        });
        let (reloader, reload) = Reloader::new(path, Arc::clone(&state), loaded.trace);
        let (log, fast_door) = (None, true);
        Ok(Self { state, reloader, reload, public, tls, admin, log, fast_door, descriptors })
    }

    /// Has each request of players written down, if there is a log for it.
    #[must_use]
    pub fn with_access_log(self, log: Option<AccessLog>) -> Self {
        Self { log, ..self }
    }

    /// Has hyper read every request, also those that are plain, unless there is a fast door.
    #[must_use]
    pub fn with_fast_door(self, fast_door: bool) -> Self {
        Self { fast_door, ..self }
    }

    /// The addresses players are served on; the ports that were got where 0 was asked for.
    pub fn public_addresses(&self) -> Vec<SocketAddr> {
        self.public.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The addresses players are served on by https.
    pub fn tls_addresses(&self) -> Vec<SocketAddr> {
        self.tls.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The address operators are served on.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.local_addr().ok()
    }

    /// Everything known, for those who run the balancer inside their own program.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }

    /// Asks for a reload.
    pub fn reload_handle(&self) -> ReloadHandle {
        self.reload.clone()
    }

    /// Serves until `stop` ends, then until requests under way are answered.
    pub async fn run(
        self,
        runtimes: Runtimes,
        stop: impl Future<Output = ()>,
    ) -> Result<(), Ended> {
        // Players are let go first; what they depend on goes on until the last of them is served.
        let leaving = CancellationToken::new();
        let done = CancellationToken::new();
        let players = Arc::new(Connections::default());
        let mut serving = JoinSet::new();
        let mut working = JoinSet::new();

        let plain = self.public.into_iter().map(|listener| (listener, Speech::Plain));
        let tls = self.tls.into_iter().map(|listener| (listener, Speech::Tls));
        for (listener, speech) in plain.chain(tls) {
            let service = Redirector::new(Arc::clone(&self.state), self.descriptors);
            let service = service.with_access_log(self.log.clone()).with_fast_door(self.fast_door);
            let service = Arc::new(service);
            for (listener, runtime) in shared_out(listener, &runtimes.public) {
                let (service, players) = (Arc::clone(&service), Arc::clone(&players));
                let task =
                    serve(listener, speech, service, players, leaving.clone(), PLAYERS_DRAIN);
                serving.spawn_on(named("public port", task), runtime);
            }
        }
        let board = Arc::new(Board::new(Arc::clone(&self.state)));
        let events = Arc::new(Events::new(Arc::clone(&board), leaving.clone()));
        let admin = Admin::new(
            Arc::clone(&self.state),
            Arc::clone(&players),
            self.reload,
            board,
            Arc::clone(&events),
            leaving.clone(),
        );
        let (admin, at_the_end) = (Arc::new(admin), done.clone());
        let task =
            serve(self.admin, Speech::Plain, admin, Arc::default(), at_the_end, OPERATORS_DRAIN);
        working.spawn_on(named("admin port", task), &runtimes.control);
        let task = poller::run(Arc::clone(&self.state), done.clone());
        working.spawn_on(named("poller", task), &runtimes.control);
        let task = cluster::run(Arc::clone(&self.state), done.clone());
        working.spawn_on(named("cluster", task), &runtimes.control);
        let at_the_end = done.clone();
        let task = async move { events.run(at_the_end).await };
        working.spawn_on(named("events", task), &runtimes.control);
        let task = self.reloader.run(done.clone());
        working.spawn_on(named("reloader", task), &runtimes.control);

        let broken = tokio::select! {
            () = stop => None,
            ended = serving.join_next() => Some(ended),
            ended = working.join_next() => Some(ended),
        };
        if broken.is_none() {
            info!("stopping: requests under way are answered first");
        }
        leaving.cancel();
        while serving.join_next().await.is_some() {}
        done.cancel();
        while working.join_next().await.is_some() {}
        match broken.flatten() {
            None => Ok(()),
            Some(Ok(task)) => Err(Ended(task)),
            // What it says of a panic may quote what was being worked on.
            Some(Err(_cause)) => Err(Ended("a task")),
        }
    }
}

/// A listener of this port for each runtime. Where one cannot be had, those that can serve all.
fn shared_out(
    listener: TcpListener,
    runtimes: &[Handle],
) -> impl Iterator<Item = (TcpListener, &Handle)> {
    // The first has the listener that was bound.
    let others = runtimes.iter().skip(1).filter_map(|runtime| {
        let beside = server::beside(&listener).inspect_err(|error| {
            warn!(%error, "a port is served by fewer threads than there could be");
        });
        Some((beside.ok()?, runtime))
    });
    let others: Vec<_> = others.collect();
    runtimes.first().map(|runtime| (listener, runtime)).into_iter().chain(others)
}

/// Serves one port. A listener that tokio refuses ends the task, and so the program.
async fn serve(
    listener: TcpListener,
    speech: Speech,
    service: Arc<impl server::Service>,
    connections: Arc<Connections>,
    stop: CancellationToken,
    drain_limit: Duration,
) {
    let serving = server::serve(listener, speech, service, connections, stop, drain_limit);
    if let Err(error) = serving.await {
        error!(%error, "cannot serve a port that was taken");
    }
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

impl fmt::Display for CannotListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, address, cause } = self;
        write!(f, "cannot listen on {address} ({key}): {cause}")?;
        match cause.kind() {
            io::ErrorKind::AddrInUse => write!(f, "; another program has the port"),
            io::ErrorKind::PermissionDenied => {
                write!(f, "; ports below 1024 need the capability CAP_NET_BIND_SERVICE")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ended without being told to", self.0)
    }
}

impl std::error::Error for CannotListen {}

impl std::error::Error for Ended {}
