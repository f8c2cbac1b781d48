//! Any bytes as `/status-json.xsl`, proper JSON or not.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| icecast_balancer_fuzz::statistics::status_json(bytes));
