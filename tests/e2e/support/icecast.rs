//! A real Icecast, as a master or as a relay, and what it says of its listeners.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::certificate;
use super::lab::{Lab, free_port, give};
use super::process::{Process, Program, eventually, show};
use super::web;

/// The user and group that Debian's package makes for Icecast.
const USER: (&str, &str) = ("icecast2", "icecast");
/// What Debian's package serves.
const WEB: &str = "/usr/share/icecast2/web";
const ADMIN: &str = "/usr/share/icecast2/admin";
/// `admin:adminpw`, as the header wants it.
const AUTHORIZATION: &str = "Authorization: Basic YWRtaW46YWRtaW5wdw==\r\n";
/// The password of sources.
pub(crate) const SOURCE_PASSWORD: &str = "sourcepw";
/// The password of the user `admin`.
pub(crate) const ADMIN_PASSWORD: &str = "adminpw";

/// A running Icecast.
pub(crate) struct Icecast {
    host: &'static str,
    port: u16,
    https: Option<u16>,
    folder: PathBuf,
    process: Process,
}

/// An Icecast about to be started.
pub(crate) struct Setup<'a> {
    lab: &'a Lab,
    name: &'a str,
    host: &'static str,
    clients: u32,
    https: Option<u16>,
    headers: String,
    documents: Vec<&'a str>,
    mounts: String,
    awaited: Vec<String>,
}

/// A listener, as the relay lists it while it listens.
#[derive(Debug)]
pub(crate) struct Listening {
    /// Its `User-Agent`.
    pub(crate) agent: String,
    /// Since how many seconds it listens.
    pub(crate) seconds: u64,
}

/// A line of the access log, written when a client has left.
#[derive(Debug)]
pub(crate) struct Visit {
    /// The path that was asked for, without the query.
    pub(crate) path: String,
    /// The status code of the answer.
    pub(crate) status: u16,
    /// What was sent, head and all.
    pub(crate) bytes: u64,
    /// Its `User-Agent`.
    pub(crate) agent: String,
    /// How long it stayed.
    pub(crate) seconds: u64,
}

impl<'a> Setup<'a> {
    /// An Icecast with our stylesheet and nothing else out of the ordinary.
    pub(crate) fn new(lab: &'a Lab, name: &'a str) -> Self {
        Self {
            lab,
            name,
            host: "127.0.0.1",
            clients: 1000,
            https: None,
            headers: String::new(),
            documents: vec!["slots.xsl"],
            mounts: String::new(),
            awaited: Vec::new(),
        }
    }

    /// The address that it listens on, 127.0.0.1 unless it is said: `::1`.
    pub(crate) fn host(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    /// Lets it be reached by https as well, by a certificate that nobody signed.
    pub(crate) fn https(mut self) -> Self {
        self.https = Some(free_port());
        self
    }

    /// One of its `<http-headers>`.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        write!(self.headers, "<header name='{name}' value='{value}'/>").unwrap();
        self
    }

    /// Its `<limits><clients>`, which counts sources, statistics and all.
    pub(crate) fn clients(mut self, clients: u32) -> Self {
        self.clients = clients;
        self
    }

