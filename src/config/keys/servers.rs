//! The keys of a server.

use super::{Form, JOINS, Key, LISTENERS, Mapping, Rule, TIER, WEIGHT};
use crate::config::values::words;
use crate::config::{Family, State, StatsSource};

/// One of `servers`
pub static SERVER: Mapping = Mapping {
    name: "server",
    place: "in a server",
    meaning: "An Icecast server that listeners are sent to. `vienna: http://…` is short for `vienna: {url: http://…}`.",
    keys: &[
        Key::new(
            "url",
            Form::BaseUrl,
            "Where players are sent that came by https, and all others if there is no `http_url`. Who came by https \
             is sent to relays whose `url` is https, see `https_to_http` of a stream.",
        )
        .required()
        .such_as("https://vienna.example.org:8443"),
        Key::new(
            "http_url",
            Form::BaseUrl,
            "Where players are sent that came without TLS.",
        )
        .or_else("`url`")
        .such_as("http://vienna.example.org:8000"),
        Key::new(
            "max_listeners",
            Form::Count(LISTENERS),
            "The relay's own `<limits><clients>`, shared by its mounts.",
        )
        .or_else("unlimited")
        .such_as("100"),
        Key::new(
            "max_bandwidth",
            Form::Rate,
            "Its uplink, turned into slots by each stream's `bitrate`, which every stream on it then needs.",
        )
        .or_else("unlimited")
        .such_as("1Gbps"),
        Key::new(
            "max_joins_per_second",
            Form::Count(JOINS),
            "A crowd is sent no faster: beyond it a redirect is held back for a moment, at most for half of `settle` \
             or 5 s. Icecast's accept queue is 5 deep, and whoever finds it full waits for seconds.",
        )
        .or("500"),
        Key::new("weight", Form::Count(WEIGHT), "Its share compared with the others'.").or("1"),
        Key::new(
            "tier",
            Form::Count(TIER),
            "Used only when every mount of a lower tier is full or down.",
        )
        .or("0"),
        Key::new(
            "state",
            Form::Choice(words::<State>),
            "`active`; `draining`: it gets no new listeners; `disabled`: it is not polled either.",
        )
        .or("active"),
        Key::new(
            "clients",
            Form::Mapping(&CLIENTS),
            "[Whose listeners it is for](configuration.md#whose-listeners-a-server-is-for).",
        )
        .or_else("everyone"),
        Key::new(
            "ip",
            Form::Choice(words::<Family>),
            "The only [address family](configuration.md#address-families) that the relay can be reached by.",
        )
        .or("any"),
        Key::new("stats", Form::Mapping(&STATS), "How its listener counts are read.")
            ,
    ],
    rules: &[],
};

/// `clients` of a server
pub static CLIENTS: Mapping = Mapping {
    name: "clients",
    place: "in `clients` of a server",
    meaning: "Whose listeners a server is for: one entry that fits is enough.",
    keys: &[
        Key::new(
            "countries",
            Form::List(1, &Form::Country),
            "Listeners from these countries are preferably sent here; needs `balance.geoip`.",
        )
        .such_as("[\"AT\", \"DE\"]"),
        Key::new(
            "networks",
            Form::List(1, &Form::Network),
            "Listeners from these networks are preferably sent here.",
        )
        .such_as("[\"192.0.2.0/24\", \"2001:db8::/32\"]"),
        Key::new("only", Form::Boolean, "`true`: nobody else is sent here.").or("false"),
    ],
    rules: &[Rule::OneOf(&["countries", "networks"])],
};

/// `stats` of a server
pub static STATS: Mapping = Mapping {
    name: "stats",
    place: "in `stats` of a server",
    meaning: "How the balancer learns of a server's mounts and listeners; [relays.md](relays.md) has more.",
    keys: &[
        Key::new(
            "source",
            Form::Choice(words::<StatsSource>),
            "`auto`: whatever the relay has; `live`: as `auto`, and with its [feed](relays.md#live) beside it; \
             `slots`, `status-json`, `admin`: this document; [`shoutcast`](relays.md#shoutcast); \
             [`probe`](relays.md#probe): merely ask for each mount, of a server that tells nothing, and count \
             nobody. `admin` and `live` need a password.",
        )
        .or("auto"),
        Key::new("url", Form::BaseUrl, "Where the balancer asks.")
            .or_else("the server's `url`")
            .such_as("http://10.8.0.5:8000"),
        Key::new("username", Form::Text, "Icecast's admin account; needs a password.").or("admin"),
        Key::new(
            "password",
            Form::Secret,
            "Its password, in quotes. `${NAME}` is an environment variable.",
        )
        .such_as("${VIENNA_PASSWORD}"),
        Key::new(
            "password_file",
            Form::File,
            "A file with the password instead, which is read again when it changes.",
        )
        .such_as("/run/secrets/vienna"),
    ],
    rules: &[
        Rule::NotBoth("password", "password_file"),
        Rule::Needs("source", &["admin", "live"], &["password", "password_file"]),
        Rule::Needs("username", &[], &["password", "password_file"]),
    ],
};
