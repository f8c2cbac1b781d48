//! The keys of a stream.

use super::{Form, Key, LISTENERS, Mapping, Rule, STREAMS, TIER, WEIGHT};
use crate::config::values::words;
use crate::config::{HttpsToHttp, WhenFull};

/// One of `streams`
pub static STREAM: Mapping = Mapping {
    name: "stream",
    place: "in a stream",
    meaning: "What players ask for under one path. No body means: every server, under the stream's own path.",
    keys: &[
        Key::new(
            "servers",
            Form::List(1, &Form::Server),
            "Only these servers, under the stream's own path.",
        )
        .or_else("every server")
        .such_as("[\"vienna\", \"berlin\"]"),
        Key::new(
            "mounts",
            Form::ByServer(&Form::Either(&[Form::Path, Form::Mapping(&MOUNT)])),
            "The mount on each server, where paths or limits differ; not together with `servers`. A path is short \
             for a mapping with nothing but `mount`.",
        ),
        Key::new(
            "bitrate",
            Form::Rate,
            "What one listener takes of a server's `max_bandwidth`; needed where a server has one.",
        )
        .such_as("1200kbps"),
        Key::new("aliases", Form::List(1, &Form::Path), "Other paths for the same stream.")
            .such_as("[\"/saal3\"]"),
        Key::new(
            "max_streams",
            Form::Count(STREAMS),
            "Of a [pattern](configuration.md#streams-by-pattern) alone: it never has more streams.",
        )
        .or("2000"),
        Key::new(
            "fallback",
            Form::Either(&[Form::Path, Form::Url]),
            "A stream (its path or an alias, no pattern) or a URL, when no mount is present or no relay answers; \
             never in a circle. See [fallbacks](operation.md#fallbacks).",
        )
        .such_as("/pause.ogv"),
        Key::new(
            "https_to_http",
            Form::Choice(words::<HttpsToHttp>),
            "When players that came by https are sent to relays whose `url` is plain http: `no_https_relay`: if none \
             of the stream's servers has an https `url`; `when_full`: also when none of those that have one has \
             room; `never`: not at all, they are refused. Counts for a fallback's URL as well; a fallback stream has \
             its own rule.",
        )
        .or("no_https_relay"),
        Key::new(
            "when_full",
            Form::Choice(words::<WhenFull>),
            "As in `balance`, for this stream. `fallback` needs a `fallback`.",
        )
        .or_else("that of `balance`"),
        Key::new("wait", Form::Duration, "As in `balance`, for this stream.")
            .or_else("that of `balance`"),
    ],
    rules: &[
        Rule::NotBoth("servers", "mounts"),
        Rule::Needs("when_full", &["fallback"], &["fallback"]),
    ],
};

/// One of `mounts` of a stream
pub static MOUNT: Mapping = Mapping {
    name: "mount",
    place: "in a mount of a stream",
    meaning: "Where a stream is on one server. `vienna: /a.ogg` is short for `vienna: {mount: /a.ogg}`.",
    keys: &[
        Key::new("mount", Form::Path, "The path on that server.")
            .or_else("the stream's path")
            .such_as("/relay/saal3.ogv"),
        Key::new(
            "max_listeners",
            Form::Count(LISTENERS),
            "At most so many, whatever the relay says.",
        )
        .or_else("what the relay says")
        .such_as("50"),
        Key::new("weight", Form::Count(WEIGHT), "As of a server.").or_else("the server's"),
        Key::new("tier", Form::Count(TIER), "As of a server.").or_else("the server's"),
    ],
    rules: &[],
};
