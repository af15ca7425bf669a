//! Gives back the room of records that are deleted, in a thread of its own.
//!
//! The database gathers what is written in memory, and writes it once more, into a table, when that
//! is full: syncs wait for that. What was deleted by then is left out. So it is told to do that
//! when the log was compacted, rather than when it is about to be.
//!
//! A log is written at its end and deleted at its beginning. The database merges tables whose keys
//! overlap, which those of a log hardly do: what deletes a record would never meet it, and tables
//! pile up. So all tables are merged whenever there is much in them.

use fjall::{Database, Keyspace};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle};

/// With fewer bytes in tables nothing is merged: a merge reads all of them.
const LEAST: u64 = 512 << 20;

/// With fewer bytes in memory no table is written: there would be many small ones.
const LEAST_IN_MEMORY: u64 = 32 << 20;

/// See the [module](self). Dropped, it has ended.
#[derive(Debug)]
pub(super) struct Tidy {
    /// How many bytes there have to be in tables.
    at: u64,
    /// About how many are in memory.
    in_memory: u64,
    merging: Option<JoinHandle<()>>,
    beginning: Option<JoinHandle<()>>,
}

impl Tidy {
    pub(super) fn new() -> Tidy {
        Tidy {
            at: LEAST,
            in_memory: 0,
            merging: None,
            beginning: None,
        }
    }

    /// About so many bytes were written.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.in_memory += bytes;
    }

    /// Records were deleted. Neither of what is done then is shown among the database's functions,
    /// and there is no other that does it.
    pub(super) fn check(&mut self, database: &Database, keyspace: &Keyspace) {
        if self.in_memory >= LEAST_IN_MEMORY && has_ended(&self.beginning) {
            self.in_memory = 0;
            let (database, keyspace) = (database.clone(), keyspace.clone());
            self.beginning = begin("no table was begun", move || {
                forget_snapshots(&database);
                keyspace.rotate_memtable().map(drop)
            });
        }
        if !has_ended(&self.merging) {
            return;
        }
        if self.merging.take().is_some() {
            // What is left now is needed: a log that is as long is not merged again and again.
            self.at = LEAST.max(2 * keyspace.disk_space());
        }
        if keyspace.disk_space() >= self.at {
            let keyspace = keyspace.clone();
            self.merging = begin("the log's tables were not merged", move || {
                keyspace.major_compact()
            });
        }
    }
}

fn has_ended(thread: &Option<JoinHandle<()>>) -> bool {
    thread.as_ref().is_none_or(JoinHandle::is_finished)
}

/// Begins something on which nothing depends.
fn begin(
    failure: &'static str,
    work: impl FnOnce() -> fjall::Result<()> + Send + 'static,
) -> Option<JoinHandle<()>> {
    let guarded = move || match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "{failure}"),
        Err(_) => tracing::warn!("{failure}: a defect of the database"),
    };
    let begun = Builder::new().name("raft-tidy".into()).spawn(guarded);
    let report = |error: &std::io::Error| tracing::warn!(%error, "{failure}: there is no thread");
    begun.inspect_err(report).ok()
}

/// What was deleted is left out of a table if no snapshot of the database needs it. The database
/// looks for that at every ten-thousandth end of one, and otherwise too late.
fn forget_snapshots(database: &Database) {
    for _ in 0..10_000 {
        drop(database.snapshot());
    }
}

impl Drop for Tidy {
    fn drop(&mut self) {
        // The folder cannot be opened again before.
        for running in [self.beginning.take(), self.merging.take()] {
            // It catches its panics.
            let _ = running.map(JoinHandle::join);
        }
    }
}
