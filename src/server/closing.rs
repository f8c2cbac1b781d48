//! How a port is closed without cutting anybody off.
//!
//! The kernel accepts connections before the program does. Between the last time that the program
//! asks for one and the moment the port is closed another may come to stand; its player has sent a
//! request and gets a reset. So newcomers are kept from knocking first, and those who have knocked
//! are waited for.

use std::io;
use std::net::TcpListener;

use socket2::{SockFilter, SockRef};

/// Has the kernel drop every SYN to this port, and nothing else: who has begun to connect can go
/// on. A player whose SYN is dropped sends it again after a second, to whom the port belongs then.
pub(super) fn ignore_newcomers(listener: &TcpListener) -> io::Result<()> {
    // The code runs with the TCP header at 0; byte 13 has the flags.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_UNLESS_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const NOTHING: u32 = 0;
    const EVERYTHING: u32 = u32::MAX;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_UNLESS_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, NOTHING),
        SockFilter::new(RETURN, 0, 0, EVERYTHING),
    ])
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpStream};
    use std::time::Duration;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(300);

    fn listener(address: &str) -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn newcomers_wait_and_those_who_are_connected_do_not() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (listener, address) = listener(address);
            let early = TcpStream::connect_timeout(&address, MOMENT).unwrap();
            ignore_newcomers(&listener).unwrap();
            let late = TcpStream::connect_timeout(&address, MOMENT).unwrap_err();
            assert_eq!(late.kind(), io::ErrorKind::TimedOut);
            let (_socket, peer) = listener.accept().unwrap();
            assert_eq!(peer, early.local_addr().unwrap());
            drop(listener);
            let later = TcpStream::connect_timeout(&address, MOMENT).unwrap_err();
            assert_eq!(later.kind(), io::ErrorKind::ConnectionRefused);
        }
    }
}
