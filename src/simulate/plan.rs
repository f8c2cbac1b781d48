//! What is played: who arrives when, and what happens to relays meanwhile.

use std::fmt;
use std::time::Duration;

use crate::fleet::{Fleet, ServerId, StreamId};
use crate::slots::Moment;

/// A play.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Who arrives.
    pub arrivals: Vec<Arrival>,
    /// What happens to relays.
    pub events: Vec<Event>,
    /// How long listeners stay on average; `None`: to the end.
    pub stay: Option<Duration>,
    /// Chance begins here: the same plan and seed come out the same.
    pub seed: u64,
    /// What the clock shows at the beginning.
    pub start: Start,
}

/// Somebody who asks for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When, from the beginning.
    pub at: Moment,
    /// For what.
    pub stream: StreamId,
}

/// Something that happens to a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// When, from the beginning.
    pub at: Moment,
    /// To which.
    pub server: ServerId,
    /// What.
    pub kind: EventKind,
}

/// What can happen to a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// The configuration lets it get no more listeners.
    Drain,
    /// It is gone, and its listeners ask again.
    Kill,
}

/// What the clock shows at the beginning of a play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// Nothing: moments are told from the beginning.
    #[default]
    Zero,
    /// A time of day, in seconds since midnight.
    Clock(u64),
}

/// Whom a curve's line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Listeners of one stream.
    Of(StreamId),
    /// Listeners of all streams, as many of each.
    OfAll,
}

/// Why a plan cannot be played; for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError(String);

const DAY: u64 = 24 * 60 * 60;

/// More arrivals than this are a mistake in the plan, or would fill the memory.
const MOST_ARRIVALS: u64 = 10_000_000;

impl Plan {
    /// `count` listeners, evenly over `within`.
    pub fn evenly(
        count: u64,
        within: Duration,
        who: &[Who],
        fleet: &Fleet,
    ) -> Result<Self, PlanError> {
        let rows = who.iter().zip(shares(count, who.len())).map(|(who, count)| Row {
            at: Moment::ZERO,
            until: within,
            who: *who,
            count,
        });
        Self::of_rows(rows.collect(), Start::Zero, fleet)
    }

    /// The listeners of a CSV file with the columns `time`, `arrivals` and, if wanted, `stream`:
    /// so many come from this time to the next one in the file, evenly. Those of the last time come
    /// over as long as those of the one before.
    pub fn curve(csv: &[u8], fleet: &Fleet) -> Result<Self, PlanError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(csv);
        let headers = reader.headers().map_err(|error| PlanError::new(error.to_string()))?.clone();
        let column = |name: &str| headers.iter().position(|header| header == name);
        let needed = |name: &'static str| {
            column(name).ok_or_else(|| {
                PlanError::new(format!(
                    "there is no column `{name}`: the first line is `time,arrivals` or \
                     `time,stream,arrivals`"
                ))
            })
        };
        let (time, arrivals, stream) = (needed("time")?, needed("arrivals")?, column("stream"));
        let mut start = None;
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| PlanError::new(error.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            let in_line = |error: PlanError| PlanError::new(format!("line {line}: {error}"));
            let field = |at: usize| record.get(at).unwrap_or_default();
            let start = *start.get_or_insert_with(|| Start::of(field(time)));
            let count = field(arrivals).parse().map_err(|_| {
                let found = field(arrivals);
                in_line(PlanError::new(format!("`{found}` is no number of listeners")))
            })?;
            rows.push(Row {
                at: start.moment(field(time)).map_err(in_line)?,
                until: Moment::ZERO,
                who: match stream.map(field).filter(|path| !path.is_empty()) {
                    Some(path) => Who::Of(stream_at(path, fleet).map_err(in_line)?),
                    None => Who::OfAll,
                },
                count,
            });
        }
        if rows.is_empty() {
            return Err(PlanError::new("there is nobody in it: write a line for each time"));
        }
        spread(&mut rows)?;
        Self::of_rows(rows, start.unwrap_or_default(), fleet)
    }

    fn of_rows(rows: Vec<Row>, start: Start, fleet: &Fleet) -> Result<Self, PlanError> {
        let sum = rows.iter().fold(0_u64, |sum, row| sum.saturating_add(row.count));
        if sum > MOST_ARRIVALS {
            let why = format!("{sum} listeners are more than can be played ({MOST_ARRIVALS})");
            return Err(PlanError::new(why));
        }
        let streams = fleet.streams.len();
        if streams == 0 {
            return Err(PlanError::new("the configuration has no stream to listen to"));
        }
        let mut arrivals = Vec::new();
        for row in rows {
            let step = row.until.saturating_sub(row.at).as_secs_f64() / row.count.max(1) as f64;
            for nth in 0..row.count {
                arrivals.push(Arrival {
                    at: row.at + Duration::from_secs_f64(step * nth as f64),
                    stream: match row.who {
                        Who::Of(stream) => stream,
                        Who::OfAll => usize::try_from(nth).unwrap_or(0) % streams,
                    },
                });
            }
        }
        arrivals.sort_by_key(|arrival| arrival.at);
        Ok(Self { arrivals, events: Vec::new(), stay: None, seed: 1, start })
    }

    /// When the last listener arrives, or the last event happens.
    pub fn end(&self) -> Moment {
        let arrivals = self.arrivals.last().map(|arrival| arrival.at);
        let events = self.events.iter().map(|event| event.at).max();
        arrivals.into_iter().chain(events).max().unwrap_or_default()
    }
}

