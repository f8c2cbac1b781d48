//! The program from its start to its end: what it prints, how it stops, what it never tells.

pub(crate) mod program;
