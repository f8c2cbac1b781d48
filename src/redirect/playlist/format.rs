//! How a list is written: as M3U, PLS, XSPF or JSON.

use quick_xml::escape::escape;

use super::List;

/// A format of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::redirect) enum Format {
    /// One URL a line, with titles between them.
    M3u,
    /// Winamp's, which is an INI file.
    Pls,
    /// XML, by <https://xspf.org/spec>.
    Xspf,
    /// For programs: the relays' names and free slots as well.
    Json,
}

impl Format {
    /// The format that the end of `path` asks for, and the path before it.
    pub(in crate::redirect) fn by_suffix(path: &str) -> Option<(&str, Self)> {
        let formats = [(".m3u", Self::M3u), (".pls", Self::Pls), (".xspf", Self::Xspf)];
        formats.into_iter().find_map(|(suffix, format)| Some((path.strip_suffix(suffix)?, format)))
    }

    /// What it is called in `Content-Type`. Players compare it, so that it has no parameters.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::M3u => "audio/x-mpegurl",
            Self::Pls => "audio/x-scpls",
            Self::Xspf => "application/xspf+xml",
            Self::Json => "application/json",
        }
    }

    pub(super) fn write(self, list: &List<'_>) -> String {
        match self {
            Self::M3u => m3u(list),
            Self::Pls => pls(list),
            Self::Xspf => xspf(list),
            Self::Json => json(list),
        }
    }
}

impl List<'_> {
    /// Everything that can be played, in the order in which it should be tried.
    fn urls(&self) -> impl Iterator<Item = &str> {
        self.url.iter().chain(self.relays.iter().map(|relay| &relay.url)).map(String::as_str)
    }
}

/// A path has no control characters and a URL is printable ASCII, so that neither ends its line.
fn m3u(list: &List<'_>) -> String {
    let mut text = "#EXTM3U\n".to_owned();
    for url in list.urls() {
        text.extend(["#EXTINF:-1,", list.stream, "\n", url, "\n"]);
    }
    text
}

fn pls(list: &List<'_>) -> String {
    let mut text = format!("[playlist]\nNumberOfEntries={}\n", list.urls().count());
    for (number, url) in (1..).zip(list.urls()) {
        let number: &str = &i32::to_string(&number);
        text.extend(["File", number, "=", url, "\nTitle", number, "=", list.stream]);
        text.extend(["\nLength", number, "=-1\n"]);
    }
    text.push_str("Version=2\n");
    text
}

fn xspf(list: &List<'_>) -> String {
    // Two characters that a path may have, and XML may not.
    let title = list.stream.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
    let title = escape(&title);
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <playlist version=\"1\" xmlns=\"http://xspf.org/ns/0/\">\n\
         <title>{title}</title>\n<trackList>\n"
    );
    for url in list.urls() {
        let url = escape(url);
        let track = ["<track><location>", &url, "</location><title>", &title, "</title></track>\n"];
        text.extend(track);
    }
    text.push_str("</trackList>\n</playlist>\n");
    text
}

fn json(list: &List<'_>) -> String {
    // Text, numbers and lists of them: there is nothing in it that could not be written.
    serde_json::to_string(list).map(|text| text + "\n").unwrap_or_default()
}
