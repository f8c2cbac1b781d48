//! Any bytes as the `STATS` feed, in pieces of any size.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| icecast_balancer_fuzz::feed::feed(bytes));
