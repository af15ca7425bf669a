//! The thread that reads and writes chunks of snapshots, which must not delay the log's syncs.
//!
//! What a leader reads it sends. So the rate and the number of transfers are kept here
//! (`snapshot_sending.rs`): a chunk is read when its time has come, and one of a transfer too many
//! is not read. The core asks for that one again with the next heartbeat.
//!
//! It deletes snapshots, too: those that the core needs no more, unless a peer is fetching them
//! beside the protocol (`offers.rs`).

use crate::clock::stopwatch;
use crate::mailbox::Receiver;
use crate::metrics::Metrics;
use crate::offers::Offers;
use crate::options::SnapshotSending;
use crate::shared::Shared;
use crate::snapshot_sending::Sending;
use crate::state_machine::StateMachine;
use crate::storage::Snapshots;
use crate::tasks::{ChunkTask, ChunkWanted, CoreMailbox, CoreTask};
use crossbeam_channel::TryRecvError;
use raft_proto::{Input, SnapshotReadFailed};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct ChunkThread<M: StateMachine> {
    snapshots: Arc<dyn Snapshots>,
    core: CoreMailbox<M>,
    sending: Sending,
    offers: Offers,
    /// Chunks whose time has not come, and when it does. The core asks for one per peer at a time.
    delayed: VecDeque<(Duration, ChunkWanted)>,
    clock: Box<dyn Fn() -> Duration>,
    metrics: Metrics,
}

/// The core has stopped.
struct Stopped;

impl<M: StateMachine> ChunkThread<M> {
    pub(crate) fn new(options: SnapshotSending, shared: &Shared<M>) -> ChunkThread<M> {
        ChunkThread {
            snapshots: shared.snapshots.clone(),
            core: shared.core.clone(),
            sending: Sending::new(options),
            offers: shared.offers.clone(),
            delayed: VecDeque::new(),
            clock: Box::new(stopwatch()),
            metrics: shared.metrics.clone(),
        }
    }

    /// Runs until the core drops its end. What it has written is bounded by `max_inflight_bytes`.
    pub(crate) fn run(mut self, tasks: &Receiver<ChunkTask>) {
        loop {
            let received = match self.until_due() {
                None => tasks.recv().ok_or(TryRecvError::Disconnected),
                Some(wait) => tasks.recv_timeout(wait),
            };
            let done = match received {
                Ok(task) => self.perform(task),
                Err(TryRecvError::Empty) => Ok(()),
                Err(TryRecvError::Disconnected) => return,
            };
            if done.and_then(|()| self.read_due()).is_err() {
                return;
            }
            for snapshot in self.offers.expired() {
                self.snapshots.release(snapshot);
            }
        }
    }

    /// How long until a chunk is due, or a snapshot that a peer has fetched is to be deleted.
    fn until_due(&self) -> Option<Duration> {
        let chunk = self.delayed.front();
        let chunk = chunk.map(|(due, _)| due.saturating_sub((self.clock)()));
        chunk.into_iter().chain(self.offers.until_expired()).min()
    }

    fn perform(&mut self, task: ChunkTask) -> Result<(), Stopped> {
        match task {
            ChunkTask::Read(wanted) => self.want(wanted),
            ChunkTask::Write {
                snapshot,
                offset,
                data,
            } => self.report(Input::SnapshotWritten {
                snapshot,
                offset,
                result: self.snapshots.write(snapshot, offset, &data),
            }),
            ChunkTask::Release(snapshot) => {
                self.sending.end_all(snapshot);
                self.metrics.snapshot_transfers(self.sending.transfers());
                if self.offers.release(snapshot) {
                    self.snapshots.release(snapshot);
                }
                Ok(())
            }
        }
    }

    /// A chunk is wanted: now, later, or not before another transfer has ended.
    fn want(&mut self, wanted: ChunkWanted) -> Result<(), Stopped> {
        let now = (self.clock)();
        let wait = self.sending.admit(&wanted, now);
        self.metrics.snapshot_transfers(self.sending.transfers());
        match wait {
            Some(wait) => {
                self.delayed.push_back((now + wait, wanted));
                Ok(())
            }
            None => self.report(Input::SnapshotRead {
                peer: wanted.peer,
                snapshot: wanted.snapshot,
                offset: wanted.offset,
                result: Err(SnapshotReadFailed::Failed),
            }),
        }
    }

    /// Reads all chunks whose time has come.
    fn read_due(&mut self) -> Result<(), Stopped> {
        let now = (self.clock)();
        while let Some((due, wanted)) = self.delayed.front().copied() {
            if due > now {
                break;
            }
            self.delayed.pop_front();
            let ChunkWanted {
                peer,
                snapshot,
                offset,
                length,
            } = wanted;
            let result = self.snapshots.read(snapshot, offset, length);
            if result.is_ok() {
                self.metrics.snapshot_sent(length);
            }
            self.report(Input::SnapshotRead {
                peer,
                snapshot,
                offset,
                result,
            })?;
        }
        Ok(())
    }

    fn report(&self, input: Input) -> Result<(), Stopped> {
        let sent = self.core.send(CoreTask::Input(input));
        sent.map_err(|_| Stopped)
    }
}
