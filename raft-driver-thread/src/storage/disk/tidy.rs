//! Gives back the room of records that are deleted.
//!
//! The database gathers what is written in memory, and writes it once more, into a table, when that is full:
//! syncs wait for that. What was deleted by then is left out. So it is told to do that when the log was
//! compacted, rather than when it is about to be.
//!
//! A log is written at its end and deleted at its beginning. The database merges tables whose keys
//! overlap, which those of a log hardly do: what deletes a record would never meet it, and tables pile
//! up. So all tables are merged whenever there is much in them, in a thread of their own.

use fjall::Keyspace;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle};

/// With fewer bytes in tables nothing is merged: a merge reads all of them.
const LEAST: u64 = 512 << 20;

/// With fewer bytes in memory no table is written: there would be many small ones.
const LEAST_IN_MEMORY: u64 = 32 << 20;

/// See the [module](self). Dropped, it has ended.
#[derive(Debug)]
pub(super) struct Tidy {
    /// How many bytes there have to be.
    at: u64,
    /// About how many bytes are in memory.
    in_memory: u64,
    running: Option<JoinHandle<()>>,
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
    pub(super) fn check(&mut self, keyspace: &Keyspace) {
        if self.in_memory >= LEAST_IN_MEMORY {
            self.in_memory = 0;
            // Not shown among the database's functions, either. It only hands the work over.
            match catch_unwind(AssertUnwindSafe(|| keyspace.rotate_memtable())) {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "no table was begun"),
                Err(_) => tracing::warn!("no table was begun: a defect of the database"),
            }
        }
        self.merge(keyspace);
    }

    fn merge(&mut self, keyspace: &Keyspace) {
        if self.running.as_ref().is_some_and(|it| !it.is_finished()) {
            return;
        }
        if self.running.take().is_some() {
            // What is left now is needed: a log that is as long is not merged again and again.
            self.at = LEAST.max(2 * keyspace.disk_space());
        }
        if keyspace.disk_space() < self.at {
            return;
        }
        let keyspace = keyspace.clone();
        let merge = move || {
            // Not shown among the database's functions, and of the same effect since there is one.
            let merged = catch_unwind(AssertUnwindSafe(|| keyspace.major_compact()));
            match merged {
                Ok(Ok(())) => tracing::debug!(bytes = keyspace.disk_space(), "tables were merged"),
                Ok(Err(error)) => tracing::warn!(%error, "the log's tables were not merged"),
                Err(_) => {
                    tracing::warn!("the log's tables were not merged: a defect of the database")
                }
            }
        };
        match Builder::new().name("raft-tidy".into()).spawn(merge) {
            Ok(running) => self.running = Some(running),
            Err(error) => tracing::warn!(%error, "no thread to merge the log's tables in"),
        }
    }
}

impl Drop for Tidy {
    fn drop(&mut self) {
        // The folder cannot be opened again before.
        if let Some(running) = self.running.take() {
            let _ = running.join(); // It catches its panics.
        }
    }
}
