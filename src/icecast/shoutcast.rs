//! SHOUTcast's statistics, for relays that are not Icecasts: `/statistics` of version 2, and the
//! `/7.html` of version 1.
//!
//! Neither needs a password. Version 2 tells each of its streams with its path; version 1 has one
//! stream for a port, which every program gets under [`ONLY_MOUNT`].

use super::xml::{self, Kind, Tag};
use super::{Activity, Malformed, MountReport, Report, listing::Listing, number};

/// The path of the one stream that SHOUTcast 1 has. A bare `/` is its web page for some players.
pub const ONLY_MOUNT: &str = "/;";

/// Reads `/statistics` of SHOUTcast 2. A stream without a source is not listed.
pub fn statistics(body: &[u8]) -> Result<Report, Malformed> {
    let hint = "is this the /statistics of a SHOUTcast 2?";
    let (_, tags) = xml::open(body, &["SHOUTCASTSERVER"], hint)?;
    let mut listing = Listing::default();
    // Elements that are open below the root: a server's own limit stands at 1, a stream's values at 2.
    let mut depth = 0;
    let mut shared = String::new();
    let mut stream: Option<Stream> = None;
    for tag in tags {
        match (tag.kind, tag.name) {
            (Kind::Start, b"STREAM") => {
                stream = Some(Stream::default());
                depth = 2;
            }
            (Kind::End, b"STREAM") => {
                if let Some(mount) = stream.take().and_then(|stream| stream.into_report(&shared)) {
                    listing.add(mount);
                }
                depth = 1;
            }
            (Kind::Start, name) => {
                match (depth, stream.as_mut()) {
                    (1, None) if name == b"MAXLISTENERS" => shared = tag.text().into_owned(),
                    (2, Some(stream)) => stream.learn(&tag),
                    _ => {}
                }
                depth += 1;
            }
            (Kind::End, _) => depth = usize::saturating_sub(depth, 1),
            (Kind::Empty, _) => {}
        }
    }
    Ok(listing.into_report(None))
}

/// Reads `/7.html` of SHOUTcast 1: seven values with commas between them, of which the last, the
/// title, may hold anything.
pub fn seven(body: &[u8]) -> Result<Report, Malformed> {
    let text = String::from_utf8_lossy(body);
    let [listeners, status, most] = values(&text).ok_or_else(|| {
        let hint = "is this the /7.html of a SHOUTcast?";
        Malformed(format!("expected seven values with commas between them, found none: {hint}"))
    })?;
    let mut listing = Listing::default();
    let stream = Stream {
        path: ONLY_MOUNT.to_owned(),
        listeners: number::count(listeners),
        most: most.to_owned(),
        has_source: status.trim() == "1",
    };
    if let Some(mount) = stream.into_report("") {
        listing.add(mount);
    }
    Ok(listing.into_report(None))
}

/// What the values stand behind.
const BODY: &[u8] = b"<body>";

/// Listeners, status and limit; the peak stands between the latter.
fn values(text: &str) -> Option<[&str; 3]> {
    // The first, in whatever case: another may stand in the title.
    let is_body = |tag: &[u8]| tag.eq_ignore_ascii_case(BODY);
    let begin = text.as_bytes().windows(BODY.len()).position(is_body)?;
    let inside = text.get(begin + BODY.len()..)?;
    let mut values = inside.splitn(7, ',');
    let found = [values.next()?, values.next()?, values.nth(1)?];
    // Seven there are, or it is another page; the first of them are numbers.
    values.nth(2)?;
    found.iter().all(|value| number::count(value).is_some()).then_some(found)
}

/// A stream that has not ended yet.
#[derive(Default)]
struct Stream {
    path: String,
    listeners: Option<u64>,
    most: String,
    has_source: bool,
}

impl Stream {
    fn learn(&mut self, tag: &Tag<'_>) {
        match tag.name {
            b"STREAMPATH" => tag.text().trim().clone_into(&mut self.path),
            b"CURRENTLISTENERS" => self.listeners = number::count(&tag.text()),
            b"MAXLISTENERS" => self.most = tag.text().into_owned(),
            b"STREAMSTATUS" => self.has_source = tag.text().trim() == "1",
            _ => {}
        }
    }

