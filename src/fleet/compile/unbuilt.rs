//! Keys and values whose effect is not built: refused, so that nobody relies on them.

use crate::config::Config;
use crate::config::findings::Findings;
use crate::config::source::Span;

/// Reports everything that would have no effect.
pub(super) fn refuse(config: &Config, findings: &mut Findings) {
    let mut refuse = |span: Option<Span>, what: &str, help: &str| {
        if let Some(span) = span {
            findings.problem(span, format!("{what} is not supported yet"), help);
        }
    };
    refuse(config.cluster, "`cluster`", "remove it, and run one balancer");
}
