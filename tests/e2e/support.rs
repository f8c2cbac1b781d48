//! What the tests are told with: a lab, and the programs that run in it.

pub(crate) mod balancer;
pub(crate) mod certificate;
pub(crate) mod doorman;
pub(crate) mod engine;
pub(crate) mod hls;
pub(crate) mod icecast;
pub(crate) mod lab;
pub(crate) mod listener;
pub(crate) mod player;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod proxy;
pub(crate) mod source;
pub(crate) mod web;
