//! Connections that are accepted once they have said something.
//!
//! A player's request comes a moment after its connection. To accept it before that means to find
//! nothing to read, to have it watched, and to be woken a second time: half as much work again as the
//! redirect is. So the kernel is asked to wait for the request.
//!
//! Whoever says nothing is accepted all the same, a second later, and has its time for a head from
//! then on. Until then the kernel keeps a few hundred bytes for it.

use std::io;
use std::net::TcpListener;

use nix::sys::socket::SetSockOpt as _;
use nix::{setsockopt_impl, sockopt_impl};

sockopt_impl!(
    /// How many seconds a connection may be silent before it is accepted.
    DeferAccept,
    SetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_DEFER_ACCEPT,
    libc::c_int
);

/// The kernel counts in the times at which it repeats its half of a handshake: the first is after one
/// second.
const SECONDS: libc::c_int = 1;

/// Has the kernel keep connections back until they have said something, or for a second.
pub fn defer_accept(listener: &TcpListener) -> io::Result<()> {
    Ok(DeferAccept.set(listener, &SECONDS)?)
}
