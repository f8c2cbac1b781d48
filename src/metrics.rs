//! Every metric's name, help and value, as Prometheus reads them.
//!
//! The truth is counted elsewhere, in plain atomics that live and go with the streams and servers
//! they tell of. A scrape fills a fresh recorder from the snapshot in force and renders it, so the
//! series of a server that a reload removed is gone from the next scrape, and one that was never
//! counted is there with zero. Labels carry names from the configuration alone.

mod patterns;

use metrics::{Key, Label, Level, Metadata, Recorder, SharedString};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use metrics_process::Collector;

use crate::counters::{Histogram, Outcome, PROCESS, PollResult};
use crate::fleet::{ServerState, WhenFull};
use crate::player::Client;
use crate::select::{Reason, Trust, Verdict, verdicts};
use crate::server::Connections;
use crate::slots::{Moment, Presence};
use crate::state::{MountView, Snapshot, State};

/// Whether a scrape has the series of single mounts, each of a stream on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mounts {
    /// If there are not too many: 20,000, with half a dozen series each.
    Few,
    /// However many there are.
    All,
    /// None of them.
    None,
}

impl Mounts {
    /// What the query string of a scrape wants.
    pub fn wanted(query: &str) -> Self {
        match query.split('&').find_map(|pair| pair.strip_prefix("mounts=")) {
            Some("all") => Self::All,
            Some("none") => Self::None,
            _ => Self::Few,
        }
    }

    fn are_told(self, snapshot: &Snapshot) -> bool {
        let are_few = || {
            let streams = snapshot.fleet.streams.iter().filter(|stream| !stream.is_found());
            streams.map(|stream| stream.mounts.len()).sum::<usize>() <= FEW_MOUNTS
        };
        self == Self::All || self == Self::Few && are_few()
    }
}

/// So many mounts have series of their own unless the scrape says otherwise: a million of them would be
/// hundreds of megabytes, every few seconds.
const FEW_MOUNTS: usize = 20_000;

/// Renders everything as of `now`, in Prometheus' text format.
pub fn render(state: &State, connections: &Connections, now: Moment, mounts: Mounts) -> String {
    let snapshot = state.load_full();
    let tells_mounts = mounts.are_told(&snapshot);
    let sheet = Sheet { recorder: PrometheusBuilder::new().build_recorder(), tells_mounts };
    sheet.describe();
    sheet.requests(&snapshot, state);
    sheet.config(&snapshot, state);
    sheet.cluster(&snapshot, state);
    sheet.servers(&snapshot, now);
    sheet.streams(&snapshot, now);
    sheet.connections(connections);
    sheet.process();
    metrics::with_local_recorder(&sheet.recorder, || {
        let process = Collector::default();
        process.describe();
        process.collect();
    });
    let mut text = sheet.recorder.handle().render();
    append_histograms(&mut text, &snapshot, state);
    text
}

/// The content type of what [`render`] returns.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Name and help of each counter.
const COUNTERS: &[(&str, &str)] = &[
    ("redirects_total", "Players sent to a server for a stream."),
    ("overflow_total", "Players sent to a server for a stream beyond the mount's limit."),
    ("fallback_total", "Players of a stream sent to its fallback."),
    ("requests_total", "Requests of players, by how they ended."),
    ("stream_requests_total", "Requests for a stream, by how they ended."),
    ("server_polls_total", "Looks at a server's statistics, by result."),
    ("server_redirected_total", "Listeners sent to a server."),
    ("server_arrived_total", "Listeners seen to arrive on a server's mounts."),
    ("config_reloads_total", "Attempts to reload the configuration, by result."),
    ("shed_total", "Connections and requests turned away to protect the service."),
    (
        "log_lines_dropped_total",
        "Lines of the log and of the access log that could not be written.",
    ),
    (
        "tls_handshake_failures_total",
        "Connections closed because their TLS handshake failed or was not made in time.",
    ),
    ("cluster_slots_lent_total", "Slots of mounts that were lent to other replicas."),
    ("cluster_slots_borrowed_total", "Slots of mounts that other replicas have lent to this one."),
    ("panics_total", "Panics, each of which is a fault of this program."),
];

