//! Raft as a pure, deterministic state machine.
//!
//! [`Raft`] is one server of the algorithm of Ongaro and Ousterhout, *In Search of an
//! Understandable Consensus Algorithm* (extended version; "section" and "Figure" below mean that
//! paper, "thesis" Ongaro's *Consensus: Bridging Theory and Practice*), and nothing else: no
//! clock, no thread, no socket, no file. [`Raft::step`] takes an [`Event`] (a message came, time
//! passed, a write is durable, a client wants something) and returns [`Action`]s (send this,
//! write that, apply these). A *driver* performs them. Another runtime takes another driver; this
//! crate stays as it is, and is tested as it is.
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
//! # The life of a command
//!
//! A client brings a command to the leader, whose driver passes it on as
//! [`Propose`](Input::Propose). The leader appends it to its log as an entry of its own term and
//! answers in the same step with the entry's index and term (`leader.rs`). In that step too, the
//! entry leaves for every follower in an AppendEntries (`replication.rs`), and for the leader's own
//! disk in a [`Write`] (`writes.rs`): network and disk work side by side.
//!
//! A follower looks for the entry before it, prevLog, in its own log (`rpc/append_entries.rs`). If
//! its log differs there, it answers at once where the two logs may agree, and the leader backs up.
//! Otherwise it removes what conflicts, appends the entry and asks for a write of its own. Its
//! acknowledgement waits in the outbox until the driver reports that write as
//! [`Persisted`](Input::Persisted) (`outbox.rs`).
//!
//! The acknowledgement raises the follower's matchIndex at the leader (`progress.rs`). Once a
//! majority of the voters holds the entry on disk, it is committed and commitIndex rises
//! (`commit.rs`). The leader's own disk counts as any other. The next messages carry
//! commitIndex to the followers. Each node hands what is committed, and on its own disk, to its
//! state machine by [`Apply`](Action::Apply). The leader's service then answers the client.
//!
//! When the log has grown, the service makes a snapshot, and [`Compact`](Input::Compact) drops the
//! entries that it replaces (`compaction.rs`). A follower that needs one of those is sent the
//! snapshot instead, chunk by chunk (`send_snapshot.rs`, `rpc/install_snapshot.rs`).
//!
//! # An election
//!
//! A follower that has had no contact with a leader for an election timeout first asks the voters
//! whether they would vote for it (`pre_vote.rs`). If a majority would, it becomes a candidate: it
//! raises its term and votes for itself (`transitions.rs`). When both are on its disk, its
//! RequestVotes leave (`election.rs`). A voter grants its vote to the first candidate of a term
//! whose log is at least as up to date as its own, and the grant waits for the voter's disk
//! (`rpc/request_vote.rs`). With the votes of a majority (`quorum.rs`), the candidate is the leader
//! of its term. It appends an empty entry, whose commit also commits what earlier terms left, and
//! sends heartbeats (`leader.rs`, `peer_timer.rs`). A message of a higher term makes any node a
//! follower, and a leader that has lost contact with the majority steps down by itself
//! (`check_quorum.rs`).
//!
//! # What a driver does
//!
//! **A driver cannot break safety by acting out of order: everything that must not leave before a
//! write is durable is withheld in here.** The driver promises three things: it says
//! [`Persisted`](Input::Persisted) only when that is true, bytes arrive unchanged, and `at` is read
//! after the input was received. Messages may be lost, delayed, repeated and reordered. A driver's
//! loop:
//!
//! 1. Recover what the storage holds, load the service from the recovered snapshot, and call
//!    [`Raft::new`]. The first event is a [`Tick`](Input::Tick).
//! 2. Wait for an input: a message, a request, the end of something that step 4 began, or the time
//!    that the latest [`WakeAt`](Action::WakeAt) named, which is a [`Tick`](Input::Tick).
//! 3. Read the clock, and give the input to [`Raft::step`].
//! 4. Perform the actions: [`Persist`](Action::Persist) in the order of seq,
//!    [`Apply`](Action::Apply) and [`Restore`](Action::Restore) in the order in which they came
//!    out, and so [`WriteSnapshot`](Action::WriteSnapshot), everything else in any order, in
//!    parallel if you like.
//! 5. When a write is on stable storage, give [`Persisted`](Input::Persisted); when entries are
//!    applied, [`Applied`](Input::Applied). If a write fails, give
//!    [`PersistFailed`](Input::PersistFailed): this instance ends, and the driver goes back to 1.
//! 6. Go back to 2.
//!
//! [`Input`], [`Action`] and [`Write`] state the contract in full. The [`guide`] has it [as a
//! checklist](guide::driver), with whole drivers on tokio, on non-blocking sockets and for devices
//! without an operating system (`examples/`), and the [ways to get it wrong](guide::mistakes). It
//! leads [from the paper to the code](guide::paper), and from [the calls of other
//! libraries](guide::other_libraries) to what takes their place here.
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
//! | Figure 2, persistent state: currentTerm, votedFor, log\[\] | `term_and_vote.rs`, `log.rs`; written by `writes.rs` |
//! | Figure 2, volatile state: commitIndex, lastApplied | `commit_index.rs`, `applier.rs` |
//! | Figure 2, volatile state on leaders: nextIndex, matchIndex | `progress.rs` |
//! | "updated on stable storage before responding to RPCs" | `outbox.rs` |
//! | RequestVote RPC, receiver | `rpc/request_vote.rs` |
//! | AppendEntries RPC, receiver | `rpc/append_entries.rs` |
//! | InstallSnapshot RPC (Figure 13), receiver | `rpc/install_snapshot.rs` |
//! | the roles (5.1), and what each holds | `role.rs` |
//! | All Servers: a higher term makes a follower; every change of role, term and vote | `Raft::adopt_term`, `Raft::become_follower` and others in `transitions.rs` |
//! | All Servers: apply what is committed | `Raft::hand_out` in `raft.rs` |
//! | Followers (5.2): election timeout | `Raft::election_timeout_elapsed` in `election.rs`; drawn in `timeouts.rs` |
//! | Candidates (5.2): start election, count votes | `Raft::campaign`, `Raft::count_vote` in `election.rs`; majorities in `quorum.rs` |
//! | 5.1: "servers retry RPCs": requests for votes | `vote_retry.rs` |
//! | a candidate gives a better one of its term time to win the next | `Raft::give_way` in `rpc/request_vote.rs` |
//! | Leaders (5.3, 8): commands, the no-op | `Raft::propose`, `Raft::begin_term` in `leader.rs` |
//! | Leaders (5.2, 5.3): when a peer is sent something: heartbeats, unanswered appends | `peer_timer.rs` |
//! | Leaders (5.3): what a follower is sent | `replication.rs`; how much at once: `window.rs` |
//! | Leaders (5.3): back up nextIndex over a conflict, a term at a time | `Log::last_not_above` in `log.rs` (the follower's hint), `Raft::back_up` in `replication.rs` |
//! | Leaders (5.4.2): advance commitIndex | `commit.rs` |
//! | Leaders (7): send a snapshot | `send_snapshot.rs`; which chunks are on their way: `snapshot_transfer.rs` |
//! | election restriction (5.4.1) | [`EntryId::is_at_least_as_up_to_date_as`], used in `rpc/request_vote.rs` |
//! | Log Matching (5.3) | `log.rs` |
//! | log compaction (7) | `Raft::compact` in `compaction.rs` |
//! | start and restart | `recovered.rs` |
//! | what no correct peer sends | `admission.rs`, `rpc/mod.rs`; counted in `peer_faults.rs` |
//! | **beyond Figure 2** | |
//! | when this node acts next | `timers.rs` |
//! | an election or a step-down by hand | `Raft::campaign_by_hand`, `Raft::step_down` in `manual_election.rs` |
//! | leadership transfer (thesis 3.10) | `Raft::begin_handover`, `Raft::timeout_now` in `transfer.rs`; what is remembered of transfers in `handover.rs` |
//! | membership: roles, joint configurations (section 6, thesis 4) | [`Membership`] in `membership.rs`; both halves of a quorum in `quorum.rs` |
//! | membership: the latest configuration in the log is in force | `configurations.rs` |
//! | membership: changes, and how they end | `Raft::change_membership`, `Raft::finish_change` in `change.rs` |
//! | a staging member becomes a voter once it has caught up (thesis 4.2.1) | `Raft::promote_staging` in `promotion.rs` |
//! | disk identity: who a member is, and what it says that counts | `incarnation.rs`; how a configuration names a storage: `naming.rs` |
//! | what a node may do whose storage has lost entries | `impairment.rs` |
//! | a cluster is founded by all its founders | `Raft::elects`, `Raft::founding_membership` in `incarnation.rs` |
//! | a server that leaves may still campaign (thesis 4.2.2) | `Raft::may_campaign` in `election.rs` |
//! | CheckQuorum (thesis 6.2) | `Raft::check_quorum` in `check_quorum.rs` |
//! | leader stickiness: a live leader is not disturbed (thesis 4.2.3) | `Raft::sticks_to_leader` in `check_quorum.rs` |
//! | a leader whose process has ended is replaced at once | `Raft::leader_unreachable` in `lost_leader.rs` |
//! | what voters promise for leases (thesis 6.4.1) | `lease.rs` |
//! | without CheckQuorum, a leader that hears too few is replaced | `Raft::doubt_leader`, `Raft::give_up_leader` in `deaf_leader.rs` |
//! | answers from before a server was removed and added again | `Peer::precedes_peer` in `progress.rs` |
//! | a server that was removed learns it | `Raft::begin_departures` in `change.rs`, `dismissal.rs` |
//! | whose term counts in a reply | `Raft::may_teach_term` in `rpc/mod.rs` |
//! | linearizable reads: ReadIndex, follower reads (thesis 6.4) | `Raft::serve_reads`, `Raft::read_index` in `read_index.rs` |
//! | leases (thesis 6.4.1): how long, from when, what ends one | `Config::lease_length` in `lease.rs`, `LeaderReads::has_lease` in `reads.rs`; read under one in `Raft::read_under_lease`; a voter keeps to it by leader stickiness |
//! | Pre-Vote (thesis 9.6) | `Raft::request_pre_votes`, `Raft::pre_vote` in `pre_vote.rs` |
//! | election priority | `Raft::draw_timeout`, `Raft::hand_over_by_priority` in `priority.rs` |
//! | limits that differ between nodes | `limits.rs` |
//! | settings that change while a node runs | `Raft::reconfigure_node` in `reconfigure.rs` |
//! | what the driver has forgotten | `Raft::waits_for` in `waits.rs` |
//! | rolling upgrades: what all members read, and what may be written | `upgrade.rs`; on the wire: [`wire`] |
//! | replicas whose states differ | [`comparison`] |
//! | a bounded log in memory | `Raft::drop_payloads`, `Raft::entries_read` in `resident.rs` |
//!
//! How a message becomes bytes is left out: [`wire`] is one encoding, and a driver may use another.
//!
//! Data lies beneath the rules. `raft.rs` holds the state of a node and [`Raft::step`]; it imports
//! the files with data, and the files with rules import it.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod action;
mod admission;
mod applier;
mod change;
mod check_quorum;
mod checkpoint;
mod checksum;
mod command_limit;
mod commit;
mod commit_index;
mod commit_wait;
mod compaction;
pub mod comparison;
mod config;
mod configurations;
mod deaf_leader;
mod dismissal;
mod election;
mod entries;
mod error;
mod event;
mod fate;
mod faulted;
pub mod guide;
mod handover;
mod impairment;
mod incarnation;
mod leader;
mod leader_contact;
mod lease;
mod level;
mod limits;
mod lockstep;
mod log;
mod lost_leader;
mod manual_election;
mod membership;
mod membership_encoding;
pub mod mending;
mod message;
mod naming;
mod outbox;
mod peer_faults;
mod peer_timer;
mod pre_vote;
mod priority;
mod progress;
mod promotion;
mod quorum;
mod raft;
mod read_index;
mod reads;
mod reconfigure;
pub mod recording;
mod recovered;
mod replication;
mod resident;
mod role;
mod rpc;
mod run;
mod send_snapshot;
mod sign_of_life;
mod snapshot_transfer;
mod status;
mod term_and_vote;
mod timeouts;
mod timers;
pub mod trace;
mod trace_requests;
mod transfer;
mod transitions;
mod types;
mod upgrade;
mod vote_request;
mod vote_retry;
mod waiting;
mod waits;
mod window;
pub mod wire;
mod writes;

