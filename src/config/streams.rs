//! The streams of the tree into the types that mirror the file.

use crate::config::decode::number;
use crate::config::fields::{Entry, Fields, Names, entries};
use crate::config::findings::Findings;
use crate::config::keys::{self, LISTENERS, STREAMS, TIER, WEIGHT};
use crate::config::source::{At, Span};
use crate::config::suggest::shown;
use crate::config::yaml::Value;
use crate::config::{Fallback, Mount, Mounts, Stream, WhenFull, urls, values};

/// A stream; no body means that every server has it under the same path.
pub(super) fn stream(name: At<String>, entry: &Entry<'_>, findings: &mut Findings) -> Stream {
    let path = urls::decoded_path(&name, "streams", findings);
    let path = path.filter(|path| has_no_stray_star(path, name.span, "streams", findings));
    let mut stream = Stream {
        is_pattern: path.as_deref().is_some_and(urls::is_pattern),
        name,
        path,
        max_streams: None,
        mounts: Mounts::Every,
        bitrate: None,
        bitrate_is_written: false,
        aliases: Vec::new(),
        fallback: None,
        when_full: None,
        wait: None,
        https_to_http: None,
    };
    match &entry.node.value {
        Value::Null => {}
        Value::Map(_) => {
            if let Some(mut fields) = Fields::open(entry, &keys::STREAM, findings) {
                stream_fields(&mut stream, &mut fields, findings);
                fields.finish(findings);
            }
        }
        Value::List(_) | Value::Scalar(_) => {
            let message = format!("`{}` must be a mapping or empty", entry.name);
            let help = "write `servers: [vienna]` below it, or nothing for every server";
            findings.problem(entry.node.span, message, help);
            stream.mounts = Mounts::Unreadable;
        }
    }
    stream
}

fn stream_fields(stream: &mut Stream, fields: &mut Fields<'_>, findings: &mut Findings) {
    let servers = fields.take("servers", findings);
    let mounts = fields.take("mounts", findings);
    if let (Some(_), Some(mounts)) = (&servers, &mounts) {
        let message = format!("both `servers` and `mounts` are in `streams.{}`", stream.name.value);
        let help = "keep one: `servers` for the stream's own path, `mounts` where paths differ";
        findings.problem(mounts.key, message, help);
    }
    let named = fields.has("servers") || fields.has("mounts");
    let read_mounts = mounts.as_ref().and_then(|entry| spelled_out(entry, findings));
    let read_servers = servers.as_ref().and_then(|entry| same_path(entry, findings));
    stream.mounts = match read_mounts.or(read_servers) {
        Some(mounts) => Mounts::These(mounts),
        None if named => Mounts::Unreadable,
        None => Mounts::Every,
    };
    stream.bitrate_is_written = fields.has("bitrate");
    stream.bitrate = fields.read("bitrate", findings, values::rate);
    let aliases = fields.read("aliases", findings, |entry, f| values::list(entry, f, urls::path));
    stream.aliases = aliases.map(|aliases| aliases.value).unwrap_or_default();
    agree_on_patterns(stream, &fields.path("aliases"), findings);
    let max_streams = fields.span("max_streams");
    stream.max_streams = number(fields, "max_streams", STREAMS, findings);
    if let (Some(span), Some(_), false) = (max_streams, &stream.path, stream.is_pattern) {
        let message = format!("`{}` is for patterns alone", fields.path("max_streams"));
        findings.problem(span, message, "remove it; a pattern is a path such as /talks/*");
    }
    stream.fallback = fields.read("fallback", findings, fallback);
    stream.https_to_http = fields.read("https_to_http", findings, values::choice);
    stream.when_full = fields.read("when_full", findings, values::choice);
    stream.wait = fields.read("wait", findings, values::duration);
    if let Some(At { value: WhenFull::Fallback, span }) = stream.when_full
        && !fields.has("fallback")
    {
        let message = format!("`{}: fallback` needs a `fallback`", fields.path("when_full"));
        let help = "add one, for example `fallback: /pause.ogv`; or write reject, wait or overflow";
        findings.problem(span, message, help);
    }
}

