//! HLS as stations have it: ffmpeg writes playlists and segments, nginx serves them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lab::{Lab, free_port};
use super::process::{Process, Program, eventually};

/// Whoever runs nginx, and its group.
const USER: (&str, &str) = ("nobody", "nogroup");

/// The master playlist, as players ask for it.
pub(crate) const MASTER: &str = "/hls/live.m3u8";

/// A live stream with two variants, in a folder. Dropping it ends the stream.
pub(crate) struct LiveFolder {
    root: PathBuf,
    _ffmpeg: Process,
}

/// An nginx of its own. Dropping it ends it.
pub(crate) struct Nginx {
    port: u16,
    log: PathBuf,
    _process: Process,
}

/// A line of an access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// What was asked for.
    pub(crate) path: String,
    /// The status code of the answer.
    pub(crate) status: u16,
}

impl LiveFolder {
    /// Begins a stream, and waits until there are segments enough to play.
    pub(crate) fn start(lab: &Lab) -> Self {
        let root = lab.folder("live", "root");
        let ffmpeg = Program::new("ffmpeg", "ffmpeg")
            .words("-hide_banner -nostdin -loglevel warning")
            .words("-re -f lavfi -i testsrc2=size=320x180:rate=15")
            .words("-re -f lavfi -i sine=frequency=440:sample_rate=44100")
            .words("-map 0:v -map 1:a -map 0:v -map 1:a")
            .words("-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 15")
            .words("-b:v:0 300k -b:v:1 100k -s:v:1 160x90 -c:a aac -b:a 48k")
            .words("-f hls -hls_time 1 -hls_list_size 10")
            .words("-hls_flags delete_segments+independent_segments+temp_file")
            .words("-master_pl_name live.m3u8 -hls_segment_filename hls/v%v/%d.ts")
            .args(["-var_stream_map", "v:0,a:0 v:1,a:1", "hls/v%v/index.m3u8"])
            .start(&root);
        let folder = Self { root, _ffmpeg: ffmpeg };
        eventually("there are segments", Duration::from_secs(60), || {
            let is_there = |name: &str| folder.root.join("hls").join(name).is_file();
            (is_there("live.m3u8") && is_there("v0/4.ts") && is_there("v1/4.ts")).then_some(())
        });
        folder
    }

    /// Where it is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

impl Nginx {
    /// nginx with a `server` as documented for a relay, which serves what is in `root`.
    pub(crate) fn start(lab: &Lab, name: &str, server: &str, root: &Path) -> Self {
        let folder = lab.folder(name, USER.0);
        let port = free_port();
        for documented in ["listen 80;", "root /srv/radio;"] {
            assert!(server.contains(documented), "{documented} in the example:\n{server}");
        }
        let server = server
            .replace("listen 80;", &format!("listen 127.0.0.1:{port};"))
            .replace("root /srv/radio;", &format!("root {};", root.display()));
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = kinds.map(|kind| format!("{kind}_temp_path {kind};"));
        let config = format!(
            "daemon off; pid nginx.pid; error_log stderr; events {{}}\nhttp {{\n\
             types {{ text/html html; text/javascript js; }}\n\
             log_format plain '$uri $status $http_user_agent';\naccess_log access.log plain;\n\
             {}\n{server}}}\n",
            temporary.concat()
        );
        fs::write(folder.join("nginx.conf"), config).unwrap();
        let mut process = Program::new_as(USER, "nginx", "nginx")
            .args(["-e".as_ref(), "stderr".as_ref(), "-p".as_ref(), folder.as_os_str()])
            .args(["-c", "nginx.conf"])
            .start(&folder);
        eventually("nginx listens", Duration::from_secs(10), || {
            if let Some(status) = process.ended() {
                panic!("nginx ended: {status}");
            }
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { port, log: folder.join("access.log"), _process: process }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What players have asked it for; not what the balancer has.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        // The last line may still be half written.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let requests = whole.lines().filter_map(|line| {
            let mut words = line.splitn(3, ' ');
            let (path, status, agent) = (words.next()?, words.next()?, words.next()?);
            let is_ours = agent.starts_with("icecast-balancer/");
            let request = Request { path: path.to_owned(), status: status.parse().ok()? };
            (!is_ours).then_some(request)
        });
        requests.collect()
    }

    /// The same, but for the master playlist.
    pub(crate) fn media(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.path != MASTER).collect()
    }

    /// How many segments players were given.
    pub(crate) fn segments(&self) -> usize {
        let is_segment = |request: &Request| {
            let extension = Path::new(&request.path).extension();
            extension.is_some_and(|it| it == "ts") && matches!(request.status, 200 | 206)
        };
        self.requests().iter().filter(|request| is_segment(request)).count()
    }

    /// Waits until players were given so many segments.
    pub(crate) fn wait_for_segments(&self, count: usize) {
        eventually(&format!("{count} segments were given"), Duration::from_secs(60), || {
            (self.segments() >= count).then_some(())
        });
    }
}
