//! icecast-balancer sends each listener to the Icecast relay that has a free slot for it.

pub mod problem;

pub mod config;
pub mod files;
pub mod fleet;
pub mod icecast;
