//! Gives back the room of records that are deleted, in a thread of its own.
//!
//! The database gathers what is written in memory, and writes it once more, into a table, when that is full:
//! syncs wait for that. What was deleted by then is left out. So it is told to do that when the log was
//! compacted, rather than when it is about to be.
//!
//! A log is written at its end and deleted at its beginning. The database merges tables whose keys
//! overlap, which those of a log hardly do: what deletes a record would never meet it, and tables pile
//! up. So all tables are merged whenever there is much in them.

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
    /// Whether it merges.
    running: Option<(JoinHandle<()>, bool)>,
}

impl Tidy {
    pub(super) fn new() -> Tidy {
        Tidy {
            at: LEAST,
            in_memory: 0,
            running: None,
        }
    }

    /// About so many bytes were written.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.in_memory += bytes;
    }

    /// Records were deleted.
    pub(super) fn check(&mut self, database: &Database, keyspace: &Keyspace) {
        if self
            .running
            .as_ref()
            .is_some_and(|(it, _)| !it.is_finished())
        {
            return;
        }
        if let Some((_, true)) = self.running.take() {
            // What is left now is needed: a log that is as long is not merged again and again.
            self.at = LEAST.max(2 * keyspace.disk_space());
        }
        let begins_table = self.in_memory >= LEAST_IN_MEMORY;
        let merges = keyspace.disk_space() >= self.at;
        if begins_table {
            self.in_memory = 0;
        }
        if !begins_table && !merges {
            return;
        }
        let (database, keyspace) = (database.clone(), keyspace.clone());
        let work = move || {
            // Neither is shown among the database's functions, and there is no other that does it.
            if begins_table {
                forget_snapshots(&database);
                report("no table was begun", || {
                    keyspace.rotate_memtable().map(drop)
                });
            }
            if merges {
                report("the log's tables were not merged", || {
                    keyspace.major_compact()
                });
            }
        };
        match Builder::new().name("raft-tidy".into()).spawn(work) {
            Ok(running) => self.running = Some((running, merges)),
            Err(error) => tracing::warn!(%error, "no thread to tidy the log's tables in"),
        }
    }
}

/// What was deleted is left out of a table if no snapshot of the database needs it. The database looks for
/// that at every ten-thousandth end of one, and otherwise too late.
fn forget_snapshots(database: &Database) {
    for _ in 0..10_000 {
        drop(database.snapshot());
    }
}

/// Nothing depends on it.
fn report(failure: &str, work: impl FnOnce() -> fjall::Result<()>) {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "{failure}"),
        Err(_) => tracing::warn!("{failure}: a defect of the database"),
    }
}

impl Drop for Tidy {
    fn drop(&mut self) {
        // The folder cannot be opened again before.
        if let Some((running, _)) = self.running.take() {
            let _ = running.join(); // It catches its panics.
        }
    }
}
