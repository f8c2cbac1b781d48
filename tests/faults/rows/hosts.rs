//! Two hosts, each with a balancer and keepalived, and the addresses that move between them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Control, OFTEN, Row};
use crate::stage::{QUICK, RADIO, SLACK, Stage, s};
use crate::support::process::{Process, done, promise, until};
use crate::support::stub::{Stub, slots};
use crate::support::watch::{Record, Watch};
use crate::support::web;

pub(crate) const ROWS: &[Row] = &[Row {
    name: "keepalived",
    title: "of two hosts with keepalived a balancer is killed, later the host is cut off",
    expected: "the other has its address within 3 s, and gives it back when the balancer has been ready for a while",
    control: Control::Without,
    seconds: 35,
    run: keepalived,
}];

/// What players are told, in the order of the hosts that own them.
const ADDRESSES: [&str; 2] = ["192.0.2.21", "192.0.2.22"];

/// Where players and the relay are.
const OUTSIDE: &str = "192.0.2.1";

/// For so long a balancer must have been ready before it has its address back.
const SETTLED: Duration = Duration::from_secs(5);

/// A network namespace with an interface `eth0`, and what runs in it.
struct Host {
    name: &'static str,
    folder: PathBuf,
    world: Process,
    balancer: Option<Process>,
    keepalived: Option<Process>,
}

fn keepalived(stage: &Stage) -> String {
    done("ip", "link add outside type bridge");
    done("ip", &format!("address add {OUTSIDE}/24 dev outside"));
    done("ip", "link set outside up");
    let _relay = Stub::start_at(&format!("{OUTSIDE}:8000"), slots("0", "unlimited"));
    let mut first = Host::start(stage, "balancer-1", "192.0.2.11");
    let mut second = Host::start(stage, "balancer-2", "192.0.2.12");
    for host in [&mut first, &mut second] {
        host.serve(stage.program());
        host.keep();
    }
    let each = "each host has its address";
    until(each, Duration::from_secs(20), || first.has(0) && second.has(1));
    until("both answer", Duration::from_secs(10), || redirects(0) && redirects(1));
    until("the second is settled", SETTLED * 4, || second.is_settled());

    let watches = [0, 1].map(|at| Watch::of("HEAD", &public(at), RADIO, OFTEN));
    first.balancer = None;
    let killed = until("the second host has both", Duration::from_secs(3) + SLACK, || {
        second.has(0) && second.has(1) && redirects(0)
    });
    first.serve(stage.program());
    let again = Instant::now();
    until("the first host has its address again", SETTLED * 4, || first.has(0) && !second.has(0));
    let back = again.elapsed();
    promise(back + Duration::from_secs(1) >= SETTLED, || format!("it is back after {}", s(back)));
    until("the first answers again", SLACK, || redirects(0));
    let [moved, stayed] = watches.map(Watch::stop);
    stayed.assert_all_redirected();
    let gap = longest_gap(&moved);
    promise(gap <= killed + SLACK, || format!("nobody answered for {}", s(gap)));

    done("ip", "link set to-balancer-1 down");
    let cut = until("the second host has both", Duration::from_secs(2) + SLACK, || second.has(0));
    until("it answers", Duration::from_secs(4) + SLACK, || redirects(0));
    format!(
        "killed: moved after {}, {} of {} answers missing, back {} after its start; cut off: moved after {}",
        s(killed),
        moved.not_redirected(),
        moved.len(),
        s(back),
        s(cut)
    )
}

/// An address of the balancers, as players know it.
fn public(at: usize) -> String {
    format!("{}:8000", ADDRESSES[at])
}

fn redirects(at: usize) -> bool {
    web::ask("HEAD", &public(at), RADIO, "").is_ok_and(|answer| answer.status == 302)
}

/// The longest time from an answer to the next one.
fn longest_gap(record: &Record) -> Duration {
    let answered = record.0.iter().filter(|asked| asked.status == Ok(302));
    let ends: Vec<Instant> = answered.map(|asked| asked.at + asked.took).collect();
    ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(Duration::MAX)
}

impl Host {
    /// A host with nothing on it but an interface with this address.
    fn start(stage: &Stage, name: &'static str, address: &str) -> Self {
        let folder = stage.root.join(name);
        fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new("unshare");
        let ready = "ip link set lo up && echo ready && exec sleep infinity";
        command.args(["--net", "--", "sh", "-c", ready]);
        let world = Process::start("world", command, &folder);
        until("there is a host", Duration::from_secs(5), || world.printed().contains("ready"));
        let host = Self { name, folder, world, balancer: None, keepalived: None };
        let peer = format!("peer name eth0 netns {}", host.world.id());
        done("ip", &format!("link add to-{name} type veth {peer}"));
        done("ip", &format!("link set to-{name} master outside up"));
        host.done(&format!("ip address add {address}/24 dev eth0"));
        host.done("ip link set eth0 up");
        host
    }

    /// Starts its balancer.
    fn serve(&mut self, program: &Path) {
        let file = self.folder.join("balancer.yaml");
        let config = format!(
            "listen: '0.0.0.0:8000'\nadmin: 127.0.0.1:9090\ncluster: {{replicas: 2}}\n{QUICK}\
             servers: {{r1: 'http://{OUTSIDE}:8000'}}\nstreams: {{{RADIO}: }}\n"
        );
        fs::write(&file, config).unwrap();
        let mut command = self.inside();
        command.arg(program).args(["serve", "-c"]).arg(&file);
        self.balancer = Some(Process::start("balancer", command, &self.folder));
    }

    /// Starts its keepalived with our file, with a shorter wait, and as the only user of this world.
    fn keep(&mut self) {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/keepalived/keepalived.conf");
        let config = fs::read_to_string(ours).unwrap();
        let settled = format!("rise {}", SETTLED.as_secs());
        let config = config.replace("rise 32", &settled).replace("enable_script_security", "");
        let file = self.folder.join("keepalived.conf");
        fs::write(&file, config.replace("script_user nobody", "script_user root")).unwrap();
        let mut command = self.inside();
        command.args(["keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp"]);
        command.args(["--config-id", self.name, "--use-file"]).arg(&file);
        command.arg("--pid").arg(self.folder.join("pid"));
        command.arg("--vrrp_pid").arg(self.folder.join("vrrp-pid"));
        self.keepalived = Some(Process::start("keepalived", command, &self.folder));
    }

    /// Whether it has this address now.
    fn has(&self, at: usize) -> bool {
        let listed = self.inside().args(["ip", "-4", "address", "show", "dev", "eth0"]).output();
        let listed = listed.expect("ip is installed").stdout;
        String::from_utf8_lossy(&listed).contains(&format!("inet {}/", ADDRESSES[at]))
    }

    /// Whether keepalived says that the balancer has been ready for long enough.
    fn is_settled(&self) -> bool {
        let said = self.keepalived.as_ref().map(Process::printed).unwrap_or_default();
        said.contains("VRRP_Script(settled) succeeded")
    }

    /// A command that runs there.
    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.world.id())).arg("--");
        command
    }

    fn done(&self, words: &str) {
        done("nsenter", &format!("--net=/proc/{}/ns/net -- {words}", self.world.id()));
    }
}
