//! Where secrets stand in a text, so that no excerpt shows them.
//!
//! This looks at the bare text and not at parsed YAML, because the line must stay hidden also when
//! the file does not parse, and it hides rather too much than too little: everything after a key
//! that looks like `password`, misspelt or not, to the end of its line and as far as the value may
//! go on below; and the user and password of a URL.

use std::ops::Range;

/// Shortest edit distance at which a key is no longer taken for a misspelt `password`.
const FAR: usize = 3;

/// Longer words are not compared with `password`.
const LONGEST: usize = 16;

/// The byte ranges of `text` that must not be shown, in order.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    let mut hidden_to = 0;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        if start >= hidden_to {
            if let Some(key) = Key::find(line) {
                let value = start + key.value;
                hidden_to = key.end_of_value(text, value, end);
                secrets.push(value..hidden_to);
            }
            let shown = secrets.last().map_or(end, |secret| secret.start.clamp(start, end));
            secrets.extend(user_infos(text, start..if hidden_to > start { shown } else { end }));
        }
        start = end;
    }
    secrets.sort_by_key(|secret| secret.start);
    secrets
}

/// Whether the value of a key called `name` is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    if name.len() > LONGEST {
        return false;
    }
    let name = name.to_lowercase();
    matches!(name.as_str(), "pass" | "pwd" | "pw" | "salt" | "secret" | "token" | "admin_token")
        || strsim::damerau_levenshtein(&name, "password") < FAR
}

/// A key on a line whose value is a secret.
struct Key {
    /// Where in the line its value begins.
    value: usize,
    /// How deep a following line must be indented to belong to the value.
    column: usize,
    /// It stands in a comment.
    comment: bool,
    /// `? password`, whose value follows a colon on the next line.
    explicit: bool,
}

impl Key {
    fn find(line: &str) -> Option<Self> {
        let (start, end) = words(line).find_map(|(start, end)| {
            let name = name_length(line.get(start..end)?)?;
            // `/password.ogv` is the path of a stream.
            let path =
                line.get(..start)?.ends_with('/') && after(line, end).starts_with(['/', '.']);
            (!path).then_some((start, start + name))
        })?;
        let before = line.get(..start).unwrap_or_default();
        let rest = after(line, end).trim_start_matches(['"', '\'']);
        let rest = rest.trim_start().trim_start_matches([':', '=']).trim_start();
        let indent = line.len() - line.trim_start().len();
        let comment = before.trim_start().starts_with('#') || before.contains(" #");
        let own_line = before.chars().all(|c| c.is_whitespace() || "-?\"'".contains(c));
        Some(Self {
            value: line.len() - rest.len(),
            column: if own_line || comment { start } else { indent },
            comment,
            explicit: before.contains('?'),
        })
    }

    /// Where the value that begins at `value` on a line that ends at `line_end` is over.
    fn end_of_value(&self, text: &str, value: usize, line_end: usize) -> usize {
        let own_line = text.get(value..line_end).unwrap_or_default().trim();
        let block = own_line.starts_with(['|', '>']);
        let empty = !own_line.contains(char::is_alphanumeric);
        let quoted = end_of_quoted(text, value).filter(|close| *close >= line_end);
        // A comment about a password ends with its line; a password whose first line became a
        // comment does not.
        if self.comment && !empty && !block && quoted.is_none() {
            return line_end;
        }
        let mut end = quoted.map_or(line_end, |close| end_of_line(text, close));
        let mut first = true;
        for line in after(text, end).split_inclusive('\n') {
            let content = line.trim_start();
            let deeper = line.len() - content.len() > self.column;
            let other_key = begins_with_key(content);
            // With nothing but `|` on the key's own line, the value may also stand too far left.
            let belongs = content.is_empty()
                || (deeper && (block || !self.comment || !other_key))
                || (block && (first || !other_key))
                || (empty && first && !other_key)
                || (self.explicit && content.starts_with(':'));
            if !belongs {
                break;
            }
            first &= content.is_empty();
            end += line.len();
        }
        end
    }
}

/// Whether a line begins like `url: …`.
fn begins_with_key(content: &str) -> bool {
    let is_in_key = |c: char| is_word(c) || "/.\"'".contains(c);
    let rest = content.trim_start_matches(is_in_key);
    rest.len() < content.len()
        && rest.strip_prefix(':').is_some_and(|rest| rest.starts_with(char::is_whitespace))
}

/// Where the quotes close that open at `start`, which may never be; `None` without quotes.
fn end_of_quoted(text: &str, start: usize) -> Option<usize> {
    let mut value = after(text, start);
    while value.starts_with(['&', '!']) {
        let property = value.find(char::is_whitespace).unwrap_or(value.len());
        value = after(value, property).trim_start();
    }
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let open = text.len() - value.len() + 1;
    let mut escaped = false;
    let close = after(text, open).char_indices().find(|&(_, c)| {
        let closes = c == quote && !escaped;
        escaped = quote == '"' && c == '\\' && !escaped;
        closes
    });
    Some(close.map_or(text.len(), |(at, _)| open + at))
}

