//! What cannot be had of a server that is merely asked for its mounts, one by one.

use crate::config::findings::Findings;
use crate::config::source::{At, Span};
use crate::config::suggest::shown;
use crate::config::{Config, Mounts, Server, StatsSource};

/// Refuses patterns of streams on such servers: nobody lists what they have.
pub(super) fn refuse_patterns(config: &Config, findings: &mut Findings) {
    let is_probed = |server: &&Server| {
        matches!(server.stats.source, Some(At { value: StatsSource::Probe, .. }))
    };
    let probed = || config.servers.items.iter().filter(is_probed);
    for stream in &config.streams.items {
        let pattern = &stream.name;
        if !pattern.value.ends_with("/*") {
            continue;
        }
        let mut refuse = |span: Span, server: &str| {
            let (pattern, server) = (shown(&pattern.value), shown(server));
            let message = format!(
                "nobody lists the mounts of the server {server} (`stats.source: probe`), so that \
                 none is found for {pattern}"
            );
            let help = "name its streams one by one, and give the pattern other `servers`";
            findings.problem(span, message, help);
        };
        match &stream.mounts {
            Mounts::Unreadable => {}
            Mounts::Every => {
                for server in probed() {
                    refuse(pattern.span, &server.name.value);
                }
            }
            Mounts::These(mounts) => {
                for mount in mounts {
                    if probed().any(|server| server.name.value == mount.server.value) {
                        refuse(mount.server.span, &mount.server.value);
                    }
                }
            }
        }
    }
}
