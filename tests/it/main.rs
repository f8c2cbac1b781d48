//! Tests against the library as a whole; one module for each part of it.

mod icecast;
