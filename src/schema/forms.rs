//! What a value may be, as a schema.

use serde_json::{Map, Value, json};

use crate::config::keys::Form;
use crate::country::CODES;

/// Longer names are refused.
const LONGEST_NAME: usize = 100;

const TEXT: &str = r"^[^\x00-\x1f\x7f-\x9f]+$";
const SECRET: &str = r"^([^$]|\$[^{]|\$\{[A-Za-z_][A-Za-z0-9_]*\})+\$?$";
const FILE: &str = r"^(?!.*-----BEGIN)[^\x00-\x1f\x7f-\x9f]+$";
const RATE: &str = r"^(?=.*[1-9])[0-9]+(\.[0-9]{1,9})?\s*([kKmMgGtT]?bps)$";
const ADDRESS: &str = r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+(%[0-9]+)?\]):[0-9]{1,5}$";
const NETWORK: &str =
    r"^([0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(/[0-9]{1,3})?)$";
const ORIGIN: &str =
    r"[Hh][Tt][Tt][Pp][Ss]?://(\[[0-9A-Fa-f:.]+\]|[^\s\\/?#@:\[\]]+)(:(0*[1-9][0-9]{0,4})?)?";
/// Of an engine: a host and perhaps a port.
const HOST: &str = r"(\[[0-9A-Fa-f:.]+\]|[^\s\\/?#@:,\[\]]+)(:(0*[1-9][0-9]{0,4})?)?";
const KEY_PREFIX: &str = r"^[A-Za-z0-9_.:/-]{1,100}$";
/// A star is the last part, and no part is `.` or `..`.
const PATH: &str = r"^(?=[^*]*(/\*)?$)(?!.*/\.\.?(/|$))/([^%?#*\x00-\x1f\x7f]|%(?!23|3[Ff]|7[Ff])[2-9A-Fa-f][0-9A-Fa-f])*\*?$";
/// Encoded or not.
const PATTERN: &str = r"/(\*|%2[Aa])$";
const NO_PATTERN: &str = r"^(?!.*/(\*|%2[Aa])$)";
/// A URL, or a path that is no pattern.
const FALLBACK: &str = r"^(?!/(.*/)?(\*|%2[Aa])$)";

/// The schema of a value.
pub(super) fn schema(form: &Form) -> Value {
    match form {
        Form::Nothing => json!({"type": "null"}),
        Form::Text => named("text"),
        Form::Secret => named("secret"),
        Form::File => named("file"),
        Form::Boolean => json!({"type": "boolean"}),
        Form::Count(range) => {
            json!({"type": "integer", "minimum": range.start(), "maximum": range.end()})
        }
        Form::Duration => named("duration"),
        Form::DurationOrZero => named("durationOrZero"),
        Form::Rate => named("rate"),
        Form::Address => named("address"),
        Form::Network => named("network"),
        Form::Country => named("country"),
        Form::BaseUrl => named("baseUrl"),
        Form::Url => named("url"),
        Form::Engine => named("engine"),
        Form::KeyPrefix => named("keyPrefix"),
        Form::Path => named("path"),
        Form::Server => json!({"type": ["string", "number", "boolean"]}),
        Form::Word(word) => json!({"const": word}),
        Form::Choice(words) => {
            // `4` is a number to YAML, and meant all the same.
            let words = words();
            let numbers =
                words.iter().filter_map(|word| word.parse().ok()).map(|it: u64| json!(it));
            json!({"enum": words.iter().map(|word| json!(word)).chain(numbers).collect::<Vec<_>>()})
        }
        Form::List(least, of) => {
            let mut list = json!({"type": "array", "items": schema(of)});
            if let (Value::Object(list), 1..) = (&mut list, *least) {
                list.insert("minItems".to_owned(), json!(least));
            }
            if let (Value::Object(list), Form::Server) = (&mut list, of) {
                list.insert("uniqueItems".to_owned(), json!(true));
            }
            list
        }
        Form::Mapping(mapping) => named(mapping.name),
        Form::ByServer(of) => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"minLength": 1, "maxLength": LONGEST_NAME, "pattern": TEXT},
            "additionalProperties": schema(of),
        }),
        Form::ByPath(of) => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": named("path"),
            "additionalProperties": false,
            "patternProperties": {
                "^/": schema(of),
                "": {"properties": {"fallback": {"pattern": FALLBACK}}},
                PATTERN: {"properties": {"aliases": paths(PATTERN), "mounts": mounts(PATTERN)}},
                NO_PATTERN: {"properties": {
                    "aliases": paths(NO_PATTERN),
                    "mounts": mounts(NO_PATTERN),
                    "max_streams": {"not": {}},
                }},
            },
        }),
        Form::Either(forms) => json!({"anyOf": forms.iter().map(schema).collect::<Vec<_>>()}),
    }
}

