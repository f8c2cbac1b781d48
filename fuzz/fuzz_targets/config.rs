//! Any text as `balancer.yaml`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| icecast_balancer_fuzz::config::config(bytes));
