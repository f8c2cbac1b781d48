//! What messages quote from a file, and names that were perhaps meant.

/// Longer names are not compared: it would take long and help nobody.
const MAX_COMPARED: usize = 64;

/// The most characters of a value that a message quotes.
const MAX_SHOWN: usize = 60;

/// The name among `known` that `name` is most likely a slip of.
pub(crate) fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_COMPARED {
        return None;
    }
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .filter(|known| known.len() <= MAX_COMPARED)
        .map(|known| {
            let beginning = name.len() >= 3 && known.starts_with(name);
            (if beginning { 1 } else { strsim::damerau_levenshtein(name, known) }, known)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// `did you mean "vienna"?`, or else the names there are.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    what: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> String {
    const LISTED: usize = 8;
    if let Some(name) = closest(name, known.clone()) {
        return format!("did you mean {}?", shown(name));
    }
    let listed: Vec<String> = known.clone().take(LISTED).map(shown).collect();
    let more = if known.count() > LISTED { ", …" } else { "" };
    if listed.is_empty() {
        format!("there are no {what} yet")
    } else {
        format!("the {what} are {}{more}", listed.join(", "))
    }
}

/// A text from the file as messages quote it: in quotes, cut, on one line.
pub(crate) fn shown(text: &str) -> String {
    let mut quote = String::new();
    for c in text.chars().take(MAX_SHOWN) {
        if c.is_control() {
            quote.extend(c.escape_default());
        } else {
            quote.push(c);
        }
    }
    let more = if text.chars().nth(MAX_SHOWN).is_some() { "…" } else { "" };
    format!("\"{quote}{more}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name() {
        assert_eq!(closest("capcity", ["url", "capacity"]), Some("capacity"));
        assert_eq!(closest("vinena", ["berlin", "vienna"]), Some("vienna"));
    }

    #[test]
    fn a_different_name_finds_nothing() {
        assert_eq!(closest("graz", ["berlin", "vienna"]), None);
        assert_eq!(closest(&"a".repeat(100_000), ["a"]), None);
    }

    #[test]
    fn without_a_close_name_all_are_listed() {
        let known = ["berlin", "vienna"];
        assert_eq!(
            did_you_mean("x", "servers", known.into_iter()),
            "the servers are \"berlin\", \"vienna\""
        );
    }

    #[test]
    fn quotes_stay_on_one_line_and_short() {
        assert_eq!(shown("a\nb\u{7}ü"), "\"a\\nb\\u{7}ü\"");
        assert_eq!(shown(&"x".repeat(99)), format!("\"{}…\"", "x".repeat(60)));
    }
}
