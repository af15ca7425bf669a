//! The thread that reads and writes chunks of snapshots, which must not delay the log's syncs.

use crate::mailbox::Receiver;
use crate::state_machine::StateMachine;
use crate::storage::Snapshots;
use crate::tasks::{ChunkTask, CoreMailbox, CoreTask};
use raft_proto::Input;

/// Runs until the core drops its end. The core has one chunk per peer read at a time; what
/// it has written is bounded by `max_inflight_bytes`.
pub(crate) fn run<M: StateMachine>(
    snapshots: &dyn Snapshots,
    tasks: &Receiver<ChunkTask>,
    core: &CoreMailbox<M>,
) {
    while let Some(task) = tasks.recv() {
        let input = match task {
            ChunkTask::Read {
                peer,
                snapshot,
                offset,
                length,
            } => Input::SnapshotRead {
                peer,
                snapshot,
                offset,
                result: snapshots.read(snapshot, offset, length),
            },
            ChunkTask::Write {
                snapshot,
                offset,
                data,
            } => Input::SnapshotWritten {
                snapshot,
                offset,
                result: snapshots.write(snapshot, offset, &data),
            },
            ChunkTask::Release(snapshot) => {
                snapshots.release(snapshot);
                continue;
            }
        };
        if core.send(CoreTask::Input(input)).is_err() {
            return;
        }
    }
}
