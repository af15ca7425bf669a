//! What a node's storage held when it started.

use crate::action::{HardState, Identity};
use crate::entries::Entries;
use crate::message::SnapshotMeta;
use crate::types::Index;
use serde::{Deserialize, Serialize};

/// What the storage holds after all its writes `1..=k`, for any `k` not below the last one
/// reported as [`Persisted`](crate::Input::Persisted). Empty by default: a new node.
///
/// The storage syncs what it found before it hands it over: bytes that only lie in a page cache
/// are not durable, and everything in here is taken to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Recovered {
    /// From the first write. Absent only if nothing was ever written.
    pub identity: Option<Identity>,
    /// The latest currentTerm and votedFor written.
    pub hard_state: HardState,
    /// The latest snapshot installed or compacted to, whose bytes are in the storage. The
    /// driver loads it into the service itself before it starts the node.
    pub snapshot: Option<SnapshotMeta>,
    /// The log: every entry not dropped by a compaction or an install, in order. May begin
    /// before the snapshot's end. If it does not hold the snapshot's last entry, the snapshot
    /// wins and the log is dropped.
    pub entries: Entries,
    /// For a service that is durable by itself: the last index that it has applied and will
    /// not forget. The first [`Apply`](crate::Action::Apply) begins after it.
    pub applied: Option<Index>,
}
