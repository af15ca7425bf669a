//! The bytes of a message: one frame, read under limits and sliced without a copy.
//!
//! A frame is an [`Envelope`] (sender, receiver, group and cluster), a header, and one raw region
//! of payloads. Envelope and header are [postcard](https://postcard.jamesmunns.com/wire-format):
//! integers are varints, seven bits a byte, the lowest first. The transport separates the frames on
//! a connection: it hands over exactly one frame at a time, with its bytes as they were sent.
//!
//! # Layout, version 1
//!
//! | part | field | encoding |
//! |---|---|---|
//! | envelope | version | one byte: 1, and 0x80 if the sender has an incarnation |
//! | | cluster id, group id, from, to | varint each |
//! | | the sender's incarnation, if any | varint |
//! | header | kind of message | one byte, see below; and 0x10 if a lineage follows, 0x20 if a promise |
//! | | lineage, if any | the number of the variant, then its field |
//! | | promise, if any | varint |
//! | | the message's fields | see below |
//! | region | payloads one after another | raw, the rest of the frame |
//!
//! | kind | message | fields |
//! |---|---|---|
//! | 0 | [`RequestVote`](crate::RequestVote) | term, last log id, campaign |
//! | 1 | [`RequestVoteReply`](crate::RequestVoteReply) | term, vote |
//! | 2 | [`AppendEntries`](crate::AppendEntries) | term, prev log id, leader_commit, round, revoked, length of the region, number of runs, runs |
//! | 3 | [`AppendEntriesReply`](crate::AppendEntriesReply) | term, outcome, round, presence, limits, level |
//! | 4 | [`InstallSnapshot`](crate::InstallSnapshot) | term, length of the region (which is `data`), offset, id (last, size, checksum), members, presence, history, level |
//! | 5 | [`InstallSnapshotReply`](crate::InstallSnapshotReply) | term, last, outcome |
//! | 6 | [`PreVote`](crate::PreVote) | term, last log id, campaign |
//! | 7 | [`PreVoteReply`](crate::PreVoteReply) | term, asked, vote, dismissal |
//! | 8 | [`TimeoutNow`](crate::TimeoutNow) | term, transfer |
//! | 9 | [`ReadIndex`](crate::ReadIndex) | term, number, stored |
//! | 10 | [`ReadIndexReply`](crate::ReadIndexReply) | term, number, outcome, stored |
//!
//! A lineage is written with kinds 0, 2, 6 and 7 only, and not if it is unknown: a node without an
//! incarnation pays nothing for those of others.
//!
//! A promise is written with kind 2 only, and not if it is 0: leaders without leases ask for none.
//!
//! An entry id is its index, then its term. A run is a sequence of entries of one term and one
//! kind: term, kind of entry (one byte), number of entries (at least 1), the length of each
//! payload. The first entry's index is not written: it is one above prevLogIndex. Outcomes, votes,
//! campaigns and kinds of entries are the number of the variant, then its fields, in the order in
//! which the types declare them. What may be absent is a byte, 0 or 1, before it. A presence stands
//! for both of what follows it: 1 is added for the first, and 2 for the level (of the core, then of
//! the service), which is written if it is not 0.
//!
//! # Decoding
//!
//! Any bytes give a message or a typed [`DecodeError`]; nothing panics. Every count is compared
//! with the bytes that are left before anything is allocated. So decoding takes memory in
//! proportion to the frame, and not to the counts in it. Payloads are slices of the frame's buffer,
//! which therefore lives as long as any of them. The core checks the terms and indexes in a
//! message.
//!
//! # Compatibility
//!
//! Nodes of two releases run together while a cluster is upgraded, node by node. What they may say
//! to each other rests on one number: the [`Level`](crate::Level) of a node is what it reads, and
//! the level in force ([`Raft::level`](crate::Raft::level)) is what every member reads. How a level
//! comes into force, and that it never falls, says `upgrade.rs`: it stands in the configurations,
//! so each node finds it in its own log. A level has two parts, counted apart: that of this crate,
//! and that of the service.
//!
//! Tolerated, whatever the levels are:
//!
//! * *Unknown fields.* The fields of a message are in the order in which releases added them. What
//!   follows those that a release knows, up to the region, is left unread, and
//!   [`Received::unknown_bytes`] says how much. Fields that an older release does not write have
//!   the value that stood for all nodes before there was such a field.
//! * *Unknown kinds of messages.* [`DecodeError::UnknownMessage`]: the transport drops the frame as
//!   if the network had lost it, notes once that the sender speaks a newer version, and keeps the
//!   connection ([`ReceiveError::is_newer`]).
//!
//! Never tolerated, because replicas would differ without a word:
//!
//! * *Unknown layouts and kinds of entries, of configurations and snapshots.* They are used only
//!   when their level is in force. So the entry with that level stands before all of them in each
//!   log, and a node that does not read that level stops there
//!   ([`Fault::LevelTooLow`](crate::Fault::LevelTooLow)), or does not start
//!   ([`StartError::LevelTooLow`](crate::StartError::LevelTooLow)). It stores nothing of the
//!   message. A snapshot's chunk carries its configuration, and with it the level.
//! * *Another version of the frame*: [`DecodeError::UnknownVersion`].
//!
//! What a later release may change, and how:
//!
//! | change | how |
//! |---|---|
//! | a field of a message | after the last one; at any level, if nodes that do not read it stay correct |
//! | a kind of message | at any level, if the cluster goes on without it, since a node that does not know the kind drops it |
//! | a variant of a field's enumeration | above a new level of the core, as frames with it are refused before |
//! | a field of a configuration | after the level; above a new level of the core |
//! | a kind of entry, the layout of a snapshot's identity, the frame's version | above a new level of the core |
//! | commands and snapshots of the service | above a new level of the service, by its own rules |
//!
//! A layout never changes under the same number, and a release reads everything up to its own level
//! for as long as clusters may run at it. `tests/wire.rs` holds the bytes.

