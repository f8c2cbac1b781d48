//! The command line: what was typed, as types.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Sends each listener to the Icecast relay that has a free slot for it.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    about,
    args_conflicts_with_subcommands = true,
    after_help = "Without a command, `serve` is meant. To begin: name your relays and streams in \
        balancer.yaml, `icecast-balancer check` it, and run `icecast-balancer`. Players ask on port \
        8000; the status page is on http://127.0.0.1:9090/.\n\n\
        Signals: SIGTERM and SIGINT stop after requests under way are answered, \
        SIGHUP reads the configuration again and opens the access log anew."
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// What `serve` needs, where no command was typed.
    #[command(flatten)]
    pub serve: Serve,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the balancer (the default)
    ///
    /// Exit code: 0 after SIGTERM or SIGINT, 2 if the configuration is bad, 1 if a port cannot be
    /// taken or the access log not be written.
    Serve(Serve),
    /// Check configurations without running
    ///
    /// Every problem of every file is reported at once. Exit code: 0 if all are valid, 2 if not.
    Check(Check),
    /// Tell what a change of the configuration would do
    ///
    /// Servers, streams, mounts and settings that differ, and each stream's capacity before and
    /// after. Exit code: 0 if nothing differs, 1 if something does, 2 if a configuration is bad.
    /// From git: icecast-balancer diff <(git show main:balancer.yaml) balancer.yaml
    Diff(Diff),
    /// Play a crowd against a configuration, without relays and in no time
    ///
    /// Who listens where, and who is refused, with the selection and the ledger that answer
    /// players. Exit code: 0 if nobody was refused, 1 if somebody was, 2 if the configuration or the
    /// plan is bad.
    #[command(after_help = "Examples:\n\n  \
        icecast-balancer simulate --arrivals 2000 --within 60s --kill berlin@30s\n\n  \
        icecast-balancer simulate --curve evening.csv --drain vienna@20:05 --svg evening.svg")]
    Simulate(Simulate),
    /// Ask every relay once and hold it against the configuration
    ///
    /// Asks as the balancer does: the same statistics, by the same rules, from the same place if it is
    /// run there. Tells of each relay how it answered, which statistics it offers, how long that took,
    /// which of its mounts are there, how many listeners they have and may have, and what does not
    /// match: a mount that is missing, a limit above the relay's own, a password that is not accepted, an
    /// address that players cannot reach. Servers whose state is `disabled` are not asked.
    ///
    /// Each relay has twice `poll.timeout`; sixteen are asked at one time. Exit code: 0 if all is well, 1
    /// if not, 2 if the configuration is bad or has no such server.
    Probe(Probe),
    /// Ask a running balancer where a player would be sent, and why
    ///
    /// Every mount of the stream with its verdict and the numbers behind it, first those that would get
    /// the player, then the others in the order in which they would be used. Nothing is counted and no
    /// slot is taken. A mount is `chosen`, has a chance in percent where the policy draws, comes `next`
    /// (with its place), or is `passed` over.
    ///
    /// FREE slots can be given away, USED are in use by the last look, HELD are promised to players on
    /// their way, LIMIT is the most there may be, FROM says who set it (the configuration or the relay),
    /// KEPT of them stay free (`headroom`), AGE is that of the numbers.
    ///
    /// Exit code: 0, or 1 if the balancer does not answer or has no such stream.
    Explain(Explain),
    /// Show the status page of a running balancer
    ///
    /// Streams with their mounts and slots, relays, who is passed over and why, the configuration in force
    /// and one that was refused. In a bar, `█` is in use, `▒` promised to players on their way, `░` neither.
    ///
    /// Exit code: 0, or 1 if the balancer does not answer.
    Status(Status),
    /// Ask a running balancer whether it serves, for containers without curl
    ///
    /// Exit code: 0 if it does, 1 if not or if it does not say so within five seconds.
    Healthcheck(Healthcheck),
    /// Print the JSON Schema of balancer.yaml, for editors
    ///
    /// An editor that has it completes keys, explains them and underlines mistakes: write it to a
    /// file, and name that in the first line of balancer.yaml, as
    /// `# yaml-language-server: $schema=balancer.schema.json`. Whether a configuration is valid,
    /// `check` alone can tell.
    Schema(Schema),
    /// Print what lets a shell complete this program's commands and options
    ///
    /// For bash: icecast-balancer completions bash > /etc/bash_completion.d/icecast-balancer
    Completions(Completions),
}

/// The arguments of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// The configuration: a file, or a directory whose *.yaml are read as one
    #[arg(short, long, value_name = "PATH", default_value = "balancer.yaml")]
    pub config: PathBuf,

    /// How lines of the log and of the access log look
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace, or a filter like
    /// `warn,icecast_balancer::poller=debug`
    #[arg(
        long,
        value_name = "LEVEL",
        env = "RUST_LOG",
        hide_env_values = true,
        default_value = "info"
    )]
    pub log_level: String,

    /// Where each request is written down: a file, or `-` for standard output
    ///
    /// A file is made if it is not there, added to if it is, and opened anew at SIGHUP. Of an
    /// address only the network is written.
    #[arg(long, value_name = "PATH")]
    pub access_log: Option<PathBuf>,

    /// Have hyper read every request, also those that could be answered at once
    #[arg(long, hide = true)]
    pub one_door: bool,
}

