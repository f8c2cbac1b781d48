//! Every test that needs a socket, in one program.
//!
//! The tests' modules are `cfg(test)`, which they are anyway, so that clippy knows their helpers for
//! tests, too.

#[cfg(test)]
mod demo_relay;

#[path = "../../examples/relay/relay.rs"]
mod relay;
