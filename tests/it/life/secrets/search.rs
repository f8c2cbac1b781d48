//! Looks for canaries in everything that comes out, whatever they are disguised as.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What every canary begins with, and nothing else has in it.
pub(super) const CANARY: &str = "canary-";

/// How many bytes were searched.
static SEARCHED: AtomicUsize = AtomicUsize::new(0);

/// A canary's beginning in every form that secrets travel in.
static DISGUISES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let each = |form: fn(u8) -> String| CANARY.bytes().map(form).collect::<Vec<_>>();
    // As `Debug` shows bytes.
    let listed =
        |text: &str| text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    // Base64 depends on how many bytes stand before, and its ends on what does.
    let shifted = (0..3).map(|before| {
        let all = STANDARD.encode(["x".repeat(before).as_str(), CANARY].concat());
        let whole = (before + CANARY.len()) / 3 * 4;
        all[before.div_ceil(3) * 4..whole].to_owned()
    });
    let shifted: Vec<_> = shifted.flat_map(|text| [listed(&text), text]).collect();
    let plain = [
        CANARY.to_owned(),
        each(|byte| format!("%{byte:02x}")).concat(),
        each(|byte| format!("%{byte:02X}")).concat(),
        each(|byte| format!("{byte:02x}")).concat(),
        listed(CANARY),
    ];
    plain.into_iter().chain(shifted).collect()
});

/// The line of a text that a canary is in.
pub(super) fn find(text: &str) -> Option<&str> {
    SEARCHED.fetch_add(text.len(), Relaxed);
    let disguise = DISGUISES.iter().find(|disguise| text.contains(disguise.as_str()))?;
    text.lines().find(|line| line.contains(disguise.as_str())).or(Some(text))
}

/// Fails if a canary is in a text.
pub(super) fn assert_silent(place: &str, text: &str) {
    if let Some(line) = find(text) {
        panic!("a secret is in {place}: {line}");
    }
}

/// How many bytes were searched so far.
pub(super) fn searched() -> usize {
    SEARCHED.load(Relaxed)
}

#[test]
fn a_canary_is_found_in_every_disguise() {
    let user = |name: &str| STANDARD.encode(format!("{name}:canary-literal/1"));
    for text in [
        "password: canary-literal/1".to_owned(),
        "canary-literal%2F1".to_owned(),
        "canary-literal\\/1".to_owned(),
        format!("{:?}", "canary-literal/1".as_bytes()),
        format!("Basic {}", user("admin")),
        format!("{:?}", user("admin").into_bytes()),
        format!("Basic {}", user("source")),
        format!("Basic {}", user("hackme23")),
        STANDARD.encode("canary-literal/1"),
        "%63%61%6e%61%72%79%2d".to_owned(),
        "63616e6172792d6c".to_owned(),
    ] {
        let log = format!("one line\nTRACE {text} and more\nanother");
        assert_eq!(find(&log), Some(&*format!("TRACE {text} and more")));
    }
    assert_eq!(find("Kanarienvogel CANARY canary"), None);
}
