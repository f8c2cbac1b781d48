//! Where a row happens: its private world, the relays in it, and the door that players knock at.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::support::balancer::{Balancer, Launch, PUBLIC};
use crate::support::icecast::{Icecast, Setup, address};
use crate::support::naive;
use crate::support::process::{done, promise, until};
use crate::support::source::Source;
use crate::support::web::{self, Answer};

/// What most rows are about.
pub(crate) const RADIO: &str = "/radio.mp3";

/// How often the rows' balancers look, unless a row says otherwise.
pub(crate) const INTERVAL: Duration = Duration::from_millis(500);
const FAST: Duration = Duration::from_millis(200);
/// And how long they wait for an answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);
/// What a busy machine may take on top.
pub(crate) const SLACK: Duration = Duration::from_secs(2);

/// The same as YAML.
pub(crate) const QUICK: &str = "poll: {interval: 500ms, fast_interval: 200ms, timeout: 1s, \
    stale_after: 5s, rise: 2, fall: 3, slow_start: 1s}\nbalance: {settle: 1s}\n";

/// The same for a row in which no look may fail for the busy machine's sake.
pub(crate) fn patient() -> String {
    QUICK.replace("timeout: 1s", "timeout: 3s")
}

/// The private world of one row.
pub(crate) struct Stage {
    /// Whether the naive redirector stands in the balancer's place.
    pub(crate) control: bool,
    /// A folder that nobody else sees.
    pub(crate) root: PathBuf,
    /// How long the balancer is starved, where it is.
    pub(crate) starved: Duration,
    program: PathBuf,
}

/// What players knock at: the balancer, or the naive redirector in its place.
pub(crate) struct Door {
    balancer: Option<Balancer>,
}

/// Relays on the air behind a door.
pub(crate) struct Air {
    /// Icecast on 127.0.1.1 and following; `r1` and following in the configuration.
    pub(crate) relays: Vec<Icecast>,
    /// What plays on each.
    pub(crate) sources: Vec<Option<Source>>,
    /// What stands before them.
    pub(crate) door: Door,
}

impl Stage {
    /// Makes this process's new, empty world fit to live in.
    pub(crate) fn enter(options: &Options) -> Self {
        // What fails is told in one line, for the runner to show.
        std::panic::set_hook(Box::new(|panic| {
            let payload = panic.payload();
            let why = payload.downcast_ref::<String>().map(String::as_str);
            let why = why.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("panic");
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            eprintln!("{why} ({place})");
        }));
        done("mount", "-t tmpfs tmpfs /mnt");
        done("ip", "link set lo up");
        let built = PathBuf::from(env!("CARGO_BIN_EXE_icecast-balancer"));
        let program = options.balancer.clone().unwrap_or(built);
        let root = PathBuf::from("/mnt");
        Self { control: options.control, root, starved: options.starved, program }
    }

    /// A relay out of the ordinary.
    pub(crate) fn relay(&self, number: u8, setup: Setup) -> Icecast {
        Icecast::start(&self.root, number, setup)
    }

    /// `count` relays that play [`RADIO`], behind a door with the configuration `settings`.
    pub(crate) fn air(&self, count: u8, settings: &str) -> Air {
        self.air_of(count, Setup::default(), settings)
    }

    /// The same with relays out of the ordinary.
    pub(crate) fn air_of(&self, count: u8, setup: Setup, settings: &str) -> Air {
        let relays = self.relays(count, setup);
        let sources = relays.iter().map(|relay| Some(Source::start(relay, RADIO))).collect();
        let door = self.open(&format!("{settings}{}", fleet(1..=count)));
        Air { relays, sources, door }
    }

    /// `count` relays without sources.
    pub(crate) fn relays(&self, count: u8, setup: Setup) -> Vec<Icecast> {
        thread::scope(|scope| {
            let starting: Vec<_> =
                (1..=count).map(|number| scope.spawn(move || self.relay(number, setup))).collect();
            starting.into_iter().map(|relay| relay.join().expect("a relay")).collect()
        })
    }

    /// Opens the door with this configuration, to which the addresses are added.
    pub(crate) fn open(&self, config: &str) -> Door {
        self.open_with(Launch::default(), config)
    }

    /// The same, started in another way.
    pub(crate) fn open_with(&self, launch: Launch, config: &str) -> Door {
        if self.control {
            naive::serve(PUBLIC, urls(config));
            return Door { balancer: None };
        }
        Door { balancer: Some(launch.start(self.program(), &self.root, config)) }
    }

