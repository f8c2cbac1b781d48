//! `/status-json.xsl`: public everywhere, but it hides limits and breaks over odd titles.
//!
//! A stylesheet writes this JSON and decides by a text's looks whether it needs quotes: a stream
//! entitled `-` or `12.` makes the whole document invalid, a control character in a title does so
//! too, and right after Icecast has started a brace is missing. None of that may take a relay out
//! of service, so a document that is no JSON is read again by its tokens alone.

mod tolerant;

use serde_json::Value;

use super::{Activity, Limit, Malformed, MountReport, Report, listing::Listing, number};

/// Reads `/status-json.xsl`. Limits are not told; hidden mounts are not listed.
pub fn status_json(body: &[u8]) -> Result<Report, Malformed> {
    let sources = match serde_json::from_slice(body) {
        Ok(document) => sources(&document)?,
        Err(_) => tolerant::sources(body)?,
    };
    let mut listing = Listing::default();
    for mount in sources.iter().filter_map(Source::report) {
        listing.add(mount);
    }
    Ok(listing.into_report(None))
}

/// What the document says about one mount, each as text; empty where it says nothing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Source {
    listenurl: String,
    listeners: String,
    started: bool,
}

impl Source {
    /// `None` where no mount is named.
    fn report(&self) -> Option<MountReport> {
        Some(MountReport {
            name: mount_in(&self.listenurl)?.to_owned(),
            listeners: number::count(&self.listeners),
            limit: Limit::Unknown,
            activity: if self.started { Activity::Active } else { Activity::Idle },
            bytes: None,
        })
    }
}

/// The sources of a document that is proper JSON: absent, one object, or an array.
fn sources(document: &Value) -> Result<Vec<Source>, Malformed> {
    let Some(icestats) = document.get("icestats").filter(|icestats| icestats.is_object()) else {
        return Err(not_icestats());
    };
    let of_object = |source: &Value| Source {
        listenurl: text(source.get("listenurl")),
        listeners: text(source.get("listeners")),
        started: !text(source.get("stream_start")).is_empty(),
    };
    Ok(match icestats.get("source") {
        Some(Value::Array(sources)) => sources.iter().map(of_object).collect(),
        Some(source) => vec![of_object(source)],
        None => Vec::new(),
    })
}

/// A value as the relay had it before the stylesheet guessed its type.
fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// The mount in `http://host:port/mount`. Icecast writes it there URL-decoded, so that it may hold
/// anything; host and port are what the relay thinks of itself, and often wrong.
fn mount_in(listenurl: &str) -> Option<&str> {
    let (_, location) = listenurl.split_once("://")?;
    location.get(location.find('/')?..)
}

fn not_icestats() -> Malformed {
    let hint = "is this the /status-json.xsl of an Icecast?";
    Malformed(format!("expected a JSON object \"icestats\", found none: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts_of(sources: &str) -> Vec<MountReport> {
        let document = format!("{{\"icestats\":{{\"host\":\"h\",\"source\":{sources}}}}}");
        status_json(document.as_bytes()).unwrap().mounts
    }

    fn listeners_beside(listeners: &str) -> Option<u64> {
        let source = format!("{{\"listeners\":{listeners},\"listenurl\":\"http://h:1/a\"}}");
        mounts_of(&source)[0].listeners
    }

    #[test]
    fn no_source_is_no_mount() {
        assert_eq!(
            status_json(b"{\"icestats\":{\"host\":\"h\",\"dummy\":null}}"),
            Ok(Report::default())
        );
    }

    #[test]
    fn one_source_is_an_object() {
        assert_eq!(
            mounts_of(
                r#"{"listeners":3,"listenurl":"http://h:8000/a","stream_start":"Mon, 23 Nov"}"#
            ),
            [MountReport {
                name: "/a".to_owned(),
                listeners: Some(3),
                limit: Limit::Unknown,
                activity: Activity::Active,
                bytes: None,
            }]
        );
    }

    #[test]
    fn several_sources_are_an_array_with_holes() {
        let mounts =
            mounts_of(r#"[{"listenurl":"http://h/a"},null,{"x":1},{"listenurl":"http://h/b"}]"#);
        let names: Vec<_> = mounts.iter().map(|mount| mount.name.as_str()).collect();
        assert_eq!(names, ["/a", "/b"]);
    }

    #[test]
    fn a_source_that_has_not_started_is_idle() {
        for start in ["", r#","stream_start":null"#, r#","stream_start":"""#] {
            let source = format!("{{\"listenurl\":\"http://h/a\"{start}}}");
            assert_eq!(mounts_of(&source)[0].activity, Activity::Idle, "{start}");
        }
    }

    #[test]
    fn the_mount_is_what_follows_the_authority_as_it_stands() {
        assert_eq!(mount_in("http://h:8000/sp ace.mp3"), Some("/sp ace.mp3"));
        assert_eq!(mount_in("https://[::1]:8000/a?b://c#d%20"), Some("/a?b://c#d%20"));
        assert_eq!(mount_in("http://h:8000"), None);
        assert_eq!(mount_in("/a"), None);
        assert_eq!(mount_in(""), None);
    }

    #[test]
    fn listeners_are_numbers_in_any_dress() {
        assert_eq!(listeners_beside("3"), Some(3));
        assert_eq!(listeners_beside("\"007\""), Some(7));
        assert_eq!(listeners_beside("-3"), Some(0));
        for absurd in ["null", "true", "[]", "{}", "\"\"", "1.5", "1e308", "99999999999999999999"] {
            assert_eq!(listeners_beside(absurd), None, "{absurd}");
        }
    }

    #[test]
    fn other_json_is_refused() {
        for document in ["{}", "[]", "null", "3", r#"{"icestats":null}"#, r#"{"error":"no"}"#] {
            let refusal = status_json(document.as_bytes()).unwrap_err();
            assert_eq!(
                refusal.to_string(),
                "expected a JSON object \"icestats\", found none: is this the /status-json.xsl of \
                 an Icecast?",
                "{document}"
            );
        }
    }

    #[test]
    fn a_title_costs_nothing_whatever_it_is() {
        let valid = mounts_of(r#"{"listeners":3,"listenurl":"http://h/a","stream_start":"x"}"#);
        for title in ["12.", ".5", "-.5", "-01", "1e", "-", " - ", "1e400", "\"a\u{1}\u{1b}b\""] {
            let source = format!(
                "{{\"listeners\":3,\"listenurl\":\"http://h/a\",\"title\":{title},\
                 \"stream_start\":\"x\"}}"
            );
            assert!(serde_json::from_str::<Value>(&source).is_err(), "{title} is a fair title");
            assert_eq!(mounts_of(&source), valid, "{title}");
        }
    }
}
