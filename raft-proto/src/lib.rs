//! Raft as a pure, deterministic state machine.
//!
//! [`Raft`] is one server of the algorithm of Ongaro and Ousterhout, *In Search of an
//! Understandable Consensus Algorithm* (extended version; "section" and "Figure" below mean that
//! paper, "thesis" Ongaro's *Consensus: Bridging Theory and Practice*), and nothing else: no
//! clock, no thread, no socket, no file. [`Raft::step`] takes an [`Event`] (a message came, time
//! passed, a write is durable, a client wants something) and returns [`Action`]s (send this,
//! write that, apply these). A *driver* performs them. Whoever wants another runtime writes
//! another driver; this crate stays as it is, and is tested as it is.
//!
//! ```text
//!            Event { at, input }                  Vec<Action>
//!   network ------ Receive -----+             +---- Send ------------> network
//!   clock -------- Tick --------|             |---- WakeAt ----------> clock
//!   disk --------- Persisted ---+--> step() --+---- Persist(Write) --> disk
//!   service ------ Applied -----|             |---- Apply, Restore --> service
//!   client ------- Propose -----+             +---- Proposed --------> client
//! ```
//!
//! # What a driver promises
//!
//! [`Persisted`](Input::Persisted) is true when said; bytes arrive unchanged; `at` is read after
//! the input was received. That is all. Messages may be lost, delayed, repeated and reordered;
//! actions may be performed in any order but that of their writes and of their hand-overs to
//! the service: what must not be sent before a write is durable is withheld in here. See
//! [`Action`] and [`Write`] for the contract in full.
//!
//! # Example
//!
//! A cluster of one commits on its own [`Persisted`](Input::Persisted):
//!
//! ```
//! use raft_proto::*;
//! use std::collections::VecDeque;
//!
//! let id = NodeId(1);
//! let start = Start::voters([id]);
//! let mut raft = Raft::new(Config::new(ClusterId(1), id, start, 42), Recovered::default())?;
//! let mut now = Time::ZERO;
//! let mut inputs = VecDeque::from([Input::Tick]);
//! let mut applied = Vec::new();
//! while let Some(input) = inputs.pop_front() {
//!     for action in raft.step(Event { at: now, input }) {
//!         match action {
//!             // A driver makes the write durable before it says so.
//!             Action::Persist(write) => inputs.push_back(Input::Persisted { seq: write.seq }),
//!             // A driver waits until then.
//!             Action::WakeAt(at) => {
//!                 now = at;
//!                 inputs.push_back(Input::Tick);
//!             }
//!             Action::RoleChanged { role: RoleKind::Leader, .. } => {
//!                 let commands = Commands::from(bytes::Bytes::from("x = 1"));
//!                 inputs.push_back(Input::Propose { id: RequestId(1), commands });
//!             }
//!             Action::Apply { entries } => {
//!                 applied.extend(entries.iter().map(|entry| entry.payload().to_vec()));
//!             }
//!             _ => {}
//!         }
//!     }
//! }
//! // The no-op with which its term began, then the command.
//! assert_eq!(applied, [b"".to_vec(), b"x = 1".to_vec()]);
//! # Ok::<(), StartError>(())
//! ```
//!
//! # Where each rule is
//!
//! | rule | where |
//! |---|---|
//! | Figure 2, persistent state: currentTerm, votedFor, log\[\] | `HardState`, `log.rs`; written by `writes.rs` |
//! | Figure 2, volatile state: commitIndex, lastApplied | `raft.rs`, `applier.rs` |
//! | Figure 2, volatile state on leaders: nextIndex, matchIndex | `progress.rs` |
//! | "updated on stable storage before responding to RPCs" | `outbox.rs` |
//! | RequestVote RPC, receiver | `rpc/request_vote.rs` |
//! | AppendEntries RPC, receiver | `rpc/append_entries.rs` |
//! | InstallSnapshot RPC (Figure 13), receiver | `rpc/install_snapshot.rs`, `snapshot.rs` |
//! | All Servers: apply what is committed | `Raft::hand_out` in `raft.rs` |
//! | All Servers: a higher term makes a follower | `Raft::adopt_term` in `role.rs` |
//! | Followers (5.2): election timeout | `follower.rs`, `timeouts.rs` |
//! | Candidates (5.2): start election, count votes | `candidate.rs`; majorities in `quorum.rs` |
//! | Leaders (5.3, 8): heartbeats, commands, the no-op | `leader.rs` |
//! | Leaders (5.3): what to send to a follower, and when again | `replication.rs` |
//! | Leaders (5.4.2): advance commitIndex | `commit.rs` |
//! | election restriction (5.4.1) | [`EntryId::is_at_least_as_up_to_date_as`], used in `rpc/request_vote.rs` |
//! | Log Matching (5.3) | `log.rs` |
//! | log compaction (7) | `Raft::compact` in `snapshot.rs` |
//! | start and restart | `recovered.rs` |
//! | what no correct peer sends | `admission.rs`, `rpc/mod.rs` |
//! | **beyond Figure 2** | |
//! | leadership transfer (thesis 3.10) | `Raft::begin_handover`, `Raft::timeout_now` in `transfer.rs` |
//! | membership: roles, joint configurations (section 6, thesis 4) | [`Membership`] in `membership.rs`; both halves of a quorum in `quorum.rs` |
//! | membership: the latest configuration in the log is in force | `configurations.rs` |
//! | membership: changes, and how they end | `Raft::change_membership`, `Raft::finish_change` in `change.rs` |
//! | a server that leaves may still campaign (thesis 4.2.2) | `Raft::may_campaign` in `candidate.rs` |
//! | CheckQuorum, and not disturbing a leader (thesis 6.2, 4.2.3) | `Raft::check_quorum`, `Raft::hears_leader` in `check_quorum.rs` |
//! | linearizable reads: ReadIndex, leases, follower reads (thesis 6.4) | `Raft::serve_reads`, `Raft::read_under_lease`, `Raft::read_index` in `read_index.rs` |
//! | Pre-Vote (thesis 9.6) | `Raft::stand_for_election`, `Raft::pre_vote` in `pre_vote.rs` |
//! | election priority | `Raft::draw_timeout`, `Raft::favour_priority` in `priority.rs` |
//! | a bounded log in memory | `Raft::drop_payloads`, `Raft::entries_read` in `resident.rs` |
//!
//! What is left out: which bytes a message becomes on a wire is a matter of `wire`, and a driver
//! may use another encoding.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod action;
mod admission;
mod applier;
mod candidate;
mod change;
mod check_quorum;
mod checkpoint;
mod checksum;
mod commit;
mod config;
mod configurations;
mod entries;
mod error;
mod event;
mod follower;
mod leader;
mod log;
mod membership;
mod message;
mod outbox;
mod pre_vote;
mod priority;
mod progress;
mod quorum;
mod raft;
mod read_index;
mod reads;
pub mod recording;
mod recovered;
mod replication;
mod resident;
mod role;
mod rpc;
mod run;
mod snapshot;
mod status;
mod timeouts;
pub mod trace;
mod transfer;
mod types;
pub mod wire;
mod writes;