mod decode;
mod encode;
mod error;

pub use decode::{Receiver, decode, decode_envelope};
pub use encode::{encode, encode_header_into, encode_into, payloads};
pub use error::{DecodeError, ReceiveError};

use crate::config::Config;
use crate::event::Input;
use crate::message::Message;
use crate::run::ENTRY_OVERHEAD;
use crate::types::{ClusterId, GroupId, Incarnation, NodeId};

/// The version of the layout that this release writes.
pub const VERSION: u8 = 1;

/// The kinds of messages, as written.
mod tag {
    pub(super) const REQUEST_VOTE: u8 = 0;
    pub(super) const REQUEST_VOTE_REPLY: u8 = 1;
    pub(super) const APPEND_ENTRIES: u8 = 2;
    pub(super) const APPEND_ENTRIES_REPLY: u8 = 3;
    pub(super) const INSTALL_SNAPSHOT: u8 = 4;
    pub(super) const INSTALL_SNAPSHOT_REPLY: u8 = 5;
    pub(super) const PRE_VOTE: u8 = 6;
    pub(super) const PRE_VOTE_REPLY: u8 = 7;
    pub(super) const TIMEOUT_NOW: u8 = 8;
    pub(super) const READ_INDEX: u8 = 9;
    pub(super) const READ_INDEX_REPLY: u8 = 10;
    /// Added to the kind of a message that carries a lineage.
    pub(super) const WITH_LINEAGE: u8 = 0x10;
    /// An AppendEntries that asks for a promise.
    pub(super) const APPEND_WITH_PROMISE: u8 = APPEND_ENTRIES | 0x20;
}

/// Which of two fields follow.
mod presence {
    /// The first of them.
    pub(super) const FIRST: u8 = 1;
    /// A level.
    pub(super) const LEVEL: u8 = 2;
    pub(super) const BOTH: u8 = FIRST | LEVEL;
}

