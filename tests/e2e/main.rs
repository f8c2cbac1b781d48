//! The balancer among the real things: Icecast relays, ffmpeg sources, the players people use,
//! Prometheus. Each test is a small radio station in a temporary folder.
//!
//! A program that is missing is a failure that names its package; nothing is skipped.
//! `tests/install` installs them all.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test stops at the first thing that goes wrong, and says which"
)]

mod crowd;
mod demo;
mod edge;
mod editor;
mod failure;
mod fallback;
mod families;
mod full;
mod hls;
mod lists;
mod metrics;
mod migration;
mod monitoring;
mod operator;
mod page;
mod patterns;
mod players;
mod proxies;
mod pull;
mod reload;
mod replicas;
mod shell;
mod slots;
mod statistics;
mod support;
mod table;
mod tls;
mod tokens;
mod waits;
