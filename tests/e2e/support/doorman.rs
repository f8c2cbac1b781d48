//! What an operator has who lets in listeners with a token only: a server that Icecast asks about
//! each of them.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use percent_encoding::percent_decode_str;

/// Lets in whoever comes with one certain query string. It stands at its door until the test ends.
pub(crate) struct Doorman {
    port: u16,
    came: Arc<Mutex<Came>>,
}

/// Who has come so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Came {
    /// The `User-Agent`s of those who were let in.
    pub(crate) let_in: Vec<String>,
    /// What the others asked for.
    pub(crate) turned_away: Vec<String>,
}

impl Doorman {
    /// One who lets in those who ask with `query`.
    pub(crate) fn start(query: &str) -> Self {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = door.local_addr().unwrap().port();
        let came = Arc::new(Mutex::new(Came::default()));
        let (query, list) = (query.to_owned(), Arc::clone(&came));
        thread::spawn(move || {
            for visitor in door.incoming().flatten() {
                // Icecast takes whatever breaks for a no.
                let _broken = answer(visitor, &query, &list);
            }
        });
        Self { port, came }
    }

    /// Where Icecast asks.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Who has come so far.
    pub(crate) fn came(&self) -> Came {
        self.came.lock().unwrap().clone()
    }
}

/// Answers one `POST action=listener_add&mount=…&agent=…`.
fn answer(visitor: TcpStream, query: &str, came: &Mutex<Came>) -> io::Result<()> {
    let mut reader = BufReader::new(visitor);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(told) = line.strip_prefix("content-length:") {
            length = told.trim().parse().unwrap_or(0);
        }
        if line.is_empty() {
            break;
        }
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form)?;
    let form = String::from_utf8_lossy(&form);
    let field = |name: &str| {
        let pair = form.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        percent_decode_str(pair.unwrap_or_default()).decode_utf8_lossy().into_owned()
    };
    let (mount, agent) = (field("mount"), field("agent"));
    let welcome = mount.split_once('?').is_some_and(|(_, told)| told == query);
    let mut came = came.lock().unwrap();
    if welcome {
        came.let_in.push(agent);
    } else {
        came.turned_away.push(mount);
    }
    drop(came);
    let word = if welcome { "icecast-auth-user: 1\r\n" } else { "" };
    write!(
        reader.get_mut(),
        "HTTP/1.1 200 OK\r\n{word}Content-Length: 0\r\nConnection: close\r\n\r\n"
    )
}
