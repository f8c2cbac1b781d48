//! What somebody wants to see of the page, as its address says it.

use url::form_urlencoded::{Serializer, parse};

/// What somebody wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// Only streams and relays that have this in their names, in lower case.
    pub(super) filter: String,
    /// Only what is wrong.
    pub(super) trouble: bool,
    /// Only this stream, or pattern, and more of it.
    pub(super) stream: Option<String>,
    /// Which page of the streams, or of what belongs to the only one; from 0.
    pub(super) streams: usize,
    /// Which page of the relays; from 0.
    pub(super) relays: usize,
}

/// More of what is looked for is not looked at.
const LONGEST_FILTER: usize = 200;

impl View {
    /// What a query says. What it does not say well is left out.
    pub fn of(query: &str) -> Self {
        let mut view = Self::default();
        for (key, value) in parse(query.as_bytes()) {
            let page = || value.parse::<usize>().unwrap_or(1).clamp(1, 1_000_000) - 1;
            match &*key {
                "q" => {
                    view.filter = value.trim().chars().take(LONGEST_FILTER).collect();
                }
                "trouble" => view.trouble = value == "1",
                "stream" if !value.is_empty() => view.stream = Some(value.into_owned()),
                "page" => view.streams = page(),
                "relays" => view.relays = page(),
                _ => {}
            }
        }
        view
    }

    /// One stream and all that belongs to it.
    pub(super) fn of_stream(path: &str) -> Self {
        Self { stream: Some(path.to_owned()), ..Self::default() }
    }

    /// Everything that has this in its name.
    pub(super) fn searching(text: &str) -> Self {
        Self { filter: text.to_owned(), ..Self::default() }
    }

    pub(super) fn at_streams(&self, page: usize) -> Self {
        Self { streams: page, ..self.clone() }
    }

    pub(super) fn at_relays(&self, page: usize) -> Self {
        Self { relays: page, ..self.clone() }
    }

    /// Whether nothing is left out that the plain page shows.
    pub(super) fn is_plain(&self) -> bool {
        self.filter.is_empty() && !self.trouble && self.stream.is_none()
    }

    /// Whether a name is looked for, whatever its case.
    pub(super) fn looks_for(&self, name: &str) -> bool {
        self.filter.is_empty() || name.to_lowercase().contains(&self.filter.to_lowercase())
    }

    /// Its address, relative to the page's.
    pub(super) fn link(&self) -> String {
        let mut query = Serializer::new(String::new());
        if !self.filter.is_empty() {
            query.append_pair("q", &self.filter);
        }
        if self.trouble {
            query.append_pair("trouble", "1");
        }
        if let Some(stream) = &self.stream {
            query.append_pair("stream", stream);
        }
        for (key, page) in [("page", self.streams), ("relays", self.relays)] {
            if page > 0 {
                query.append_pair(key, &(page + 1).to_string());
            }
        }
        let query = query.finish();
        if query.is_empty() { ".".to_owned() } else { format!("?{query}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_address_says_is_what_it_was_made_of() {
        for view in [
            View::default(),
            View::searching("vienna & <co>"),
            View::of_stream("/talks/ä b?c=d#e"),
            View { trouble: true, streams: 3, relays: 1, ..View::default() },
        ] {
            assert_eq!(View::of(view.link().trim_start_matches(['.', '?'])), view);
        }
    }

    #[test]
    fn nonsense_in_an_address_is_left_out() {
        for query in ["page=0", "page=-1", "page=x", "relays=", "stream=", "%FF=%FF", "&&==", "q="]
        {
            assert_eq!(View::of(query), View::default(), "{query}");
        }
        assert_eq!(View::of(&format!("q={}", "x".repeat(10_000))).filter.len(), 200);
        assert_eq!(View::of("page=18446744073709551615").streams, 999_999);
    }

    #[test]
    fn names_are_looked_for_whatever_their_case() {
        assert!(View::searching("ViEn").looks_for("vienna"));
        assert!(!View::searching("graz").looks_for("vienna"));
    }
}
