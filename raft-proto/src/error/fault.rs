//! Inputs that the driver must not give, and the end of an instance.

use crate::level::Level;
use crate::types::{EntryId, Index, Seq};
use serde::{Deserialize, Serialize};

/// An input of the driver's own that the contract does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A write was reported that was never issued.
    #[error("write {seq} was never issued; the last one is {last}")]
    UnknownWrite {
        /// As reported.
        seq: Seq,
        /// The last seq issued.
        last: Seq,
    },
    /// Entries were reported as applied, or compacted, that were never handed out.
    #[error("{index} was never handed out; the last entry handed out is {last}")]
    NotHandedOut {
        /// As reported.
        index: Index,
        /// The last index handed out.
        last: Index,
    },
    /// A snapshot names an entry that is not in the log under that term.
    #[error("the snapshot ends at {claimed}, but the entry there is {found}")]
    OtherEntry {
        /// The snapshot's last entry, as the driver gave it.
        claimed: EntryId,
        /// The entry that was handed out at that index.
        found: EntryId,
    },
    /// A node that is to join has received no configuration yet, so its snapshot could not hold
    /// one. Compact again when it has received one.
    #[error("no configuration is known yet; compact after one has been received")]
    NoConfiguration,
    /// The entries read are not those of the log, or do not follow each other from the first one
    /// asked for.
    #[error("the entries read are not those of the log from {from} on")]
    OtherEntries {
        /// The first entry asked for.
        from: EntryId,
    },
    /// A chunk that was read has no bytes, or more than the snapshot has from there on. Another
    /// length than the one asked for is no defect by itself: it may be that of an earlier read.
    #[error("{found} bytes of the snapshot were read where {wanted} were asked for")]
    WrongLength {
        /// The length asked for.
        wanted: u64,
        /// The length read.
        found: u64,
    },
}

/// Why a node faulted. Exhaustive on purpose: faults are few, and a driver that repairs one by
/// itself should look at a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Fault {
    /// The driver reported [`PersistFailed`](crate::Input::PersistFailed).
    #[error("write {seq} failed; reopen the storage and start a new instance")]
    WriteFailed {
        /// Which write.
        seq: Seq,
    },
    /// Its leader sent an entry or a snapshot with a level that this node does not read. It stored
    /// nothing of it. Start the node with a release that reads the level: it was put back to an
    /// older one after the level had risen, or joined with one.
    #[error(
        "the cluster writes at level {needed}, and this node reads {own}: start a release that \
         reads it"
    )]
    LevelTooLow {
        /// The level in force.
        needed: Level,
        /// What this node reads.
        own: Level,
    },
}
