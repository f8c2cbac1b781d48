//! The loads: how players come, and to whom.

use crate::client::{Manner, requests};
use crate::cores;
use crate::server::Peer;
use crate::station::{STREAMS, path};

/// How players come.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) tool: Tool,
    /// Whether connections are kept.
    pub(crate) keeps: bool,
    headers: &'static str,
    core: usize,
    /// Who is put to it.
    pub(crate) peers: &'static [Peer],
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Our own players, who send a request with the connection.
    Crowd,
    /// wrk, which sends it when it has been told that the connection is there.
    Wrk,
}

/// What VLC says of itself.
pub(crate) const PLAYER: &str = "Accept: */*\r\nAccept-Language: en_US\r\n\
    User-Agent: VLC/3.0.20 LibVLC/3.0.20\r\nRange: bytes=0-\r\nIcy-MetaData: 1\r\n";

const PLAYER_CLOSES: &str = "Accept: */*\r\nAccept-Language: en_US\r\n\
    User-Agent: VLC/3.0.20 LibVLC/3.0.20\r\nRange: bytes=0-\r\nIcy-MetaData: 1\r\n\
    Connection: close\r\n";

/// Who keeps connections.
const KEEPING: &[Peer] =
    &[Peer::Bare, Peer::Ours, Peer::OneDoor, Peer::NginxReturn, Peer::NginxSplit, Peer::HaproxyMap];

/// Who is asked on a new connection each time.
const CLOSING: &[Peer] = &[
    Peer::Bare,
    Peer::Ours,
    Peer::OneDoor,
    Peer::NginxReturn,
    Peer::NginxDeferred,
    Peer::HaproxyRedir,
];

pub(crate) const KEEP: Load = Load {
    key: "keep",
    title: "kept connections, client on the server's core",
    tool: Tool::Crowd,
    keeps: true,
    headers: "",
    core: cores::SERVERS,
    peers: KEEPING,
};

pub(crate) const KEEP_OTHER: Load = Load {
    key: "keep-other",
    title: "kept connections, client on another core",
    core: cores::OTHERS,
    ..KEEP
};

pub(crate) const KEEP_PLAYER: Load = Load {
    key: "keep-player",
    title: "kept connections, a player's headers, client on the server's core",
    headers: PLAYER,
    ..KEEP
};

pub(crate) const NEW: Load = Load {
    key: "new",
    title: "a connection for each request, client on the server's core",
    keeps: false,
    headers: PLAYER_CLOSES,
    peers: CLOSING,
    ..KEEP
};

pub(crate) const NEW_OTHER: Load = Load {
    key: "new-other",
    title: "a connection for each request, client on another core",
    core: cores::OTHERS,
    ..NEW
};

pub(crate) const WRK: Load = Load {
    key: "wrk",
    title: "a connection for each request, by wrk, which asks when it is accepted",
    tool: Tool::Wrk,
    ..NEW_OTHER
};

impl Load {
    pub(crate) const ALL: &[&Load] = &[&KEEP, &KEEP_PLAYER, &KEEP_OTHER, &NEW, &NEW_OTHER, &WRK];

    pub(crate) fn by_key(key: &str) -> Result<&'static Self, String> {
        Self::ALL.iter().find(|load| load.key == key).copied().ok_or_else(|| {
            let keys: Vec<_> = Self::ALL.iter().map(|load| load.key).collect();
            format!("there are: {}", keys.join(", "))
        })
    }

    /// How its players ask, as fast as they are answered.
    pub(crate) fn manner(&self) -> Manner {
        Manner {
            keeps: self.keeps,
            requests: requests((0..STREAMS).map(path), self.headers),
            rate: None,
            core: self.core,
        }
    }

    /// Its headers, each on its own.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &'static str> {
        self.headers.split_terminator("\r\n")
    }

    /// Where its players run.
    pub(crate) fn core(&self) -> usize {
        self.core
    }
}
