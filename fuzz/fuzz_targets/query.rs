//! Any bytes as the query string of a request for a stream.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| icecast_balancer_fuzz::redirect::query(bytes));
