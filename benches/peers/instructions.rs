//! Instructions that a request takes in user space, by valgrind, and the system calls that it makes,
//! by strace. Neither depends on what else the machine does.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::client::Crowd;
use crate::figures::Figures;
use crate::load::{KEEP, KEEP_PLAYER, Load, NEW};
use crate::options::Options;
use crate::server::{Nginx, Ours, Peer};
use crate::station::Station;
use crate::support::lab::Lab;
use crate::support::process::eventually;
use crate::valgrind::Instructions;

/// What a start takes is told from what requests take by the difference between few and many.
const FEW: u64 = 1_000;
const MANY: u64 = 9_000;

/// Requests whose system calls are counted.
const TRACED: u64 = 4_000;

pub(crate) fn run(lab: &Lab, station: &Station, options: &Options, figures: &mut Figures) {
    for load in [&KEEP, &KEEP_PLAYER, &NEW] {
        let ours = of_each(lab, load, |folder, requests| {
            let ours = Ours::counted(&options.balancer, folder, &station.config(0));
            asked(load, ours.address, requests)
        });
        let nginx = of_each(lab, load, |folder, requests| {
            asked(load, Nginx::counted(folder).plain, requests)
        });
        eprintln!("{}: {ours:.0} instructions, nginx {nginx:.0}", load.key);
        figures.instructions.insert((load.key, Peer::Ours), ours);
        figures.instructions.insert((load.key, Peer::NginxReturn), nginx);
    }
    figures.calls = calls(lab, station, options);
}

/// Instructions for each request. `run` starts a server that leaves its counts in a folder, has it
/// asked so often, and ends it.
fn of_each(lab: &Lab, load: &Load, run: impl Fn(&Path, u64) -> u64) -> f64 {
    let [few, many] = [FEW, MANY].map(|requests| {
        let folder = lab.folder(load.key, "root");
        let answered = run(&folder, requests);
        (answered, Instructions::counted(&folder))
    });
    many.1.busiest_beyond(&few.1) as f64 / (many.0 - few.0) as f64
}

fn asked(load: &Load, address: std::net::SocketAddr, requests: u64) -> u64 {
    let crowd = Crowd::ask(address, load.manner());
    crowd.wait_for(requests);
    crowd.end()
}

/// System calls of the thread that answers players, for each request, by their names.
fn calls(
    lab: &Lab,
    station: &Station,
    options: &Options,
) -> std::collections::BTreeMap<String, f64> {
    let ours = Ours::start(lab, &options.balancer, &station.config(0), &[]);
    let [thread] = ours.server.threads("public")[..] else { panic!("one thread for one core") };
    let file = lab.folder("strace", "root").join("calls");
    let mut command = Command::new("strace");
    command.args(["-c", "-p", &thread.to_string(), "-o"]).arg(&file).stderr(Stdio::null());
    let mut strace = command.spawn().expect("strace starts");
    eventually("strace looks", Duration::from_secs(10), || {
        let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
        status.contains(&format!("TracerPid:\t{}\n", strace.id())).then_some(())
    });
    let crowd = Crowd::ask(ours.address, NEW.manner());
    crowd.wait_for(TRACED);
    let answered = crowd.end();
    kill_process(Pid::from_child(&strace), Signal::INT).expect("it runs");
    strace.wait().expect("a child of ours");
    let table = fs::read_to_string(file).expect("strace tells");
    let rows = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (name, times) = (*fields.last()?, fields.get(3)?.parse::<f64>().ok()?);
        (name != "total").then(|| (name.to_owned(), times / answered as f64))
    });
    rows.collect()
}
