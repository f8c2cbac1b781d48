//! Configurations that name the relays of a test.

use std::fmt::Write as _;

use serde_json::Value;

use crate::relay::Relay;

/// `servers:` with these relays, called `r0`, `r1` and so on.
pub(crate) fn servers(relays: &[&Relay]) -> String {
    servers_with(relays, "")
}

/// `servers:` with these relays, called `r0`, `r1` and so on, each with more `settings`, such as
/// `max_listeners: 5`.
pub(crate) fn servers_with(relays: &[&Relay], settings: &str) -> String {
    let mut yaml = "servers:\n".to_owned();
    for (number, relay) in relays.iter().enumerate() {
        writeln!(yaml, "  r{number}: {{url: '{}', {settings}}}", relay.url()).expect("memory");
    }
    yaml
}

/// A number somewhere in JSON; fails where there is none.
pub(crate) fn number(json: &Value, pointer: &str) -> u64 {
    let found = json.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no number at {pointer} of {json:#}"))
}
