//! The bytes of a request head, to a `Location` or a refusal.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| icecast_balancer_fuzz::redirect::head(bytes));
