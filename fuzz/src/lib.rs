//! What must hold for any input, as functions that panic where it does not.
//!
//! The fuzz targets call them with what the fuzzer makes up; `tests/it/fuzz.rs` includes this file
//! and calls them with the corpora on every run of the tests.

#![forbid(unsafe_code)]

pub mod config;
pub mod doors;
pub mod feed;
pub mod forwarded;
pub mod lists;
pub mod redirect;
pub mod statistics;
