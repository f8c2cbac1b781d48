//! Any bytes as the beginning of a proxy's connection.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| icecast_balancer_fuzz::forwarded::proxy_header(bytes));
