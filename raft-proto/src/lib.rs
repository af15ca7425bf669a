//! Raft as a pure state machine.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod action;
mod checksum;
mod config;
mod entries;
mod error;
mod event;
mod membership;
mod message;
mod raft;
mod recovered;
mod role;
mod run;
mod types;

pub use action::{Action, Compaction, HardState, Identity, Install, InstalledLog, Proposal, Write};
pub use checksum::Checksum;
pub use config::{Config, LeaderNoop, Start};
pub use entries::{Commands, Entries, EntriesBuilder, Entry, EntryKind, Iter, NotConsecutive};
pub use error::{ConfigError, Fault, ProposeError, RecoveryError, Refusal, Rejection, StartError};
pub use event::{Event, Input, SnapshotReadFailed, SnapshotWriteFailed};
pub use membership::Membership;
pub use message::{
    AppendEntries, AppendEntriesReply, AppendOutcome, InstallSnapshot, InstallSnapshotReply,
    Message, MessageKind, RequestVote, RequestVoteReply, SnapshotId, SnapshotMeta, SnapshotOutcome,
    Vote,
};
pub use raft::Raft;
pub use recovered::Recovered;
pub use role::RoleKind;
pub use run::ENTRY_OVERHEAD;
pub use types::{ClusterId, EntryId, GroupId, Index, NodeId, RequestId, Seq, Term, Time};