/// Added to the version byte: the sender has an incarnation.
const WITH_INCARNATION: u8 = 0x80;

/// The addresses of a frame: with them, a process can deliver it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// The cluster of both.
    pub cluster_id: ClusterId,
    /// The group of both.
    pub group_id: GroupId,
    /// The sender, by its own account. A transport that authenticates its peers compares it.
    pub from: NodeId,
    /// The addressee.
    pub to: NodeId,
    /// The sender's storage ([`Raft::incarnation`](crate::Raft::incarnation)).
    pub incarnation: Option<Incarnation>,
}

impl Envelope {
    /// The envelope of a message to `to` from the node that runs with this config:
    /// [`Raft::config`](crate::Raft::config), which names the node's storage.
    pub fn new(config: &Config, to: NodeId) -> Envelope {
        Envelope {
            cluster_id: config.cluster_id,
            group_id: config.group_id,
            from: config.node_id,
            to,
            incarnation: config.incarnation,
        }
    }
}

/// A message, and who sent it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Received {
    /// The sender.
    pub from: NodeId,
    /// The sender's storage.
    pub incarnation: Option<Incarnation>,
    /// The message.
    pub message: Message,
    /// How many bytes of its fields this release does not know. If there are any, the sender speaks
    /// a newer version, and the message is what it was before those fields were added.
    pub unknown_bytes: u64,
}

impl From<Received> for Input {
    fn from(received: Received) -> Input {
        let Received {
            from,
            incarnation,
            message,
            unknown_bytes: _,
        } = received;
        Input::Receive {
            from,
            incarnation,
            message,
        }
    }
}

/// The limits of decoding.
///
/// A transport should refuse a frame over `max_frame_bytes` before it reads it into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// The longest frame, in bytes. Above 2^32 - 1 it counts as that.
    pub max_frame_bytes: u64,
    /// The most entries in one message.
    pub max_entries: u64,
    /// The longest payload of an entry, in bytes.
    pub max_entry_bytes: u64,
}

impl Limits {
    /// [`Limits::for_config`] allows frames of at least this many bytes (16 MiB), so that nodes
    /// accept each other's frames while the limits of one are being changed.
    pub const LEAST_MAX_FRAME_BYTES: u64 = 16 << 20;

    /// The most bytes of a frame beside its payloads and an [`ENTRY_OVERHEAD`] for each: the
    /// envelope, and in a snapshot's chunk the members.
    const HEADER_BYTES: u64 = 64 << 10;

    /// The contents of a message that fits
    /// [`LEAST_MAX_FRAME_BYTES`](Limits::LEAST_MAX_FRAME_BYTES).
    pub(crate) const LEAST_MAX_PAYLOAD_BYTES: u64 =
        Self::LEAST_MAX_FRAME_BYTES - Self::HEADER_BYTES;

    /// The greatest contents of a message that fit a frame: the entries of an append with
    /// [`ENTRY_OVERHEAD`] for each, or the data of a chunk.
    pub(crate) fn max_payload_bytes(&self) -> u64 {
        self.max_frame_bytes.saturating_sub(Self::HEADER_BYTES)
    }

    /// The limits of a node with this config: it accepts everything that a peer with the same
    /// config sends, and frames up to [`LEAST_MAX_FRAME_BYTES`](Limits::LEAST_MAX_FRAME_BYTES) from
    /// others, whose cores send no more before they know that this node takes it. An entry above
    /// the config's `max_entry_bytes` is decoded, and the core takes it.
    pub fn for_config(config: &Config) -> Limits {
        let payload = config.max_append_bytes.max(config.snapshot_chunk_bytes);
        let frame = payload
            .saturating_add(Self::HEADER_BYTES)
            .max(Self::LEAST_MAX_FRAME_BYTES);
        Limits {
            max_frame_bytes: frame.min(u64::from(u32::MAX)),
            max_entries: frame / ENTRY_OVERHEAD,
            // The core takes what another leader accepted.
            max_entry_bytes: frame,
        }
    }
}
