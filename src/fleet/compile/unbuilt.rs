//! Keys and values whose effect is not built: refused, so that nobody relies on them.

use crate::config::Config;
use crate::config::findings::Findings;
use crate::config::source::Span;
use crate::config::suggest::shown;

/// Reports everything that would have no effect.
pub(super) fn refuse(config: &Config, findings: &mut Findings) {
    let mut refuse = |span: Option<Span>, what: &str, help: &str| {
        if let Some(span) = span {
            findings.problem(span, format!("{what} is not supported yet"), help);
        }
    };
    refuse(config.cluster, "`cluster`", "remove it, and run one balancer");
    for stream in &config.streams.items {
        for path in std::iter::once(&stream.name).chain(&stream.aliases) {
            if path.value.ends_with("/*") {
                let what = format!("the pattern {}", shown(&path.value));
                refuse(Some(path.span), &what, "name each stream by its own path");
            }
        }
    }
}
