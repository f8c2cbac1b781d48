//! The live feed, `STATS`: everything at once, then each number as it changes, and the faults of
//! feeds on request.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;

use super::state::Shared;
use super::stats::View;

/// What an open feed is told to do.
#[derive(Debug, Clone)]
pub enum Word {
    /// Something may have changed: tell what has.
    Changed,
    /// Say this.
    Say(Arc<str>),
    /// Say nothing more.
    Hang,
    /// End.
    Cut,
}

/// Tells its reader what changes until he leaves.
pub async fn tell(shared: &Arc<Shared>, socket: &mut TcpStream) -> io::Result<()> {
    let (open, words) = shared.open_feed();
    let (mut reader, mut writer) = socket.split();
    let mut ignored = [0; 512];
    let ended = tokio::select! {
        ended = say(shared, words, &mut writer) => ended,
        // A reader has nothing to say, so it is his end that is read.
        read = reader.read(&mut ignored) => read.map(|_| ()),
    };
    drop(open);
    ended
}

async fn say(
    shared: &Shared,
    mut words: broadcast::Receiver<Word>,
    writer: &mut (impl AsyncWriteExt + Unpin),
) -> io::Result<()> {
    let mut told = lines(&shared.view());
    let all: String = told.iter().map(|(name, value)| line(name, value)).collect();
    writer.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{all}").as_bytes()).await?;
    loop {
        match words.recv().await {
            Ok(Word::Changed) | Err(RecvError::Lagged(_)) => {
                sleep(shared.statistics_delay).await;
                let now = lines(&shared.view());
                writer.write_all(news(&told, &now).as_bytes()).await?;
                told = now;
            }
            Ok(Word::Say(text)) => writer.write_all(text.as_bytes()).await?,
            Ok(Word::Hang) => std::future::pending().await,
            Ok(Word::Cut) | Err(RecvError::Closed) => return Ok(()),
        }
    }
}

/// The values of a view that change with listeners, each after what a line says before it: first
/// the relay's own, then those of each mount.
fn lines(view: &View) -> Vec<(String, String)> {
    let mut lines = vec![
        ("global clients".to_owned(), view.clients().to_string()),
        ("global listeners".to_owned(), view.listeners().to_string()),
        ("global sources".to_owned(), view.sources.to_string()),
    ];
    for mount in &view.mounts {
        lines.push((format!("{} listeners", mount.path), mount.listeners.to_string()));
        lines.push((format!("{} max_listeners", mount.path), mount.limit_text()));
    }
    lines
}

/// The lines that say what differs; of a mount that is gone, what Icecast says of it.
fn news(told: &[(String, String)], now: &[(String, String)]) -> String {
    let gone = told.iter().filter(|(name, _)| now.iter().all(|(known, _)| known != name));
    let gone = gone.filter_map(|(name, _)| name.strip_suffix(" max_listeners"));
    let changed = now.iter().filter(|line| !told.contains(line));
    let changed = changed.map(|(name, value)| line(name, value));
    gone.map(|mount| format!("EVENT {mount} null null\n")).chain(changed).collect()
}

fn line(name: &str, value: &str) -> String {
    format!("EVENT {name} {value}\n")
}
