//! The thread that reads and writes chunks of snapshots, which must not hold up the log's syncs.

use crate::mailbox::Letters;
use crate::order::{Order, Orders};
use crate::state_machine::StateMachine;
use crate::storage::Snapshots;
use bytes::Bytes;
use raft_proto::{Input, NodeId, SnapshotId};

/// What the core wants of the snapshots' files.
#[derive(Debug)]
pub(crate) enum SnapshotOrder {
    Read {
        peer: NodeId,
        snapshot: SnapshotId,
        offset: u64,
        length: u64,
    },
    Write {
        snapshot: SnapshotId,
        offset: u64,
        data: Bytes,
    },
    Release(SnapshotId),
}

/// Runs until the core drops its end. The core asks for one chunk a peer at a time.
pub(crate) fn run<M: StateMachine>(
    snapshots: &dyn Snapshots,
    orders: &Letters<SnapshotOrder>,
    core: &Orders<M>,
) {
    while let Some(order) = orders.next() {
        let input = match order {
            SnapshotOrder::Read {
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
            SnapshotOrder::Write {
                snapshot,
                offset,
                data,
            } => Input::SnapshotWritten {
                snapshot,
                offset,
                result: snapshots.write(snapshot, offset, &data),
            },
            SnapshotOrder::Release(snapshot) => {
                snapshots.release(snapshot);
                continue;
            }
        };
        if core.send(Order::Input(input)).is_err() {
            return;
        }
    }
}