/// Name and help of each gauge.
const GAUGES: &[(&str, &str)] = &[
    ("server_up", "Whether a server answers its polls."),
    ("server_state", "What the configuration says of a server: 1 for the state it is in."),
    (
        "server_last_success_timestamp_seconds",
        "Time of the last good look at a server, in seconds since 1970.",
    ),
    ("server_live", "Whether the live statistics feed of a server is connected."),
    ("mount_up", "Whether a server that is up lists the mount."),
    ("mount_listeners", "Listeners on a mount at the last good look."),
    ("mount_max_listeners", "The most listeners a mount accepts."),
    ("mount_free_slots", "Slots of a mount that can still be given to players."),
    ("mount_reserved_slots", "Players sent to a mount that no look can have seen yet."),
    ("mount_series", "Whether each mount has series of its own."),
    ("stream_listeners", "Listeners on a stream's mounts at the last good looks, in sum."),
    ("stream_up", "Whether a player who asks for the stream now would be sent to a relay."),
    ("stream_waiting", "Players held until a slot of the stream frees."),
    ("stream_free_slots", "Slots of a stream's mounts that can be given to players, in sum."),
    ("pattern_streams", "Streams that were found under a pattern."),
    (
        "pattern_left_out_mounts",
        "Mounts under a pattern that are left out, since it has max_streams.",
    ),
    ("config_last_reload_successful", "Whether the configuration on disk is the one in force."),
    (
        "config_last_reload_success_timestamp_seconds",
        "Time when the configuration in force was loaded, in seconds since 1970.",
    ),
    ("config_info", "Always 1; the label is the SHA-256 of the configuration in force."),
    ("config_watch_active", "Whether changes of the configuration are noticed at once."),
    ("config_restart_required", "Whether the configuration changes what only a restart applies."),
    (
        "tls_certificate_expiry_timestamp_seconds",
        "Time when the certificate in force expires, in seconds since 1970.",
    ),
    ("panic_mode", "Whether some stream's players are sent where nothing is known for certain."),
    ("network_hold", "Whether our own network is taken to be at fault, since most relays fail."),
    (
        "cluster_engine_up",
        "Whether the engine answers that replicas lend one another slots through.",
    ),
    ("cluster_members", "Replicas that the engine knows, or knew last, this one included."),
    ("connections", "Connections of players."),
    ("build_info", "Always 1; the labels are the version and the compiler."),
];

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// One scrape in the making.
struct Sheet {
    recorder: PrometheusRecorder,
    /// Whether the series of single mounts are in it.
    tells_mounts: bool,
}

impl Sheet {
    fn describe(&self) {
        for (name, help) in COUNTERS {
            self.recorder.describe_counter(full(name).into(), None, (*help).into());
        }
        for (name, help) in GAUGES {
            self.recorder.describe_gauge(full(name).into(), None, (*help).into());
        }
    }

    fn requests(&self, snapshot: &Snapshot, state: &State) {
        for outcome in Outcome::ALL {
            let count = state.totals.requests.of(outcome).get();
            self.counter("requests_total", &[("outcome", outcome.label())], count);
        }
        for (id, stream, outcomes) in snapshot.streams().filter(|(_, s, _)| !s.is_found()) {
            for outcome in Outcome::OF_STREAM {
                let labels = [("stream", &*stream.path), ("outcome", outcome.label())];
                self.counter("stream_requests_total", &labels, outcomes.of(outcome).get());
            }
            for mount in snapshot.mounts(id).filter(|_| self.tells_mounts) {
                let labels = [("stream", &*stream.path), ("server", &*mount.server.name)];
                self.counter("redirects_total", &labels, mount.redirects.get());
                if stream.when_full == WhenFull::Overflow {
                    self.counter("overflow_total", &labels, mount.overflows.get());
                }
            }
            if let (Some(_), Some(fallbacks)) = (&stream.fallback, snapshot.fallbacks(id)) {
                self.counter("fallback_total", &[("stream", &*stream.path)], fallbacks.get());
            }
            self.redirects_by_pattern(snapshot, stream);
        }
        for (reason, shed) in [
            ("max_connections", &state.totals.shed_max_connections),
            ("per_client", &state.totals.shed_per_client),
            ("proxy_header", &state.totals.shed_proxy_header),
        ] {
            self.counter("shed_total", &[("reason", reason)], shed.get());
        }
    }

