//! Keys and values whose effect is not built: refused, so that nobody relies on them.

use crate::config::findings::Findings;
use crate::config::source::{At, Span};
use crate::config::suggest::shown;
use crate::config::{Config, WhenFull};

/// Reports everything that would have no effect.
pub(super) fn refuse(config: &Config, findings: &mut Findings) {
    let mut refuse = |span: Option<Span>, what: &str, help: &str| {
        if let Some(span) = span {
            findings.problem(span, format!("{what} is not supported yet"), help);
        }
    };
    let balance = &config.balance;

    refuse(config.tls, "`tls`", "remove it, and let a proxy in front speak TLS");
    refuse(config.cluster, "`cluster`", "remove it, and run one balancer");
    if let Some(At { value: WhenFull::Overflow, span }) = balance.when_full {
        refuse(Some(span), "`balance.when_full: overflow`", "use `reject` or `wait`");
    }
    for stream in &config.streams.items {
        for path in std::iter::once(&stream.name).chain(&stream.aliases) {
            if path.value.ends_with("/*") {
                let what = format!("the pattern {}", shown(&path.value));
                refuse(Some(path.span), &what, "name each stream by its own path");
            }
        }
    }
}