pub use action::{Action, Compaction, HardState, Identity, Install, InstalledLog, Proposal, Write};
pub use checkpoint::CheckpointError;
pub use checksum::Checksum;
pub use config::{CheckQuorum, Config, LeaderNoop, Lease, PreVoting, Start};
pub use entries::{Commands, Entries, EntriesBuilder, Entry, Iter, NotConsecutive};
pub use error::{
    CampaignError, ChangeError, ConfigError, Fault, FixedSetting, ProposeError, ReadError,
    ReconfigureError, RecoveryError, Refusal, Rejection, StartError, StepDownError, TransferError,
};
pub use event::{
    Event, Input, MembershipChange, NodeChange, ReadMode, Readiness, SnapshotReadFailed,
    SnapshotWriteFailed,
};
pub use fate::Fate;
pub use level::Level;
pub use lockstep::Lockstep;
pub use membership::{Member, MemberRole, Membership};
pub use message::{
    AppendEntries, AppendEntriesReply, AppendOutcome, Campaign, Dismissal, InstallSnapshot,
    InstallSnapshotReply, Lineage, Message, MessageKind, MessageLimits, PreVote, PreVoteReply,
    ReadIndex, ReadIndexReply, ReadOutcome, RequestVote, RequestVoteReply, SnapshotId,
    SnapshotMeta, SnapshotOutcome, TimeoutNow, Vote,
};
pub use raft::Raft;
pub use recovered::Recovered;
pub use role::RoleKind;
pub use run::ENTRY_OVERHEAD;
pub use status::{HandoverStatus, LeaseStatus, PeerState, PeerStatus, Status};
pub use types::{
    ClusterId, EntryId, EntryKind, ForeignIncarnation, GroupId, HistoryId, Incarnation, Index,
    NodeId, RequestId, Seq, Term, Time,
};
pub use waiting::{Awaited, Waiting};
