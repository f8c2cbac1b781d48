//! What a row is told with: programs, relays, players, and ways to come between them.

pub(crate) mod balancer;
pub(crate) mod icecast;
pub(crate) mod listener;
pub(crate) mod naive;
pub(crate) mod names;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod source;
pub(crate) mod stub;
pub(crate) mod wall;
pub(crate) mod watch;
pub(crate) mod web;
