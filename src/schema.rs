//! `balancer.yaml` as a JSON Schema, for editors that complete, explain and underline while it is
//! being written.
//!
//! It is made of the keys that the decoder knows, and refuses no file that the program takes. What
//! one place alone does not tell (a server that is not there, a circle of fallbacks, a file that
//! cannot be read) is left to `check`.

mod forms;

use serde_json::{Map, Value, json};

use crate::config::keys::{self, Absent, Key, Mapping, Rule, TOP};

/// How much of a configuration a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// One of several files in a directory: what it lacks may stand in another.
    Part,
}

/// The schema of a file.
pub fn schema(extent: Extent) -> Value {
    let mut schema = mapping(&TOP);
    if let (Value::Object(schema), Extent::Part) = (&mut schema, extent) {
        schema.remove("required");
        schema.remove("allOf");
    }
    let mut definitions = forms::definitions();
    for below in keys::all().into_iter().filter(|mapping| mapping.name != TOP.name) {
        definitions.insert(below.name.to_owned(), mapping(below));
    }
    set(&mut schema, "$schema", json!("https://json-schema.org/draft/2020-12/schema"));
    set(&mut schema, "title", json!("balancer.yaml"));
    set(&mut schema, "$defs", Value::Object(definitions));
    schema
}

fn mapping(mapping: &Mapping) -> Value {
    let keys = mapping.keys.iter();
    let properties: Map<_, _> = keys.map(|key| (key.name.to_owned(), property(key))).collect();
    let keys = mapping.keys.iter();
    let required: Vec<_> =
        keys.filter(|key| matches!(key.absent, Absent::Mistake)).map(|key| key.name).collect();
    let rules: Vec<_> = mapping.rules.iter().map(rule).collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    describe(&mut schema, mapping.meaning);
    if !required.is_empty() {
        set(&mut schema, "required", json!(required));
    }
    if !rules.is_empty() {
        set(&mut schema, "allOf", json!(rules));
    }
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = forms::schema(&key.form);
    describe(&mut schema, key.meaning);
    if let Absent::Default(default) = key.absent {
        set(&mut schema, "default", value(default));
    }
    if let Some(example) = key.example {
        set(&mut schema, "examples", json!([value(example)]));
    }
    schema
}

fn rule(rule: &Rule) -> Value {
    let one_of = |keys: &[&str]| {
        let each = keys.iter().map(|key| json!({"required": [key]}));
        json!({"anyOf": each.collect::<Vec<_>>()})
    };
    match rule {
        Rule::NotBoth(one, other) => json!({"not": {"required": [one, other]}}),
        Rule::OneOf(keys) => one_of(keys),
        Rule::Needs(key, [], others) => json!({"if": {"required": [key]}, "then": one_of(others)}),
        Rule::Needs(key, values, others) => {
            let values: Vec<_> = values.iter().map(|word| value(word)).collect();
            let said = json!({"required": [key], "properties": {*key: {"enum": values}}});
            json!({"if": said, "then": one_of(others)})
        }
    }
}

/// What is written, in JSON: what is no JSON is text without quotes.
fn value(written: &str) -> Value {
    serde_json::from_str(written).unwrap_or_else(|_| json!(written))
}

/// The meaning as text, and for editors that show Markdown also as that. The pages that links lead
/// to are not at hand in an editor.
fn describe(schema: &mut Value, meaning: &str) {
    let markdown = without_links(meaning);
    let text = markdown.replace('`', "");
    if text != markdown {
        set(schema, "markdownDescription", json!(markdown));
    }
    set(schema, "description", json!(text));
}

/// Markdown in which links are the text that they stand under.
pub fn without_links(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, link)) = rest.split_once('[') {
        text.push_str(before);
        let Some((words, after)) = link.split_once("](") else {
            // Code such as `[::]`.
            text.push('[');
            rest = link;
            continue;
        };
        match after.split_once(')') {
            Some((_, after)) if !words.contains(']') => {
                text.push_str(words);
                rest = after;
            }
            _ => {
                text.push('[');
                rest = link;
            }
        }
    }
    text.push_str(rest);
    text
}

fn set(schema: &mut Value, key: &str, value: Value) {
    if let Value::Object(schema) = schema {
        schema.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_its_text() {
        assert_eq!(without_links("see [TLS](operation.md#tls), and so on"), "see TLS, and so on");
        assert_eq!(without_links("`[::]` is [IPv6](a.md)."), "`[::]` is IPv6.");
        assert_eq!(without_links("a [list] of (things)"), "a [list] of (things)");
        assert_eq!(without_links("[`probe`](a.md): x; [b](c)"), "`probe`: x; b");
    }

    #[test]
    fn a_file_of_several_need_not_have_everything() {
        let whole = schema(Extent::Whole);
        assert_eq!(whole["required"], json!(["servers", "streams"]));
        let part = schema(Extent::Part);
        assert_eq!(part["required"], Value::Null);
        assert_eq!(part["properties"], whole["properties"]);
    }

    #[test]
    fn every_key_is_there_with_its_meaning() {
        let schema = schema(Extent::Whole);
        for mapping in keys::all() {
            let at =
                if mapping.name == TOP.name { &schema } else { &schema["$defs"][mapping.name] };
            assert_eq!(at["additionalProperties"], json!(false));
            let properties = at["properties"].as_object().unwrap();
            assert_eq!(properties.len(), mapping.keys.len(), "{}", mapping.name);
            for key in mapping.keys {
                let words = properties[key.name]["description"].as_str().unwrap();
                assert!(words.ends_with('.') && !words.contains("]("), "{}: {words}", key.name);
            }
        }
    }
}
