//! How much a leader sends of its snapshots: a rate, and a number of transfers, over all peers.

use crate::options::SnapshotSending;
use crate::storage::Rate;
use crate::tasks::ChunkWanted;
use raft_proto::{NodeId, SnapshotId};
use std::collections::BTreeMap;
use std::time::Duration;

/// After how long without a chunk a transfer does not count any more: its peer may have died, and
/// nobody says so. A chunk that waits for its time is longer than that ahead only at a rate at
/// which transfers take hours.
const IDLE: Duration = Duration::from_secs(10);

/// The transfers under way. It has no clock of its own.
#[derive(Debug)]
pub(crate) struct Sending {
    rate: Option<Rate>,
    max_transfers: usize,
    /// The snapshot that each peer is sent, and the time of its latest chunk.
    transfers: BTreeMap<NodeId, (SnapshotId, Duration)>,
}

impl Sending {
    pub(crate) fn new(options: SnapshotSending) -> Sending {
        Sending {
            rate: options.max_bytes_per_second.map(Rate::new),
            max_transfers: options.max_transfers.max(1),
            transfers: BTreeMap::new(),
        }
    }

    /// How long the chunk has to wait; `None` if as many other transfers are under way as may be.
    pub(crate) fn admit(&mut self, chunk: &ChunkWanted, now: Duration) -> Option<Duration> {
        self.transfers.retain(|_, (_, latest)| *latest + IDLE > now);
        let is_new = !self.transfers.contains_key(&chunk.peer);
        if is_new && self.transfers.len() >= self.max_transfers {
            return None;
        }
        let rate = self.rate.as_mut();
        let wait = rate.map_or(Duration::ZERO, |rate| rate.wait(now, chunk.length));
        if chunk.offset + chunk.length >= chunk.snapshot.size {
            self.transfers.remove(&chunk.peer); // Its last chunk.
        } else {
            let latest = (chunk.snapshot, now + wait);
            self.transfers.insert(chunk.peer, latest);
        }
        Some(wait)
    }

    /// Nobody is sent this snapshot any more.
    pub(crate) fn end_all(&mut self, snapshot: SnapshotId) {
        self.transfers.retain(|_, (sent, _)| *sent != snapshot);
    }

    /// How many transfers are under way.
    pub(crate) fn transfers(&self) -> usize {
        self.transfers.len()
    }
}
