//! The URLs of mounts and streams.

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use url::Url;

/// What stands in the path of a URL for itself.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// The absolute URL of what stands at `path`, percent-decoded, on the server at `base`.
pub fn of_mount(base: &Url, path: &str) -> String {
    format!("{}{}", base.as_str().trim_end_matches('/'), in_url(path))
}

/// A percent-decoded path as it is written in a URL: printable ASCII.
pub fn in_url(path: &str) -> PercentEncode<'_> {
    utf8_percent_encode(path, PATH)
}

/// The same, ready to be a `Location`.
pub(super) fn location(base: &Url, path: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&of_mount(base, path)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_stands_beneath_its_server() {
        let of = |base: &str, path: &str| of_mount(&base.parse().unwrap(), path);
        assert_eq!(of("http://relay.example:8000", "/a.ogg"), "http://relay.example:8000/a.ogg");
        assert_eq!(
            of("https://cdn.example/radio/", "/hls/live.m3u8"),
            "https://cdn.example/radio/hls/live.m3u8"
        );
    }

    #[test]
    fn what_has_a_meaning_in_a_url_has_none_in_a_path() {
        let url = of_mount(&"http://relay.example".parse().unwrap(), "/a b?c#d%e/ü.mp3");
        assert_eq!(url, "http://relay.example/a%20b%3Fc%23d%25e/%C3%BC.mp3");
    }
}
