//! URLs of servers and fallbacks, paths of streams and mounts.
//!
//! As in [`values`], every reader gives `None` after it has reported what is wrong.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::config::fields::Entry;
use crate::config::findings::Findings;
use crate::config::source::At;
use crate::config::suggest::shown;
use crate::config::values;
use crate::config::yaml::{Kind, Scalar};

/// The URL of a server: a host, perhaps a port and a path prefix, nothing else.
pub(super) fn server_url(entry: &Entry<'_>, findings: &mut Findings) -> Option<Url> {
    base_url(entry, "paths go into the streams' `mounts`", findings)
}

/// The URL that players know us by: the same.
pub(super) fn public_url(entry: &Entry<'_>, findings: &mut Findings) -> Option<Url> {
    base_url(entry, "the streams' paths and players' queries are added to it", findings)
}

/// A URL that paths are added to.
fn base_url(entry: &Entry<'_>, advice: &str, findings: &mut Findings) -> Option<Url> {
    let mut url = url(entry, findings)?;
    if url.query().is_some() || url.fragment().is_some() {
        let message = format!("`{}` must not have a query or a fragment", entry.name);
        let help = format!("remove `?` and `#` and what follows; {advice}");
        findings.problem(entry.node.span, message, help);
        return None;
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Some(url)
}

/// An absolute http or https URL without credentials.
pub(super) fn url(entry: &Entry<'_>, findings: &mut Findings) -> Option<Url> {
    let text = match values::scalar(entry, findings)? {
        Scalar { text: number, kind } if *kind != Kind::Text => number.clone(),
        _ => values::text(entry, findings)?,
    };
    let checked = checked_url(&text).map_err(|error| {
        // What stands before the `@` of a URL that cannot be read may be a password.
        if text.contains('@') { UrlError::Credentials } else { error }
    });
    let (message, help) = match checked {
        Ok(url) => return Some(url),
        Err(UrlError::Scheme) => {
            let host = text.split("://").last().unwrap_or(&text).trim_start_matches('/');
            let is_host = host.contains('.') && !host.contains(char::is_whitespace);
            let host = if is_host { host } else { "vienna.example.org:8000" };
            let help = format!("write the whole URL, for example http://{host}");
            (format!("is not an http or https URL: {}", shown(&text)), help)
        }
        Err(UrlError::Credentials) => {
            let message = format!("`{}` must not contain a user or a password", entry.name);
            let help = "credentials for the statistics go into `stats` of the server";
            findings.secret_problem(entry.node.span, message, help);
            return None;
        }
        Err(UrlError::Malformed(why)) => (
            format!("is not a URL ({why}): {}", shown(&text)),
            "write it like http://vienna.example.org:8000".to_owned(),
        ),
    };
    findings.problem(entry.node.span, format!("`{}` {message}", entry.name), help);
    None
}

/// Why a URL is refused.
enum UrlError {
    Scheme,
    Credentials,
    Malformed(String),
}

fn checked_url(text: &str) -> Result<Url, UrlError> {
    // The URL standard repairs what browsers meet; a configuration says what it means.
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(UrlError::Credentials);
    }
    if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return Err(UrlError::Scheme);
    }
    if text.contains(|c: char| c.is_whitespace() || c == '\\') {
        return Err(UrlError::Malformed("it contains a space or a backslash".into()));
    }
    if authority.is_empty() {
        return Err(UrlError::Malformed("it has no host".into()));
    }
    let url = Url::parse(text).map_err(|error| UrlError::Malformed(error.to_string()))?;
    if url.port() == Some(0) {
        return Err(UrlError::Malformed("port 0 is no port".into()));
    }
    // The standard lets these stand in a name, and they would stand in `Location`; who reads a URL by
    // RFC 3986, as many players do, takes none that has them.
    let mut host = url.host_str().unwrap_or_default().chars();
    if let Some(mark) = host.find(|mark| "\"`{}".contains(*mark)) {
        return Err(UrlError::Malformed(format!("no host has {mark:?} in its name")));
    }
    Ok(url)
}

/// Whether a path stands for every mount under a prefix.
pub(super) fn is_pattern(path: &str) -> bool {
    path.ends_with("/*")
}

/// The path of a stream or mount, percent-decoded.
pub(super) fn path(entry: &Entry<'_>, findings: &mut Findings) -> Option<String> {
    let text = values::text(entry, findings)?;
    decoded_path(&At { value: text, span: entry.node.span }, &entry.name, findings)
}

/// The path that is written as `written`, percent-decoded.
pub(super) fn decoded_path(
    written: &At<String>,
    name: &str,
    findings: &mut Findings,
) -> Option<String> {
    let bytes = written.value.as_bytes();
    let half_escape = written.value.match_indices('%').any(|(at, _)| {
        let digits = bytes.get(at + 1..at + 3);
        digits.is_none_or(|digits| !digits.iter().all(u8::is_ascii_hexdigit))
    });
    let decoded = percent_decode_str(&written.value).decode_utf8();
    let (wrong, help) = match decoded {
        _ if !written.value.starts_with('/') => {
            let help = format!("write {}", shown(&format!("/{}", written.value)));
            ("must begin with a slash", help)
        }
        _ if half_escape => {
            ("has a `%` without two hexadecimal digits", "write %25 for a %".into())
        }
        Err(_) => ("is not UTF-8 when percent-decoded", "write the characters themselves".into()),
        Ok(path) if path.contains(char::is_control) => {
            ("contains a control character", "remove it".into())
        }
        Ok(path) if path.contains(['?', '#']) => {
            ("contains `?` or `#`", "a path ends before them; players' queries are kept".into())
        }
        Ok(path) if path.split('/').any(|part| matches!(part, "." | "..")) => {
            ("contains `.` or `..` as a part", "write the path without them".into())
        }
        Ok(path) => return Some(path.into_owned()),
    };
    let message = format!("path {} of `{name}` {wrong}", shown(&written.value));
    findings.problem(written.span, message, help);
    None
}
