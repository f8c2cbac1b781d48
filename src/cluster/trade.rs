//! What this replica wants, what it lends and what it has borrowed: all that a beat carries, without any
//! engine.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::slots::{Account, LOANS_LAST, Listed, Moment};
use crate::state::Snapshot;

use super::BEAT;
use super::demand::{Rate, offer};
use super::message::{Beat, Found, Heard, Loan, MOST, Place, Want, Wants};
use super::pulse::{Jumped, Pulse, SLACK};

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
    /// To whom the last beat lent something.
    lent_to: HashSet<String>,
    /// Up to which of their wants others were lent something.
    answered: HashMap<String, u64>,
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

/// What is withheld for others until the engine has taken it. Where nobody says whether it has, and where
/// this is dropped, it counts as taken.
#[derive(Debug, Default)]
pub(super) struct Offers {
    snapshot: Option<Arc<Snapshot>>,
    offers: Vec<Offer>,
}

#[derive(Debug)]
struct Offer {
    to: String,
    loan: Loan,
    at: Found,
    /// When it is over, by our own clock.
    until: Moment,
}

/// More loans than that wait for the next beat.
const MOST_LOANS: usize = 256;

impl Trade {
    /// Begins anew with an engine, of which nothing is known.
    pub(super) fn begin(&mut self) {
        self.pulse = None;
        self.answered.clear();
    }

    /// What to tell the engine.
    pub(super) fn beat(&mut self, snapshot: &Snapshot, now: Moment, offers: &Offers) -> Beat {
        self.survey(snapshot, now);
        self.beats += 1;
        let wants = Wants { number: self.beats, wants: self.wants(snapshot) };
        self.lent_to = offers.offers.iter().map(|offer| offer.to.clone()).collect();
        let loans = offers.offers.iter().map(|offer| (offer.to.clone(), offer.loan.clone()));
        Beat { wants, loans: loans.collect(), ..Beat::default() }
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
        deal.offers.snapshot = Some(Arc::clone(snapshot));
        self.answered.retain(|name, _| heard.wants.iter().any(|(other, _)| other == name));
        let others = heard.replicas.saturating_sub(1);
        for (name, wants) in &heard.wants {
            let answered = self.answered.entry(name.clone()).or_default();
            if self.lent_to.contains(name) {
                // With their next beat they say the same again, before they hear what we have just lent.
                *answered = wants.number.saturating_add(1);
            }
            if wants.number <= *answered {
                continue;
            }
            *answered = wants.number;
            for want in &wants.wants {
                if deal.offers.offers.len() < MOST_LOANS
                    && let Some((at, units)) = self.lend(snapshot, received, want, others)
                {
                    // What is withheld is promised now; the borrower must have spent it by then.
                    let ends = pulse.at(received) + ends_after();
                    let loan = Loan { place: want.place.clone(), units, ends };
                    let until = received + LOANS_LAST;
                    deal.offers.offers.push(Offer { to: name.clone(), loan, at, until });
                }
            }
        }
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

    /// Withholds what can be spared for a want.
    fn lend(
        &self,
        snapshot: &Snapshot,
        now: Moment,
        want: &Want,
        others: u64,
    ) -> Option<(Found, u64)> {
        let at = want.place.find(snapshot)?;
        let account = at.account(snapshot)?;
        // Old numbers say nothing of what others have left of it.
        let server = snapshot.server(at.server)?;
        if server.is_stale(now, snapshot.fleet.poll.stale_after) {
            return None;
        }
        let rate = self.rates.get(&want.place);
        let units = offer(want, account.lendable(), rate, snapshot.fleet.replicas, others);
        let units = account.withhold(units);
        (units > 0).then_some((at, units))
    }

    /// Sees what was promised to listeners since the last beat.
    fn survey(&mut self, snapshot: &Snapshot, now: Moment) {
        self.rates.retain(|_, rate| !rate.is_over(now));
        let mut news: BTreeMap<Place, (u64, u64)> = BTreeMap::new();
        for (id, (server, slots)) in snapshot.servers().enumerate() {
            // Whoever is sent to a mount is its server's client as well.
            let clients = slots.seats.newly_promised();
            if clients == 0 {
                continue;
            }
            let mounts = snapshot.listed(id);
            news.insert(Place::clients(server), (1, clients));
            let bits = slots.bandwidth.newly_promised();
            let unit = mounts.iter().map(|mount| mount.bitrate).max().unwrap_or(0);
            news.insert(Place::bandwidth(server), (unit, bits));
            for Listed { path, slots, .. } in mounts {
                let listeners = slots.seats.newly_promised();
                // There may be thousands of them, of which few are asked for.
                if listeners > 0 {
                    news.insert(Place::seats(server, path), (1, listeners));
                }
            }
        }
        for (place, rate) in &mut self.rates {
            let (_, units) = news.remove(place).unwrap_or_default();
            let found = place.find(snapshot);
            let account = found.as_ref().and_then(|found| found.account(snapshot));
            let is_left = account.is_none_or(|account| account.free() != Some(0));
            rate.note(units, now, is_left);
        }
        for (place, (unit, units)) in news.into_iter().filter(|(_, (_, units))| *units > 0) {
            let mut rate = Rate::new(unit, now.saturating_sub(BEAT));
            rate.note(units, now, true);
            self.rates.insert(place, rate);
        }
    }

    /// What is wanted most: what will be used up first.
    fn wants(&self, snapshot: &Snapshot) -> Vec<Want> {
        let wants = self.rates.iter().filter_map(|(place, rate)| {
            let account = place.find(snapshot)?.account(snapshot).filter(|it| is_limited(it))?;
            let left = account.lendable();
            let borrowed = account.borrowed();
            let units = rate.want(left, borrowed)?;
            let left = left.saturating_add(borrowed);
            Some((left as f64 / rate.per_second(), Want { place: place.clone(), units, left }))
        });
        let mut wants: Vec<_> = wants.collect();
        wants.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        wants.into_iter().take(MOST).map(|(_, want)| want).collect()
    }
}

fn is_limited(account: &Account) -> bool {
    account.room().is_some() && !account.is_shut()
}

/// How long after it was withheld what is lent ends at the engine, in milliseconds.
fn ends_after() -> u64 {
    u64::try_from(LOANS_LAST.saturating_sub(SLACK).as_millis()).unwrap_or(0)
}

impl Offers {
    /// Whether nothing is lent.
    pub(super) fn is_empty(&self) -> bool {
        self.offers.is_empty()
    }

    /// How many slots of mounts are lent.
    pub(super) fn slots(&self) -> u64 {
        let seats = self.offers.iter().filter(|offer| offer.loan.place.is_seats());
        seats.map(|offer| offer.loan.units).sum()
    }

    /// Parts with what the engine has taken, as it says of each; the rest is ours again.
    pub(super) fn settle(&mut self, taken: &[bool]) {
        let Some(snapshot) = self.snapshot.take() else { return };
        for (place, offer) in self.offers.drain(..).enumerate() {
            let is_taken = taken.get(place).copied().unwrap_or(true);
            if let Some(account) = offer.at.account(&snapshot) {
                let taken = if is_taken { offer.loan.units } else { 0 };
                account.lent(offer.loan.units, taken, offer.until);
            }
        }
    }
}

impl Drop for Offers {
    fn drop(&mut self) {
        self.settle(&[]);
    }
}
