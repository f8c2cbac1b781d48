//! icecast-balancer sends each listener to the Icecast relay that has a free slot for it.

pub mod problem;

pub mod config;
pub mod counters;
pub mod fleet;
pub mod icecast;
pub mod metrics;
pub mod poller;
pub mod redirect;
pub mod select;
pub mod server;
pub mod slots;
pub mod state;