/// Aliases of a stream, all of which are patterns or none.
fn paths(pattern: &str) -> Value {
    json!({"items": {"pattern": pattern}})
}

/// The same of its mounts.
fn mounts(pattern: &str) -> Value {
    json!({"additionalProperties": {
        "pattern": pattern,
        "properties": {"mount": {"pattern": pattern}},
    }})
}

fn named(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

/// Values that have a name, each with what an editor says of one that is wrong.
pub(super) fn definitions() -> Map<String, Value> {
    let text = |pattern: &str, wrong: &str, examples: &[&str]| {
        json!({
            "type": "string",
            "pattern": pattern,
            "patternErrorMessage": wrong,
            "description": wrong,
            "examples": examples,
        })
    };
    let duration = "write a number and ms, s, m or h, for example 500ms or 2s; at most 1h";
    let url = "write it like http://vienna.example.org:8000, without user, query or fragment";
    let named = [
        ("text", text(TEXT, "write text on one line", &[])),
        (
            "secret",
            text(SECRET, "write text in quotes, or ${NAME} for an environment variable", &[]),
        ),
        (
            "file",
            text(FILE, "write the path of a file; a relative one begins beside this file", &[]),
        ),
        ("duration", text(&durations("(?=.*[1-9])"), duration, &["500ms", "2s"])),
        ("durationOrZero", text(&durations(""), duration, &["0s", "30s"])),
        (
            "rate",
            text(
                RATE,
                "write bits (not bytes) per second as bps, kbps, Mbps or Gbps, for example 1200kbps",
                &["1200kbps", "1Gbps"],
            ),
        ),
        (
            "address",
            text(
                ADDRESS,
                "write an IP address and a port in quotes, for example \"[::]:8000\"",
                &["[::]:8000", "127.0.0.1:9090"],
            ),
        ),
        (
            "network",
            text(
                NETWORK,
                "write for example 192.0.2.0/24 or \"2001:db8::/32\"",
                &["192.0.2.0/24", "2001:db8::/32"],
            ),
        ),
        ("baseUrl", text(&format!(r"^{ORIGIN}(/[^\s\\?#]*)?$"), url, &[])),
        ("url", text(&format!(r"^{ORIGIN}([/?#][^\s\\]*)?$"), "write an http or https URL", &[])),
        (
            "engine",
            text(
                &engine(),
                "write one server as redis://redis.example.org:6379, or with TLS rediss://…, or redis-sentinel://HOST,HOST/NAME",
                &[
                    "redis://redis.example.org:6379",
                    "redis-sentinel://a.example.org,b.example.org,c.example.org/radio",
                ],
            ),
        ),
        ("keyPrefix", text(KEY_PREFIX, "write letters (a to z), digits, and - _ . : or /", &[])),
        (
            "path",
            text(
                PATH,
                "write a path such as /saal1.ogv, without ? or #; /talks/* is every mount below it",
                &["/saal1.ogv"],
            ),
        ),
        (
            "country",
            json!({
                "enum": CODES,
                "description": "write the two capital letters of ISO 3166, such as AT for Austria",
            }),
        ),
    ];
    named.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// Numbers with their units, as many as there are, behind a condition.
fn durations(condition: &str) -> String {
    let units = "ns|nsec|nanos|us|µs|usec|ms|msec|millis|s|sec|secs|seconds?|m|mins?|minutes?|\
        h|hrs?|hours?";
    format!(r"^{condition}\s*([0-9]+(\.[0-9]+)?\s*({units})\s*)+$")
}

/// One server, or Sentinels and what they call it.
fn engine() -> String {
    let sentinels =
        format!(r"-[Ss][Ee][Nn][Tt][Ii][Nn][Ee][Ll]://{HOST}(,{HOST})*/[A-Za-z0-9._-]+");
    format!(r"^[Rr][Ee][Dd][Ii][Ss][Ss]?(://{HOST}|{sentinels})(/[0-9]{{0,5}})?$")
}
