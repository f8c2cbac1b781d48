//! The streams: linked to servers and to each other, each path claimed once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::HeaderValue;

use crate::config::findings::Findings;
use crate::config::source::{At, Span};
use crate::config::suggest::{did_you_mean, shown};
use crate::config::{self, Config, HttpsToHttp, Mounts};
use crate::fleet::address::location;
use crate::fleet::compile::settings;
use crate::fleet::patterns::Patterns;
use crate::fleet::{
    Fallback, Mount, Origin, Paths, Server, ServerId, ServerState, Stream, StreamId, WhenFull,
};

/// Streams of a pattern that does not say how many it may have.
const MAX_STREAMS: usize = 2_000;

/// Streams, who owns which path, and what deserves a word.
pub(super) struct Linked {
    pub(super) streams: Vec<Arc<Stream>>,
    pub(super) paths: Paths,
    pub(super) patterns: Patterns,
    pub(super) warnings: Vec<String>,
}

/// Links streams to servers and fallbacks. What could not be linked is left out; then there is a
/// problem.
pub(super) fn streams(
    config: &Config,
    servers: &[Option<Server>],
    findings: &mut Findings,
) -> Linked {
    if config.streams.key.is_none() {
        let help = "add `streams:` with a line such as `/saal1.ogv:`";
        findings.problem(config.start, "there are no `streams`", help);
    }
    let by_name = config.servers.items.iter().enumerate();
    let linker = Linker {
        config,
        servers,
        by_name: by_name.map(|(id, server)| (server.name.value.as_str(), id)).collect(),
        paths: claims(config, findings),
    };
    let items = &config.streams.items;
    let mounts: Vec<_> = items.iter().map(|stream| linker.mounts(stream, findings)).collect();
    let fallbacks: Vec<_> = items.iter().map(|stream| linker.fallback(stream, findings)).collect();
    report_loops(items, &fallbacks, findings);

    let mut streams = Vec::new();
    let mut patterns = Patterns::default();
    for ((item, mut mounts), fallback) in items.iter().zip(mounts).zip(fallbacks) {
        let path = item.path.clone().unwrap_or_default();
        let when_full = settings::when_full(item, &config.balance);
        let leaves_tls = linker.leaves_tls(item, &mounts);
        let mut origin = Origin::Named;
        if item.is_pattern {
            let prefixes = item.path.iter().chain(item.aliases.iter().map(|alias| &alias.value));
            let prefixes = prefixes.map(|path| prefix(path)).collect();
            let most = item.max_streams.as_ref().map_or(MAX_STREAMS, |most| most.value);
            let mounts = std::mem::take(&mut mounts);
            origin = Origin::Pattern(patterns.add(streams.len(), prefixes, mounts, most));
        }
        streams.push(Arc::new(Stream { path, mounts, fallback, when_full, leaves_tls, origin }));
    }
    let warnings = linker.warnings(&streams, &patterns, findings);
    let paths = linker.paths.into_iter().map(|(path, claim)| (path, claim.value)).collect();
    Linked { streams, paths, patterns, warnings }
}

/// What the paths have in common that a pattern stands for.
fn prefix(pattern: &str) -> String {
    pattern.trim_end_matches('*').to_owned()
}

/// Who owns which path, and where that is written. A path that two streams want is a problem.
fn claims(config: &Config, findings: &mut Findings) -> HashMap<String, At<StreamId>> {
    let mut paths: HashMap<String, At<StreamId>> = HashMap::new();
    let mut claim = |path: &String, value: StreamId, span: Span| {
        let Some(first) = paths.get(path) else {
            paths.insert(path.clone(), At { value, span });
            return;
        };
        let place = findings.mention(first.span, span);
        let owner = if first.value == value { "this stream" } else { "another stream" };
        let message = format!("the path {} is {owner}'s already, {place}", shown(path));
        findings.problem(span, message, "every path and alias belongs to one stream; remove one");
    };
    for (id, stream) in config.streams.items.iter().enumerate() {
        if let Some(path) = &stream.path {
            claim(path, id, stream.name.span);
        }
    }
    for (id, stream) in config.streams.items.iter().enumerate() {
        for alias in &stream.aliases {
            claim(&alias.value, id, alias.span);
        }
    }
    paths
}

/// Everything that names may refer to.
struct Linker<'a> {
    config: &'a Config,
    servers: &'a [Option<Server>],
    by_name: HashMap<&'a str, ServerId>,
    paths: HashMap<String, At<StreamId>>,
}

