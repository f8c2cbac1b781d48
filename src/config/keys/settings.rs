//! The keys outside of servers and streams.

use super::{CONNECTIONS, Form, HEADROOM, Key, Mapping, POLLS, REPLICAS, Rule, SERVER, STREAM};
use crate::config::values::words;
use crate::config::{Panic, Policy, WhenFull};

/// An address or several.
const ADDRESSES: Form = Form::Either(&[Form::Address, Form::List(1, &Form::Address)]);

/// The whole configuration.
pub static TOP: Mapping = Mapping {
    name: "top",
    place: "at the top level",
    meaning: "The configuration of icecast-balancer: relays, and the streams that players are sent to them for.",
    keys: &[
        Key::new(
            "listen",
            ADDRESSES,
            "Where players ask: an address or a list. `[::]` is IPv6 and IPv4. A change needs a restart.",
        )
        .or("\"[::]:8000\""),
        Key::new(
            "admin",
            Form::Address,
            "Where metrics, health and the status page are; never where players can reach it. A change needs a \
             restart.",
        )
        .or("\"127.0.0.1:9090\""),
        Key::new(
            "admin_token_file",
            Form::File,
            "A file with the bearer token that `POST` needs from other hosts; without it only this host may post. \
             See [the admin port](operation.md#the-admin-port).",
        )
        .such_as("/run/secrets/admin"),
        Key::new(
            "public_url",
            Form::BaseUrl,
            "Where players reach this balancer, for the first entry of [playlists](operation.md#playlists): scheme \
             and host, perhaps a port and a path prefix. Without it the entry is the `Host` of the request.",
        )
        .or_else("as they asked")
        .such_as("https://radio.example.org"),
        Key::new(
            "streamlist",
            Form::Boolean,
            "`true`: `GET /admin/streamlist.txt` lists all streams, for Icecasts that have this balancer as their \
             [`master-server`](operation.md#relays-that-pull-through-the-balancer).",
        )
        .or("false"),
        Key::new(
            "tls",
            Form::Mapping(&TLS),
            "Players are served by https, too. See [TLS](operation.md#tls).",
        )
        .or_else("https is not spoken here"),
        Key::new(
            "trusted_proxies",
            Form::List(0, &Form::Network),
            "Networks of proxies that are believed about who asks: their `X-Forwarded-For` and `X-Forwarded-Proto`, \
             and nobody else's. See [proxies](operation.md#behind-a-reverse-proxy-or-load-balancer).",
        )
        .or("[]")
        .such_as("[\"10.0.0.0/8\"]"),
        Key::new(
            "proxy_protocol",
            Form::Boolean,
            "`true`: connections from `trusted_proxies` begin with a PROXY header, version 1 or 2; those from \
             elsewhere are ordinary ones.",
        )
        .or("false"),
        Key::new("poll", Form::Mapping(&POLL), "How relays are asked."),
        Key::new("balance", Form::Mapping(&BALANCE), "How listeners are distributed."),
        Key::new("limits", Form::Mapping(&LIMITS), "What players may take of the balancer itself.")
            ,
        Key::new(
            "cluster",
            Form::Mapping(&CLUSTER),
            "Several balancers with this file send listeners to the same relays. See [several \
             balancers](cluster.md).",
        )
        .or_else("this balancer is alone"),
        Key::new(
            "servers",
            Form::ByServer(&Form::Either(&[Form::BaseUrl, Form::Mapping(&SERVER)])),
            "The relays, each by a name of your choice, which logs and metrics show. A URL is short for a mapping \
             with nothing but `url`. May stand in several files of a directory.",
        )
        .required(),
        Key::new(
            "streams",
            Form::ByPath(&Form::Either(&[Form::Nothing, Form::Mapping(&STREAM)])),
            "What players ask for, by path. No body: every server has it under the same path. A path that ends with \
             `/*` is a [pattern](configuration.md#streams-by-pattern): whatever relays list under it is a stream. \
             May stand in several files of a directory.",
        )
        .required(),
    ],
    rules: &[Rule::Needs("proxy_protocol", &["true"], &["trusted_proxies"])],
};

/// `tls`
pub static TLS: Mapping = Mapping {
    name: "tls",
    place: "in `tls`",
    meaning: "https for players, beside `listen`, which goes on serving without TLS. Both files are followed while \
              running; a pair that is unreadable or does not go together is refused.",
    keys: &[
        Key::new(
            "listen",
            ADDRESSES,
            "Where players ask by https: an address or a list. A change needs a restart.",
        )
        .or("\"[::]:8443\""),
        Key::new(
            "certificate",
            Form::File,
            "A PEM file: the server's certificate, then those of its issuers.",
        )
        .required()
        .such_as("/etc/balancer/tls.crt"),
        Key::new(
            "key",
            Form::File,
            "A PEM file with its key, without a passphrase: ECDSA with P-256 or P-384, Ed25519, or RSA with 2048 to \
             8192 bits. May be the same file.",
        )
        .required()
        .such_as("/etc/balancer/tls.key"),
    ],
    rules: &[],
};

