//! What replicas tell one another through the engine, as text that people can read there.

use std::fmt;

use crate::fleet::Server;
use crate::slots::Account;
use crate::state::Snapshot;

/// An account of the ledger, by names that it has on every replica with the same file. The address of the
/// relay is one of them: under one name, two files could mean two relays.
///
/// It is `seats`, `clients` or `bandwidth`, the server's name, its URL, and of `seats` the mount's path,
/// with tabs between, which none of them contains.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place(String);

/// What one replica wants of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) place: Place,
    /// So many units a second.
    pub(super) units: u64,
    /// So many it has left of its own.
    pub(super) left: u64,
    /// And so many that others have lent it.
    pub(super) borrowed: u64,
}

/// What one replica lends another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loan {
    pub(super) place: Place,
    pub(super) units: u64,
    /// When it ends, by the engine's clock, in milliseconds.
    pub(super) ends: u64,
}

/// What a replica tells the engine.
#[derive(Debug, Clone, Default)]
pub(super) struct Beat {
    /// Who we are, for people.
    pub(super) about: About,
    /// All that it wants, in place of what it wanted before.
    pub(super) wants: Wants,
    /// What it lends, and to whom.
    pub(super) loans: Vec<(String, Loan)>,
}

/// Wants of one replica, with a number that each beat of it raises.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wants {
    pub(super) number: u64,
    pub(super) wants: Vec<Want>,
}

/// What the engine tells a replica.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    /// The engine's time of day, in milliseconds.
    pub(super) time: u64,
    /// How many replicas live, this one included.
    pub(super) replicas: u64,
    /// Who they are.
    pub(super) present: Vec<Present>,
    /// What others want, each by the name that it is lent to under.
    pub(super) wants: Vec<(String, Wants)>,
    /// What was lent to this one.
    pub(super) loans: Vec<Loan>,
    /// Which of the loans in the beat came in time.
    pub(super) taken: Vec<bool>,
}

/// A replica that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Present {
    pub(super) process: String,
    /// When it was heard of, by the engine's clock, in milliseconds.
    pub(super) last: u64,
    pub(super) about: About,
}

/// What people may want to know of a replica: the beginning of its configuration's digest, and the name
/// of its machine, with a space between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct About {
    pub(super) config: String,
    pub(super) host: String,
}

/// So much of a digest tells configurations apart, and so much of a name is shown.
const CONFIG: usize = 12;
const HOST: usize = 64;

impl About {
    /// Of a replica with this configuration on this machine.
    pub(super) fn new(digest: &str, host: &str) -> Self {
        let short = |text: &str, most: usize| {
            text.chars().filter(|it| !it.is_whitespace() && !it.is_control()).take(most).collect()
        };
        Self { config: short(digest, CONFIG), host: short(host, HOST) }
    }

    pub(super) fn written(&self) -> String {
        let Self { config, host } = self;
        format!("{config} {host}")
    }

    /// The same, read. What others wrote may be anything.
    pub(super) fn read(text: &str) -> Self {
        let (config, host) = text.split_once(' ').unwrap_or((text, ""));
        Self::new(config, host)
    }
}

impl Present {
    /// What the engine says of one: its process, when it was heard of, and what there is to know of it.
    pub(super) fn read(parts: &[String]) -> Option<Self> {
        let [process, last, about] = parts else { return None };
        let process = About::new("", process).host;
        Some(Self { process, last: last.parse().ok()?, about: About::read(about) })
    }
}

impl Place {
    /// The seats of a mount.
    pub(super) fn seats(server: &Server, path: &str) -> Self {
        Self(format!("seats\t{}\t{}\t{path}", server.name, server.url))
    }

    /// The clients of a server.
    pub(super) fn clients(server: &Server) -> Self {
        Self(format!("clients\t{}\t{}", server.name, server.url))
    }

    /// The bandwidth of a server.
    pub(super) fn bandwidth(server: &Server) -> Self {
        Self(format!("bandwidth\t{}\t{}", server.name, server.url))
    }

    /// Whether its units are slots of a mount.
    pub(super) fn is_seats(&self) -> bool {
        self.0.starts_with("seats\t")
    }

    /// Of what it is one: whatever does as well for the same listeners. Those are the seats of all mounts with
    /// one path. Which servers may take the place of one another nobody can see here.
    pub(super) fn pool(&self) -> (&str, &str) {
        match (self.0.split_once('\t'), self.0.splitn(4, '\t').nth(3)) {
            (Some((kind, _)), Some(path)) => (kind, path),
            _ => ("", &self.0),
        }
    }

    /// What stands there, here and now; `None` if nothing does.
    pub(super) fn find(&self, snapshot: &Snapshot) -> Option<Found> {
        let mut parts = self.0.split('\t');
        let (kind, name, url) = (parts.next()?, parts.next()?, parts.next()?);
        let path = parts.next();
        let server = snapshot.fleet.server_named(name)?;
        let same = snapshot.fleet.servers.get(server)?.url.as_str() == url;
        let kind = match (kind, path) {
            _ if !same || parts.next().is_some() => return None,
            ("seats", Some(path)) => Kind::Seats(path.to_owned()),
            ("clients", None) => Kind::Clients,
            ("bandwidth", None) => Kind::Bandwidth,
            _ => return None,
        };
        Some(Found { server, kind })
    }
}

