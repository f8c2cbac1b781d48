//! Histories of a relay, as they happen and as its ledger sees them.

use super::*;

/// What can happen to a relay and its ledger.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A player asks; if redirected, it arrives at the relay this many milliseconds later, or
    /// never.
    Ask { arrives_after: Option<u64> },
    /// The same, by one who is sent there even if nothing is free.
    Overflow { arrives_after: Option<u64> },
    /// One listener leaves.
    Leave,
    /// A look begins; its answer will travel this long, and get through or not.
    Look { takes: u64, good: bool },
    /// The relay counts its listeners for the look under way.
    Count,
    /// The look under way is answered.
    Answer,
    /// Nothing, for this long.
    Pass { millis: u64 },
    /// The configuration is read again, with nothing changed.
    Reload,
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        // Players arrive within `settle`; that is what it is for.
        6 => prop::option::weighted(0.9, 0_u64..4_500)
            .prop_map(|arrives_after| Event::Ask { arrives_after }),
        2 => Just(Event::Leave),
        4 => (0_u64..400, prop::bool::weighted(0.8))
            .prop_map(|(takes, good)| Event::Look { takes, good }),
        4 => Just(Event::Count),
        4 => Just(Event::Answer),
        3 => (1_u64..3_000).prop_map(|millis| Event::Pass { millis }),
        1 => Just(Event::Reload),
    ]
}

/// The same, on a relay of a stream that overflows.
pub(super) fn event_or_overflow() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => event(),
        2 => prop::option::weighted(0.9, 0_u64..4_500)
            .prop_map(|arrives_after| Event::Overflow { arrives_after }),
    ]
}

/// A relay as it really is, beside the ledger that only sees it now and then.
pub(super) struct World {
    pub(super) ledger: Ledger,
    pub(super) limit: u64,
    pub(super) now: u64,
    pub(super) listeners: u64,
    pub(super) on_their_way: Vec<u64>,
    pub(super) most: u64,
    /// The most that were there or on their way when somebody got a free slot.
    pub(super) promised: u64,
    look: Option<Under>,
}

/// A look under way.
struct Under {
    look: Look,
    takes: u64,
    good: bool,
    report: Option<Report>,
}

impl World {
    /// A whole look in one moment.
    pub(super) fn look_at_once(&mut self) {
        self.happen(&Event::Answer);
        self.happen(&Event::Look { takes: 0, good: true });
        self.happen(&Event::Answer);
    }

    pub(super) fn new(limit: u64) -> Self {
        let ledger = Ledger::new(limited(limit), limited(limit));
        Self {
            ledger,
            limit,
            now: 0,
            listeners: 0,
            on_their_way: Vec::new(),
            most: 0,
            promised: 0,
            look: None,
        }
    }

    pub(super) fn pass(&mut self, millis: u64) {
        self.now += millis;
        let before = self.on_their_way.len();
        self.on_their_way.retain(|arrival| *arrival > self.now);
        self.listeners += (before - self.on_their_way.len()) as u64;
        self.most = self.most.max(self.listeners);
    }

    pub(super) fn happen(&mut self, event: &Event) {
        match *event {
            Event::Ask { arrives_after } => {
                if self.ledger.reserve() {
                    self.on_their_way.extend(arrives_after.map(|delay| self.now + delay));
                    let all = self.listeners + self.on_their_way.len() as u64;
                    self.promised = self.promised.max(all);
                }
                self.pass(0);
            }
            Event::Overflow { arrives_after } => {
                if !self.ledger.reserve() {
                    assert!(self.ledger.reserve_beyond());
                }
                self.on_their_way.extend(arrives_after.map(|delay| self.now + delay));
                self.pass(0);
            }
            Event::Leave => self.listeners = self.listeners.saturating_sub(1),
            Event::Look { takes, good } => {
                // Another look would have to wait for the one before.
                if self.look.is_none() {
                    let look = self.ledger.begin(Duration::from_millis(self.now));
                    self.look = Some(Under { look, takes, good, report: None });
                }
            }
            Event::Count => {
                let (listeners, limit) = (self.listeners, self.limit);
                if let Some(under) = &mut self.look {
                    let mut report = report(listeners, Limit::Listeners(limit));
                    report.clients = Some(listeners);
                    under.report.get_or_insert(report);
                }
            }
            Event::Answer => {
                self.happen(&Event::Count);
                if let Some(Under { look, takes, good, report: Some(report) }) = self.look.take() {
                    self.pass(takes);
                    if good {
                        self.ledger.saw_report(look, &report);
                    }
                }
            }
            Event::Pass { millis } => self.pass(millis),
            Event::Reload => {
                self.ledger.mount.seats.adopt(limited(self.limit));
                self.ledger.server.seats.adopt(limited(self.limit));
            }
        }
    }
}