    /// The program that is tried.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }
}

impl Door {
    /// The balancer; a row without a control has one.
    pub(crate) fn balancer(&self) -> &Balancer {
        self.balancer.as_ref().expect("this row has no control")
    }

    /// The same, to be changed.
    pub(crate) fn balancer_mut(&mut self) -> &mut Balancer {
        self.balancer.as_mut().expect("this row has no control")
    }

    /// Whether there is anything behind it to be asked.
    pub(crate) fn knows(&self) -> bool {
        self.balancer.is_some()
    }

    /// What it answers to a player who asks for `path`.
    #[expect(clippy::unused_self, reason = "without a door there is nobody to ask")]
    pub(crate) fn ask(&self, path: &str) -> Answer {
        web::ask("GET", PUBLIC, path, "").expect("the door is open")
    }

    /// Waits until `server` is in this health and tells how long it took. A door that knows nothing
    /// is given as much time as that mostly takes.
    #[track_caller]
    pub(crate) fn until_health(&self, server: &str, health: &str, within: Duration) -> Duration {
        let what = format!("{server} is {health}");
        self.until(&what, within, || Balancer::server(server)["health"] == health)
    }

    /// Waits until the balancer knows something; see [`Door::until_health`].
    #[track_caller]
    pub(crate) fn until(
        &self,
        what: &str,
        within: Duration,
        known: impl FnMut() -> bool,
    ) -> Duration {
        if !self.knows() {
            let wait = within.min(Duration::from_secs(6));
            thread::sleep(wait);
            return wait;
        }
        until(what, within, known)
    }

    /// How often `server` was found to be in this health, by the log.
    pub(crate) fn turns(&self, server: &str, health: &str) -> usize {
        let Some(balancer) = &self.balancer else { return 0 };
        let (server, health) = (format!("server={server} "), format!("now=\"{health}\""));
        let log = balancer.process.printed();
        log.lines().filter(|line| line.contains(&server) && line.contains(&health)).count()
    }

    /// Fails if a balancer knows this metric with another value.
    #[track_caller]
    pub(crate) fn assert_metric(&self, name: &str, labels: &[&str], expected: f64) {
        if self.knows() {
            let value = Balancer::metric(name, labels);
            promise(value == Some(expected), || format!("{name} {labels:?} is {value:?}"));
        }
    }

    /// How many looks at `server` ended so.
    pub(crate) fn looks(server: &str, result: &str) -> f64 {
        let labels = [&*format!("server=\"{server}\""), &*format!("result=\"{result}\"")];
        Balancer::metric("server_polls_total", &labels).unwrap_or(0.0)
    }
}

/// Relays `r1` and following with one stream, as YAML.
pub(crate) fn fleet(numbers: impl Iterator<Item = u8>) -> String {
    let servers: Vec<_> =
        numbers.map(|number| format!("  r{number}: http://{}\n", address(number))).collect();
    let servers = servers.concat();
    format!("servers:\n{servers}streams:\n  {RADIO}:\n")
}

/// From a moment to the end of the next look that begins after it, if that one is answered at once
/// or not at all.
pub(crate) fn next_look(answered: bool) -> Duration {
    // The interval is spread by a tenth, and looked at in steps of the fast one.
    (INTERVAL + FAST).mul_f64(1.1) + if answered { Duration::ZERO } else { TIMEOUT }
}

/// From a moment to the third bad look after it.
pub(crate) fn three_looks(answered: bool) -> Duration {
    let fast = FAST.mul_f64(2.2) + if answered { Duration::ZERO } else { TIMEOUT };
    next_look(answered) + fast * 2
}

/// Waits.
pub(crate) fn pass(seconds: f64) {
    thread::sleep(Duration::from_secs_f64(seconds));
}

/// Seconds, for people.
pub(crate) fn s(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Time since `moment`, for people.
pub(crate) fn since(moment: Instant) -> String {
    s(moment.elapsed())
}

/// Every base URL in a configuration.
fn urls(config: &str) -> Vec<String> {
    let ends = [' ', '\n', '"', ',', '}'];
    let found = config.match_indices("http").map(|(at, _)| &config[at..]);
    let urls = found.filter(|rest| rest.starts_with("http://") || rest.starts_with("https://"));
    urls.map(|rest| rest.split(ends).next().unwrap_or_default().to_owned()).collect()
}
