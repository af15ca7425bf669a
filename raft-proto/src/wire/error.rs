//! Why a frame was refused, and what to do about it.

use super::VERSION;
use crate::types::{ClusterId, GroupId, NodeId};

/// Why bytes are not a message. The sender is faulty, of another version, or not a peer at all, or
/// the transport damaged the bytes. Drop the frame, and close the connection: the bytes that follow
/// cannot be trusted either. Only a [newer](DecodeError::is_newer) sender's frame is no such
/// reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// This release does not read its version.
    #[error(
        "a frame of version {found}; this release reads version {VERSION}: upgrade one release \
         at a time, all nodes before the next"
    )]
    UnknownVersion {
        /// The frame's.
        found: u8,
    },
    /// Longer than [`max_frame_bytes`](super::Limits::max_frame_bytes).
    #[error(
        "a frame of {size} bytes is over the limit of {limit}; raise max_append_bytes or \
         snapshot_chunk_bytes on all nodes before one uses more"
    )]
    FrameTooLarge {
        /// Its length.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// It ends before its header does.
    #[error("the frame ends within its {field}: part of it is missing")]
    Truncated {
        /// What was being read.
        field: &'static str,
    },
    /// A number that does not fit its type.
    #[error("the frame's {field} is not a number that fits")]
    NumberOutOfRange {
        /// What was being read.
        field: &'static str,
    },
    /// A kind of message that this release does not know: the sender speaks a newer version. Drop
    /// the frame, as the network may, and keep the connection.
    #[error("a message of kind {kind}, which this release does not know: its sender is newer")]
    UnknownMessage {
        /// Its number.
        kind: u8,
    },
    /// A variant of a field, or a kind of entry, that this release does not have.
    #[error("the frame's {field} is of an unknown kind")]
    UnknownKind {
        /// What was being read.
        field: &'static str,
    },
    /// A count is greater than the bytes that follow allow.
    #[error("the frame announces {claimed} {what}, but only {remaining} bytes follow")]
    CountBeyondFrame {
        /// What it counts.
        what: &'static str,
        /// The count.
        claimed: u64,
        /// How many bytes follow.
        remaining: u64,
    },
    /// More entries than [`max_entries`](super::Limits::max_entries).
    #[error("a message of {claimed} entries is over the limit of {limit}")]
    TooManyEntries {
        /// How many, so far.
        claimed: u64,
        /// The limit.
        limit: u64,
    },
    /// An entry over [`max_entry_bytes`](super::Limits::max_entry_bytes).
    #[error(
        "an entry of {size} bytes is over the limit of {limit}; max_entry_bytes must be the same \
         on all nodes"
    )]
    EntryTooLarge {
        /// Its length.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A run of no entries.
    #[error("the frame has a run of no entries")]
    EmptyRun,
    /// The lengths of the payloads do not sum to the region's.
    #[error("the payloads' lengths sum to {sum}, but the region has {region} bytes")]
    LengthsDoNotSum {
        /// Their sum, or the sum of those up to the first one beyond the region.
        sum: u64,
        /// The region's length.
        region: u64,
    },
    /// Entries with indexes above the greatest number.
    #[error("{count} entries after index {prev} go beyond the greatest number")]
    IndexOverflow {
        /// prevLogIndex.
        prev: u64,
        /// How many entries.
        count: u64,
    },
}

impl DecodeError {
    /// Whether the frame is sound, as far as this release can tell, and its sender only newer.
    pub fn is_newer(&self) -> bool {
        matches!(self, DecodeError::UnknownMessage { .. })
    }
}

impl ReceiveError {
    /// Whether the sender only speaks a newer version: drop the frame, and keep the connection.
    pub fn is_newer(&self) -> bool {
        matches!(self, ReceiveError::Decode(error) if error.is_newer())
    }
}

/// Why a frame is not a message to this node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// It does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It was sent in another cluster.
    #[error(
        "{from} of cluster {found} reached {ours}; one of them has the wrong cluster id or the \
         wrong address book: close the connection and correct it"
    )]
    OtherCluster {
        /// The sender.
        from: NodeId,
        /// Its cluster.
        found: ClusterId,
        /// This node's.
        ours: ClusterId,
    },
    /// It belongs to another group.
    #[error("{from} of group {found} reached group {ours}; deliver by the envelope's group id")]
    OtherGroup {
        /// The sender.
        from: NodeId,
        /// Its group.
        found: GroupId,
        /// This node's.
        ours: GroupId,
    },
    /// It is for another node.
    #[error(
        "a message from {from} to {addressee} reached {ours}; correct the address that {from} \
         has for {addressee}"
    )]
    OtherAddressee {
        /// The sender.
        from: NodeId,
        /// The node that it is for.
        addressee: NodeId,
        /// This node.
        ours: NodeId,
    },
}
