//! Tests against the library as a whole: one binary, one module for each part.

mod config;
mod icecast;
