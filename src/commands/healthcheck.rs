//! `healthcheck`: whether a balancer serves, asked over its admin port, for containers without curl.
//!
//! One request over plain TCP. The admin port has no TLS, so that this needs no certificates, no
//! configuration and nothing else from the image.

use std::fmt::Display;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use url::Url;

use crate::cli::Healthcheck;

use super::{Done, FAILED};

/// From the first packet to the end of the answer. Docker and others wait for 30 s.
const PATIENCE: Duration = Duration::from_secs(5);

/// The status line is all that is of interest.
const ENOUGH: usize = 64;

/// Says why the balancer is not healthy, and nothing if it is.
pub fn healthcheck(arguments: &Healthcheck) -> Done {
    match ask(&arguments.admin) {
        Ok(()) => Done::told(String::new(), 0),
        Err(why) => {
            let complaint = format!("unhealthy: {why}\n");
            Done { text: String::new(), complaint, code: FAILED }
        }
    }
}

/// Asks the balancer whose admin port is at `admin`.
fn ask(admin: &str) -> Result<(), String> {
    let (host, port) = host_and_port(admin)?;
    // A name has no brackets, an address of IPv6 has them in a URL and nowhere else.
    let name = host.trim_matches(['[', ']']);
    let addresses = (name, port)
        .to_socket_addrs()
        .map_err(|error| format!("{host} has no address: {error}"))?;
    let deadline = Instant::now() + PATIENCE;
    let mut why = format!("{host} has no address");
    for address in addresses {
        let request =
            format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let answer = TcpStream::connect_timeout(&address, left(deadline)?)
            .map_err(|error| unreached(&address, &error))
            .and_then(|stream| {
                status_line(stream, &request, deadline).map_err(|error| unreached(&address, &error))
            });
        match answer {
            Ok(line) if line.split(' ').nth(1) == Some("200") => return Ok(()),
            Ok(line) => why = format!("{address} answers {:?}", line.trim_end()),
            Err(error) => why = error,
        }
    }
    Err(why)
}

fn host_and_port(admin: &str) -> Result<(String, u16), String> {
    let wanted = || format!("{admin:?} is no URL such as http://127.0.0.1:9090");
    let url = Url::parse(admin).map_err(|_malformed| wanted())?;
    let port = url.port_or_known_default();
    match (url.scheme(), url.host_str(), port) {
        ("http", Some(host), Some(port)) => Ok((host.to_owned(), port)),
        _ => Err(wanted()),
    }
}

fn status_line(
    mut stream: TcpStream,
    request: &str,
    deadline: Instant,
) -> Result<String, Box<dyn std::error::Error>> {
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(request.as_bytes())?;
    let mut line = Vec::new();
    // It may come byte by byte, and the whole has one deadline.
    while !line.contains(&b'\n') && line.len() < ENOUGH {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            break;
        }
        line.extend(byte);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn left(deadline: Instant) -> Result<Duration, String> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(format!("no answer within {PATIENCE:?}")) } else { Ok(left) }
}

fn unreached(address: &impl Display, error: &dyn Display) -> String {
    format!("{address} does not answer: {error}")
}
