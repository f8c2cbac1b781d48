//! Relays whose names, or who themselves, do not answer: with a real resolver and real sockets.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use super::{STREAM, relay};
use crate::life::program::Program;
use crate::relay::Relay;
use crate::support::PORTS;
use crate::support::hostile::{ACTS, Act, Hostile};
use crate::support::private::{is_inside, require};

const ONE: &str = "198.51.100.7";
const TWO: &str = "198.51.100.8";

/// A name system on 127.0.0.1; it ends when dropped.
struct Names {
    server: Child,
    folder: TempDir,
}

impl Names {
    async fn start(names: &str) -> Self {
        require("dnsmasq", "dnsmasq-base");
        let folder = tempfile::tempdir().unwrap();
        let hosts = folder.path().join("hosts");
        fs::write(&hosts, names).unwrap();
        let server = Command::new("dnsmasq")
            .args(["--no-daemon", "--no-resolv", "--no-hosts", "--user=root", "--local-ttl=1"])
            .args(["--local=/test/", "--bind-interfaces", "--listen-address=127.0.0.1"])
            .arg(format!("--addn-hosts={}", hosts.display()))
            .arg(format!("--pid-file={}", folder.path().join("pid").display()))
            .spawn()
            .expect("dnsmasq starts");
        let up = async || TcpStream::connect("127.0.0.1:53").await.is_ok();
        crate::support::eventually("the name system answers", up).await;
        Self { server, folder }
    }

    fn say(&self, names: &str) {
        fs::write(self.folder.path().join("hosts"), names).unwrap();
        self.signal("HUP");
    }

