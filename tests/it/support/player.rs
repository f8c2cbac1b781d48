//! Players: those that only ask, and those that follow and stay.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

/// An answer as it came over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The whole status line.
    pub(crate) status_line: String,
    /// The status; 0 if nothing came.
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// A header's value; `None` if absent. Names are compared without case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Every header but the date, by name, which is in lower case.
    pub(crate) fn headers(&self) -> Vec<(String, &str)> {
        let headers = self.headers.iter().map(|(name, value)| (name.to_lowercase(), &**value));
        let mut headers: Vec<_> = headers.filter(|(name, _)| name != "date").collect();
        headers.sort();
        headers
    }

    /// Where it redirects to; fails if it does not.
    pub(crate) fn location(&self) -> &str {
        assert_eq!(self.status, 302, "{self:?}");
        self.header("location").expect("a 302 has a Location")
    }

    pub(super) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default().to_owned();
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        });
        Self {
            status: status.unwrap_or(0),
            headers: headers.collect(),
            body: body.to_owned(),
            status_line: status_line.clone(),
        }
    }
}

/// Sends bytes and reads until the other side closes.
pub(crate) async fn raw(to: SocketAddr, request: &str) -> Answer {
    let exchange = async {
        let mut socket = TcpStream::connect(to).await?;
        socket.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes = timeout(PATIENCE, exchange).await.expect("the connection is closed in time");
    Answer::parse(&bytes.unwrap_or_default())
}

/// A listener: connected to the relay it was sent to, until dropped.
pub(crate) struct Player {
    /// The relay's status.
    pub(crate) status: u16,
    _socket: TcpStream,
}

impl Player {
    /// Follows a redirect to its relay, and stays if it is let in.
    pub(crate) async fn follow(location: &str) -> Self {
        let rest = location.strip_prefix("http://").expect("an absolute http URL");
        let (host, path) = rest.split_once('/').expect("a path");
        let mut socket = TcpStream::connect(host).await.expect("the relay listens");
        let request = format!("GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.expect("the relay reads");
        let mut head = [0; 15];
        timeout(PATIENCE, socket.read_exact(&mut head))
            .await
            .expect("an answer in time")
            .expect("a head");
        let status = String::from_utf8_lossy(&head);
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { status, _socket: socket }
    }
}
