//! What memory a fleet takes.

use std::fs;
use std::process::Command;

use crate::curve::{Curve, Promise};
use crate::world::{named, size, state};

const STATIONS: [(usize, usize); 4] = [(1, 2), (1_500, 12), (10_000, 12), (10_000, 100)];

/// The curves.
pub(crate) fn curves() -> Vec<Curve> {
    let mut all = Curve::new("memory of all that is known", "MB", Promise::Power(1.0)).at_most(3);
    for station in STATIONS {
        all = all.at(size(station), station.0 * station.1, move || weighed(station));
    }
    vec![all]
}

/// In a process of its own, which has never had more.
fn weighed((streams, servers): (usize, usize)) -> f64 {
    let this = std::env::current_exe().expect("this program is a file");
    let weighing = Command::new(this).arg("--weigh").arg(format!("{streams}x{servers}")).output();
    let told = String::from_utf8(weighing.expect("it starts").stdout).expect("a number");
    told.trim().parse().expect("a number")
}

/// Prints megabytes.
pub(crate) fn weigh(size: &str) {
    let state = state(named(size));
    println!("{}", resident());
    drop(state);
}

/// Megabytes of memory that this process has.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024.0 / 1e6
}