pub use action::{Action, Compaction, HardState, Identity, Install, InstalledLog, Proposal, Write};
pub use checkpoint::CheckpointError;
pub use checksum::Checksum;
pub use config::{CheckQuorum, Config, LeaderNoop, Lease, PreVoting, Start};
pub use entries::{Commands, Entries, EntriesBuilder, Entry, EntryKind, Iter, NotConsecutive};
pub use error::{
    ChangeError, ConfigError, Fault, ProposeError, ReadError, RecoveryError, Refusal, Rejection,
    StartError, TransferError,
};
pub use event::{
    Event, Input, MembershipChange, NodeChange, ReadMode, Readiness, SnapshotReadFailed,
    SnapshotWriteFailed,
};
pub use membership::{Member, MemberRole, Membership};
pub use message::{
    AppendEntries, AppendEntriesReply, AppendOutcome, Campaign, InstallSnapshot,
    InstallSnapshotReply, Message, MessageKind, PreVote, PreVoteReply, ReadIndex, ReadIndexReply,
    ReadOutcome, RequestVote, RequestVoteReply, SnapshotId, SnapshotMeta, SnapshotOutcome,
    TimeoutNow, Vote,
};
pub use raft::Raft;
pub use recovered::Recovered;
pub use role::RoleKind;
pub use run::ENTRY_OVERHEAD;
pub use status::{PeerState, PeerStatus, Status};
pub use types::{ClusterId, EntryId, GroupId, Index, NodeId, RequestId, Seq, Term, Time};
