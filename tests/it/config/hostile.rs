//! Broken, cut and hostile texts: a problem each, quickly, and never a panic.

use std::fmt::Write;

use icecast_balancer::config::source::Sources;
use icecast_balancer::files;
use icecast_balancer::fleet::compile::compile;
use proptest::prelude::*;

use super::{bad, messages, outside, read};

/// Renders everything, since that is where places are turned into excerpts.
fn try_all(text: &str) {
    if let Err(problems) = read(text) {
        assert!(!problems.human(true).is_empty());
        assert!(!problems.human(false).is_empty());
        assert!(!problems.json().is_empty());
        assert!(!problems.github().is_empty());
    }
}

#[test]
fn a_file_cut_at_any_byte_does_not_panic() {
    let whole = include_str!("../../../examples/congress.yaml").replace("halls", "Säle");
    let text = format!("{whole}  /ö.ogv: {{aliases: ['/ü']}}\n# Ende: ä\n");
    let mut cuts = 0;
    for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
        try_all(&text[..cut]);
        cuts += 1;
    }
    assert!(cuts > 600, "{cuts} cuts");
}

#[test]
fn a_file_cut_within_a_character_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("balancer.yaml");
    std::fs::write(&path, &"streams:\n  /ö.ogv:".as_bytes()[..13]).unwrap();
    assert!(files::read(&path).unwrap_err().to_string().contains("line 2 is not UTF-8"));
}

#[test]
fn aliases_of_aliases_of_aliases_are_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let nine = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(text, "a{level}: &a{level} [{nine}]").unwrap();
    }
    let expected = "the file is nested too deeply or has too many entries";
    assert_eq!(messages(&bad(&text)), [expected]);
}

#[test]
fn a_long_list_aliased_often_is_refused() {
    let text = format!("a: &a [{}]\nb: [{}]\n", "x,".repeat(20_000), "*a,".repeat(20_000));
    let expected = "the file is nested too deeply or has too many entries";
    assert_eq!(messages(&bad(&text)), [expected]);
}

#[test]
fn brackets_without_end_are_refused() {
    let expected = "the file is nested too deeply, or an anchor contains itself";
    assert_eq!(messages(&bad(&"[".repeat(200_000))), [expected]);
}

#[test]
fn mappings_without_end_are_refused() {
    let mut text = String::new();
    for depth in 0..1_000 {
        writeln!(text, "{:depth$}a:", "").unwrap();
    }
    let expected = "the file is nested too deeply or has too many entries";
    assert_eq!(messages(&bad(&text)), [expected]);
}

#[test]
fn an_anchor_that_contains_itself_is_refused() {
    assert_eq!(bad("a: &a {b: *a}\n").iter().count(), 1);
}

#[test]
fn a_text_that_is_too_large_is_refused() {
    let problems = bad(&format!("#{}\n", "x".repeat(1 << 20)));
    assert_eq!(messages(&problems), ["the file is larger than 1024 KiB"]);
}

#[test]
fn problems_without_number_are_cut_off() {
    let keys: String = (0..20_000).fold(String::new(), |text, key| text + &format!("k{key}: 1\n"));
    assert_eq!(bad(&keys).iter().count(), 1_000);
    let one_line = format!("listen: [{}]\n", "x,".repeat(20_000));
    assert!(bad(&one_line).to_string().len() < 1_000_000);
}

#[test]
fn a_word_of_a_megabyte_is_quoted_in_part() {
    let problems =
        bad(&format!("{}: 1\nservers: {{v: 'http://v'}}\nstreams: {{/a: }}", "k".repeat(1 << 19)));
    assert!(problems.to_string().len() < 2_000, "{}", problems.to_string().len());
}

/// Pieces that YAML and our keys are made of.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("servers".to_owned()),
        Just("streams".to_owned()),
        Just("password".to_owned()),
        Just("/saal1.ogv".to_owned()),
        Just("http://v:8000".to_owned()),
        Just("mounts: {v: /a}".to_owned()),
        "[ \\n\\t:,{}\\[\\]&*!|>'\"%@`#?<~-]{1,4}",
        "[0-9._]{1,3}",
        "\\PC{0,3}",
    ]
}

proptest! {
    #[test]
    fn arbitrary_texts_do_not_panic(text in "\\PC*") {
        try_all(&text);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        try_all(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn texts_that_resemble_a_configuration_do_not_panic(
        pieces in proptest::collection::vec(piece(), 0..40),
    ) {
        try_all(&pieces.concat());
    }

    #[test]
    fn a_file_with_one_changed_byte_does_not_panic(at in 0_usize..1_000, byte in any::<u8>()) {
        let mut bytes = include_bytes!("../../../examples/congress.yaml").to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        try_all(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn several_files_of_anything_do_not_panic(first in "\\PC*", second in "\\PC*") {
        let sources = Sources::new("a.yaml", first).and("b.yaml", second);
        if let Err(problems) = compile(&sources, &outside()) {
            prop_assert!(!problems.to_string().is_empty());
        }
    }
}
