//! Lists of relays: what stands in one is the stream's own URL, URLs that were configured for it,
//! and the request's query; every line around them is known beforehand.

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, header};
use icecast_balancer::fleet::Stream;
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The longest list with more than one entry, in bytes.
const MOST_BYTES: usize = 32 * 1024;

/// The entry of a list before it is taken apart.
type Urls = Vec<String>;

/// Holds a list of the relays of `stream` to have nothing in it but `bases`, all with `query`, and
/// the stream itself at the host that was asked.
pub(crate) fn assert_list(
    headers: &HeaderMap,
    body: &str,
    head: &Parts,
    stream: &Stream,
    bases: &[String],
    query: Option<&str>,
) {
    let urls = match headers[CONTENT_TYPE].to_str() {
        Ok("audio/x-mpegurl") => m3u(body, &stream.path),
        Ok("audio/x-scpls") => pls(body, &stream.path),
        Ok("application/xspf+xml") => xspf(body, &stream.path),
        Ok("application/json") => json(body, &stream.path),
        other => panic!("a list that is {other:?}"),
    };
    assert!(!urls.is_empty(), "an empty list");
    assert!(urls.len() == 1 || body.len() <= MOST_BYTES, "{} bytes", body.len());
    for (at, url) in urls.iter().enumerate() {
        if at > 0 || !is_own(url, head, &stream.path, query) {
            super::redirect::assert_configured(url, bases, query);
        }
    }
}

/// Whether a URL is the stream's at the host that was asked, in the plain words of the request.
pub fn is_own(url: &str, head: &Parts, path: &str, query: Option<&str>) -> bool {
    let told = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = head.uri.authority().map(http::uri::Authority::as_str).or(told);
    let Some(host) = host.filter(|host| !host.contains(['@', '/', '?', '#', ',', ' '])) else {
        return false;
    };
    let Some(rest) = url.strip_prefix("http://").and_then(|rest| rest.strip_prefix(host)) else {
        return false;
    };
    let (here, asked) = rest.split_once('?').map_or((rest, None), |(here, q)| (here, Some(q)));
    rest.bytes().all(|byte| byte.is_ascii_graphic())
        && here.starts_with('/')
        && !here.contains('#')
        && percent_decode_str(here).decode_utf8().is_ok_and(|decoded| decoded == path)
        && asked == query
}

fn m3u(body: &str, title: &str) -> Urls {
    let lines: Vec<_> = body.strip_suffix('\n').expect("whole lines").split('\n').collect();
    let (first, entries) = lines.split_first().expect("a line");
    assert_eq!(*first, "#EXTM3U");
    let about = format!("#EXTINF:-1,{title}");
    entries.chunks(2).map(|entry| url_after(entry, &about)).collect()
}

fn url_after(entry: &[&str], about: &str) -> String {
    let [first, url] = entry else { panic!("half an entry: {entry:?}") };
    assert_eq!(*first, about);
    (*url).to_owned()
}

fn pls(body: &str, title: &str) -> Urls {
    let inside = body.strip_prefix("[playlist]\nNumberOfEntries=").expect("the beginning");
    let inside = inside.strip_suffix("\nVersion=2\n").expect("the end");
    let mut lines = inside.split('\n');
    let count: usize = lines.next().and_then(|count| count.parse().ok()).expect("a number");
    let urls: Urls = (1..=count)
        .map(|number| {
            let url = lines.next().and_then(|line| line.strip_prefix(&format!("File{number}=")));
            assert_eq!(lines.next(), Some(&*format!("Title{number}={title}")));
            assert_eq!(lines.next(), Some(&*format!("Length{number}=-1")));
            url.expect("an entry's URL").to_owned()
        })
        .collect();
    assert_eq!(lines.next(), None, "as many as were announced");
    urls
}

fn xspf(body: &str, title: &str) -> Urls {
    let title = escaped(title);
    let before = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <playlist version=\"1\" xmlns=\"http://xspf.org/ns/0/\">\n\
         <title>{title}</title>\n<trackList>\n"
    );
    let inside = body.strip_prefix(&before).expect("the beginning");
    let inside = inside.strip_suffix("</trackList>\n</playlist>\n").expect("the end");
    let end = format!("</location><title>{title}</title></track>");
    let lines = inside.lines().map(|line| {
        let url = line.strip_prefix("<track><location>").and_then(|line| line.strip_suffix(&end));
        let url = url.unwrap_or_else(|| panic!("a strange track: {line}"));
        let plain = unescaped(url);
        assert_eq!(escaped(&plain), url, "every character that means something is escaped");
        plain
    });
    lines.collect()
}

const ENTITIES: [(&str, &str); 5] =
    [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&apos;"), ("\"", "&quot;")];

fn escaped(text: &str) -> String {
    ENTITIES.iter().fold(text.to_owned(), |text, (plain, entity)| text.replace(plain, entity))
}

fn unescaped(text: &str) -> String {
    ENTITIES.iter().rev().fold(text.to_owned(), |text, (plain, entity)| text.replace(entity, plain))
}

fn json(body: &str, title: &str) -> Urls {
    let list: Value = serde_json::from_str(body).expect("JSON");
    let list = list.as_object().expect("an object");
    let keys: Vec<_> = list.keys().map(String::as_str).collect();
    assert_eq!(keys, ["refusal", "relays", "stream", "url"]);
    assert_eq!(list["stream"], title);
    let relays = list["relays"].as_array().expect("a list of relays");
    let url = |value: &Value| value.as_str().expect("a URL").to_owned();
    let own = Some(&list["url"]).filter(|url| !url.is_null()).map(url);
    own.into_iter().chain(relays.iter().map(|relay| url(&relay["url"]))).collect()
}