    /// Which of our stylesheets it has.
    pub(crate) fn stylesheets(mut self, documents: &[&'a str]) -> Self {
        self.documents = documents.to_vec();
        self
    }

    /// A mount's `<max-listeners>`.
    pub(crate) fn max_listeners(mut self, mount: &str, limit: u32) -> Self {
        write!(
            self.mounts,
            "<mount type='normal'><mount-name>{mount}</mount-name>\
             <max-listeners>{limit}</max-listeners></mount>"
        )
        .unwrap();
        self
    }

    /// A mount's `<max-listeners>`, and the mount whose stream its listeners hear while it has no
    /// source of its own; they are brought back when it has.
    pub(crate) fn falls_back(mut self, mount: &str, limit: u32, to: &str) -> Self {
        write!(
            self.mounts,
            "<mount type='normal'><mount-name>{mount}</mount-name>\
             <max-listeners>{limit}</max-listeners><fallback-mount>{to}</fallback-mount>\
             <fallback-override>1</fallback-override></mount>"
        )
        .unwrap();
        self
    }

    /// Has whoever asks for `mount` let in by the server at `url`.
    pub(crate) fn asks_at_the_door(mut self, mount: &str, url: &str) -> Self {
        write!(
            self.mounts,
            "<mount type='normal'><mount-name>{mount}</mount-name><authentication type='url'>\
             <option name='listener_add' value='{url}'/></authentication></mount>"
        )
        .unwrap();
        self
    }

    /// Has whoever asks for `mount` give the name and password that are in `file`.
    pub(crate) fn wants_password(mut self, mount: &str, file: &Path) -> Self {
        write!(
            self.mounts,
            "<mount type='normal'><mount-name>{mount}</mount-name>\
             <authentication type='htpasswd'><option name='filename' value='{}'/>\
             </authentication></mount>",
            file.display()
        )
        .unwrap();
        self
    }

    /// Makes it a slave of whatever is at `port` on this machine: it pulls all that is there, and
    /// plays `mount` when it is started.
    pub(crate) fn slave_of(mut self, port: u16, mount: &str) -> Self {
        write!(
            self.mounts,
            "<master-server>127.0.0.1</master-server>\
             <master-server-port>{port}</master-server-port>\
             <master-password>relaypw</master-password>"
        )
        .unwrap();
        self.awaited.push(mount.to_owned());
        self
    }

    /// Makes it a relay of a mount that `port` on this machine serves; it plays when it is started.
    pub(crate) fn pulls(mut self, port: u16, mount: &str) -> Self {
        write!(
            self.mounts,
            "<relay><server>127.0.0.1</server><port>{port}</port><mount>{mount}</mount>\
             <local-mount>{mount}</local-mount></relay>"
        )
        .unwrap();
        self.awaited.push(mount.to_owned());
        self
    }

    /// Starts it and waits until it answers and carries all it pulls.
    pub(crate) fn start(self) -> Icecast {
        let folder = self.lab.folder(self.name, USER.0);
        self.fill_webroot(&folder);
        certificate::make(&folder, USER.0);
        let icecast = (0..5).find_map(|_| self.begin(&folder)).expect("Icecast starts");
        for mount in &self.awaited {
            icecast.wait_for(mount);
        }
        icecast
    }

    /// Starts it once. Icecast 2.4.4 now and then dies of a request that comes in the very first
    /// moments of its life (signal 11, one start in fifty), sometimes after having answered it: then
    /// there is none.
    fn begin(&self, folder: &Path) -> Option<Icecast> {
        let port = free_port();
        let config = folder.join("icecast.xml");
        fs::write(&config, self.config(folder, port)).unwrap();
        let process = Program::new_as(USER, "icecast2", "icecast2")
            .args(["-c".as_ref(), config.as_os_str()])
            .start(folder);
        let (host, https, folder) = (self.host, self.https, folder.to_owned());
        let mut icecast = Icecast { host, port, https, folder, process };
        let mut answers = 0;
        let lives = eventually("Icecast answers", Duration::from_secs(10), || {
            if icecast.process.ended().is_some() {
                return Some(false);
            }
            answers += u32::from(icecast.statistics().is_ok());
            (answers == 3).then_some(true)
        });
        lives.then_some(icecast)
    }

    fn fill_webroot(&self, folder: &Path) {
        let web = folder.join("web");
        fs::create_dir(&web).unwrap();
        let packaged = fs::read_dir(WEB).unwrap_or_else(|error| {
            panic!("{WEB}: {error}; run `tests/install`, which installs Icecast")
        });
        for file in packaged {
            let file = file.unwrap();
            // Followed, not copied as links: some of them are.
            fs::write(web.join(file.file_name()), fs::read(file.path()).unwrap()).unwrap();
        }
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/icecast");
        for document in &self.documents {
            fs::copy(ours.join(document), web.join(document))
                .unwrap_or_else(|error| panic!("deploy/icecast/{document}: {error}"));
        }
        let log = folder.join("log");
        fs::create_dir(&log).unwrap();
        give(&log, USER.0);
    }

    fn config(&self, folder: &Path, port: u16) -> String {
        let Self { clients, host, mounts, headers, .. } = self;
        let secure = self.https.map_or_else(String::new, |port| {
            format!(
                "<listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address>\
                 <ssl>1</ssl></listen-socket>"
            )
        });
        let folder = folder.display();
        format!(
            "<icecast>
  <hostname>127.0.0.1</hostname>
  <location>a test</location>
  <admin>nobody@localhost</admin>
  <limits>
    <clients>{clients}</clients>
    <sources>10</sources>
    <source-timeout>60</source-timeout>
    <burst-size>32768</burst-size>
  </limits>
  <authentication>
    <source-password>{SOURCE_PASSWORD}</source-password>
    <admin-user>admin</admin-user>
    <admin-password>{ADMIN_PASSWORD}</admin-password>
  </authentication>
  <listen-socket><port>{port}</port><bind-address>{host}</bind-address></listen-socket>
  {secure}
  <http-headers><header name='Access-Control-Allow-Origin' value='*'/>{headers}</http-headers>
  <master-update-interval>2</master-update-interval>
  {mounts}
  <fileserve>1</fileserve>
  <paths>
    <basedir>{folder}</basedir>
    <logdir>{folder}/log</logdir>
    <webroot>{folder}/web</webroot>
    <adminroot>{ADMIN}</adminroot>
    <ssl-certificate>{folder}/radio.pem</ssl-certificate>
  </paths>
  <logging>
    <accesslog>access.log</accesslog>
    <errorlog>error.log</errorlog>
    <loglevel>3</loglevel>
  </logging>
  <security><chroot>0</chroot></security>
</icecast>
"
        )
    }
}

impl Icecast {
    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its address, as the configuration of a balancer wants it.
    pub(crate) fn url(&self) -> String {
        let host = self.host;
        if host.contains(':') {
            format!("http://[{host}]:{}", self.port)
        } else {
            format!("http://{host}:{}", self.port)
        }
    }