impl Linker<'_> {
    fn mounts(&self, stream: &config::Stream, findings: &mut Findings) -> Vec<Mount> {
        let written: Vec<(ServerId, Option<&config::Mount>)> = match &stream.mounts {
            Mounts::Unreadable => Vec::new(),
            Mounts::Every => (0..self.servers.len()).map(|id| (id, None)).collect(),
            Mounts::These(mounts) => mounts
                .iter()
                .filter_map(|mount| Some((self.server(&mount.server, findings)?, Some(mount))))
                .collect(),
        };
        self.require_bitrate(stream, &written, findings);
        written.into_iter().filter_map(|(id, mount)| self.mount(stream, id, mount)).collect()
    }

    fn server(&self, name: &At<String>, findings: &mut Findings) -> Option<ServerId> {
        let found = self.by_name.get(name.value.as_str()).copied();
        if found.is_none() {
            let known = self.config.servers.items.iter().map(|server| server.name.value.as_str());
            let message = format!("unknown server {}", shown(&name.value));
            findings.problem(name.span, message, did_you_mean(&name.value, "servers", known));
        }
        found
    }

    fn require_bitrate(
        &self,
        stream: &config::Stream,
        mounts: &[(ServerId, Option<&config::Mount>)],
        findings: &mut Findings,
    ) {
        let config = |id: ServerId| self.config.servers.items.get(id);
        let limited = mounts
            .iter()
            .filter_map(|(id, _)| config(*id))
            .find(|server| server.max_bandwidth.is_some());
        if let (Some(server), false) = (limited, stream.bitrate_is_written) {
            let message = format!(
                "stream {} has no `bitrate`, and server {} has a `max_bandwidth`",
                shown(&stream.name.value),
                shown(&server.name.value)
            );
            let help = "add what one listener takes, for example `bitrate: 1200kbps`";
            findings.problem(stream.name.span, message, help);
        }
    }

    fn mount(
        &self,
        stream: &config::Stream,
        id: ServerId,
        written: Option<&config::Mount>,
    ) -> Option<Mount> {
        let server = self.servers.get(id)?.as_ref()?;
        let defaults = self.config.servers.items.get(id)?;
        let path = written.and_then(|mount| mount.path.as_ref()).map(|path| &path.value);
        let path = path.or(stream.path.as_ref())?;
        let path = if stream.is_pattern { prefix(path) } else { path.clone() };
        let weight = written.and_then(|mount| mount.weight.as_ref()).or(defaults.weight.as_ref());
        let tier = written.and_then(|mount| mount.tier.as_ref()).or(defaults.tier.as_ref());
        let bitrate = stream.bitrate.as_ref().filter(|_| server.max_bandwidth.is_some());
        Some(Mount {
            server: id,
            location: location(&server.http_url, &path)?,
            https_location: location(&server.url, &path)?,
            path,
            max_listeners: written.and_then(|mount| mount.max_listeners.as_ref()).map(|m| m.value),
            bitrate: bitrate.map_or(0, |bitrate| bitrate.value),
            weight: weight.map_or(1, |weight| weight.value),
            tier: tier.map_or(0, |tier| tier.value),
        })
    }

    /// Whether players that came by https may be sent to plain http. What state a server is in
    /// changes nothing: that one is being mended is no reason to send listeners in the clear.
    fn leaves_tls(&self, stream: &config::Stream, mounts: &[Mount]) -> bool {
        let server = |mount: &Mount| self.servers.get(mount.server).and_then(Option::as_ref);
        match stream.https_to_http.map(|rule| rule.value) {
            Some(HttpsToHttp::Never) => false,
            Some(HttpsToHttp::WhenFull) => true,
            Some(HttpsToHttp::NoHttpsRelay) | None => {
                !mounts.iter().filter_map(server).any(Server::speaks_tls)
            }
        }
    }

    fn fallback(&self, stream: &config::Stream, findings: &mut Findings) -> Option<Fallback> {
        let fallback = stream.fallback.as_ref()?;
        let path = match &fallback.value {
            config::Fallback::Path(path) => path,
            config::Fallback::Url(url) => {
                return HeaderValue::from_str(url.as_str()).ok().map(Fallback::Url);
            }
        };
        let found = self.paths.get(path).map(|claim| claim.value);
        let items = &self.config.streams.items;
        let Some(found) = found else {
            let named = items.iter().filter(|stream| !stream.is_pattern);
            let known = named.filter_map(|stream| stream.path.as_deref());
            let message = format!("unknown stream {} as fallback", shown(path));
            let help = if self.is_under_pattern(path) {
                // One that is found today may be gone tomorrow.
                format!("add a line of its own for it: {}", shown(&format!("{path}:")))
            } else {
                did_you_mean(path, "streams", known)
            };
            findings.problem(fallback.span, message, help);
            return None;
        };
        if items.get(found).is_some_and(|stream| stream.is_pattern) {
            let message = format!("the fallback {} is a pattern", shown(path));
            let help = "name one stream that has a line of its own, or a URL";
            findings.problem(fallback.span, message, help);
            return None;
        }
        Some(Fallback::Stream(found))
    }

    fn is_under_pattern(&self, path: &str) -> bool {
        let patterns = self.config.streams.items.iter().filter(|stream| stream.is_pattern);
        let mut prefixes = patterns.filter_map(|stream| stream.path.as_deref()).map(prefix);
        prefixes.any(|prefix| path.starts_with(&prefix))
    }

    fn warnings(
        &self,
        streams: &[Arc<Stream>],
        patterns: &Patterns,
        findings: &Findings,
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |span: Span, text: String| {
            if let Some(place) = findings.place(span) {
                warnings.push(format!("{place}: {text}"));
            }
        };
        for (stream, written) in streams.iter().zip(&self.config.streams.items) {
            let name = shown(&stream.path);
            let active = |mount: &Mount| {
                let server = self.servers.get(mount.server).and_then(Option::as_ref);
                server.is_some_and(|server| server.state == ServerState::Active)
            };
            if !patterns.mounts_of(stream).iter().any(active) {
                let text = "none of its servers is active, nobody is sent to it";
                warn(written.name.span, format!("stream {name}: {text}"));
            }
            if let Some(wait) = written.wait
                && !matches!(stream.when_full, WhenFull::Wait(_))
            {
                let policy = stream.when_full.label();
                let text = format!("its `wait` has no effect, since its `when_full` is {policy}");
                warn(wait.span, format!("stream {name}: {text}"));
            }
        }
        if let Some(At { value: config::WhenFull::Fallback, span }) = self.config.balance.when_full
            && streams.iter().all(|stream| stream.fallback.is_none())
        {
            let text = "no stream has a `fallback`: who asks for a full one is refused";
            warn(span, format!("`when_full: fallback`: {text}"));
        }
        let mounts = streams.iter().flat_map(|stream| patterns.mounts_of(stream));
        let used: HashSet<ServerId> = mounts.map(|mount| mount.server).collect();
        for (id, server) in self.config.servers.items.iter().enumerate() {
            if !used.contains(&id) {
                let name = shown(&server.name.value);
                warn(server.name.span, format!("server {name} is used by no stream"));
            }
        }
        warnings
    }
}

