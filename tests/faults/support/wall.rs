//! Comes between us and a relay in the kernel: rules of nftables in the row's own network.

use std::process::Command;

use super::process::succeed;

/// The rules of this row. Dropping it opens every way again.
pub(crate) struct Wall;

impl Wall {
    /// No rule yet.
    pub(crate) fn new() -> Self {
        nft("add table inet faults");
        nft("add chain inet faults in { type filter hook input priority 0 ; }");
        Self
    }

    /// Nothing arrives at relay `number` any more, and nothing says so.
    pub(crate) fn swallow(&self, number: u8) {
        self.rule(&format!("{} drop", to(number)));
    }

    /// Every connection to relay `number` is reset.
    pub(crate) fn reset(&self, number: u8) {
        self.rule(&format!("{} reject with tcp reset", to(number)));
    }

    /// Of what is sent to relay `number`, three of ten packets are lost, by chance.
    pub(crate) fn lose(&self, number: u8) {
        self.rule(&format!("{} numgen random mod 10 < 3 drop", to(number)));
    }

    /// The same of what the balancer sends, by turns: what is lost once comes through when it is sent
    /// again.
    pub(crate) fn lose_by_turns(&self, number: u8) {
        let lost = "{ 0 : drop, 3 : drop, 6 : drop }";
        self.rule(&format!("{} ip saddr 127.0.0.1 numgen inc mod 10 vmap {lost}", to(number)));
    }

    /// The connection to relay `number` from our `port` is cut, and nothing says so.
    pub(crate) fn cut(&self, number: u8, port: u16) {
        self.rule(&format!("{} tcp sport {port} drop", to(number)));
        self.rule(&format!("ip saddr 127.0.1.{number} tcp dport {port} drop"));
    }

    /// Opens every way again.
    #[expect(clippy::unused_self, reason = "without the table there is no place for rules")]
    pub(crate) fn open(&self) {
        nft("flush chain inet faults in");
    }

    #[expect(clippy::unused_self, reason = "without the table there is no place for rules")]
    fn rule(&self, rule: &str) {
        nft(&format!("add rule inet faults in {rule}"));
    }
}

impl Drop for Wall {
    fn drop(&mut self) {
        nft("delete table inet faults");
    }
}

fn to(number: u8) -> String {
    format!("ip daddr 127.0.1.{number} tcp dport 8000")
}

fn nft(command: &str) {
    succeed(Command::new("nft").arg(command));
}
