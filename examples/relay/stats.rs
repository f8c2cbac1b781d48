//! The documents in which Icecast 2.4.4 tells its counts, byte for byte but for the values.

use std::fmt::{self, Write as _};
use std::time::SystemTime;

use quick_xml::escape::escape;
use serde::Serialize;

/// A document that tells counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Document {
    /// `/slots.xsl`, the stylesheet that comes with the balancer.
    Slots,
    /// `/load.xsl`, which tells free slots alone.
    Load,
    /// `/admin/stats`, for the administrator.
    Admin,
    /// `/status-json.xsl`, which tells no limits.
    StatusJson,
}

/// What a relay tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The host and port it believes to be reached at.
    pub address: String,
    /// When it was started.
    pub server_start: SystemTime,
    /// Mounts that have a stream.
    pub sources: u64,
    /// Live feeds that are open.
    pub feeds: u64,
    /// Connections since it was started.
    pub connections: u64,
    /// Listeners since it was started.
    pub listener_connections: u64,
    /// By path.
    pub mounts: Vec<MountView>,
}

/// What a relay tells of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountView {
    /// Its path, decoded.
    pub path: String,
    /// Listeners now.
    pub listeners: u64,
    /// The most there were at once.
    pub peak: u64,
    /// The most it takes.
    pub limit: Option<u64>,
    /// Whether its stream comes and goes with its listeners.
    pub on_demand: bool,
    /// Since when it has a stream, if it has one.
    pub stream_start: Option<SystemTime>,
}

/// The media type of every mount.
pub const MEDIA_TYPE: &str = "application/ogg";

const SUBTYPE: &str = "FLAC";
const SERVER_ID: &str = "Icecast 2.4.4";
const CONTACT: &str = "demo@localhost";
const PLACE: &str = "demo";

impl Document {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Slots, Self::Load, Self::Admin, Self::StatusJson];

    /// The document at `path`.
    pub fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|document| document.path() == path)
    }

    /// Where it is found.
    pub fn path(self) -> &'static str {
        match self {
            Self::Slots => "/slots.xsl",
            Self::Load => "/load.xsl",
            Self::Admin => "/admin/stats",
            Self::StatusJson => "/status-json.xsl",
        }
    }

    /// Its `Content-Type`, in the case that Icecast writes it in.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Slots | Self::Load => "text/xml; charset=UTF-8",
            Self::Admin => "text/xml; charset=utf-8",
            Self::StatusJson => "application/json; charset=UTF-8",
        }
    }

    /// Its text.
    pub fn render(self, view: &View) -> String {
        let mut text = String::new();
        let written = match self {
            Self::Slots => slots(&mut text, view),
            Self::Load => load(&mut text, view),
            Self::Admin => admin(&mut text, view),
            Self::StatusJson => return status_json(view),
        };
        written.map(|()| text).unwrap_or_default() // writing to a string does not fail
    }
}

impl View {
    /// Listeners on all mounts.
    pub fn listeners(&self) -> u64 {
        self.mounts.iter().map(|mount| mount.listeners).sum()
    }

    /// Clients of all kinds, but for those that ask and go.
    pub fn clients(&self) -> u64 {
        self.listeners() + self.sources + self.feeds
    }

    fn host(&self) -> &str {
        self.address.rsplit_once(':').map_or("", |(host, _)| host)
    }

    /// Where the mount is heard, its path not encoded again: such is Icecast.
    fn listen_url(&self, mount: &MountView) -> String {
        format!("http://{}{}", self.address, mount.path)
    }
}

impl MountView {
    /// Its limit, in Icecast's words.
    pub fn limit_text(&self) -> String {
        self.limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
    }

    /// What is free, or `otherwise` where that is everything.
    fn free_text(&self, otherwise: &str) -> String {
        let free = self.limit.map(|limit| limit.saturating_sub(self.listeners).to_string());
        free.unwrap_or_else(|| otherwise.to_owned())
    }
}

fn slots(text: &mut String, view: &View) -> fmt::Result {
    write!(
        text,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <slots version=\"1\" server_id=\"{SERVER_ID}\" server_start=\"{}\" clients=\"{}\" \
         listeners=\"{}\" sources=\"{}\"",
        iso8601(view.server_start),
        view.clients(),
        view.listeners(),
        view.sources,
    )?;
    if view.mounts.is_empty() {
        return text.write_str("/>\n");
    }
    text.write_str(">\n")?;
    for mount in &view.mounts {
        write!(
            text,
            "  <mount name=\"{}\" listeners=\"{}\" max_listeners=\"{}\" free=\"{}\"",
            escape(&mount.path),
            mount.listeners,
            mount.limit_text(),
            mount.free_text("unlimited"),
        )?;
        match mount.stream_start {
            Some(_) => writeln!(text, " active=\"1\" type=\"{MEDIA_TYPE}\"/>")?,
            None => writeln!(text, " active=\"0\"/>")?,
        }
    }
    text.write_str("</slots>\n")
}

