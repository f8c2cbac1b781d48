//! Lines for people and programs to read later: the log, and a line for each request.
//!
//! Nothing that happens to a log may be felt by a player. Whoever has a line to tell puts it into a
//! queue of fixed size and goes on; a thread of its own writes. A disk that is full, a pipe that
//! nobody reads and a reader that has gone cost lines, which are counted, and nothing else.

mod access;
mod diagnostics;
mod escape;
pub mod panics;
mod queue;
mod writer;

pub use access::{Access, AccessLog, Style, cut};
pub use diagnostics::Log;
