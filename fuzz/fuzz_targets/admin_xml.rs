//! Any bytes as `/admin/stats`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| icecast_balancer_fuzz::statistics::admin_xml(bytes));
