//! The reference of all keys as a page of the documentation.

use std::fmt::Write as _;

use icecast_balancer::config::keys::{self, Mapping};

use super::words;

const HEAD: &str = "\
# Every key

All keys of `balancer.yaml`, by where they stand. [configuration.md](configuration.md) explains how the file is read, how
[values](configuration.md#values) are written, and what belongs together; [`balancer.yaml`](../balancer.yaml) is the same as one file with comments.

This page is made of the descriptions that the program itself reads configurations by, so that no key is missing. In an
editor that has [the schema](configuration.md#in-an-editor) they are shown beside the key; on a machine with the Debian package,
`man balancer.yaml` has them.
";

pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    for mapping in keys::all() {
        section(&mut page, mapping);
    }
    page
}

fn section(page: &mut String, mapping: &Mapping) {
    let title = words::title(mapping);
    write!(page, "\n## {title}\n\n{}\n\n", mapping.meaning).unwrap();
    page.push_str("| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for key in mapping.keys {
        let cells = [words::form(&key.form), words::default(key), words::meaning(key)];
        let [form, default, meaning] = cells.map(|cell| cell.replace('|', "\\|"));
        let example = match key.example {
            Some(example) if !meaning.contains(example) => format!(" Such as `{example}`."),
            _ => String::new(),
        };
        writeln!(page, "| `{}` | {form} | {default} | {meaning}{example} |", key.name).unwrap();
    }
}
