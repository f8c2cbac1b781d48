//! What a key may be and what it means, in the words of a page. All of it is Markdown.

use icecast_balancer::config::keys::{Absent, Form, Key, Mapping};

/// A heading: the place of a mapping's keys.
pub(super) fn title(mapping: &Mapping) -> String {
    let place = mapping.place.trim_start_matches("in ").trim_start_matches("at ");
    let mut letters = place.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// What a value is written as.
pub(super) fn form(form: &Form) -> String {
    match form {
        Form::Nothing => "nothing".to_owned(),
        Form::Text => "text".to_owned(),
        Form::Secret => "secret".to_owned(),
        Form::File => "file".to_owned(),
        Form::Boolean => "`true` or `false`".to_owned(),
        Form::Count(range) => format!("{} to {}", range.start(), range.end()),
        Form::Duration => "duration".to_owned(),
        Form::DurationOrZero => "duration, or `0s`".to_owned(),
        Form::Rate => "rate".to_owned(),
        Form::Address => "address".to_owned(),
        Form::Network => "network".to_owned(),
        Form::Country => "country".to_owned(),
        Form::BaseUrl => "URL".to_owned(),
        Form::Url => "any http or https URL".to_owned(),
        Form::Engine => "redis, rediss or redis-sentinel URL".to_owned(),
        Form::KeyPrefix => "letters, digits, `-_.:/`".to_owned(),
        Form::Path => "path".to_owned(),
        Form::Server => "server".to_owned(),
        Form::Word(word) => format!("`{word}`"),
        Form::Choice(words) => {
            let words: Vec<_> = words().iter().map(|word| format!("`{word}`")).collect();
            any_of(&words)
        }
        Form::List(_, of) => format!("list of {}", many(&self::form(of))),
        Form::Mapping(mapping) => format!("[keys](#{})", anchor(mapping)),
        Form::ByServer(of) => format!("by server: {}", self::form(of)),
        Form::ByPath(of) => format!("by path: {}", self::form(of)),
        Form::Either(forms) => any_of(&forms.iter().map(self::form).collect::<Vec<_>>()),
    }
}

/// Where the heading of a mapping is on its page.
fn anchor(mapping: &Mapping) -> String {
    title(mapping).to_lowercase().replace('`', "").replace(' ', "-")
}

fn many(word: &str) -> String {
    match word.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if word.ends_with('s') => format!("{word}es"),
        None => format!("{word}s"),
    }
}

fn any_of(words: &[String]) -> String {
    let (last, others) = words.split_last().unwrap();
    if others.is_empty() { last.clone() } else { format!("{} or {last}", others.join(", ")) }
}

/// What holds where the key is not there.
pub(super) fn default(key: &Key) -> String {
    match key.absent {
        Absent::Nothing => String::new(),
        Absent::Mistake => "**required**".to_owned(),
        Absent::Default(default) => format!("`{default}`"),
        Absent::Means(meaning) => meaning.to_owned(),
    }
}

/// What it is for.
pub(super) fn meaning(key: &Key) -> String {
    key.meaning.to_owned()
}
