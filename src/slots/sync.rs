//! The standard library's atomics and locks, or stand-ins that try every interleaving.

#[cfg(not(model))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicI64, AtomicU64},
};

#[cfg(model)]
pub(super) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicI64, AtomicU64},
};
