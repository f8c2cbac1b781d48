//! Any bytes as the statistics of a SHOUTcast.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| icecast_balancer_fuzz::statistics::shoutcast(bytes));
