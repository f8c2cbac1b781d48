//! What the runner can be asked for.

use std::time::Duration;

use clap::Parser;

/// Breaks real relays, networks, disks and clocks, one fault at a time, and looks what becomes of
/// the players. Each fault has a private world (network, processes, files) that ends with it.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "faults",
    bin_name = "cargo test --test faults --",
    after_help = "Without an option all faults of the matrix are run. A line for each says what was \
        seen; the last one is `N passed, N failed`, and the exit code is 0 only if none failed.\n\n\
        Needs Linux, Icecast, nft, ip, unshare, prlimit, openssl and faketime: `tests/install` \
        installs them. Runs as root, or as anybody who may make user namespaces."
)]
pub(crate) struct Options {
    /// Lists the faults, what is expected of each, and whether it has a control
    #[arg(long)]
    pub(crate) list: bool,

    /// Runs the faults whose name contains this; can be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,

    /// How many are run at a time; most of their time is spent waiting
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub(crate) jobs: usize,

    /// Puts a naive redirector (round robin, no health) in our place: each fault that it cannot
    /// stand must be told from success
    #[arg(long)]
    pub(crate) control: bool,

    /// Lets listeners come and go for this long, with a random fault every ten seconds
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) soak: Option<Duration>,

    /// Repeats the chance of an earlier soak
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// How long the fault `starved` lasts; before a release, ten minutes
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = humantime::parse_duration)]
    pub(crate) starved: Duration,

    /// Runs another program in place of the one that was built with the tests
    #[arg(long, value_name = "FILE", env = "BALANCER")]
    pub(crate) balancer: Option<std::path::PathBuf>,

    /// Runs one fault in the world that was made for it
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) inside: Option<String>,
}
