//! What is wrong with a configuration, where, and what to do about it.