fn load(text: &mut String, view: &View) -> fmt::Result {
    text.write_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<load>")?;
    for mount in &view.mounts {
        // The stylesheet subtracts from the word "unlimited", which gives no number.
        let free = mount.free_text("NaN");
        write!(text, "<mount name=\"{}\">{free}</mount>", escape(&mount.path))?;
    }
    text.write_str("</load>\n")
}

fn admin(text: &mut String, view: &View) -> fmt::Result {
    text.write_str("<?xml version=\"1.0\"?>\n<icestats>")?;
    element(text, "admin", CONTACT)?;
    element(text, "client_connections", view.connections)?;
    element(text, "clients", view.clients())?;
    element(text, "connections", view.connections)?;
    element(text, "file_connections", 0)?;
    element(text, "host", view.host())?;
    element(text, "listener_connections", view.listener_connections)?;
    element(text, "listeners", view.listeners())?;
    element(text, "location", PLACE)?;
    element(text, "server_id", SERVER_ID)?;
    element(text, "server_start", rfc2822(view.server_start))?;
    element(text, "server_start_iso8601", iso8601(view.server_start))?;
    element(text, "source_client_connections", 0)?;
    element(text, "source_relay_connections", view.sources)?;
    element(text, "source_total_connections", view.sources)?;
    element(text, "sources", view.sources)?;
    element(text, "stats", 0)?;
    element(text, "stats_connections", 0)?;
    for mount in &view.mounts {
        write!(text, "<source mount=\"{}\">", escape(&mount.path))?;
        element(text, "listener_peak", mount.peak)?;
        element(text, "listeners", mount.listeners)?;
        element(text, "listenurl", view.listen_url(mount))?;
        element(text, "max_listeners", mount.limit_text())?;
        if mount.on_demand {
            element(text, "on_demand", 1)?;
        }
        element(text, "public", 0)?;
        if let Some(start) = mount.stream_start {
            element(text, "server_type", MEDIA_TYPE)?;
            element(text, "slow_listeners", 0)?;
            element(text, "stream_start", rfc2822(start))?;
            element(text, "stream_start_iso8601", iso8601(start))?;
            element(text, "subtype", SUBTYPE)?;
        }
        text.write_str("</source>")?;
    }
    text.write_str("</icestats>\n")
}

fn element(text: &mut String, name: &str, value: impl fmt::Display) -> fmt::Result {
    write!(text, "<{name}>{}</{name}>", escape(value.to_string()))
}

fn status_json(view: &View) -> String {
    let mut sources: Vec<_> = view.mounts.iter().map(|mount| SourceJson::of(view, mount)).collect();
    let source = match sources.len() {
        0 => None,
        1 => sources.pop().map(OneOrMany::One),
        _ => Some(OneOrMany::Many(sources)),
    };
    let icestats = IcestatsJson {
        admin: CONTACT,
        host: view.host(),
        location: PLACE,
        server_id: SERVER_ID,
        server_start: rfc2822(view.server_start),
        server_start_iso8601: iso8601(view.server_start),
        source,
        dummy: (),
    };
    serde_json::to_string(&StatusJson { icestats }).unwrap_or_default()
}

#[derive(Serialize)]
struct StatusJson<'a> {
    icestats: IcestatsJson<'a>,
}

#[derive(Serialize)]
struct IcestatsJson<'a> {
    admin: &'a str,
    host: &'a str,
    location: &'a str,
    server_id: &'a str,
    server_start: String,
    server_start_iso8601: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<OneOrMany<'a>>,
    dummy: (),
}

/// Icecast's stylesheet writes an array only where there are two mounts or more.
#[derive(Serialize)]
#[serde(untagged)]
enum OneOrMany<'a> {
    One(SourceJson<'a>),
    Many(Vec<SourceJson<'a>>),
}

#[derive(Serialize)]
struct SourceJson<'a> {
    listener_peak: u64,
    listeners: u64,
    listenurl: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_demand: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_start_iso8601: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtype: Option<&'a str>,
    dummy: (),
}

impl SourceJson<'_> {
    fn of(view: &View, mount: &MountView) -> Self {
        Self {
            listener_peak: mount.peak,
            listeners: mount.listeners,
            listenurl: view.listen_url(mount),
            on_demand: mount.on_demand.then_some(1),
            server_type: mount.stream_start.map(|_| MEDIA_TYPE),
            stream_start: mount.stream_start.map(rfc2822),
            stream_start_iso8601: mount.stream_start.map(iso8601),
            subtype: mount.stream_start.map(|_| SUBTYPE),
            dummy: (),
        }
    }
}

/// `Sun, 22 Nov 2026 06:30:32 +0000`
fn rfc2822(at: SystemTime) -> String {
    httpdate::fmt_http_date(at).replace("GMT", "+0000")
}

/// `2026-11-22T06:30:32+0000`
fn iso8601(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string().replace('Z', "+0000")
}
