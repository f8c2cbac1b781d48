//! A relay to try things with: it speaks Icecast 2.4.4's listener and statistics sides, plays a
//! soft note, and misbehaves on request.
//!
//! It serves the demo, the command line beside it, and the integration tests, which include this
//! file as a module. Only what concerns listeners is here: no sources.
//!
//! ```ignore
//! let vienna = Relay::builder().mount("/saal1.ogg", 50).start()?;
//! println!("{}/saal1.ogg", vienna.url());
//! ```

#![expect(unreachable_pub, reason = "it is a module of whichever program includes it")]

mod crc;
pub mod feed;
mod flac;
mod ogg;
mod serve;
pub mod state;
mod station;
pub mod stats;
mod tone;

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use feed::Word;
use state::{Fault, Mount, Request, Shared, Source};
use station::Station;
use stats::Document;

/// Connections that may wait to be accepted. Icecast's own queue is 5 deep; this relay is meant to
/// show what a balancer does, not what a queue does.
const BACKLOG: u32 = 4096;

/// A running relay. All of it ends when this is dropped.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    addr: SocketAddr,
    note: f64,
    running: Mutex<Option<Running>>,
}

/// A relay to be started.
#[derive(Debug)]
pub struct Builder {
    listen: SocketAddr,
    name: String,
    note: f64,
    clients: Option<u64>,
    admin: Option<String>,
    documents: BTreeSet<Document>,
    statistics_delay: Duration,
    mounts: Vec<(String, Option<u64>, Source)>,
}

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

impl Builder {
    /// A mount that takes `limit` listeners and has a stream.
    pub fn mount(self, path: &str, limit: u64) -> Self {
        self.with(path, Some(limit), Source::Live)
    }

    /// A mount that takes any number of listeners and has a stream.
    pub fn unlimited(self, path: &str) -> Self {
        self.with(path, None, Source::Live)
    }

    /// A mount whose stream comes with its first listener, a moment later.
    pub fn on_demand(self, path: &str, limit: Option<u64>) -> Self {
        self.with(path, limit, Source::OnDemand)
    }

    /// Icecast's `<limits><clients>`: how many connections there may be, of listeners and
    /// of statistics requests under way, and one for the source of each mount that has a stream.
    /// Who is over it is refused, whatever he came for. Unlimited unless said.
    pub fn clients(self, limit: u64) -> Self {
        Self { clients: Some(limit), ..self }
    }

    /// The account that reads `/admin/stats` and the live feed; without one, nobody may.
    pub fn admin(self, user: &str, password: &str) -> Self {
        Self { admin: Some(format!("{user}:{password}")), ..self }
    }

    /// Offers no statistics but this document. Unless said, all are there.
    pub fn only(self, document: Document) -> Self {
        Self { documents: BTreeSet::from([document]), ..self }
    }

    /// Where to listen: any free port of 127.0.0.1 unless said.
    pub fn listen(self, addr: SocketAddr) -> Self {
        Self { listen: addr, ..self }
    }

    /// What players show as the title of the stream, before the mount: `relay` unless said.
    pub fn name(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// What the first mount plays, in hertz: 440 unless said. The second plays an octave higher,
    /// the third an octave lower, and so on in turn, so that the note's name is the relay's.
    pub fn note(self, hertz: f64) -> Self {
        Self { note: hertz, ..self }
    }

    /// How much later than it happens the statistics tell of a listener, up to a minute: Icecast
    /// takes 50 to 500 ms. Not at all unless said.
    pub fn statistics_delay(self, delay: Duration) -> Self {
        Self { statistics_delay: delay, ..self }
    }

    /// Listens and serves, on the runtime that this is called on.
    pub fn start(self) -> io::Result<Relay> {
        let shared = Arc::new(Shared::new(self.name, self.admin, self.statistics_delay));
        let listener = bind(self.listen)?;
        let addr = listener.local_addr()?;
        {
            let mut state = shared.lock();
            state.addr = Some(addr);
            state.clients_limit = self.clients;
            state.documents = self.documents;
        }
        let running = Mutex::new(Some(Running::start(&shared, listener)));
        let relay = Relay { shared, addr, note: self.note, running };
        for (path, limit, source) in self.mounts {
            relay.insert(&path, limit, source);
        }
        Ok(relay)
    }

    fn with(mut self, path: &str, limit: Option<u64>, source: Source) -> Self {
        self.mounts.push((path.to_owned(), limit, source));
        self
    }
}

/// What the relay is asked.
impl Relay {
    /// A relay without mounts, to be built on.
    pub fn builder() -> Builder {
        Builder {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            name: "relay".to_owned(),
            note: 440.0,
            clients: None,
            admin: None,
            documents: Document::ALL.into(),
            statistics_delay: Duration::ZERO,
            mounts: Vec::new(),
        }
    }

    /// Where it listens; the same after a restart.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its `http:` URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Listeners on a mount now, pretended ones included.
    pub fn listeners(&self, path: &str) -> u64 {
        self.with_mount(path, |mount| mount.listeners())
    }

    /// The most listeners a mount ever had at once.
    pub fn peak(&self, path: &str) -> u64 {
        self.with_mount(path, |mount| mount.peak)
    }

    /// How many players got 403 or 404 instead of a stream.
    pub fn refused(&self) -> u64 {
        self.shared.lock().refused
    }

    /// How often statistics were asked for, whatever the answer was.
    pub fn polls(&self) -> u64 {
        self.shared.lock().polls
    }

    /// Live feeds that are open.
    pub fn feeds(&self) -> u64 {
        self.shared.lock().feeds
    }

    /// Every request so far, oldest first (of very many, the latest).
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.iter().cloned().collect()
    }
}

