//! An engine as the script of [`beat.lua`](../beat.lua) makes it, and what one must not do.

use std::collections::BTreeMap;

use crate::cluster::message::{Beat, Heard, Loan, Present, Wants};
use crate::slots::LOANS_LAST;

/// What somebody does who must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The engine hands out loans and keeps them.
    HandsOutTwice,
    /// The engine forgets lately what happened, and is none the wiser.
    KeepsItsName,
    /// Loans end when the sun burns out.
    LetsLoansLast,
    /// A lender whose beat was not answered thinks that nobody has taken its loans.
    TakesBack,
    /// Replicas remember their promises for so many seconds less than they should.
    Forgets(u64),
}

/// What one run of an engine knows.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    members: BTreeMap<String, (u64, usize)>,
    wants: BTreeMap<String, Wants>,
    loans: BTreeMap<String, Vec<Loan>>,
}

#[derive(Debug)]
pub(super) struct Engine {
    /// What it says of itself: what is known under one name is not known under another.
    pub(super) run: u64,
    memory: Memory,
    /// What was written to its disk last.
    saved: Memory,
    fault: Option<Fault>,
    /// Its time of day when the history begins.
    epoch: u64,
}

impl Engine {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        let (memory, saved) = (Memory::default(), Memory::default());
        Self { run: 0, memory, saved, fault, epoch: 1_764_110_000_000 }
    }

    pub(super) fn save(&mut self) {
        self.saved = self.memory.clone();
    }

    /// Comes back, with what is on its disk, if that is read.
    pub(super) fn restart(&mut self, restores: bool) {
        // What it reads is there, under the name of a run that is over.
        let is_read = restores && self.fault == Some(Fault::KeepsItsName);
        self.memory = if is_read { self.saved.clone() } else { Memory::default() };
        self.saved = self.memory.clone();
        if self.fault != Some(Fault::KeepsItsName) {
            self.run += 1;
        }
    }

    pub(super) fn beat(&mut self, now: u64, name: &str, process: usize, beat: &Beat) -> Heard {
        let time = self.epoch + now;
        let memory = &mut self.memory;
        memory.members.insert(name.to_owned(), (time, process));
        match beat.wants.written() {
            nothing if nothing.is_empty() => memory.wants.remove(name),
            wants => memory.wants.insert(name.to_owned(), Wants::read(&wants)),
        };
        let mut taken = Vec::new();
        for (borrower, loan) in &beat.loans {
            taken.push(loan.ends > time || self.fault == Some(Fault::LetsLoansLast));
            if taken.last() == Some(&true) {
                memory.loans.entry(borrower.clone()).or_default().push(loan.clone());
            }
        }
        memory.members.retain(|_, (last, _)| time.abs_diff(*last) <= super::super::link::ALIVE);
        let members = &memory.members;
        memory.wants.retain(|member, _| members.contains_key(member));
        let mut present: Vec<Present> = Vec::new();
        for (last, process) in members.values() {
            let process = process.to_string();
            if present.iter().all(|known| known.process != process) {
                present.push(Present { process, last: *last, about: beat.about.clone() });
            }
        }
        let mut loans = match self.fault {
            Some(Fault::HandsOutTwice) => memory.loans.get(name).cloned(),
            _ => memory.loans.remove(name),
        };
        if self.fault == Some(Fault::LetsLoansLast) {
            let last = time + u64::try_from(LOANS_LAST.as_millis()).unwrap();
            loans.iter_mut().flatten().for_each(|loan| loan.ends = last);
        }
        let others = memory.wants.iter().filter(|(member, _)| *member != name);
        Heard {
            time,
            replicas: present.len() as u64,
            present,
            wants: others.map(|(member, wants)| (member.clone(), wants.clone())).collect(),
            loans: loans.unwrap_or_default(),
            taken,
        }
    }
}
