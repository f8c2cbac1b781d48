//! Where secrets stand in a text, so that no excerpt shows them.
//!
//! This looks at the bare text and not at parsed YAML, because the line must stay hidden also when
//! the file does not parse, and it hides rather too much than too little: everything after a key
//! that looks like `password`, misspelt or not, to the end of its line and as far as the value may
//! go on below; and the user and password of a URL.

use std::ops::Range;

/// Shortest edit distance at which a key is no longer taken for a misspelt `password`.
const FAR: usize = 3;

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
    let name = name.to_lowercase();
    matches!(name.as_str(), "pass" | "pwd" | "pw" | "secret" | "token" | "admin_token")
        || strsim::damerau_levenshtein(&name, "password") < FAR
}

/// A key on a line whose value is a secret.
struct Key {
    /// Where in the line its value begins.
    value: usize,
    /// How deep a following line must be indented to belong to the value.
    column: usize,
    /// It stands in a comment: what follows the line has nothing to do with it.
    comment: bool,
    /// `? password`, whose value follows a colon on the next line.
    explicit: bool,
}

impl Key {
    fn find(line: &str) -> Option<Self> {
        let (start, end) = words(line).find(|&(start, end)| {
            let next = after(line, end).trim_start_matches(['"', '\'']).chars().next();
            is_secret(line.get(start..end).unwrap_or_default())
                && next.is_none_or(|next| next.is_whitespace() || matches!(next, ':' | '='))
        })?;
        let before = line.get(..start).unwrap_or_default();
        let rest = after(line, end).trim_start_matches(['"', '\'']);
        let rest = rest.trim_start().trim_start_matches([':', '=']).trim_start();
        let indent = line.len() - line.trim_start().len();
        let own_line = before.chars().all(|c| c.is_whitespace() || "-?\"'".contains(c));
        Some(Self {
            value: line.len() - rest.len(),
            column: if own_line { start } else { indent },
            comment: before.trim_start().starts_with('#') || before.contains(" #"),
            explicit: before.contains('?'),
        })
    }

    /// Where the value that begins at `value` on a line that ends at `line_end` is over.
    fn end_of_value(&self, text: &str, value: usize, line_end: usize) -> usize {
        if self.comment {
            return line_end;
        }
        let mut end = match end_of_quoted(text, value) {
            Some(quote) => line_end.max(end_of_line(text, quote)),
            None => line_end,
        };
        for line in after(text, end).split_inclusive('\n') {
            let content = line.trim_start();
            let belongs = content.is_empty()
                || line.len() - content.len() > self.column
                || (self.explicit && content.starts_with(':'));
            if !belongs {
                break;
            }
            end += line.len();
        }
        end
    }
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

fn end_of_line(text: &str, at: usize) -> usize {
    after(text, at).find('\n').map_or(text.len(), |line| at + line + 1)
}

/// `user:password` of every `scheme://user:password@host` within `range`.
fn user_infos(text: &str, range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let start = range.start;
    let text = text.get(range).unwrap_or_default();
    text.match_indices("://").filter_map(move |(at, scheme_end)| {
        let begin = at + scheme_end.len();
        let token = after(text, begin);
        let token = token.split(|c: char| c.is_whitespace() || c == '"').next()?;
        let length = token.rfind('@')?;
        Some(start + begin..start + begin + length)
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
    }
}