/// So many listeners, evenly from one moment to another.
struct Row {
    at: Moment,
    until: Moment,
    who: Who,
    count: u64,
}

/// Lets each row last until the next time there is.
fn spread(rows: &mut [Row]) -> Result<(), PlanError> {
    let mut times: Vec<Moment> = rows.iter().map(|row| row.at).collect();
    if !times.is_sorted() {
        return Err(PlanError::new("the times are not in order; sort the file by time"));
    }
    times.dedup();
    let last = match times.as_slice() {
        [.., before, last] => last.saturating_sub(*before),
        // A single time says nothing of how long it lasts.
        _ => Duration::from_secs(60),
    };
    for row in rows {
        let next = times.get(times.partition_point(|time| *time <= row.at));
        row.until = next.copied().unwrap_or(row.at + last);
    }
    Ok(())
}

/// `count` in as many parts as even as can be.
fn shares(count: u64, parts: usize) -> impl Iterator<Item = u64> {
    let parts = parts as u64;
    (0..parts).map(move |part| count / parts + u64::from(part < count % parts))
}

fn stream_at(path: &str, fleet: &Fleet) -> Result<StreamId, PlanError> {
    let stream = fleet.stream_at(path).or_else(|| fleet.pattern_at(path));
    stream.ok_or_else(|| PlanError::new(format!("there is no stream {path}")))
}

impl Who {
    /// The listeners of the stream that owns `path`.
    pub fn at(path: &str, fleet: &Fleet) -> Result<Self, PlanError> {
        stream_at(path, fleet).map(Self::Of)
    }
}

impl Event {
    /// What `written`, `SERVER@TIME`, says happens.
    pub fn read(
        written: &str,
        kind: EventKind,
        start: Start,
        fleet: &Fleet,
    ) -> Result<Self, PlanError> {
        let (name, time) = written.rsplit_once('@').ok_or_else(|| {
            PlanError::new(format!("`{written}`: write SERVER@TIME, such as vienna@20:05"))
        })?;
        let server = fleet.server_named(name).ok_or_else(|| {
            let known: Vec<_> = fleet.servers.iter().map(|server| server.name.as_str()).collect();
            PlanError::new(format!("there is no server `{name}`; there are {}", known.join(", ")))
        })?;
        Ok(Self { at: start.moment(time)?, server, kind })
    }
}

impl Start {
    /// The beginning that a first time means: a time of day is shown by a clock from there on.
    fn of(first: &str) -> Self {
        time_of_day(first).map_or(Self::Zero, Self::Clock)
    }

    /// The moment that `written` means: a time of day (`20:05`, `20:05:30`) or how long after the
    /// beginning (`90s`, `1h 5m`).
    pub fn moment(self, written: &str) -> Result<Moment, PlanError> {
        match (self, time_of_day(written)) {
            (Self::Clock(start), Some(time)) => {
                // The day may end meanwhile.
                Ok(Duration::from_secs((time + DAY - start) % DAY))
            }
            (Self::Zero, Some(_)) => Err(PlanError::new(format!(
                "`{written}` is a time of day, but the arrivals have none: write how long after \
                 the beginning, such as 90s"
            ))),
            (_, None) => humantime::parse_duration(written).map_err(|_| {
                PlanError::new(format!(
                    "`{written}` is no time: write 20:05, 20:05:30, or how long after the \
                     beginning, such as 90s"
                ))
            }),
        }
    }

    /// What the clock shows then, or how long after the beginning that is.
    pub fn show(self, moment: Moment) -> String {
        match self {
            Self::Zero => {
                humantime::format_duration(Duration::from_secs(moment.as_secs())).to_string()
            }
            Self::Clock(start) => {
                let time = (start + moment.as_secs()) % DAY;
                format!("{:02}:{:02}:{:02}", time / 3600, time / 60 % 60, time % 60)
            }
        }
    }
}

/// Seconds since midnight of `20:05` or `20:05:30`.
fn time_of_day(written: &str) -> Option<u64> {
    let mut parts = written.split(':').map(|part| {
        let two = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        two.then(|| part.parse::<u64>().ok()).flatten()
    });
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let seconds = match parts.next() {
        Some(seconds) => seconds?,
        None => 0,
    };
    let good = parts.next().is_none() && hours < 24 && minutes < 60 && seconds < 60;
    good.then_some(hours * 3600 + minutes * 60 + seconds)
}

impl PlanError {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PlanError {}