    fn config(&self, snapshot: &Snapshot, state: &State) {
        let reloads = state.reloads();
        self.gauge("config_last_reload_successful", &[], flag(reloads.refused.is_none()));
        self.gauge("config_last_reload_success_timestamp_seconds", &[], reloads.last_success_unix);
        for (result, counter) in [
            ("ok", &state.totals.reloads_ok),
            ("rejected", &state.totals.reloads_rejected),
            ("unchanged", &state.totals.reloads_unchanged),
        ] {
            self.counter("config_reloads_total", &[("result", result)], counter.get());
        }
        self.gauge("network_hold", &[], flag(state.network_hold()));
        self.gauge("config_info", &[("sha256", &*snapshot.digest)], 1.0);
        self.gauge("config_watch_active", &[], flag(reloads.watching));
        let restart = !reloads.restart_required.is_empty();
        self.gauge("config_restart_required", &[], flag(restart));
        if let Some(tls) = &snapshot.fleet.tls {
            let expiry = tls.identity.expiry().as_secs_f64();
            self.gauge("tls_certificate_expiry_timestamp_seconds", &[], expiry);
            let failures = state.totals.tls_handshake_failures.get();
            self.counter("tls_handshake_failures_total", &[], failures);
        }
        let (version, rustc) = (env!("CARGO_PKG_VERSION"), env!("RUSTC_VERSION"));
        self.gauge("build_info", &[("version", version), ("rustc", rustc)], 1.0);
    }

    fn cluster(&self, snapshot: &Snapshot, state: &State) {
        if snapshot.fleet.engine.is_some() {
            let members = &state.members;
            self.gauge("cluster_engine_up", &[], flag(members.is_engine_up()));
            self.gauge("cluster_members", &[], members.count() as f64);
            self.counter("cluster_slots_lent_total", &[], members.lent.get());
            self.counter("cluster_slots_borrowed_total", &[], members.borrowed.get());
        }
    }

    fn servers(&self, snapshot: &Snapshot, now: Moment) {
        for (server, slots) in snapshot.servers() {
            let name = ("server", &*server.name);
            for state in [ServerState::Active, ServerState::Draining, ServerState::Disabled] {
                let labels = [name, ("state", state.label())];
                self.gauge("server_state", &labels, flag(server.state == state));
            }
            for result in PollResult::ALL {
                let labels = [name, ("result", result.label())];
                self.counter("server_polls_total", &labels, slots.polls.of(result).get());
            }
            self.counter("server_redirected_total", &[name], slots.redirected.get());
            if slots.counts_listeners() {
                self.counter("server_arrived_total", &[name], slots.arrived.get());
            }
            let up = slots.is_up(now, snapshot.fleet.poll.stale_after);
            self.gauge("server_up", &[name], flag(up));
            let notes = slots.notes();
            if let Some(at) = notes.last_success_unix {
                self.gauge("server_last_success_timestamp_seconds", &[name], at);
            }
            if server.stats.is_live() {
                self.gauge("server_live", &[name], flag(notes.live));
            }
        }
    }

    fn streams(&self, snapshot: &Snapshot, now: Moment) {
        let mut panic_mode = false;
        for (id, stream, _) in snapshot.streams().filter(|(_, s, _)| !s.is_found()) {
            if let Some(pattern) = snapshot.fleet.pattern_of(stream) {
                panic_mode |= self.pattern(snapshot, stream, pattern, now);
                continue;
            }
            let mut best: Option<Trust> = None;
            let mut free = Some(0_u64);
            let mut listeners: Option<u64> = None;
            let mounts = snapshot.mounts(id).zip(verdicts(snapshot, id, Client::ANY, now));
            for (mount, verdict) in mounts {
                if self.tells_mounts {
                    self.mount(snapshot, &stream.path, &mount, &verdict, now);
                }
                if is_present(&mount) {
                    let told = listeners.into_iter().chain(mount.slots.seats.told());
                    listeners = told.reduce(u64::saturating_add);
                }
                if verdict == Verdict::Passed(Reason::Guessed) {
                    best = best.or(Some(Trust::Guess));
                }
                if let Verdict::Candidate(candidate) = verdict {
                    let trust = candidate.rank.trust;
                    best = Some(best.map_or(trust, |best| best.min(trust)));
                    free = free.zip(candidate.free).map(|(sum, free)| sum.saturating_add(free));
                }
            }
            panic_mode |= best == Some(Trust::Guess);
            let name = ("stream", &*stream.path);
            self.gauge("stream_up", &[name], flag(best.is_some()));
            if let (WhenFull::Wait(_), Some(queue)) = (stream.when_full, snapshot.queue(id)) {
                self.gauge("stream_waiting", &[name], queue.waiting() as f64);
            }
            if let Some(free) = free {
                self.gauge("stream_free_slots", &[name], free as f64);
            }
            if let Some(listeners) = listeners {
                self.gauge("stream_listeners", &[name], listeners as f64);
            }
        }
        self.gauge("mount_series", &[], flag(self.tells_mounts));
        self.gauge("panic_mode", &[], flag(panic_mode));
    }

