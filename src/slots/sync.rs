//! The standard library's atomics and locks, or stand-ins that try many interleavings.

#[cfg(not(model))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicI64, AtomicU64},
};

#[cfg(model)]
pub(super) use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicI64, AtomicU64},
};
