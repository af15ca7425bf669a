//! The thread that waits for the disk: all writes that wait become one sync (group commit).

use crate::mailbox::Letters;
use crate::metrics::Metrics;
use crate::order::{Order, Orders};
use crate::state_machine::StateMachine;
use crate::storage::{Storage, StorageError};
use crate::timer::stopwatch;
use raft_proto::{EntryId, Input, NodeId, Seq, Write};

/// What the core wants of the log on disk.
#[derive(Debug)]
pub(crate) enum DiskOrder {
    Write(Write),
    Read {
        peer: NodeId,
        from: EntryId,
        to: EntryId,
        max_bytes: u64,
    },
}

/// The storage failed while it did this.
#[derive(Debug)]
pub(crate) struct StorageFailed {
    /// The first write that may not be durable, if it was one.
    pub(crate) seq: Option<Seq>,
    pub(crate) error: StorageError,
}

/// Runs until the core drops its end or the storage fails. What waits in `orders` is bounded by
/// the core's own limits on uncommitted and appended bytes.
pub(crate) fn run<M: StateMachine>(
    mut storage: impl Storage,
    orders: &Letters<DiskOrder>,
    core: &Orders<M>,
    metrics: &Metrics,
) {
    let mut writes = Vec::new();
    while let Some(first) = orders.next() {
        let mut next = Some(first);
        // Everything up to the next read, which has to see the writes before it.
        while let Some(DiskOrder::Write(write)) = next {
            writes.push(write);
            next = orders.try_next().ok();
        }
        let count = writes.len();
        let begin = stopwatch();
        let written = write_all(&mut storage, &mut writes);
        if count > 0 {
            metrics.synced(count, begin());
        }
        let read = written.and_then(|persisted| {
            if let Some(seq) = persisted {
                let order = Order::Input(Input::Persisted { seq });
                // The core has stopped if it does not listen; the loop then ends by itself.
                let _ = match next.is_none() && orders.is_empty() {
                    true => core.send_and_help(order), // There is time.
                    false => core.send(order),
                };
            }
            next.map(|order| read(&mut storage, order)).transpose()
        });
        match read {
            Ok(Some(Some(input))) => {
                let _ = core.send(Order::Input(input));
            }
            Ok(Some(None) | None) => {}
            Err(failed) => {
                // Nothing is written after a failure (the core hears of it and stops).
                let _ = core.send(Order::StorageFailed(failed));
                return;
            }
        }
    }
}

/// One sync for all; the last seq that is durable now.
fn write_all(
    storage: &mut impl Storage,
    writes: &mut Vec<Write>,
) -> Result<Option<Seq>, StorageFailed> {
    let (Some(first), Some(last)) = (writes.first(), writes.last()) else {
        return Ok(None);
    };
    let (first, last) = (first.seq, last.seq);
    let _within = tracing::debug_span!("sync", writes = writes.len(), %first, %last).entered();
    storage.write(writes).map_err(|error| StorageFailed {
        seq: Some(first),
        error,
    })?;
    writes.clear();
    Ok(Some(last))
}

fn read(storage: &mut impl Storage, order: DiskOrder) -> Result<Option<Input>, StorageFailed> {
    let DiskOrder::Read {
        peer,
        from,
        to,
        max_bytes,
    } = order
    else {
        return Ok(None); // Writes were taken before.
    };
    let entries = storage.read_entries(from, to, max_bytes);
    let entries = entries.map_err(|error| StorageFailed { seq: None, error })?;
    Ok(Some(Input::EntriesRead {
        peer,
        from,
        entries,
    }))
}
