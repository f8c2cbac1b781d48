//! icecast-balancer sends each listener to the Icecast relay that has a free slot for it.
//!
//! The modules, from what needs nothing to what needs everything:
//!
//! - What is written and what it means: [`problem`], [`network`], [`country`], [`affinity`],
//!   [`config`], [`schema`], [`files`], [`fleet`].
//! - What relays say: [`icecast`]. What proxies say: [`forwarded`].
//! - What is remembered: [`counters`], [`slots`], [`recent`], [`state`]; and for later, [`logs`].
//! - Who gets the next listener, and who waits: [`select`], [`waiting`]. Which streams there are:
//!   [`discovery`].
//! - What is shown: [`metrics`], [`status`], [`explanation`].
//! - What runs: [`poller`], [`reload`], [`server`], [`redirect`], [`admin`].
//! - What plays a crowd through in no time: [`simulate`].
//! - What puts it together: [`app`], [`cli`], [`commands`]. Beside it: [`systemd`].
//!
//! ARCHITECTURE.md tells why, and a test keeps the arrows pointing one way.

pub mod affinity;
pub mod country;
pub mod network;
pub mod problem;
pub mod tls;

pub mod config;
pub mod files;
pub mod fleet;
pub mod forwarded;
pub mod icecast;
pub mod schema;

pub mod clock;
pub mod counters;
pub mod discovery;
pub mod logs;
pub mod members;
pub mod player;
pub mod queue;
pub mod recent;
pub mod select;
pub mod slots;
pub mod state;
pub mod waiting;

pub mod explanation;
pub mod metrics;
pub mod status;

pub mod admin;
pub mod cluster;
pub mod events;
pub mod poller;
pub mod redirect;
pub mod reload;
pub mod server;
pub mod simulate;

pub mod app;
pub mod cli;
pub mod commands;
pub mod systemd;
