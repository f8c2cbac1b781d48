//! What a replica parts with, when it has heard what others want.

use std::collections::BTreeMap;

use crate::slots::{Account, LOANS_LAST, Moment};
use crate::state::Snapshot;

use super::demand::Rate;
use super::message::{Found, Heard, Loan, Place, Want, Wants};
use super::offers::{Offer, Unheard};
use super::pool::{Part, gifts};
use super::pulse::{Pulse, SLACK};

/// More loans than that wait for the next beat.
const MOST_LOANS: usize = 256;

/// A replica at the moment in which it heard of others.
pub(super) struct Lender<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) now: Moment,
    /// The engine's clock.
    pub(super) pulse: Pulse,
    /// How fast our own accounts are promised.
    pub(super) rates: &'a BTreeMap<Place, Rate>,
    pub(super) unheard: &'a Unheard,
}

/// An account of ours of which others want something.
struct Stock<'a> {
    place: &'a Place,
    at: Found,
    account: &'a Account,
    /// What a listener takes of it.
    unit: u64,
    /// What is left of it, of our own.
    own: u64,
    /// And of what others lent us.
    borrowed: u64,
}

impl Lender<'_> {
    /// Withholds what we can spare of what others want.
    pub(super) fn lend(&self, heard: &Heard) -> Vec<Offer> {
        let mut offers = Vec::new();
        for asked in pools(&heard.wants).values() {
            let stocks = self.stocks(asked);
            let Some(unit) = stocks.values().map(|stock| stock.unit).max() else { continue };
            let ours = stocks.values().map(|stock| self.part(stock)).sum();
            let theirs: Vec<_> = asked
                .iter()
                .map(|(name, wants)| wants.iter().map(|want| self.part_of(name, want, unit)).sum())
                .collect();
            let gifts = gifts(ours, &theirs, heard.replicas);
            for ((name, wants), listeners) in asked.iter().zip(gifts) {
                // Of each account some of our own, and some that was lent to us.
                if offers.len() + 2 * wants.len() > MOST_LOANS {
                    return offers;
                }
                let stocks = wants.iter().filter_map(|want| stocks.get(&want.place)).collect();
                offers.extend(self.part_with(stocks, listeners.saturating_mul(unit), name));
            }
        }
        offers
    }

    /// What we have of each account that is asked for, if we know what is left of it.
    fn stocks<'a>(&'a self, asked: &Asked<'a>) -> BTreeMap<&'a Place, Stock<'a>> {
        let stock = |want: &&'a Want| {
            let place = &want.place;
            let at = place.find(self.snapshot)?;
            // Old numbers say nothing of what others have left of it.
            let server = self.snapshot.server(at.server)?;
            let is_known = !server.is_stale(self.now, self.snapshot.fleet.poll.stale_after);
            let account = at.account(self.snapshot).filter(|it| is_known && it.is_limited())?;
            let (own, borrowed) = (account.lendable(), account.borrowed());
            let unit = at.unit(self.snapshot);
            Some((place, Stock { place, at, account, unit, own, borrowed }))
        };
        asked.values().flatten().filter_map(stock).collect()
    }

    fn part(&self, stock: &Stock<'_>) -> Part {
        let per_second = self.rates.get(stock.place).map_or(0.0, Rate::at_most);
        Part::new(stock.own, stock.borrowed, per_second, stock.unit)
    }

    fn part_of(&self, name: &str, want: &Want, unit: u64) -> Part {
        let borrowed = want.borrowed.saturating_add(self.unheard.units(name, &want.place));
        Part::new(want.left, borrowed, want.units as f64, unit)
    }

    /// Withholds so many units for another, some of each account, where there is little no more than that.
    fn part_with(&self, mut stocks: Vec<&Stock<'_>>, units: u64, to: &str) -> Vec<Offer> {
        let mut offers = Vec::new();
        let mut offer = |stock: &Stock<'_>, units, ends: Moment, ours| {
            if units > 0 {
                let loan = Loan { place: stock.place.clone(), units, ends: self.told(ends) };
                offers.push(Offer { to: to.to_owned(), loan, ours });
            }
        };
        let mut rest = units;
        stocks.sort_by_key(|stock| stock.own.saturating_add(stock.borrowed));
        for (stock, of) in stocks.iter().zip((1..=stocks.len() as u64).rev()) {
            let units = rest / of;
            let own = stock.account.withhold(units);
            // What is withheld is promised now; the borrower must have spent it by then.
            let until = self.now + LOANS_LAST;
            offer(stock, own, until.saturating_sub(SLACK), Some((stock.at.clone(), until)));
            let (others, until) = stock.account.pass_on(units - own).unwrap_or_default();
            offer(stock, others, until, None);
            rest -= own + others;
        }
        offers
    }

    /// A moment to come by the engine's clock, or somewhat earlier.
    fn told(&self, moment: Moment) -> u64 {
        let left = moment.saturating_sub(self.now).as_millis();
        self.pulse.at(self.now).saturating_add(u64::try_from(left).unwrap_or(0))
    }
}

/// How many listeners come in a second for what is wanted most.
pub(super) fn busiest<'a>(snapshot: &Snapshot, wants: impl Iterator<Item = &'a Want>) -> f64 {
    let mut pools = BTreeMap::<_, f64>::new();
    for want in wants {
        if let Some(at) = want.place.find(snapshot) {
            let units = want.units as f64 / at.unit(snapshot) as f64;
            *pools.entry(want.place.pool()).or_default() += units;
        }
    }
    pools.into_values().fold(0.0, f64::max)
}

/// Who wants something of all that does as well for the same listeners, and of which accounts.
type Asked<'a> = BTreeMap<&'a str, Vec<&'a Want>>;

fn pools(wants: &[(String, Wants)]) -> BTreeMap<(&str, &str), Asked<'_>> {
    let mut pools = BTreeMap::<_, Asked<'_>>::new();
    for (name, wants) in wants {
        for want in &wants.wants {
            pools
                .entry(want.place.pool())
                .or_default()
                .entry(name.as_str())
                .or_default()
                .push(want);
        }
    }
    pools
}