impl Serve {
    /// The filter that `--log-level` means.
    ///
    /// A word that is no level would be taken for the name of a module, and so for "nothing else";
    /// nobody means that. An empty variable is one that nobody set.
    pub fn log_filter(&self) -> Result<EnvFilter, String> {
        let written = if self.log_level.is_empty() { "info" } else { &self.log_level };
        let unknown = written
            .split(',')
            .map(str::trim)
            .find(|word| !word.contains(['=', ':', '[']) && word.parse::<LevelFilter>().is_err());
        if let Some(word) = unknown {
            return Err(format!("`{word}` is none of off, error, warn, info, debug, trace"));
        }
        // The watcher tells of every file that it loses, which is every file that is replaced.
        EnvFilter::try_new(format!("notify=warn,{written}")).map_err(|error| error.to_string())
    }
}

/// The arguments of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Configurations: files, or directories whose *.yaml are read as one
    #[arg(value_name = "FILE", default_value = "balancer.yaml")]
    pub files: Vec<PathBuf>,

    /// How problems are reported
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: ReportFormat,
}

/// The arguments of `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The configuration as it is: a file or a directory
    pub old: PathBuf,

    /// The configuration as it would be: a file or a directory
    pub new: PathBuf,

    /// How the difference is told
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: TableFormat,
}

/// The arguments of `simulate`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("crowd").required(true).args(["arrivals", "curve"])))]
pub struct Simulate {
    /// The configuration: a file, or a directory whose *.yaml are read as one
    #[arg(short, long, value_name = "PATH", default_value = "balancer.yaml")]
    pub config: PathBuf,

    /// How many listeners arrive, evenly over --within
    #[arg(long, value_name = "N", requires = "within")]
    pub arrivals: Option<u64>,

    /// How long the arrivals take, such as 60s or 10m
    #[arg(long, value_name = "T", value_parser = humantime::parse_duration)]
    pub within: Option<Duration>,

    /// The stream that all arrivals are for; may be given more than once. Without it: all streams
    #[arg(long, value_name = "PATH", conflicts_with = "curve")]
    pub stream: Vec<String>,

    /// Who arrives when: a CSV file with the columns time, arrivals and, if wanted, stream
    ///
    /// A time is a time of day (20:05 or 20:05:30) or how long after the beginning (90s). So many
    /// arrive from this time to the next one in the file; a line without a stream is for all.
    #[arg(long, value_name = "FILE.csv")]
    pub curve: Option<PathBuf>,

    /// Let a server get no more listeners from a time on, such as vienna@20:05 or vienna@90s
    #[arg(long, value_name = "SERVER@T")]
    pub drain: Vec<String>,

    /// Let a server die at a time, such as berlin@20:30; its listeners ask again within five
    /// seconds
    #[arg(long, value_name = "SERVER@T")]
    pub kill: Vec<String>,

    /// How long listeners stay on average, such as 40m. Without it they stay to the end
    #[arg(long, value_name = "T", value_parser = humantime::parse_duration)]
    pub stay: Option<Duration>,

    /// Where chance begins: the same number comes out the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Draw the outcome into a file: each relay's load over time, and who was not served
    #[arg(long, value_name = "FILE.svg")]
    pub svg: Option<PathBuf>,

    /// How the outcome is told
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: TableFormat,
}

/// How tables are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// As text.
    Human,
    /// As JSON.
    Json,
}

/// The arguments of `probe`.
#[derive(Debug, Args)]
pub struct Probe {
    /// The configuration: a file, or a directory whose *.yaml are read as one
    #[arg(short, long, value_name = "PATH", default_value = "balancer.yaml")]
    pub config: PathBuf,

    /// The servers to ask, by their names in the configuration. Without any: all
    #[arg(value_name = "SERVER")]
    pub servers: Vec<String>,

    /// How it is told
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: TableFormat,
}

/// The arguments of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// What the player asks for: a stream's path or alias, such as /saal1.ogv, or the whole URL
    pub path: String,

    /// The player's IP address, as the balancer sees it. Without it: somebody whom every relay takes
    #[arg(long, value_name = "IP")]
    pub client: Option<IpAddr>,

    /// The player comes by https; a URL that says so is enough
    #[arg(long)]
    pub https: bool,

    /// The player's User-Agent: VLC and xine take two slots for a moment
    #[arg(long, value_name = "TEXT")]
    pub agent: Option<String>,

    /// Where the balancer is asked
    #[command(flatten)]
    pub admin: AdminPort,

    /// How it is told
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: TableFormat,
}

/// The arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Draw it anew every second, until Ctrl-C
    ///
    /// Where the output is no terminal, it is printed again whenever something has changed.
    #[arg(short, long)]
    pub watch: bool,

    /// Where the balancer is asked
    #[command(flatten)]
    pub admin: AdminPort,
}

/// Where a running balancer is asked.
#[derive(Debug, Args)]
pub struct AdminPort {
    /// Where the balancer's admin port is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    pub admin: String,
}

/// The arguments of `healthcheck`.
#[derive(Debug, Args)]
pub struct Healthcheck {
    /// Where the balancer's admin port is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    pub admin: String,
}

/// The arguments of `schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// For one of several files in a directory: what it lacks may stand in another
    #[arg(long)]
    pub part: bool,
}

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell that will read it
    pub shell: Shell,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// How problems of a configuration are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// With the line and a marker under what is wrong.
    Human,
    /// A JSON array of problems.
    Json,
    /// Workflow commands that GitHub shows beside the line in a pull request.
    Github,
}