    /// The address by which it is reached by https.
    pub(crate) fn https_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.https.expect("an Icecast with https"))
    }

    /// The certificate that it shows.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("radio.crt")
    }

    /// Waits until `mount` has a stream.
    pub(crate) fn wait_for(&self, mount: &str) {
        eventually(&format!("{mount} has a stream"), Duration::from_secs(20), || {
            self.carries(mount).then_some(())
        });
    }

    /// Waits until nothing is left of `mount`.
    pub(crate) fn wait_until_gone(&self, mount: &str) {
        eventually(&format!("{mount} is gone"), Duration::from_secs(20), || {
            (!self.carries(mount)).then_some(())
        });
    }

    /// Who listens to `mount` now.
    pub(crate) fn listening(&self, mount: &str) -> Vec<Listening> {
        let Ok(listed) = self.admin(&format!("listclients?mount={mount}")) else {
            return Vec::new();
        };
        // What stands before the first listener is none.
        listed
            .split("<listener>")
            .skip(1)
            .map(|listener| Listening {
                agent: element(listener, "UserAgent").unwrap_or_default().to_owned(),
                seconds: element(listener, "Connected").unwrap_or("0").parse().unwrap(),
            })
            .collect()
    }

    /// How many listen to `mount` now.
    pub(crate) fn listeners(&self, mount: &str) -> usize {
        self.listening(mount).len()
    }

    /// Everyone who has come and gone.
    pub(crate) fn visits(&self) -> Vec<Visit> {
        let log = fs::read_to_string(self.folder.join("log/access.log")).unwrap_or_default();
        // The last line may still be half written.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter_map(visit).collect()
    }

    /// Lets it hang: it accepts connections (its kernel does) and says nothing.
    pub(crate) fn hang(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Wakes it after [`Icecast::hang`].
    pub(crate) fn wake(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process.stop_with(Signal::KILL);
    }

    fn carries(&self, mount: &str) -> bool {
        let Ok(statistics) = self.statistics() else { return false };
        // What stands before the first source is the server itself.
        statistics.split("<source mount=\"").skip(1).any(|source| {
            source.starts_with(&format!("{mount}\"")) && source.contains("stream_start")
        })
    }

    fn statistics(&self) -> io::Result<String> {
        self.admin("stats")
    }

    fn admin(&self, what: &str) -> io::Result<String> {
        let answer = web::get_with(&format!("{}/admin/{what}", self.url()), AUTHORIZATION)?;
        if answer.status == 200 {
            Ok(answer.body)
        } else {
            Err(io::Error::other(format!("{what}: {}", answer.status)))
        }
    }
}

impl Drop for Icecast {
    fn drop(&mut self) {
        // It takes seconds to end in peace, and has nothing that would be worth them.
        self.kill();
        if std::thread::panicking() {
            show("the relay's access log", &self.folder.join("log/access.log"));
            show("the relay's error log", &self.folder.join("log/error.log"));
        }
    }
}

/// Reads `IP - - [time] "GET /path HTTP/1.1" status bytes "referer" "agent" seconds`.
fn visit(line: &str) -> Option<Visit> {
    let mut quoted = line.split('"');
    let request = quoted.nth(1)?;
    let mut numbers = quoted.next()?.split_whitespace();
    let agent = quoted.nth(2)?;
    Some(Visit {
        path: request.split(' ').nth(1)?.to_owned(),
        status: numbers.next()?.parse().ok()?,
        bytes: numbers.next()?.parse().ok()?,
        agent: agent.to_owned(),
        seconds: quoted.next()?.trim().parse().ok()?,
    })
}

/// The text of the first element `name`.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}
