//! What the balancer is measured against: a redirector that takes the relays in turn and knows
//! nothing of them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Serves players on `address` for ever, with `relays` (base URLs) in turn.
pub(crate) fn serve(address: &str, relays: Vec<String>) {
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        let players = listener.incoming().flatten();
        for (player, relay) in players.zip(relays.iter().cycle()) {
            let relay = relay.clone();
            thread::spawn(move || answer(player, &relay));
        }
    });
}

fn answer(mut player: TcpStream, relay: &str) {
    let _no_timeout = player.set_read_timeout(Some(Duration::from_secs(5)));
    let mut head = Vec::new();
    let mut bytes = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match player.read(&mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(count) => head.extend_from_slice(&bytes[..count]),
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or("/");
    let _gone = write!(
        player,
        "HTTP/1.1 302 Found\r\nLocation: {relay}{path}\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    );
}
