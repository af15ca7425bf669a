//! The history of the clients, and the check that it is linearizable.

use crate::model::Store;
use raft_sim::linearizability::{History, Operation, Verdict, check_within};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many states the check of one key may explore: at worst gigabytes, and minutes.
const MAX_STATES: u64 = 1 << 24;

/// The clock of the history, and how the operations ended so far.
pub(crate) struct Tally {
    begun: Instant,
    pub(crate) ok: AtomicU64,
    pub(crate) unknown: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Requests of a session whose result became known after they were repeated.
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

    /// An operation has ended now, with a known result.
    pub(crate) fn succeeded(&self, now: u64) {
        self.ok.fetch_add(1, Ordering::Relaxed);
        let last = self.last_success.fetch_max(now, Ordering::Relaxed);
        let gap = now.saturating_sub(last);
        self.longest_gap.fetch_max(gap, Ordering::Relaxed);
    }

    /// The longest time in which no operation ended with a known result.
    pub(crate) fn longest_gap(&self) -> Duration {
        Duration::from_nanos(self.longest_gap.load(Ordering::Relaxed))
    }
}

/// Whether the history is linearizable.
pub(crate) fn check(operations: Vec<Operation<Store>>) -> Verdict<Store> {
    let history: History<Store> = operations.into_iter().collect();
    check_within(&history, MAX_STATES)
}

/// How many keys were used.
pub(crate) struct KeyCounts {
    pub(crate) keys: usize,
    /// The number of operations on the key that has most.
    pub(crate) most_operations: usize,
}

pub(crate) fn keys(operations: &[Operation<Store>]) -> KeyCounts {
    let mut keys: BTreeMap<&str, usize> = BTreeMap::new();
    for operation in operations {
        *keys.entry(&operation.key).or_default() += 1;
    }
    KeyCounts {
        keys: keys.len(),
        most_operations: keys.values().copied().max().unwrap_or(0),
    }
}

/// Writes the history, key by key, in the order in which the operations were invoked. Times are in
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
