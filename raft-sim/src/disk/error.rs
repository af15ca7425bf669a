//! Breaches of the storage contract.

use raft_proto::{Index, Seq, SnapshotId};

/// A breach of the storage contract by the core: no storage could do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// The seqs of writes must rise by one.
    #[error("write {found} was issued after {last}")]
    SeqOutOfOrder {
        /// The last write before.
        last: Seq,
        /// This write.
        found: Seq,
    },
    /// The entries of a write leave a gap.
    #[error("a write of entries from {first} on, to a log that ends at {last}")]
    Gap {
        /// The first entry written.
        first: Index,
        /// The last index that the storage holds.
        last: Index,
    },
    /// A write installs or compacts to a snapshot that the storage does not have whole.
    #[error("the bytes of snapshot {0:?} are not on the disk")]
    NoSuchSnapshot(SnapshotId),
    /// A write was to be completed that was never issued.
    #[error("write {seq} was never issued; the last one is {last}")]
    NeverIssued {
        /// The write to be completed.
        seq: Seq,
        /// The last one issued.
        last: Seq,
    },
}
