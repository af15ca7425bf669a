//! The thread that makes one snapshot of the state machine, and ends; and how a snapshot is loaded.

use crate::comparing::{Replica, note_origin};
use crate::shared::Shared;
use crate::state_machine::StateMachine;
use crate::storage::{SnapshotSink, Snapshots};
use crate::tasks::{CoreMailbox, CoreTask, StateMachineFailed};
use raft_proto::{EntryId, SnapshotId, SnapshotMeta};
use std::io::{self, BufWriter, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Makes snapshots, one at a time.
pub(crate) struct SnapshotMaker<M: StateMachine> {
    snapshots: Arc<dyn Snapshots>,
    core: CoreMailbox<M>,
    replica: Replica,
    thread: Option<JoinHandle<()>>,
    is_stopping: Arc<AtomicBool>,
}

impl<M: StateMachine> SnapshotMaker<M> {
    pub(crate) fn new(shared: &Shared<M>) -> SnapshotMaker<M> {
        SnapshotMaker {
            snapshots: shared.snapshots.clone(),
            core: shared.core.clone(),
            replica: shared.replica.clone(),
            thread: None,
            is_stopping: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Whether a snapshot is being made: from [`start`](SnapshotMaker::start) to
    /// [`finish`](SnapshotMaker::finish).
    pub(crate) fn is_busy(&self) -> bool {
        self.thread.is_some()
    }

    /// Writes `view`, the state after `last`, in a new thread, which tells the core when it is
    /// done. Returns whether there is such a thread.
    pub(crate) fn start(&mut self, view: M::Snapshot, last: EntryId) -> bool {
        let (snapshots, core) = (self.snapshots.clone(), self.core.clone());
        let replica = self.replica.clone();
        let origin = replica.origin();
        let is_stopping = self.is_stopping.clone();
        let span = tracing::info_span!("snapshot", %last);
        let make = move || {
            let _within = span.entered();
            let made = StateMachineFailed::catch(|| {
                write::<M>(view, snapshots.as_ref(), last, is_stopping)
            });
            let task = match made {
                Ok(Ok(snapshot)) => {
                    note_origin(snapshot, origin, snapshots.as_ref());
                    if let Some(origin) = origin {
                        replica.stored(snapshot, origin);
                    }
                    CoreTask::SnapshotMade(Some(snapshot))
                }
                Ok(Err(error)) => {
                    tracing::warn!(%last, %error, "no snapshot was made");
                    CoreTask::SnapshotMade(None)
                }
                Err(failed) => CoreTask::StateMachineFailed(failed),
            };
            let _ = core.send(task);
        };
        let thread = std::thread::Builder::new().name("raft-snapshot".into());
        match thread.spawn(make) {
            Ok(thread) => {
                self.thread = Some(thread);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "no thread could be started to make a snapshot");
                false
            }
        }
    }

    /// Joins the thread, which has told the core that it is done.
    pub(crate) fn finish(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // It catches its panics, and has reported them.
        }
    }

    /// Ends a snapshot that is being made early, and joins its thread.
    pub(crate) fn stop(&mut self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.finish();
    }
}

/// Loads a stored snapshot into the state machine. Reads it to its end, where it is verified.
pub(crate) fn load<M: StateMachine>(
    machine: &mut M,
    snapshots: &dyn Snapshots,
    meta: &SnapshotMeta,
) -> io::Result<()> {
    let reader = snapshots.open(meta.id).map_err(io::Error::other)?;
    let mut reader = io::BufReader::new(reader);
    machine.restore(&mut reader)?;
    io::copy(&mut reader.by_ref(), &mut io::sink())?;
    Ok(())
}

fn write<M: StateMachine>(
    view: M::Snapshot,
    snapshots: &dyn Snapshots,
    last: EntryId,
    is_stopping: Arc<AtomicBool>,
) -> io::Result<SnapshotId> {
    let sink = snapshots.create().map_err(io::Error::other)?;
    let mut writer = BufWriter::with_capacity(1 << 16, AbortableSink { sink, is_stopping });
    M::write_snapshot(view, &mut writer)?;
    let inner = writer.into_inner().map_err(|error| error.into_error())?;
    inner.sink.finish(last).map_err(io::Error::other)
}

/// Fails once the node stops, so that a node can stop while it makes a large snapshot.
struct AbortableSink {
    sink: Box<dyn SnapshotSink>,
    is_stopping: Arc<AtomicBool>,
}

impl io::Write for AbortableSink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.is_stopping.load(Ordering::Relaxed) {
            return Err(io::Error::other("the node stops"));
        }
        self.sink.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