/// How much of a word is the name of a secret: what stands before or after may stick to it.
fn name_length(word: &str) -> Option<usize> {
    const NAME: &str = "password";
    if is_secret(word) {
        return Some(word.len());
    }
    let length = word.to_ascii_lowercase().find(NAME)? + NAME.len();
    let rest = after(word, length).trim_start_matches(['_', '-']);
    let file = rest.len() <= LONGEST && strsim::damerau_levenshtein(rest, "file") <= 1;
    (!file).then_some(length)
}

fn end_of_line(text: &str, at: usize) -> usize {
    after(text, at).find('\n').map_or(text.len(), |line| at + line + 1)
}

/// `user:password` of every `scheme://user:password@host` within `range`, also where the scheme is
/// missing or its slashes are.
fn user_infos(text: &str, range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    const SCHEME_END: &str = "://";
    let mut next = range.start;
    let text = text.get(range).unwrap_or_default();
    text.split_inclusive(|c: char| c.is_whitespace() || c == '"').filter_map(move |token| {
        let start = next;
        next += token.len();
        let end = token.rfind('@')?;
        let before = token.get(..end)?;
        let begin = before.find(SCHEME_END).map_or(0, |scheme| scheme + SCHEME_END.len());
        // `vienna:/a@b` is a path.
        // Of what stands behind a colon; the first part stands before all of them.
        let has_colon = before.split(':').skip(1).any(|rest| !rest.starts_with('/'));
        (begin > 0 || has_colon).then_some(start + begin..start + end)
    })
}

/// The words of a line, as byte ranges.
fn words(line: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + after(line, rest).find(is_word)?;
        let length = after(line, start).find(|c| !is_word(c));
        rest = length.map_or(line.len(), |length| start + length);
        Some((start, rest))
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

fn after(text: &str, at: usize) -> &str {
    text.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with every hidden byte as `*` (line breaks stay).
    fn masked(text: &str) -> String {
        let hidden = find(text);
        let hide = |(at, c): (usize, char)| {
            let is_hidden = c != '\n' && hidden.iter().any(|range| range.contains(&at));
            if is_hidden { '*' } else { c }
        };
        text.char_indices().map(hide).collect()
    }

    #[test]
    fn the_value_of_a_password_is_hidden() {
        assert_eq!(masked("  password: abc # x\nurl: y"), "  password: *******\nurl: y");
        assert_eq!(masked("\"password\" : abc"), "\"password\" : ***");
        assert_eq!(masked("password:abc"), "password:***");
        assert_eq!(masked("  salt: abc"), "  salt: ***");
    }

    #[test]
    fn a_password_file_is_no_secret() {
        assert_eq!(masked("password_file: /run/x"), "password_file: /run/x");
        assert_eq!(masked("admin_token_file: /run/x"), "admin_token_file: /run/x");
    }

    #[test]
    fn misspelt_passwords_are_hidden_too() {
        assert_eq!(masked("pasword: abc\nPASSWORD: abc"), "pasword: ***\nPASSWORD: ***");
        assert_eq!(masked("passwrod: abc\nsecret: abc"), "passwrod: ***\nsecret: ***");
    }

    #[test]
    fn in_a_flow_map_the_rest_of_the_line_is_hidden() {
        assert_eq!(masked("{user: a, password: a,b}, x: 1}"), "{user: a, password: ***********");
    }

    #[test]
    fn a_block_scalar_is_hidden_to_its_end() {
        assert_eq!(
            masked("a:\n  password: |\n    abc\n\n    def\n  url: x\n"),
            "a:\n  password: *\n    ***\n\n    ***\n  url: x\n".replace("    ***", "*******")
        );
    }

    #[test]
    fn quotes_that_go_over_lines_are_hidden_until_they_close() {
        assert_eq!(masked("password: \"a\\\"b\nc\" d\nurl: x"), "password: *****\n****\nurl: x");
        assert_eq!(masked("password: 'a\nb: c\nd"), "password: **\n****\n*");
    }

    #[test]
    fn a_value_too_far_left_below_its_key_is_hidden() {
        assert_eq!(masked("  password:\nabc\nurl: x"), "  password:\n***\nurl: x");
        assert_eq!(masked("  password:\nurl: x"), "  password:\nurl: x");
    }

    #[test]
    fn an_explicit_key_hides_the_line_of_its_value() {
        assert_eq!(masked("? password\n: abc\nurl: x"), "? password\n*****\nurl: x");
    }

    #[test]
    fn a_comment_hides_only_itself() {
        assert_eq!(masked("# password is x\n  url: y"), "# password ****\n  url: y");
    }

    #[test]
    fn the_user_of_a_url_is_hidden() {
        assert_eq!(masked("url: http://u:p@h:1/x"), "url: http://***@h:1/x");
        assert_eq!(masked("a: http://u@h, b: http://h"), "a: http://*@h, b: http://h");
    }

    #[test]
    fn the_user_of_a_url_without_its_scheme_is_hidden() {
        assert_eq!(masked("a: u:p@h:1 # ü"), "a: ***@h:1 # ü");
        assert_eq!(masked("{a: http:/u:p@h, b: c}"), "{a: *********@h, b: c}");
        assert_eq!(masked("/a@b: vienna:/c@d"), "/a@b: vienna:/c@d");
    }
}
