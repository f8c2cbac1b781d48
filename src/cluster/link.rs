//! The connection to the engine, and the one script that is run there.
//!
//! What is in the engine belongs to one run of it: the keys carry the name that it gives itself when
//! it starts. So an engine that comes back with what it remembered of an earlier time, from its disk or as
//! the copy that was made the first, has nothing to say of loans that were taken since.

use redis::Script;

use crate::fleet::{Address, Engine};
use crate::slots::LOANS_LAST;

use super::Exchange;
use super::line::{Line, credentials};
use super::message::{Beat, Heard, Loan, MOST_PRESENT, Present, Wants};
use super::trouble::Trouble;

/// A member that has not been heard of for so many milliseconds is taken for dead.
pub(super) const ALIVE: u64 = 1_000;

static BEAT: &str = include_str!("beat.lua");

const SENTINEL: &str =
    "it is a Sentinel, and not a server; write redis-sentinel://… and what it calls the server";
const CLUSTER: &str = "it is part of a cluster; name one server that takes writes";

/// A connection to an engine.
pub(super) struct Link {
    line: Line,
    script: Script,
    /// What all keys begin with.
    keys: String,
    /// Whom others lend to.
    name: String,
    /// Who we are, whatever the connection.
    process: String,
}

impl Link {
    /// Connects to an engine that is at `address`. `name` is what others lend to, and is never used
    /// again; `process` is who we are.
    pub(super) async fn to(
        engine: &Engine,
        address: &Address,
        name: String,
        process: &str,
    ) -> Result<Self, Trouble> {
        let info = credentials(engine).set_db(i64::from(engine.database));
        let mut link = Self {
            line: Line::to(address, engine.tls, &info).await?,
            script: Script::new(BEAT),
            keys: String::new(),
            name,
            process: process.to_owned(),
        };
        let run = link.run().await?;
        // In braces is what decides of the place of a key where there are several.
        link.keys = format!("{}:{{{run}}}", engine.key_prefix);
        Ok(link)
    }

    /// The name of this run of the engine.
    async fn run(&mut self) -> Result<String, Trouble> {
        let told: String =
            redis::cmd("INFO").arg("server").query_async(&mut self.line.connection).await?;
        let of = |key: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.map(str::trim)
        };
        match of("redis_mode").or_else(|| of("server_mode")) {
            Some("sentinel") => return Err(Trouble::Kind(SENTINEL)),
            Some("cluster") => return Err(Trouble::Kind(CLUSTER)),
            _ => {}
        }
        let run = of("run_id").filter(|run| !run.is_empty());
        run.map(str::to_owned).ok_or(Trouble::Kind("it does not say which run of it this is"))
    }
}

impl Exchange for Link {
    async fn beat(&mut self, beat: &Beat) -> Result<Heard, Trouble> {
        let loans_to = |name: &str| format!("{}:loans:{name}", self.keys);
        let mut call = self.script.prepare_invoke();
        call.key(format!("{}:members", self.keys)).key(format!("{}:wants", self.keys));
        call.key(loans_to(&self.name));
        call.arg(&self.name).arg(&self.process).arg(beat.wants.written());
        call.arg(ALIVE).arg(LOANS_LAST.as_millis().to_string()).arg(beat.about.written());
        for (borrower, loan) in &beat.loans {
            call.key(loans_to(borrower)).arg(loan.ends).arg(loan.written());
        }
        let answer: Answer = call.invoke_async(&mut self.line.connection).await?;
        Ok(understood(answer))
    }
}

/// Time, members, each of them in three parts, names and wants by turns, loans, and which of ours were
/// taken.
type Answer = (u64, u64, Vec<String>, Vec<String>, Vec<String>, Vec<u64>);

fn understood((time, replicas, present, wants, loans, taken): Answer) -> Heard {
    let present = present.chunks(3).take(MOST_PRESENT).filter_map(Present::read);
    let wants = wants.chunks_exact(2).filter_map(|pair| {
        let [name, wants] = pair else { return None };
        Some((name.clone(), Wants::read(wants)))
    });
    Heard {
        time,
        replicas,
        present: present.collect(),
        wants: wants.collect(),
        loans: loans.iter().filter_map(|loan| Loan::read(loan)).collect(),
        taken: taken.into_iter().map(|taken| taken == 1).collect(),
    }
}