/// What can be done to the relay while it runs.
impl Relay {
    /// Adds a mount that has a stream.
    pub fn add_mount(&self, path: &str, limit: Option<u64>) {
        self.insert(path, limit, Source::Live);
    }

    /// Takes a mount away, and its sound from its listeners, as when a source leaves.
    pub fn remove_mount(&self, path: &str) {
        if let Some(mount) = self.shared.lock().mounts.remove(path) {
            mount.close();
        }
        self.shared.tell_feeds(Word::Changed);
    }

    /// Changes where a mount's sound comes from, for the listeners to come.
    pub fn set_source(&self, path: &str, source: Source) {
        self.with_mount(path, |mount| mount.set_source(source));
    }

    /// Changes how many listeners a mount takes; those that are there stay.
    pub fn set_limit(&self, path: &str, limit: Option<u64>) {
        self.with_mount(path, |mount| mount.limit = limit);
    }

    /// Changes how many clients the relay takes; those that are there stay.
    pub fn set_clients(&self, limit: Option<u64>) {
        self.shared.lock().clients_limit = limit;
    }

    /// Pretends that a mount has so many listeners besides those that are really there.
    pub fn hold_listeners(&self, path: &str, listeners: u64) {
        self.with_mount(path, |mount| mount.hold(listeners));
    }

    /// Begins to offer a document.
    pub fn offer(&self, document: Document) {
        self.shared.lock().documents.insert(document);
    }

    /// Offers a document no more.
    pub fn withdraw(&self, document: Document) {
        self.shared.lock().documents.remove(&document);
    }

    /// Lets the statistics tell for ever what is true now.
    pub fn freeze_stats(&self) {
        let view = self.shared.view();
        self.shared.lock().fault = Some(Fault::Frozen(view));
    }

    /// Leaves statistics requests without an answer; players are served.
    pub fn hang_stats(&self) {
        self.shared.lock().fault = Some(Fault::HangStatistics);
    }

    /// Answers every statistics request with this.
    pub fn answer_stats_with(&self, status: u16, body: &str) {
        self.shared.lock().fault = Some(Fault::Answer(status, body.to_owned()));
    }

    /// Accepts connections and never answers; listeners that have their stream keep it.
    pub fn hang(&self) {
        self.shared.lock().fault = Some(Fault::Hang);
    }

    /// Ends what `freeze_stats`, `hang_stats`, `answer_stats_with` or `hang` began. Whoever hangs
    /// goes on hanging.
    pub fn heal(&self) {
        self.shared.lock().fault = None;
    }

    /// Ends every live feed that is open; who asks for one gets it.
    pub fn cut_feeds(&self) {
        self.shared.tell_feeds(Word::Cut);
    }

    /// Lets every live feed that is open say nothing more.
    pub fn hang_feeds(&self) {
        self.shared.tell_feeds(Word::Hang);
    }

    /// Lets every live feed that is open say this, true or not, whole lines or not.
    pub fn say_on_feeds(&self, text: &str) {
        self.shared.tell_feeds(Word::Say(text.into()));
    }

    /// Dies: every connection ends, and the port refuses new ones. Returns when that is so.
    pub async fn stop(&self) {
        let running = self.lock_running().take();
        if let Some(running) = running {
            running.stop.cancel();
            // It is only waited for: an error would be its own panic, long reported.
            drop(running.accepting.await);
        }
    }

    /// Comes back at the same address after [`Relay::stop`], with the mounts it had.
    pub fn restart(&self) -> io::Result<()> {
        let mut running = self.lock_running();
        if running.is_none() {
            let listener = bind(self.addr)?;
            self.shared.lock().begin_anew();
            *running = Some(Running::start(&self.shared, listener));
        }
        Ok(())
    }

    fn insert(&self, path: &str, limit: Option<u64>, source: Source) {
        const OCTAVES: [f64; 3] = [1.0, 2.0, 0.5];
        let mut state = self.shared.lock();
        let octave = OCTAVES.iter().cycle().nth(state.mounts.len() % OCTAVES.len());
        let hertz = self.note * octave.unwrap_or(&1.0);
        let title = format!("{} {path} ({hertz:.0} Hz)", self.shared.name);
        let station = Station::new(hertz, &title, Instant::now());
        if let Some(before) =
            state.mounts.insert(path.to_owned(), Mount::new(limit, source, station))
        {
            before.close();
        }
        drop(state);
        self.shared.tell_feeds(Word::Changed);
    }

    #[expect(
        clippy::panic,
        reason = "who names a mount wrongly must not go on and draw conclusions"
    )]
    fn with_mount<T>(&self, path: &str, act: impl FnOnce(&mut Mount) -> T) -> T {
        let told = match self.shared.lock().mounts.get_mut(path) {
            Some(mount) => act(mount),
            None => panic!("the relay at {} has no mount {path}", self.addr),
        };
        // Looking changes nothing, but a feed that finds nothing changed says nothing.
        self.shared.tell_feeds(Word::Changed);
        told
    }

    fn lock_running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(running) = self.lock_running().take() {
            running.accepting.abort();
        }
    }
}

impl Running {
    fn start(shared: &Arc<Shared>, listener: TcpListener) -> Self {
        let stop = CancellationToken::new();
        let accepting = tokio::spawn(accept(Arc::clone(shared), listener, stop.clone()));
        Self { stop, accepting }
    }
}

/// Serves every connection until told to stop; then all of them end at once.
async fn accept(shared: Arc<Shared>, listener: TcpListener, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    connections.spawn(serve::serve(Arc::clone(&shared), socket));
                }
                // Out of file descriptors, most likely: some connection must end first.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}

fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}