/// Reports aliases and mounts that are patterns where their stream is none, or the other way round.
fn agree_on_patterns(stream: &Stream, aliases: &str, findings: &mut Findings) {
    // What the name was meant to be cannot be told.
    let Some(own) = &stream.path else { return };
    let stars = |path: &At<String>, findings: &mut Findings| {
        has_no_stray_star(&path.value, path.span, aliases, findings)
    };
    let aliases = stream.aliases.iter().filter(|alias| stars(alias, findings));
    let aliases: Vec<_> = aliases.map(|alias| (alias, "alias")).collect();
    let mounts = match &stream.mounts {
        Mounts::These(mounts) => mounts.as_slice(),
        Mounts::Every | Mounts::Unreadable => &[],
    };
    let mounts = mounts.iter().filter_map(|mount| Some((mount.path.as_ref()?, "mount")));
    for (path, what) in aliases.into_iter().chain(mounts) {
        let (path, span) = (&path.value, path.span);
        if urls::is_pattern(path) == stream.is_pattern {
            continue;
        }
        let (own, shown_path) = (shown(own), shown(path));
        if stream.is_pattern {
            let message = format!("the {what} {shown_path} of the pattern {own} is no pattern");
            let help =
                format!("write {}", shown(&format!("{}/*", path.trim_end_matches(['/', '*']))));
            findings.problem(span, message, help);
        } else {
            let message =
                format!("the {what} {shown_path} is a pattern, and the stream {own} is none");
            findings.problem(span, message, "name one path, or make the stream a pattern as well");
        }
    }
}

/// Reports a `*` that is not the last part of the path.
fn has_no_stray_star(path: &str, span: Span, name: &str, findings: &mut Findings) -> bool {
    let before = path.strip_suffix("/*").unwrap_or(path);
    if !before.contains('*') {
        return true;
    }
    let message = format!("path {} of `{name}` has a `*` that is not its last part", shown(path));
    let stem = before.trim_end_matches(['*', '/']);
    let help = if stem.contains('*') {
        "a pattern is a prefix and `/*`, such as /talks/*; name other streams one by one".to_owned()
    } else {
        format!("write {} for every mount below it", shown(&format!("{stem}/*")))
    };
    findings.problem(span, message, help);
    false
}

/// `servers: [vienna, berlin]`
fn same_path(entry: &Entry<'_>, findings: &mut Findings) -> Option<Vec<Mount>> {
    let items = values::items(entry, findings)?;
    if items.is_empty() {
        let message = format!("`{}` is an empty list", entry.name);
        let help = "name at least one server; without the key every server carries the stream";
        findings.problem(entry.node.span, message, help);
        return None;
    }
    let mut names = Names::default();
    let mut mounts = Vec::new();
    for item in items {
        let Some(server) = values::scalar(&item, findings) else { continue };
        let server = At { value: server.text.clone(), span: item.node.span };
        if names.is_new(&server, findings) {
            mounts.push(Mount {
                server,
                path: None,
                max_listeners: None,
                weight: None,
                tier: None,
            });
        }
    }
    Some(mounts)
}

/// `mounts: {vienna: /a.ogg, berlin: {mount: /b.ogg, weight: 2}}`
fn spelled_out(entry: &Entry<'_>, findings: &mut Findings) -> Option<Vec<Mount>> {
    if let Value::List(_) = entry.node.value {
        let message = format!("`{}` must be a mapping, and is a list", entry.name);
        let help = "use `servers` for a list of servers, or write `server: path` lines below it";
        findings.problem(entry.node.span, message, help);
        return None;
    }
    let mounts = entries(entry, "server", findings)?;
    if mounts.is_empty() {
        let message = format!("`{}` is an empty mapping", entry.name);
        findings.problem(entry.node.span, message, "name at least one server, or remove the key");
        return None;
    }
    Some(mounts.into_iter().map(|(server, entry)| mount(server, &entry, findings)).collect())
}

fn mount(server: At<String>, entry: &Entry<'_>, findings: &mut Findings) -> Mount {
    let mut mount = Mount { server, path: None, max_listeners: None, weight: None, tier: None };
    match &entry.node.value {
        Value::Null => {
            let message = format!("`{}` is empty", entry.name);
            let help = "write the path of the mount on that server, for example /saal1.ogv";
            findings.problem(entry.key, message, help);
        }
        Value::Scalar(_) | Value::List(_) => {
            let path = urls::path(entry, findings);
            mount.path = path.map(|value| At { value, span: entry.node.span });
        }
        Value::Map(_) => {
            if let Some(mut fields) = Fields::open(entry, &keys::MOUNT, findings) {
                mount.path = fields.read("mount", findings, urls::path);
                mount.max_listeners = number(&mut fields, "max_listeners", LISTENERS, findings);
                mount.weight = number(&mut fields, "weight", WEIGHT, findings);
                mount.tier = number(&mut fields, "tier", TIER, findings);
                fields.finish(findings);
            }
        }
    }
    mount
}

fn fallback(entry: &Entry<'_>, findings: &mut Findings) -> Option<Fallback> {
    let text = values::text(entry, findings)?;
    if text.starts_with('/') {
        return urls::path(entry, findings).map(Fallback::Path);
    }
    if !text.contains("://") {
        let message = format!("`{}` is neither a path nor a URL: {}", entry.name, shown(&text));
        let help = "write a stream's path such as /pause.ogv, or a URL such as http://…";
        findings.problem(entry.node.span, message, help);
        return None;
    }
    urls::url(entry, findings).map(Fallback::Url)
}