/// Where in a snapshot an account is.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) server: usize,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Seats(String),
    Clients,
    Bandwidth,
}

impl Found {
    /// The account.
    pub(super) fn account<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a Account> {
        let server = snapshot.server(self.server)?;
        match &self.kind {
            Kind::Seats(path) => Some(&snapshot.mount_at(self.server, path)?.seats),
            Kind::Clients => Some(&server.seats),
            Kind::Bandwidth => Some(&server.bandwidth),
        }
    }

    /// What a listener takes of it, at most; never 0.
    pub(super) fn unit(&self, snapshot: &Snapshot) -> u64 {
        match self.kind {
            Kind::Seats(_) | Kind::Clients => 1,
            Kind::Bandwidth => snapshot.highest_bitrate(self.server).max(1),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// So many numbers and a place, with tabs between.
fn numbers<const COUNT: usize>(line: &str) -> Option<([u64; COUNT], Place)> {
    let mut parts = line.splitn(COUNT + 1, '\t');
    let mut numbers = [0; COUNT];
    for number in &mut numbers {
        *number = parts.next()?.parse().ok()?;
    }
    Some((numbers, Place(parts.next()?.to_owned())))
}

impl Wants {
    /// The number, and a line for each want; nothing where nothing is wanted.
    pub(super) fn written(&self) -> String {
        if self.wants.is_empty() {
            return String::new();
        }
        let lines = self.wants.iter().map(|want| {
            let Want { place, units, left, borrowed } = want;
            format!("\n{units}\t{left}\t{borrowed}\t{place}")
        });
        std::iter::once(self.number.to_string()).chain(lines).collect()
    }

    /// The same, read; a line that makes no sense is none.
    pub(super) fn read(text: &str) -> Self {
        let mut lines = text.lines();
        let number = lines.next().and_then(|number| number.parse().ok());
        let wants = lines.filter_map(numbers).take(MOST);
        let wants =
            wants.map(|([units, left, borrowed], place)| Want { place, units, left, borrowed });
        Self { number: number.unwrap_or_default(), wants: wants.collect() }
    }
}

/// At most so many replicas are told of one by one.
pub(super) const MOST_PRESENT: usize = 64;

/// At most so many wants of one replica stand in the engine: the most pressing ones.
pub(super) const MOST: usize = 64;

impl Loan {
    /// The numbers and the place, with tabs between.
    pub(super) fn written(&self) -> String {
        let Self { place, units, ends } = self;
        format!("{ends}\t{units}\t{place}")
    }

    /// The same, read.
    pub(super) fn read(text: &str) -> Option<Self> {
        let ([ends, units], place) = numbers(text)?;
        Some(Self { place, units, ends })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place("seats\tvienna\thttps://vienna.example.org/\t/saal 1.ogg".to_owned())
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let want = Want { place: place(), units: 12, left: 3, borrowed: 2 };
        let other = Place("clients\tberlin\thttp://b/".into());
        let other = Want { place: other, units: 1, left: 0, borrowed: 0 };
        let wants = Wants { number: 7, wants: vec![want, other] };
        assert_eq!(Wants::read(&wants.written()), wants);
        let loan = Loan { place: place(), units: 5, ends: 1_764_110_000_000 };
        assert_eq!(Loan::read(&loan.written()), Some(loan));
    }

    #[test]
    fn what_is_told_of_a_replica_is_read_as_it_was_or_cut_short() {
        let about = About::new("0123456789abcdef", "balancer-0");
        assert_eq!(about.written(), "0123456789ab balancer-0");
        assert_eq!(About::read(&about.written()), about);
        assert_eq!(About::read(""), About::default());
        let odd = format!("<b> {}\u{1b}[2J\n x", "y".repeat(500));
        let odd = About::read(&odd);
        assert_eq!((odd.config.as_str(), odd.host.len()), ("<b>", 64));
        let parts = ["p", "17", "c h"].map(str::to_owned);
        let present = Present::read(&parts).unwrap();
        assert_eq!((&*present.process, present.last, &*present.about.host), ("p", 17, "h"));
        assert_eq!(Present::read(&["p", "x", ""].map(str::to_owned)), None);
        assert_eq!(Present::read(&[]), None);
    }

    #[test]
    fn who_wants_nothing_writes_nothing() {
        assert_eq!(Wants { number: 7, wants: Vec::new() }.written(), "");
        assert_eq!(Wants::read(""), Wants::default());
    }

    #[test]
    fn nonsense_is_left_out() {
        let wants =
            Wants::read("x\n1\t2\n1\t2\tseats\n1\t-1\t2\tseats\n1\t2\t3\tseats\ta\tb\t/c\nfoo");
        assert_eq!(wants.wants.len(), 1);
        assert_eq!(Loan::read("12\t\tseats"), None);
    }
}
