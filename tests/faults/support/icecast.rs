//! A real Icecast relay on 127.0.1.N, and what it says of those who came.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::process::{Process, until};
use super::web;

const WEB: &str = "/usr/share/icecast2/web";
const ADMIN: &str = "/usr/share/icecast2/admin";
/// `admin:adminpw`, as the header wants it.
const AUTHORIZATION: &str = "Authorization: Basic YWRtaW46YWRtaW5wdw==\r\n";

/// The port of every relay.
pub(crate) const PORT: u16 = 8000;

/// A running Icecast.
pub(crate) struct Icecast {
    /// The last byte of its address.
    pub(crate) number: u8,
    folder: PathBuf,
    process: Process,
}

/// What is out of the ordinary about a relay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    /// Its `<limits><clients>`.
    pub(crate) clients: u32,
    /// The `<max-listeners>` of `/radio.mp3`; 0: none.
    pub(crate) max_listeners: u32,
    /// Whether it has our stylesheet.
    pub(crate) stylesheet: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { clients: 1000, max_listeners: 0, stylesheet: true }
    }
}

impl Icecast {
    /// Starts the relay 127.0.1.`number`, in `root`, and waits until it answers.
    pub(crate) fn start(root: &Path, number: u8, setup: Setup) -> Self {
        let folder = root.join(format!("relay-{number}"));
        fs::create_dir_all(folder.join("log")).unwrap();
        fill_webroot(&folder.join("web"), setup.stylesheet);
        fs::write(folder.join("icecast.xml"), config(&folder, number, setup)).unwrap();
        let process = start(&folder);
        let mut icecast = Self { number, folder, process };
        icecast.wait_until_it_answers();
        icecast
    }

    /// Its address and port.
    pub(crate) fn address(&self) -> String {
        address(self.number)
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after [`Icecast::kill`].
    pub(crate) fn restart(&mut self) {
        self.process = start(&self.folder);
        self.wait_until_it_answers();
    }

    /// Lets it hang: it accepts connections (its kernel does) and says nothing.
    pub(crate) fn hang(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Wakes it after [`Icecast::hang`].
    pub(crate) fn wake(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Takes our stylesheet away.
    pub(crate) fn lose_stylesheet(&self) {
        fs::remove_file(self.folder.join("web/slots.xsl")).unwrap();
    }

    /// Sets the title of the mount's stream.
    pub(crate) fn set_title(&self, mount: &str, title: &str) {
        let path = format!("/admin/metadata?mode=updinfo&mount={mount}&song={title}");
        let answer = web::ask("GET", &self.address(), &path, AUTHORIZATION).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Waits until `mount` has a stream.
    pub(crate) fn wait_for(&self, mount: &str) {
        until(&format!("{mount} has a stream"), Duration::from_secs(20), || self.carries(mount));
    }

    /// How many listen to `mount` now.
    pub(crate) fn listeners(&self, mount: &str) -> usize {
        self.admin(&format!("listclients?mount={mount}"))
            .map_or(0, |listed| listed.matches("<listener>").count())
    }

    /// How often it refused somebody for being full: as its logs say, and so without what was
    /// refused at the last client, which they do not tell apart by path.
    pub(crate) fn refusals(&self) -> usize {
        let log = fs::read_to_string(self.folder.join("log/access.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains("/radio.mp3") && line.contains("\" 403 ")).count()
    }

    fn wait_until_it_answers(&mut self) {
        // Icecast 2.4.4 dies now and then of a request in the first moments of its life.
        let mut answers = 0;
        until("Icecast answers", Duration::from_secs(30), || {
            if self.process.ended().is_some() {
                self.process = start(&self.folder);
                answers = 0;
            }
            answers += u32::from(self.admin("stats").is_ok());
            answers >= 3
        });
    }

    fn carries(&self, mount: &str) -> bool {
        let Ok(statistics) = self.admin("stats") else { return false };
        statistics.split("<source mount=\"").skip(1).any(|source| {
            source.starts_with(&format!("{mount}\"")) && source.contains("stream_start")
        })
    }

    fn admin(&self, what: &str) -> io::Result<String> {
        let answer = web::ask("GET", &self.address(), &format!("/admin/{what}"), AUTHORIZATION)?;
        if answer.status == 200 {
            Ok(answer.body)
        } else {
            Err(io::Error::other(format!("{what}: {}", answer.status)))
        }
    }
}

/// Address and port of relay `number`.
pub(crate) fn address(number: u8) -> String {
    format!("127.0.1.{number}:{PORT}")
}

/// Icecast refuses to be root, so it is somebody else in its own eyes.
fn start(folder: &Path) -> Process {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-user=1000", "--map-group=1000", "--", "icecast2", "-c"]);
    command.arg(folder.join("icecast.xml"));
    Process::start("icecast", command, folder)
}

fn fill_webroot(web: &Path, stylesheet: bool) {
    fs::create_dir_all(web).unwrap();
    let packaged = fs::read_dir(WEB).unwrap_or_else(|error| {
        panic!("{WEB}: {error}; run `tests/install`, which installs Icecast")
    });
    for file in packaged {
        let file = file.unwrap();
        // Followed, not copied as links: some of them are.
        fs::write(web.join(file.file_name()), fs::read(file.path()).unwrap()).unwrap();
    }
    if stylesheet {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/icecast/slots.xsl");
        fs::copy(ours, web.join("slots.xsl")).unwrap();
    }
}

fn config(folder: &Path, number: u8, setup: Setup) -> String {
    let folder = folder.display();
    let clients = setup.clients;
    let mut mount = String::new();
    if setup.max_listeners > 0 {
        write!(
            mount,
            "<mount type='normal'><mount-name>/radio.mp3</mount-name>\
             <max-listeners>{}</max-listeners></mount>",
            setup.max_listeners
        )
        .unwrap();
    }
    format!(
        "<icecast>
  <hostname>127.0.1.{number}</hostname>
  <location>a test</location>
  <admin>nobody@localhost</admin>
  <limits>
    <clients>{clients}</clients>
    <sources>10</sources>
    <source-timeout>3</source-timeout>
    <burst-size>4096</burst-size>
  </limits>
  <authentication>
    <source-password>sourcepw</source-password>
    <admin-user>admin</admin-user>
    <admin-password>adminpw</admin-password>
  </authentication>
  <listen-socket><port>{PORT}</port><bind-address>127.0.1.{number}</bind-address></listen-socket>
  {mount}
  <fileserve>1</fileserve>
  <paths>
    <basedir>{folder}</basedir>
    <logdir>{folder}/log</logdir>
    <webroot>{folder}/web</webroot>
    <adminroot>{ADMIN}</adminroot>
  </paths>
  <logging>
    <accesslog>access.log</accesslog>
    <errorlog>error.log</errorlog>
    <loglevel>2</loglevel>
    <logsize>4096</logsize>
  </logging>
  <security><chroot>0</chroot></security>
</icecast>
"
    )
}
