//! One real Icecast, as the master or as a relay with few slots, that can be killed and come back.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::START_UP;
use crate::support::lab::{Lab, free_port, give};
use crate::support::process::{Process, Program, eventually};
use crate::support::web;

/// The one mount of the station.
pub(crate) const MOUNT: &str = "/talk.mp3";
pub(crate) const SOURCE_PASSWORD: &str = "sourcepw";
pub(crate) const ADMIN_PASSWORD: &str = "adminpw";

/// The user and group that Debian's package makes for Icecast, which refuses to be root.
const USER: (&str, &str) = ("icecast2", "icecast");

/// A running Icecast.
pub(crate) struct Icecast {
    address: SocketAddr,
    folder: PathBuf,
    /// What ended before is replaced when it comes back.
    process: Process,
}

impl Icecast {
    /// The Icecast that the source plays to.
    pub(crate) fn master(lab: &Lab) -> Self {
        Self::start(lab, "master", "")
    }

    /// One that takes `limit` listeners on its mount, which it pulls from `master`.
    pub(crate) fn relay(lab: &Lab, name: &str, master: &Self, limit: u64) -> Self {
        let port = master.address.port();
        let pulls = format!(
            "<relay><server>127.0.0.1</server><port>{port}</port><mount>{MOUNT}</mount>\
             <local-mount>{MOUNT}</local-mount></relay>\
             <mount type='normal'><mount-name>{MOUNT}</mount-name>\
             <max-listeners>{limit}</max-listeners></mount>"
        );
        Self::start(lab, name, &pulls)
    }

    fn start(lab: &Lab, name: &str, mounts: &str) -> Self {
        let folder = lab.folder(name, USER.0);
        for part in ["web", "log"] {
            fs::create_dir(folder.join(part)).unwrap();
        }
        give(&folder.join("log"), USER.0);
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::copy(root.join("deploy/icecast/slots.xsl"), folder.join("web/slots.xsl")).unwrap();
        let port = free_port();
        fs::write(folder.join("icecast.xml"), config(&folder, port, mounts)).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let process = run(&folder, address);
        Self { address, folder, process }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process.stop_with(Signal::KILL);
    }

    /// Starts it again where it was; it has its stream a moment later.
    pub(crate) fn come_back(&mut self) {
        self.process = run(&self.folder, self.address);
    }

    /// How many listen; `None` while it does not have the stream.
    pub(crate) fn listeners(&self) -> Option<u64> {
        let page = web::get(&format!("http://{}/slots.xsl", self.address)).ok()?;
        told(&page.body, "listeners")
    }

    /// Waits until it has the stream.
    pub(crate) fn wait_until_it_plays(&self) {
        let what = format!("{} plays", self.address);
        eventually(&what, START_UP, || self.listeners());
    }
}

/// What `slots.xsl` tells of the mount: `listeners`, or what is `free`.
pub(crate) fn told(page: &str, attribute: &str) -> Option<u64> {
    let (_, mount) = page.split_once(&format!("<mount name=\"{MOUNT}\""))?;
    let (mount, _) = mount.split_once('>')?;
    let (_, value) = mount.split_once(&format!(" {attribute}=\""))?;
    value.split_once('"')?.0.parse().ok()
}

/// Runs an Icecast until it answers. Icecast 2.4.4 now and then dies of a request in the first
/// moments of its life (signal 11, one start in fifty): then it is started again.
fn run(folder: &Path, address: SocketAddr) -> Process {
    let begin = || {
        let config = folder.join("icecast.xml");
        let mut process = Program::new_as(USER, "icecast2", "icecast2")
            .args(["-c".as_ref(), config.as_os_str()])
            .start(folder);
        let mut answers = 0;
        let lives = eventually("Icecast answers", START_UP, || {
            if process.ended().is_some() {
                return Some(false);
            }
            answers += u32::from(web::get(&format!("http://{address}/slots.xsl")).is_ok());
            (answers == 3).then_some(true)
        });
        lives.then_some(process)
    };
    (0..5).find_map(|_| begin()).expect("Icecast starts")
}

/// Its limits leave room for everybody but where the mount's own is reached. The burst is small,
/// so that thousands of listeners do not fill the machine's memory.
fn config(folder: &Path, port: u16, mounts: &str) -> String {
    let folder = folder.display();
    format!(
        "<icecast>
  <hostname>127.0.0.1</hostname>
  <location>a benchmark</location>
  <admin>nobody@localhost</admin>
  <limits>
    <clients>5000</clients>
    <sources>4</sources>
    <queue-size>131072</queue-size>
    <burst-size>4096</burst-size>
  </limits>
  <authentication>
    <source-password>{SOURCE_PASSWORD}</source-password>
    <admin-user>admin</admin-user>
    <admin-password>{ADMIN_PASSWORD}</admin-password>
  </authentication>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <master-update-interval>2</master-update-interval>
  {mounts}
  <fileserve>1</fileserve>
  <paths>
    <basedir>{folder}</basedir>
    <logdir>{folder}/log</logdir>
    <webroot>{folder}/web</webroot>
    <adminroot>/usr/share/icecast2/admin</adminroot>
  </paths>
  <logging>
    <accesslog>access.log</accesslog>
    <errorlog>error.log</errorlog>
    <loglevel>2</loglevel>
  </logging>
  <security><chroot>0</chroot></security>
</icecast>
"
    )
}
