//! Any lines as the headers of requests from strangers and from proxies.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| icecast_balancer_fuzz::forwarded::forwarded(bytes));
