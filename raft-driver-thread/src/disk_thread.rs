//! The thread that waits for the disk. All writes that wait share one sync (group commit).

use crate::clock::stopwatch;
use crate::mailbox::Receiver;
use crate::metrics::Metrics;
use crate::state_machine::StateMachine;
use crate::storage::Storage;
use crate::tasks::{CoreMailbox, CoreTask, DiskTask, EntriesLost, EntriesWanted, StorageFailed};
use crate::timings::Timings;
use raft_proto::mending::{Fetch, FetchReply};
use raft_proto::{Input, Seq, Write};

/// What is to be read after the writes before it.
enum DiskRead {
    Wanted(EntriesWanted),
    Lost(EntriesLost),
}

pub(crate) struct DiskThread<'a, S, M: StateMachine> {
    storage: S,
    /// Bounded by the core's own limits on uncommitted and appended bytes.
    tasks: &'a Receiver<DiskTask>,
    core: &'a CoreMailbox<M>,
    metrics: Metrics,
    timings: Timings,
    /// Taken from `tasks`, and not written yet.
    writes: Vec<Write>,
}

impl<'a, S: Storage, M: StateMachine> DiskThread<'a, S, M> {
    pub(crate) fn new(
        storage: S,
        tasks: &'a Receiver<DiskTask>,
        core: &'a CoreMailbox<M>,
        metrics: Metrics,
        timings: Timings,
    ) -> DiskThread<'a, S, M> {
        DiskThread {
            storage,
            tasks,
            core,
            metrics,
            timings,
            writes: Vec::new(),
        }
    }

    /// Runs until the core drops its end or the storage fails.
    pub(crate) fn run(mut self) {
        while let Some(task) = self.tasks.recv() {
            if let Err(failed) = self.perform(task) {
                // Nothing is written after a failure. The core stops when it is told.
                let _ = self.core.send(CoreTask::StorageFailed(failed));
                return;
            }
        }
    }

    /// Performs this task, and all that wait behind it up to the next read.
    fn perform(&mut self, first: DiskTask) -> Result<(), StorageFailed> {
        let read = self.take_writes(first);
        // A core that receives nothing more has stopped; `run` then ends by itself.
        if let Some(seq) = self.sync()? {
            let persisted = CoreTask::Input(Input::Persisted { seq });
            let is_idle = read.is_none() && self.tasks.is_empty();
            let _ = if is_idle {
                self.core.send_and_help(persisted)
            } else {
                self.core.send(persisted)
            };
        }
        match read {
            Some(DiskRead::Wanted(wanted)) => {
                let input = self.read(&wanted)?;
                let _ = self.core.send(CoreTask::Input(input));
            }
            Some(DiskRead::Lost(lost)) => {
                // The peer may not wait any more.
                let _ = lost.reply.send(self.fetch(&lost.fetch));
            }
            None => {}
        }
        Ok(())
    }

    /// Takes the writes that wait; stops at a read, which has to see the writes before it.
    fn take_writes(&mut self, first: DiskTask) -> Option<DiskRead> {
        let mut next = Some(first);
        while let Some(task) = next {
            match task {
                DiskTask::Write(write) => self.writes.push(write),
                DiskTask::Read(wanted) => return Some(DiskRead::Wanted(wanted)),
                DiskTask::Fetch(lost) => return Some(DiskRead::Lost(lost)),
            }
            next = self.tasks.try_recv().ok();
        }
        None
    }

    /// One sync for all writes that were taken. Returns the last seq that is durable now; `None` if
    /// there were no writes.
    fn sync(&mut self) -> Result<Option<Seq>, StorageFailed> {
        let (Some(first), Some(last)) = (self.writes.first(), self.writes.last()) else {
            return Ok(None);
        };
        let (first, last) = (first.seq, last.seq);
        let count = self.writes.len();
        let (elapsed, begin) = (stopwatch(), self.timings.now());
        let span = tracing::debug_span!("sync", writes = count, %first, %last);
        let written = span.in_scope(|| self.storage.write(&self.writes));
        self.metrics.synced(count, elapsed());
        written.map_err(|error| StorageFailed {
            seq: Some(first),
            error,
        })?;
        self.timings.synced(first, last, begin);
        self.writes.clear();
        Ok(Some(last))
    }

    /// For a peer. That it cannot be read is no reason to stop.
    fn fetch(&mut self, fetch: &Fetch) -> FetchReply {
        let Fetch {
            first,
            last,
            max_bytes,
        } = *fetch;
        match self.storage.fetch(first, last, max_bytes) {
            Ok(Some(entries)) => FetchReply::Entries(entries),
            Ok(None) => FetchReply::HaveNot,
            Err(error) => {
                tracing::error!(%error, "entries that a peer has lost cannot be read");
                FetchReply::HaveNot
            }
        }
    }

    fn read(&mut self, wanted: &EntriesWanted) -> Result<Input, StorageFailed> {
        let EntriesWanted {
            peer,
            from,
            to,
            max_bytes,
        } = *wanted;
        let entries = self.storage.read_entries(from, to, max_bytes);
        let entries = entries.map_err(|error| StorageFailed { seq: None, error })?;
        Ok(Input::EntriesRead {
            peer,
            from,
            entries,
        })
    }
}
