//! Any bytes as what `slots.xsl` or `load.xsl` made.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| icecast_balancer_fuzz::statistics::slots_xml(bytes));
