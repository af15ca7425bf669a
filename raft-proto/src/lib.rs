//! Raft as a pure state machine.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod action;
mod admission;
mod applier;
mod candidate;
mod checkpoint;
mod checksum;
mod commit;
mod config;
mod entries;
mod error;
mod event;
mod follower;
mod leader;
mod log;
mod membership;
mod message;
mod outbox;
mod progress;
mod quorum;
mod raft;
mod recovered;
mod replication;
mod role;
mod rpc;
mod run;
mod snapshot;
mod status;
mod timeouts;
pub mod trace;
mod types;
pub mod wire;
mod writes;

pub use action::{Action, Compaction, HardState, Identity, Install, InstalledLog, Proposal, Write};
pub use checkpoint::CheckpointError;
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
pub use status::{PeerState, PeerStatus, Status};
pub use types::{ClusterId, EntryId, GroupId, Index, NodeId, RequestId, Seq, Term, Time};
