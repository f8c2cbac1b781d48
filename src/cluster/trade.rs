//! What this replica wants, what it lends and what it has borrowed: all that a beat carries, without any
//! engine.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::slots::{LOANS_LAST, Listed, Moment};
use crate::state::Snapshot;

use super::BEAT;
use super::demand::Rate;
use super::lender::Lender;
use super::message::{Beat, Heard, Loan, MOST, Place, Want, Wants};
use super::offers::{Offers, Unheard};
use super::pulse::{Jumped, Pulse};

/// The dealings of one replica.
#[derive(Debug, Default)]
pub(super) struct Trade {
    /// How fast accounts are promised, of those that are. In order, so that what is wanted equally is told
    /// in the same order by everybody.
    rates: BTreeMap<Place, Rate>,
    /// Where something borrowed may be left.
    borrowed: HashSet<Place>,
    /// The engine's clock at the last beat.
    pulse: Option<Pulse>,
    /// How many beats there were.
    beats: u64,
    /// What others were lent and do not know of yet.
    unheard: Unheard,
}

/// What came of one beat.
#[derive(Debug, Default)]
pub(super) struct Deal {
    /// What is lent now.
    pub(super) offers: Offers,
    /// Slots that others have lent us.
    pub(super) borrowed: u64,
    /// Whether they have lent us anything.
    pub(super) has_borrowed: bool,
}

impl Trade {
    /// Begins anew with an engine, of which nothing is known.
    pub(super) fn begin(&mut self) {
        self.pulse = None;
        self.unheard.clear();
    }

    /// What to tell the engine.
    pub(super) fn beat(&mut self, snapshot: &Snapshot, now: Moment, offers: &Offers) -> Beat {
        self.survey(snapshot, now);
        self.beats += 1;
        let wants = Wants { number: self.beats, wants: self.wants(snapshot) };
        Beat { wants, loans: offers.loans(), ..Beat::default() }
    }

    /// Takes what others have lent us, and lends what they want and we can spare. The beat was sent and
    /// answered at these moments.
    pub(super) fn hear(
        &mut self,
        snapshot: &Arc<Snapshot>,
        sent: Moment,
        received: Moment,
        heard: &Heard,
    ) -> Result<Deal, Jumped> {
        let pulse = Pulse::new(heard.time, sent, received);
        let before = self.pulse.replace(pulse);
        before.map_or(Ok(()), |before| pulse.follows(before))?;
        let mut deal = Deal::default();
        for loan in &heard.loans {
            if self.borrow(snapshot, pulse, received, loan).is_some() {
                deal.has_borrowed = true;
                deal.borrowed += if loan.place.is_seats() { loan.units } else { 0 };
            }
        }
        self.unheard.sent(&heard.wants);
        let Self { rates, unheard, .. } = &*self;
        let lender = Lender { snapshot, now: received, pulse, rates, unheard };
        deal.offers = Offers::new(snapshot, lender.lend(heard));
        self.unheard.add(&deal.offers);
        Ok(deal)
    }

    /// Gives up what was borrowed and has ended by `now`.
    pub(super) fn end_loans(&mut self, snapshot: &Snapshot, now: Moment) {
        self.borrowed.retain(|place| {
            let found = place.find(snapshot);
            let account = found.as_ref().and_then(|found| found.account(snapshot));
            account.is_some_and(|account| {
                account.end_loans(now);
                account.borrowed() > 0
            })
        });
    }

    fn borrow(
        &mut self,
        snapshot: &Snapshot,
        pulse: Pulse,
        now: Moment,
        loan: &Loan,
    ) -> Option<()> {
        let until = pulse.moment_of(loan.ends, LOANS_LAST).filter(|until| *until > now)?;
        loan.place.find(snapshot)?.account(snapshot)?.borrow(loan.units, until);
        self.borrowed.insert(loan.place.clone());
        Some(())
    }

    /// Sees what was promised to listeners since the last beat.
    fn survey(&mut self, snapshot: &Snapshot, now: Moment) {
        self.rates.retain(|_, rate| !rate.is_over(now));
        let mut news: BTreeMap<Place, u64> = BTreeMap::new();
        for (id, (server, slots)) in snapshot.servers().enumerate() {
            // Whoever is sent to a mount is its server's client as well.
            let clients = slots.seats.newly_promised();
            if clients == 0 {
                continue;
            }
            news.insert(Place::clients(server), clients);
            news.insert(Place::bandwidth(server), slots.bandwidth.newly_promised());
            for Listed { path, slots, .. } in snapshot.listed(id) {
                let listeners = slots.seats.newly_promised();
                // There may be thousands of them, of which few are asked for.
                if listeners > 0 {
                    news.insert(Place::seats(server, path), listeners);
                }
            }
        }
        for (place, rate) in &mut self.rates {
            let units = news.remove(place).unwrap_or_default();
            let found = place.find(snapshot);
            let account = found.as_ref().and_then(|found| found.account(snapshot));
            let is_left = account.is_none_or(|account| account.free() != Some(0));
            rate.note(units, now, is_left);
        }
        for (place, units) in news.into_iter().filter(|(_, units)| *units > 0) {
            let unit = place.find(snapshot).map_or(1, |at| at.unit(snapshot));
            let mut rate = Rate::new(unit, now.saturating_sub(BEAT));
            rate.note(units, now, true);
            self.rates.insert(place, rate);
        }
    }

    /// What is wanted most: what will be used up first.
    fn wants(&self, snapshot: &Snapshot) -> Vec<Want> {
        let wants = self.rates.iter().filter_map(|(place, rate)| {
            let account = place.find(snapshot)?.account(snapshot).filter(|it| it.is_limited())?;
            let (left, borrowed) = (account.lendable(), account.borrowed());
            let units = rate.want(left)?;
            let lasts = left.saturating_add(borrowed) as f64 / rate.per_second();
            Some((lasts, Want { place: place.clone(), units, left, borrowed }))
        });
        let mut wants: Vec<_> = wants.collect();
        wants.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        wants.into_iter().take(MOST).map(|(_, want)| want).collect()
    }
}
