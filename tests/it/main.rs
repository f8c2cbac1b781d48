//! Tests against the program as a whole: one binary, one module for each part of it.
//!
//! They run it in this process on free ports, with the demo relay for a relay; what only real
//! Icecast and real players can show is in `tests/e2e`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]
#![allow(clippy::print_stdout, reason = "a test that measures shows what it measured")]

#[path = "../../examples/relay/relay.rs"]
mod relay;
mod support;

mod admin;
mod architecture;
mod clients;
mod commands;
mod config;
mod crowd;
mod demo_relay;
mod deployment;
mod docs;
mod engine;
mod events;
mod explain;
mod feed;
mod files;
mod forwarded;
mod full;
mod full_relay;
mod fuzz;
mod generated;
mod icecast;
mod life;
mod metrics;
mod panics;
mod patterns;
mod polling;
mod probe;
mod redirect;
mod reliability;
mod reload;
mod reload_under_load;
mod replicas;
mod status_parts;
mod supply_chain;
mod terminal;
mod the_2010_system;
mod tls;
mod waiting;