    fn mount(
        &self,
        snapshot: &Snapshot,
        stream: &str,
        mount: &MountView<'_>,
        verdict: &Verdict,
        now: Moment,
    ) {
        let labels = [("stream", stream), ("server", &*mount.server.name)];
        let seats = &mount.slots.seats;
        let present = is_present(mount);
        let up = present && mount.server_slots.is_up(now, snapshot.fleet.poll.stale_after);
        self.gauge("mount_up", &labels, flag(up));
        if let (true, Some(listeners)) = (present, seats.told()) {
            self.gauge("mount_listeners", &labels, listeners as f64);
        }
        self.gauge("mount_reserved_slots", &labels, seats.reserved() as f64);
        if let Some(limit) = seats.limit() {
            self.gauge("mount_max_listeners", &labels, limit as f64);
        }
        if let Some(free) = verdict.free(mount) {
            self.gauge("mount_free_slots", &labels, free as f64);
        }
    }

    fn connections(&self, connections: &Connections) {
        let busy = connections.busy();
        let idle = connections.open().saturating_sub(busy);
        self.gauge("connections", &[("state", "active")], busy as f64);
        self.gauge("connections", &[("state", "idle")], idle as f64);
    }

    fn process(&self) {
        self.counter("log_lines_dropped_total", &[], PROCESS.log_lines_dropped.get());
        self.counter("panics_total", &[], PROCESS.panics.get());
    }

    fn counter(&self, name: &str, labels: &[(&'static str, &str)], value: u64) {
        self.recorder.register_counter(&key(name, labels), &METADATA).absolute(value);
    }

    fn gauge(&self, name: &str, labels: &[(&'static str, &str)], value: f64) {
        self.recorder.register_gauge(&key(name, labels), &METADATA).set(value);
    }
}

fn is_present(mount: &MountView<'_>) -> bool {
    matches!(mount.slots.presence(), Presence::Active | Presence::Idle)
}

/// The histograms, which the recorder could only fill one observation at a time.
fn append_histograms(text: &mut String, snapshot: &Snapshot, state: &State) {
    let requests = [(String::new(), &state.totals.request_duration)];
    histogram(
        text,
        "request_duration_seconds",
        "Time from a request's head to its answer.",
        requests.into_iter(),
    );
    let polls = snapshot.servers().map(|(server, slots)| {
        (format!("server=\"{}\"", escape(&server.name)), &slots.poll_duration)
    });
    histogram(text, "server_poll_duration_seconds", "Time that a look at a server took.", polls);
}

fn histogram<'a>(
    text: &mut String,
    name: &str,
    help: &str,
    series: impl Iterator<Item = (String, &'a Histogram)>,
) {
    let name = full(name);
    text.extend([format!("# HELP {name} {help}\n# TYPE {name} histogram\n")]);
    for (labels, histogram) in series {
        let and = if labels.is_empty() { "" } else { "," };
        let mut count = 0;
        text.extend(histogram.cumulative().map(|(bound, up_to)| {
            count = up_to;
            let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
            format!("{name}_bucket{{{labels}{and}le=\"{bound}\"}} {up_to}\n")
        }));
        let braced = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        let sum = histogram.sum();
        text.extend([format!("{name}_sum{braced} {sum}\n{name}_count{braced} {count}\n")]);
    }
}

fn full(name: &str) -> String {
    format!("icecast_balancer_{name}")
}

fn key(name: &str, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<Label> = labels
        .iter()
        .map(|(name, value)| Label::new(*name, SharedString::from((*value).to_owned())))
        .collect();
    Key::from_parts(full(name), labels)
}

/// A label's value as the text format wants it.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn flag(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}