    fn signal(&self, name: &str) {
        let id = self.server.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

fn relay_at(address: &str) -> Relay {
    let address: SocketAddr = format!("{address}:8000").parse().unwrap();
    Relay::builder().listen(address).mount("/saal1.ogg", 1_000).start().unwrap()
}

fn written(folder: &Path, yaml: &str) -> std::path::PathBuf {
    let file = folder.join("balancer.yaml");
    fs::write(&file, format!("{PORTS}{yaml}{STREAM}")).unwrap();
    file
}

/// Waits for what takes longer than anything else here: addresses are kept for half a minute.
async fn patiently(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "this never came true: {what}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_name_that_flips_and_a_resolver_that_hangs_change_nothing() {
    let test = "polling::names::a_name_that_flips_and_a_resolver_that_hangs_change_nothing";
    if !is_inside(test, &["198.51.100.7/32", "198.51.100.8/32"]) {
        return;
    }
    let names = Names::start(&format!("{ONE} one.test\n{TWO} two.test\n")).await;
    let relays = [relay_at(ONE), relay_at(TWO)];
    let trap = TcpListener::bind("127.0.0.1:8000").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let yaml = "poll: {interval: 200ms, fast_interval: 200ms}\n\
        servers: {one: 'http://one.test:8000', two: 'http://two.test:8000'}\n";
    let program = Program::start(&written(folder.path(), yaml), &[]).await;
    let healths = async || {
        let status = program.admin_get("/api/v1/status").await.body;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        [&status["servers"][0], &status["servers"][1]].map(Clone::clone)
    };
    patiently("both are up", async || healths().await.iter().all(|it| it["health"] == "up")).await;

    names.say(&format!("127.0.0.1 one.test\n{TWO} two.test\n"));
    patiently("it is told", async || program.log().contains("now means a private network")).await;
    patiently("the status tells it", async || {
        let [one, _] = healths().await;
        let trouble = one["trouble"].as_str().unwrap_or_default();
        one["health"] == "up" && trouble.contains("its name now means 127.0.0.1")
    })
    .await;
    let [_, two] = healths().await;
    assert_eq!(two["health"], "up");
    assert!(two["trouble"].is_null(), "{two}");
    let lured = tokio::time::timeout(Duration::from_millis(1), trap.accept()).await;
    assert!(lured.is_err(), "no look goes where the name points now");

    // Longer than addresses are kept, so that they are asked for in vain.
    names.signal("STOP");
    sleep(Duration::from_secs(33)).await;
    let before = relays.each_ref().map(Relay::polls);
    patiently("both are looked at", async || {
        relays.iter().zip(&before).all(|(relay, before)| relay.polls() >= before + 5)
    })
    .await;
    assert!(healths().await.iter().all(|server| server["health"] == "up"));
    assert!(!program.log().contains("now=\"doubtful\""), "{}", program.log());
    names.signal("CONT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_that_hang_in_five_ways_delay_nobody() {
    let test = "polling::names::relays_that_hang_in_five_ways_delay_nobody";
    if !is_inside(test, &[]) {
        return;
    }
    // Names that nobody answers for.
    let _silent = UdpSocket::bind("127.0.0.1:53").unwrap();
    let folder = tempfile::tempdir().unwrap();
    // A process that is stopped: connections are made, and nothing follows.
    let listen = "listen: ['127.0.0.2:8000', '127.0.0.3:8000', '127.0.0.4:8000', \
        '127.0.0.5:8000', '127.0.0.6:8000']\nadmin: '127.0.0.2:9000'\n\
        servers: {x: 'http://127.0.0.9'}\nstreams: {/x: }\n";
    let file = folder.path().join("stopped.yaml");
    fs::write(&file, listen).unwrap();
    let stopped = Program::start(&file, &[]).await;
    stopped.signal("STOP");
    let mut hung: Vec<String> = (2..7).map(|n| format!("http://127.0.0.{n}:8000")).collect();
    // A queue that is full: the kernel drops who knocks.
    let mut kept = Vec::new();
    for n in 10..15 {
        let address: SocketAddr = format!("127.0.0.{n}:8000").parse().unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(0).unwrap();
        let filling = std::net::TcpStream::connect(address).unwrap();
        kept.push((socket, filling));
        hung.push(format!("http://{address}"));
    }
    let trap: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let of = |name: &str| -> Act { *ACTS.iter().find(|act| act.name == name).expect("an act") };
    let mut silent = Vec::new();
    for name in ["silence", "one_byte_at_a_time"] {
        for _ in 0..5 {
            let relay = Hostile::start(of(name), trap).await;
            relay.turn();
            hung.push(relay.url());
            silent.push(relay);
        }
    }
    hung.extend((0..5).map(|n| format!("http://relay{n}.test:8000")));
    assert_eq!(hung.len(), 25);
    let well: Vec<Relay> = (0..25).map(|_| relay(10_000)).collect();
    let urls = hung.into_iter().chain(well.iter().map(Relay::url)).enumerate();
    let servers: Vec<_> = urls.map(|(n, url)| format!("r{n}: '{url}'")).collect();
    let yaml = format!(
        "poll: {{interval: 500ms, fast_interval: 500ms}}\nservers: {{{}}}\n",
        servers.join(", ")
    );
    let program = Program::start(&written(folder.path(), &yaml), &[]).await;
    let polls = || well.iter().map(Relay::polls).collect::<Vec<_>>();
    patiently("the others are looked at", async || polls().iter().all(|polls| *polls >= 5)).await;
    let threads = || fs::read_dir(format!("/proc/{}/task", program.pid())).unwrap().count();
    let (before, threads_before, began) = (polls(), threads(), Instant::now());
    let mut redirects = 0;
    while began.elapsed() < Duration::from_secs(10) {
        assert_eq!(program.get("/saal1.ogg").await.status, 302);
        redirects += 1;
        sleep(Duration::from_millis(20)).await;
    }
    let (looks, elapsed) = (polls(), began.elapsed().as_secs_f64());
    let looks: Vec<_> = looks.iter().zip(&before).map(|(now, before)| now - before).collect();
    let (least, most) = (looks.iter().min().unwrap(), looks.iter().max().unwrap());
    println!(
        "{redirects} redirects and {least} to {most} looks at each relay in {elapsed:.1} s, \
         {threads_before} threads before and {} after",
        threads()
    );
    // Each half second, a tenth more or less, a tenth of a second late: at least 15 in ten.
    assert!(*least >= 12, "{looks:?}");
    assert!(threads() <= threads_before + 2, "{} after {threads_before}", threads());
    for relay in &silent {
        assert!(relay.most_at_once() <= 2, "{} connections", relay.most_at_once());
    }
    stopped.signal("CONT");
}