/// `poll`
pub static POLL: Mapping = Mapping {
    name: "poll",
    place: "in `poll`",
    meaning: "How relays are asked for their numbers, and when they count as down.",
    keys: &[
        Key::new("interval", Form::Duration, "How often a server is asked.").or("2s"),
        Key::new(
            "fast_interval",
            Form::Duration,
            "How often while redirects to it are unconfirmed, it is nearly full, or its health is in doubt. At most \
             `interval`.",
        )
        .or("500ms"),
        Key::new("timeout", Form::Duration, "For connecting and the whole answer.").or("2s"),
        Key::new(
            "stale_after",
            Form::Duration,
            "Older numbers are not believed. At least `interval`.",
        )
        .or("15s"),
        Key::new(
            "rise",
            Form::Count(POLLS),
            "Good polls until a server that was down is up again.",
        )
        .or("2"),
        Key::new("fall", Form::Count(POLLS), "Bad polls in a row until a server is down.").or("3"),
        Key::new(
            "slow_start",
            Form::DurationOrZero,
            "How long a recovered server is filled gradually; `0s`: at once.",
        )
        .or("30s"),
    ],
    rules: &[],
};

/// `balance`
pub static BALANCE: Mapping = Mapping {
    name: "balance",
    place: "in `balance`",
    meaning: "Which relay a listener is sent to, and what happens when none has room.",
    keys: &[
        Key::new(
            "policy",
            Form::Choice(words::<Policy>),
            "Who gets the next listener: `least_used`: of two relays drawn by weight the one with the smaller share \
             of its slots in use; `most_free`: drawn by free slots and weight; `weighted_random`: drawn by weight \
             alone; `client_hash`: [the same relay again](configuration.md#the-same-relay-again) for the same \
             listener.",
        )
        .or("least_used"),
        Key::new(
            "settle",
            Form::Duration,
            "How long a redirect holds its slot until the relay's own count shows it.",
        )
        .or("5s"),
        Key::new(
            "headroom",
            Form::Either(&[Form::Word("auto"), Form::Count(HEADROOM)]),
            "Slots kept free on each mount, for listeners who come directly: a number, or `auto`: 2, at most a \
             tenth.",
        )
        .or("auto"),
        Key::new(
            "when_full",
            Form::Choice(words::<WhenFull>),
            "What becomes of players [when every mount is full](configuration.md#when-a-stream-is-full): `reject`: \
             503 at once; `wait`: held until a slot frees, for `wait` at most; `overflow`: the least used mount, \
             beyond its limit; `fallback`: the stream's fallback.",
        )
        .or("reject"),
        Key::new(
            "wait",
            Form::Duration,
            "The longest hold of `when_full: wait`. Above 9 s [some players hang \
             up](players.md#what-to-set-wait-to).",
        )
        .or("8s"),
        Key::new(
            "panic",
            Form::Choice(words::<Panic>),
            "When nothing is known for certain: `open` sends to what may work, `closed` refuses.",
        )
        .or("open"),
        Key::new(
            "geoip",
            Form::File,
            "A MaxMind database (`.mmdb`) of countries or of cities, for the `countries` of [a server's \
             `clients`](configuration.md#whose-listeners-a-server-is-for). Read whole, and again when it is \
             replaced. At most 512 MiB.",
        )
        .such_as("/var/lib/GeoIP/GeoLite2-Country.mmdb"),
        Key::new(
            "salt",
            Form::Secret,
            "Text that `client_hash` mixes in: the same on all replicas, and secret. `${NAME}` is an environment \
             variable.",
        )
        .such_as("${BALANCER_SALT}"),
    ],
    rules: &[],
};

/// `limits`
pub static LIMITS: Mapping = Mapping {
    name: "limits",
    place: "in `limits`",
    meaning: "What all players together, and each of them, may take of the balancer itself.",
    keys: &[
        Key::new(
            "max_connections",
            Form::Count(CONNECTIONS),
            "Players' connections at one time; fewer where [the limit of open files](operation.md#limits) says so.",
        )
        .or("50000"),
        Key::new(
            "per_client",
            Form::Count(CONNECTIONS),
            "Of these, connections of one address (IPv6: of one /64). Loopback is exempt: a proxy on this host \
             speaks for many.",
        )
        .or("64"),
        Key::new(
            "header_timeout",
            Form::Duration,
            "From a request's first moment to the end of its head; as long may a kept connection idle, and an \
             answer wait to be read.",
        )
        .or("5s"),
    ],
    rules: &[],
};

/// `cluster`
pub static CLUSTER: Mapping = Mapping {
    name: "cluster",
    place: "in `cluster`",
    meaning: "Several balancers that act as one.",
    keys: &[
        Key::new(
            "replicas",
            Form::Count(REPLICAS),
            "How many balancers there are: each gives away [its share](cluster.md#the-share) of what is free.",
        )
        .required()
        .such_as("3"),
        Key::new(
            "engine",
            Form::Engine,
            "A Valkey or Redis server, through which the balancers [lend one another](cluster.md#on-an-engine) what they \
             do not need of their shares. `rediss` is with TLS. Behind the port may stand the number of a database. Of Sentinels \
             `redis-sentinel://HOST,HOST,HOST/NAME`.",
        )
        .or_else("nothing is lent")
        .such_as("redis://redis.example.org:6379"),
        Key::new("username", Form::Text, "The engine's ACL user; needs a password.").or_else("its `default` user"),
        Key::new("password_file", Form::File, "A file with the engine's password, alone, on one line. Followed like this file.")
            .or_else("the engine asks for none")
            .such_as("/run/secrets/redis"),
        Key::new("key_prefix", Form::KeyPrefix, "What the [keys in the engine](cluster.md#what-is-in-the-engine) begin with.")
            .or("icecast-balancer"),
    ],
    rules: &[
        Rule::Needs("username", &[], &["password_file"]),
        Rule::Needs("password_file", &[], &["engine"]),
        Rule::Needs("key_prefix", &[], &["engine"]),
    ],
};