    /// `shared` is the limit of the whole server, which holds where a stream has none (0).
    fn into_report(self, shared: &str) -> Option<MountReport> {
        let most = if self.most.trim() == "0" { shared } else { &self.most };
        self.has_source.then(|| MountReport {
            limit: number::limit(most, self.listeners),
            name: self.path,
            listeners: self.listeners,
            activity: Activity::Active,
            bytes: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::icecast::Limit;

    fn server(inside: &str) -> Vec<MountReport> {
        let document =
            format!("<SHOUTCASTSERVER><STREAMSTATS>{inside}</STREAMSTATS></SHOUTCASTSERVER>");
        statistics(document.as_bytes()).unwrap().mounts
    }

    fn stream(inside: &str) -> String {
        format!(
            "<STREAM id=\"1\"><STREAMSTATUS>1</STREAMSTATUS><STREAMPATH>/stream</STREAMPATH>\
             {inside}</STREAM>"
        )
    }

    fn page(values: &str) -> Result<Vec<MountReport>, Malformed> {
        let page = format!("<HTML><meta http-equiv=\"Pragma\"></head><body>{values}</body></html>");
        seven(page.as_bytes()).map(|report| report.mounts)
    }

    fn one(name: &str, listeners: u64, limit: Limit) -> MountReport {
        MountReport {
            name: name.to_owned(),
            listeners: Some(listeners),
            limit,
            activity: Activity::Active,
            bytes: None,
        }
    }

    #[test]
    fn a_stream_tells_its_path_its_listeners_and_its_limit() {
        let inside = "<CURRENTLISTENERS>7</CURRENTLISTENERS><MAXLISTENERS>32</MAXLISTENERS>";
        assert_eq!(server(&stream(inside)), [one("/stream", 7, Limit::Listeners(32))]);
    }

    #[test]
    fn a_stream_without_a_limit_has_the_servers() {
        let inside = "<CURRENTLISTENERS>7</CURRENTLISTENERS><MAXLISTENERS>0</MAXLISTENERS>";
        let document = format!(
            "<MAXLISTENERS>512</MAXLISTENERS><PEAKLISTENERS>9</PEAKLISTENERS>{}",
            stream(inside)
        );
        assert_eq!(server(&document), [one("/stream", 7, Limit::Listeners(512))]);
    }

    #[test]
    fn a_servers_own_numbers_are_no_streams() {
        let document = format!(
            "<CURRENTLISTENERS>99</CURRENTLISTENERS>{}",
            stream("<CURRENTLISTENERS>7</CURRENTLISTENERS>")
        );
        assert_eq!(server(&document)[0].listeners, Some(7));
    }

    #[test]
    fn a_stream_without_a_source_is_not_listed() {
        let silent = stream("").replace("<STREAMSTATUS>1", "<STREAMSTATUS>0");
        assert_eq!(server(&silent), []);
        assert_eq!(server("<STREAM id=\"1\"><STREAMPATH>/stream</STREAMPATH></STREAM>"), []);
    }

    #[test]
    fn a_title_cannot_forge_a_stream() {
        let inside = "<SONGTITLE>&lt;/STREAM&gt;&lt;STREAM&gt;</SONGTITLE><CURRENTLISTENERS>7\
                      </CURRENTLISTENERS><SONGURL><CURRENTLISTENERS>9</CURRENTLISTENERS></SONGURL>";
        assert_eq!(server(&stream(inside))[0].listeners, Some(7));
    }

    #[test]
    fn the_page_of_version_1_tells_its_only_stream() {
        assert_eq!(
            page("10,1,20,100,9,128,Artist - Title"),
            Ok(vec![one("/;", 10, Limit::Listeners(100))])
        );
    }

    #[test]
    fn a_title_may_hold_commas_markup_and_no_text_at_all() {
        for title in ["a, b, c", "</body><body>1,1,1,1,1,1,x", "", "\u{1}\u{fffd}"] {
            let expected = vec![one("/;", 10, Limit::Listeners(100))];
            assert_eq!(page(&format!("10,1,20,100,9,128,{title}")), Ok(expected), "{title}");
        }
        let capitals = seven(b"<BODY>10,1,20,100,9,128,<body>1,1,1,1,1,1,x</BODY>").unwrap();
        assert_eq!(capitals.mounts[0].listeners, Some(10));
        let no_text = seven(b"<body>10,1,20,100,9,128,\xff\xfe</body>").unwrap();
        assert_eq!(no_text.mounts[0].listeners, Some(10));
    }

    #[test]
    fn version_1_without_a_source_has_no_mount() {
        assert_eq!(page("0,0,20,100,0,0,"), Ok(vec![]));
    }

    #[test]
    fn another_page_is_refused() {
        for other in ["", "<body></body>", "<body>hello, world</body>", "1,1,1,1,1,1,x"] {
            assert!(seven(other.as_bytes()).is_err(), "{other}");
        }
        for values in ["1,1,1,1", "one,1,2,3,4,5,x", "1,,2,3,4,5,x", "1,1,2,many,4,5,x"] {
            assert!(page(values).is_err(), "{values}");
        }
        assert!(statistics(b"<html><body>SHOUTcast</body></html>").is_err());
    }
}