/// Reports every ring of fallbacks once, at its first stream.
fn report_loops(
    streams: &[config::Stream],
    fallbacks: &[Option<Fallback>],
    findings: &mut Findings,
) {
    let next = |id: StreamId| match fallbacks.get(id) {
        Some(Some(Fallback::Stream(next))) => Some(*next),
        _ => None,
    };
    // Which walk came by a stream first; a walk that meets its own trace has found a ring.
    let mut walks: Vec<Option<StreamId>> = vec![None; streams.len()];
    for start in 0..streams.len() {
        let mut at = Some(start);
        while let Some(id) = at {
            let Some(walk) = walks.get_mut(id) else { break };
            if let Some(earlier) = *walk {
                if earlier == start {
                    report_loop(id, next, streams, findings);
                }
                break;
            }
            *walk = Some(start);
            at = next(id);
        }
    }
}

fn report_loop(
    on: StreamId,
    next: impl Fn(StreamId) -> Option<StreamId>,
    streams: &[config::Stream],
    findings: &mut Findings,
) {
    const SHOWN: usize = 10;
    let ring_from = |from: StreamId| {
        let rest =
            std::iter::successors(next(from), |id| next(*id)).take_while(move |id| *id != from);
        std::iter::once(from).chain(rest)
    };
    let Some(first) = ring_from(on).min() else { return };
    let Some(fallback) = streams.get(first).and_then(|stream| stream.fallback.as_ref()) else {
        return;
    };
    let name = |id: StreamId| streams.get(id).map(|stream| stream.name.value.as_str());
    let mut chain: Vec<&str> = ring_from(first).filter_map(name).take(SHOWN).collect();
    if ring_from(first).nth(SHOWN).is_some() {
        chain.push("…");
    }
    chain.extend(name(first));
    let message = format!("the fallbacks go in a circle: {}", chain.join(" → "));
    findings.problem(fallback.span, message, "let one of them end without a fallback, or at a URL");
}
