//! The URL of an engine, and what its keys begin with.
//!
//! As in [`values`], every reader gives `None` after it has reported what is wrong.

use url::Url;

use crate::config::fields::Entry;
use crate::config::findings::Findings;
use crate::config::suggest::shown;
use crate::config::values;

/// A longer beginning of an engine's keys is a mistake.
const LONGEST_PREFIX: usize = 100;

const EXAMPLE: &str = "write it like redis://redis.example.org:6379, or with TLS rediss://…";

const SENTINELS: &str = "write redis-sentinel://a.example.org,b.example.org,c.example.org/NAME, with the \
                         name behind `sentinel monitor` in their configuration";

/// What the URL of an engine says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EngineUrl {
    /// Whether TLS is spoken.
    pub(crate) tls: bool,
    /// The server, or the Sentinels that know it: names or addresses without brackets, and ports.
    pub(crate) hosts: Vec<(String, Option<u16>)>,
    /// What Sentinels call the server.
    pub(crate) name: Option<String>,
    /// The number of the database.
    pub(crate) database: u16,
}

/// The URL of a Valkey or Redis server, or of Sentinels: hosts, perhaps ports and the number of a database.
pub(super) fn engine(entry: &Entry<'_>, findings: &mut Findings) -> Option<EngineUrl> {
    let text = values::text(entry, findings)?;
    if text.contains('@') {
        let message = format!("`{}` must not contain a user or a password", entry.name);
        let help = "put them into `username` and `password_file`";
        findings.secret_problem(entry.node.span, message, help);
        return None;
    }
    match read(&text) {
        Ok(url) => Some(url),
        Err(Mistake { what, help }) => {
            let message = format!("`{}` {what}: {}", entry.name, shown(&text));
            findings.problem(entry.node.span, message, help);
            None
        }
    }
}

#[derive(Debug)]
struct Mistake {
    what: String,
    help: &'static str,
}

fn mistake<T>(what: impl Into<String>, help: &'static str) -> Result<T, Mistake> {
    Err(Mistake { what: what.into(), help })
}

fn read(text: &str) -> Result<EngineUrl, Mistake> {
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let (tls, has_sentinels) = match scheme.to_ascii_lowercase().as_str() {
        "redis" => (false, false),
        "rediss" => (true, false),
        "redis-sentinel" => (false, true),
        "rediss-sentinel" => (true, true),
        scheme if scheme.contains("cluster") => {
            let help = "write the address of one server that takes writes, or of Sentinels";
            return mistake("is a cluster, and must be one server", help);
        }
        _ => return mistake("is not a redis, rediss or redis-sentinel URL", EXAMPLE),
    };
    let example = if has_sentinels { SENTINELS } else { EXAMPLE };
    if rest.contains(['?', '#']) {
        return mistake(
            "must not have a query or a fragment",
            "remove `?` and `#` and what follows",
        );
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains(',') && !has_sentinels {
        let help = "write the one that takes writes, or their Sentinels as redis-sentinel://…/NAME";
        return mistake("must be one server", help);
    }
    let hosts = authority.split(',').map(|part| host(part, example)).collect::<Result<_, _>>()?;
    let (name, path) = if has_sentinels {
        let (name, path) = path.split_once('/').unwrap_or((path, ""));
        // Sentinel takes no other names.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if name.is_empty() || !name.chars().all(is_plain) {
            return mistake("does not say what the Sentinels call the server", SENTINELS);
        }
        (Some(name.to_owned()), path)
    } else {
        (None, path)
    };
    let database = match path {
        "" => Some(0),
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => number.parse().ok(),
        _ => None,
    };
    let Some(database) = database else {
        let help = "end with the port or the name, or write a number as in `/2`";
        return mistake("does not end with the number of a database", help);
    };
    Ok(EngineUrl { tls, hosts, name, database })
}

/// A host and perhaps a port.
fn host(text: &str, example: &'static str) -> Result<(String, Option<u16>), Mistake> {
    match Url::parse(&format!("redis://{text}")) {
        Err(error) => mistake(format!("is not a URL ({error})"), example),
        Ok(url) => match url.host_str().filter(|host| !host.is_empty()) {
            Some(host) if url.port() != Some(0) => {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                Ok((host.to_owned(), url.port()))
            }
            _ => mistake("has no host, or no port that can be", example),
        },
    }
}

/// What the keys of an engine begin with.
pub(super) fn key_prefix(entry: &Entry<'_>, findings: &mut Findings) -> Option<String> {
    let text = values::text(entry, findings)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    if text.chars().all(is_plain) && text.len() <= LONGEST_PREFIX {
        return Some(text);
    }
    let message = format!("`{}` cannot begin keys: {}", entry.name, shown(&text));
    let help = format!(
        "write at most {LONGEST_PREFIX} letters (a to z), digits, and `-`, `_`, `.`, `:` or `/`"
    );
    findings.problem(entry.node.span, message, help);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(hosts: &[(&str, Option<u16>)], name: Option<&str>, database: u16) -> EngineUrl {
        let hosts = hosts.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect();
        EngineUrl { tls: false, hosts, name: name.map(str::to_owned), database }
    }

    #[test]
    fn urls_of_servers_and_of_sentinels_are_read() {
        for (text, read_as) in [
            ("redis://a", url(&[("a", None)], None, 0)),
            ("REDIS://a:7/", url(&[("a", Some(7))], None, 0)),
            ("redis://[::1]:7/12", url(&[("::1", Some(7))], None, 12)),
            ("redis-sentinel://a/radio", url(&[("a", None)], Some("radio"), 0)),
            (
                "redis-sentinel://a:1,[::1],b:2/my-radio.1/3",
                url(&[("a", Some(1)), ("::1", None), ("b", Some(2))], Some("my-radio.1"), 3),
            ),
        ] {
            assert_eq!(read(text).unwrap(), read_as, "{text}");
        }
        assert!(read("rediss://a").unwrap().tls && read("rediss-sentinel://a/b").unwrap().tls);
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        for text in [
            "redis://",
            "redis://a:0",
            "redis://a:65536",
            "redis://a/1/2",
            "redis://a/65536",
            "redis://a,b",
            "redis://a b",
            "redis-cluster://a",
            "redis-sentinel://a",
            "redis-sentinel://a/",
            "redis-sentinel://a,/radio",
            "redis-sentinel://a/ra dio",
            "redis-sentinel://a/radio/x",
            "redis-sentinel://a/radio?db=1",
            "http://a",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
