//! What the clients saw, and whether a store that does one thing at a time explains it.

use crate::model::Store;
use raft_sim::linearizability::{History, Operation, Verdict, check_within};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// States that the check of one key may explore: gigabytes at worst, minutes.
const STATES: u64 = 1 << 24;

/// The clock that all operations are dated by, and what came of them so far.
pub(crate) struct Tally {
    begun: Instant,
    pub(crate) ok: AtomicU64,
    pub(crate) unknown: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Requests of a session that were sent again, and answered then.
    pub(crate) repeated: AtomicU64,
    last_success: AtomicU64,
    longest_gap: AtomicU64,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            begun: Instant::now(),
            ok: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            last_success: AtomicU64::new(0),
            longest_gap: AtomicU64::new(0),
        }
    }

    /// Nanoseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// An operation has succeeded now.
    pub(crate) fn succeeded(&self, now: u64) {
        self.ok.fetch_add(1, Ordering::Relaxed);
        let last = self.last_success.fetch_max(now, Ordering::Relaxed);
        let gap = now.saturating_sub(last);
        self.longest_gap.fetch_max(gap, Ordering::Relaxed);
    }

    /// The longest time in which nothing succeeded.
    pub(crate) fn longest_gap(&self) -> Duration {
        Duration::from_nanos(self.longest_gap.load(Ordering::Relaxed))
    }
}

/// Whether the history can be explained.
pub(crate) fn check(operations: Vec<Operation<Store>>) -> Verdict<Store> {
    let history: History<Store> = operations.into_iter().collect();
    check_within(&history, STATES)
}

/// How many keys were used, and how many operations there were on the one with most.
pub(crate) fn keys(operations: &[Operation<Store>]) -> (usize, usize) {
    let mut keys: BTreeMap<&str, usize> = BTreeMap::new();
    for operation in operations {
        *keys.entry(&operation.key).or_default() += 1;
    }
    (keys.len(), keys.values().copied().max().unwrap_or(0))
}

/// Writes the history, key by key, in the order in which the operations began; times are
/// nanoseconds.
pub(crate) fn write(operations: &[Operation<Store>], path: &Path) -> io::Result<()> {
    let mut sorted: Vec<&Operation<Store>> = operations.iter().collect();
    sorted.sort_by(|a, b| (&a.key, a.invoked).cmp(&(&b.key, b.invoked)));
    let mut file = BufWriter::new(File::create(path)?);
    for operation in sorted {
        writeln!(file, "{} {operation}", operation.key)?;
    }
    file.flush()
}
