//! The bytes of a connection, answered at once and by hyper.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| icecast_balancer_fuzz::doors::doors(bytes));
