//! How often each fault was injected.

use crate::fault::Fault;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often each fault was injected, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    faults: BTreeMap<Fault, u64>,
    /// Processes that were killed, alone or all at once.
    pub(crate) kills: u64,
    /// Leadership transfers that succeeded.
    pub(crate) transfers_done: u64,
    /// Servers that stopped because their disk was full.
    pub(crate) stopped_when_full: u64,
    pub(crate) recoveries: u64,
    pub(crate) slowest_recovery: Duration,
}

impl Counts {
    pub(crate) fn add(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// After everything was healed, it took so long until all servers accepted writes.
    pub(crate) fn recovered(&mut self, after: Duration) {
        self.recoveries += 1;
        self.slowest_recovery = self.slowest_recovery.max(after);
    }

    pub(crate) fn of(&self, fault: Fault) -> u64 {
        self.faults.get(&fault).copied().unwrap_or(0)
    }
}
